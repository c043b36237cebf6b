"""Shared prompts in training: `make bench BENCH=tests/benchmarks/bench_sharing.py`.

Forward and backward passes over 8 groups of 8 rows, prompts read once against rows apart, one
thread: the ratio of CPU times beside the one that `agents/packing.py` decides by.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from cardinal_gym.agents import packing
from cardinal_gym.agents.config import BuildConfig, PolicyConfig
from cardinal_gym.agents.packing import cost, shared_key
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from cardinal_gym.training import shared_prompts
from cardinal_gym.training.batch import WeightedRow
from cardinal_gym.training.config import OptimConfig
from cardinal_gym.training.shared_prompts import chosen_batches

GROUPS, MEMBERS, REPEATS = 8, 8, 3
BUILD = BuildConfig(hidden_size=192, num_layers=4, num_heads=4, intermediate_size=512)


@pytest.mark.parametrize("prompt", [20, 50, 100, 200])
@pytest.mark.parametrize("answer", [16, 48, 128])
def test_the_cost_that_decides_is_near_the_time(
    prompt: int, answer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "WORTHWHILE", 1e9)  # packed also where it would not be
    monkeypatch.setattr(shared_prompts, "WORTHWHILE", 1e9)
    torch.set_num_threads(1)
    policy = load_policy(PolicyConfig(name="bench", build=BUILD, device="cpu"))
    ids = torch.randint(10, 90, (GROUPS, prompt), generator=torch.Generator().manual_seed(0))
    rows = [
        WeightedRow(row=row_of(ids[i // MEMBERS].tolist(), answer), index=i)
        for i in range(GROUPS * MEMBERS)
    ]
    apart = OptimConfig(share_prompts=False, micro_batch_tokens=2048)  # a group and more
    ways = [
        chosen_batches(rows, replace(apart, share_prompts=way), policy) for way in (True, False)
    ]
    times = [min(seconds(policy, *way) for _ in range(REPEATS)) for way in ways]
    costs = [sum(price(policy, part, share=share) for part in parts) for parts, share in ways]
    measured, expected = times[0] / times[1], costs[0] / costs[1]
    print(f"\nprompt {prompt}, answer {answer}: time {measured:.2f}, by cost {expected:.2f}")
    assert expected == pytest.approx(measured, rel=0.3)


def row_of(prompt: list[int], answer: int) -> Row:
    ids = prompt + [11 + i % 70 for i in range(answer)]
    mask = [0] * len(prompt) + [1] * answer
    return Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=())


def seconds(policy: Policy, parts: Sequence[Sequence[WeightedRow]], share: bool) -> float:
    """CPU time of a pass over all rows, forward and backward."""
    start = time.process_time()
    for part in parts:
        batch = collate(policy, [each.row for each in part], share_prompts=share)
        assert (batch.packed is not None) is share
        (token_logprobs(policy, batch) * batch.mask).sum().backward()
    policy.model.zero_grad()
    return time.process_time() - start


def price(policy: Policy, part: Sequence[WeightedRow], *, share: bool) -> float:
    keys = [shared_key(policy, each.row) for each in part] if share else None
    return cost(policy, [each.num_tokens for each in part], keys)
