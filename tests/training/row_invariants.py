"""Invariants of what is sampled, put in rows and scored.

`invariants.py` has those of the arithmetic between rows and loss, `run_invariants.py` those of
whole runs; `planted_run_bugs.py` holds the mistakes that the checks here and there must catch.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from cardinal_gym.agents import adapters, scoring
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import Family, SamplingConfig
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.policy_agent import PolicyAgent
from cardinal_gym.agents.rollout import rollout
from cardinal_gym.agents.rows import Row, collate, row_from_answer
from cardinal_gym.agents.types import Completion, Episode, StreamKey
from cardinal_gym.envs.core import Observation
from cardinal_gym.training import grpo_rows
from invariants import Check
from toys import bandit, guess, tiny_policy

SAMPLING = SamplingConfig(max_new_tokens=3, temperature=0.7)


def played(policy: Policy, make_env: Callable[[], gym.Env] = guess) -> list[Episode]:
    """Two members of each of three tasks."""
    places = [(group, member) for group in range(3) for member in range(2)]
    return rollout(
        make_env,
        PolicyAgent(policy, SAMPLING),
        [group for group, _ in places],
        groups=[group for group, _ in places],
        members=[member for _, member in places],
    )


def rows_of(policy: Policy, episodes: Sequence[Episode]) -> list[Row]:
    return [each.row for rows in grpo_rows.numbered_rows(episodes, policy) for each in rows]


def scores(policy: Policy, rows: Sequence[Row], **layout: Any) -> list[torch.Tensor]:
    """Log-probabilities of each row's sampled tokens, at the sampler's temperature."""
    batch = collate(policy, rows, **layout)
    with torch.no_grad():
        logp = scoring.token_logprobs(policy, batch, SAMPLING.temperature)
    return [values[mask > 0] for values, mask in zip(logp, batch.mask, strict=True)]


def assert_alike(found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def scores_are_not_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a model has dropout, and gradient checkpointing wants its train mode."""
    policy = tiny_policy(spread=3.0)
    for layer in policy.model.get_decoder().layers:
        layer.self_attn.attention_dropout = 0.5
    adapters.recompute_activations(policy.model)
    row = row_from_answer(policy, range(10, 30), "5 * 3")
    assert torch.equal(scores(policy, [row])[0], scores(policy, [row])[0])


def the_sampler_reports_what_the_trainer_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy(spread=3.0)
    for make_env in (bandit, guess):  # prompts of unequal lengths; several turns
        rows = rows_of(policy, played(policy, make_env))
        told = [torch.tensor(row.logprobs)[torch.tensor(row.mask) > 0] for row in rows]
        assert_alike(scores(policy, rows), told)


def scores_are_those_of_the_whole_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against transformers' own forward pass, which computes all states and all logits."""
    policy = tiny_policy(spread=3.0)
    rows = [row_from_answer(policy, range(10, 22 + i), "5 * 3 " * i) for i in (1, 2, 4)]
    wanted = []
    for row in rows:
        with torch.no_grad():
            logits = policy.model(input_ids=torch.tensor([row.ids])).logits[0, :-1]
        logits[:, list(policy.banned_ids)] = -1e9
        logp = (logits / SAMPLING.temperature).log_softmax(-1)
        every = logp.gather(-1, torch.tensor(row.ids)[1:, None])[:, 0]
        wanted.append(every[torch.tensor(row.mask)[1:] > 0])
    answers = [row for row in rows if row.ids[-1] in policy.end_ids]
    assert len(answers) == len(rows)  # the end token is among what is scored
    assert_alike(scores(policy, rows), wanted)


def company_order_and_padding_do_not_change_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows with different pictures."""
    policy = tiny_policy(Family.qwen_vl, spread=3.0)
    rows = []
    for i in range(3):
        shown = np.random.default_rng(i).integers(0, 256, (56, 56, 3), dtype=np.uint8)
        text = "target 7" + " cards" * i
        prompt = encode_first(policy, Observation(text=text, update=text, image=shown))
        answer = row_from_answer(policy, prompt.ids, "5 * 3", prompt.images)
        rows.append(answer)
    alone = [scores(policy, [row])[0] for row in rows]
    assert_alike(scores(policy, rows), alone)
    assert_alike(scores(policy, rows[::-1])[::-1], alone)
    assert_alike(scores(policy, rows, pad_side="left", extra_padding=3), alone)
    assert (alone[0] - alone[1]).abs().max() > 1e-3  # pictures count


def rows_hold_the_very_ids_that_were_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy(spread=3.0)
    episodes = played(policy)
    for episode, row in zip(episodes, rows_of(policy, episodes), strict=True):
        turns = [(turn.prompt_ids, turn.completion.token_ids) for turn in episode.turns]
        assert row.ids == [*chain.from_iterable(chain.from_iterable(turns))]
        mask = [[0] * len(read) + [1] * len(sampled) for read, sampled in turns]
        assert row.mask == [*chain.from_iterable(mask)]


def nothing_is_left_of_an_earlier_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sampled after an update is what a policy with these weights samples first."""

    def sample(policy: Policy) -> list[Completion]:
        prompts = [
            encode_first(policy, Observation(text=text, update=text, image=None))
            for text in ("target 7", "target 24 cards 5 J")
        ]
        streams = [StreamKey(seed=0, step=0, group=group, member=0) for group in range(2)]
        return generate(policy, prompts, streams, SAMPLING)

    policy, fresh = tiny_policy(spread=3.0), tiny_policy(spread=2.0)
    sample(policy)
    policy.load_state_dict(fresh.state_dict())
    for found, wanted in zip(sample(policy), sample(fresh), strict=True):
        assert found.token_ids == wanted.token_ids
        assert found.logprobs == pytest.approx(wanted.logprobs, abs=1e-5)


ROW_INVARIANTS: tuple[Check, ...] = (
    scores_are_not_random,
    the_sampler_reports_what_the_trainer_scores,
    scores_are_those_of_the_whole_model,
    company_order_and_padding_do_not_change_scores,
    rows_hold_the_very_ids_that_were_sampled,
    nothing_is_left_of_an_earlier_batch,
)
