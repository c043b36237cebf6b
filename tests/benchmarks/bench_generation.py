"""Decoding against transformers: `make bench BENCH=tests/benchmarks/bench_generation.py`.

The workload: a Llama of 1.8 M parameters, 8 prompts of 104 tokens, 8 completions of 48 tokens for
each, one thread, float32; then the same with a picture in every prompt, for a tiny Mllama and a
tiny Qwen2.5-VL, and episodes of three turns with a new picture in every turn. Both sides take turns
in one process, and what is asserted is the ratio: rates per CPU-second are the machine's.
"""

from typing import Any

import gymnasium as gym
import pytest
from cardinal_gym.agents.config import Family, SamplingConfig
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy_agent import PolicyAgent
from cardinal_gym.agents.rollout import rollout
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from cardinal_gym.agents.types import ContextMode, StreamKey
from cardinal_gym.envs.core import FreeText, LanguageEnv, Observation, Verdict
from generation_contenders import (
    ROWS,
    TransformersAgent,
    compare,
    picture,
    sheet_policy,
    sheet_prompts,
    transformers_generate,
)
from step_contenders import MEMBERS, NEW_TOKENS

LEAST = {Family.text: 2.65, Family.mllama: 2.2, Family.qwen_vl: 2.5}  # ratios to generate
# In single_turn the whole prompt of a later turn is read anew, as by the reference.
LEAST_OVER_TURNS = {Family.mllama: 1.3, Family.qwen_vl: 2.0}
TURNS = 3
CONTEXT = {Family.mllama: ContextMode.single_turn}


@pytest.mark.parametrize("family", list(LEAST), ids=lambda family: family.value)
def test_decoding_rate(family: Family) -> None:
    policy = sheet_policy(family)
    prompts = sheet_prompts(policy)
    streams = [
        StreamKey(seed=0, step=0, group=i // MEMBERS, member=i % MEMBERS) for i in range(ROWS)
    ]
    sampling = SamplingConfig(max_new_tokens=NEW_TOKENS)

    def ours() -> int:
        done = generate(policy, prompts, streams, sampling)
        return sum(len(completion.token_ids) for completion in done)

    def theirs() -> int:
        return sum(map(len, transformers_generate(policy, prompts, NEW_TOKENS)))

    assert ours() == theirs() == ROWS * NEW_TOKENS
    tell_and_check(f"{family.value}, prompts of {len(prompts[0].ids)}", ours, theirs, LEAST[family])


@pytest.mark.parametrize("family", list(LEAST_OVER_TURNS), ids=lambda family: family.value)
def test_rate_over_turns_with_a_picture_in_each(family: Family) -> None:
    policy = sheet_policy(family, CONTEXT.get(family, ContextMode.concat))
    engine = PolicyAgent(policy, SamplingConfig(max_new_tokens=NEW_TOKENS))
    others = TransformersAgent(policy, NEW_TOKENS)
    pool: list[gym.Env] = []

    def play(agent: Any) -> int:
        seeds = [i // MEMBERS for i in range(ROWS)]
        episodes = rollout(
            ShowEnv, agent, seeds, groups=seeds, members=[i % MEMBERS for i in range(ROWS)],
            pool=pool,
        )  # fmt: skip
        assert all(len(episode.turns) == TURNS for episode in episodes)
        return sum(episode.num_sampled_tokens for episode in episodes)

    assert play(engine) == play(others) == ROWS * TURNS * NEW_TOKENS
    name = f"{family.value}, {TURNS} turns ({policy.context.value})"
    tell_and_check(name, lambda: play(engine), lambda: play(others), LEAST_OVER_TURNS[family], 3)


@pytest.mark.parametrize("family", list(LEAST), ids=lambda family: family.value)
def test_scoring_rate(family: Family) -> None:
    """Forward and backward of a training step's rows, with and without shared prompts."""
    policy = sheet_policy(family)
    rows = [
        Row(
            ids=[*p.ids, *range(10, 10 + NEW_TOKENS)],
            mask=[0] * len(p.ids) + [1] * NEW_TOKENS,
            logprobs=[0.0] * (len(p.ids) + NEW_TOKENS),
            images=p.images,
        )
        for p in sheet_prompts(policy)
    ]

    def train(share: bool) -> int:
        batch = collate(policy, rows, share_prompts=share)
        token_logprobs(policy, batch).sum().backward()
        policy.model.zero_grad()
        return sum(len(row.ids) for row in rows)

    assert train(True) == train(False)
    shared, apart, ratio = compare(lambda: train(True), lambda: train(False), repeats=3)
    print(
        f"\n{family.value}: forward and backward with shared prompts {shared:,.0f}, without "
        f"{apart:,.0f} tokens/CPU-s ({ratio:.2f}x)"
    )
    assert ratio > 1.1


def tell_and_check(name: str, ours: Any, theirs: Any, least: float, repeats: int = 5) -> None:
    mine, other, ratio = compare(ours, theirs, repeats)
    print(
        f"\n{name}: engine {mine:,.0f}, transformers.generate {other:,.0f} tokens/CPU-s "
        f"({ratio:.2f}x, at least {least}x)"
    )
    assert ratio >= least


class ShowEnv(LanguageEnv):
    """Three turns, another picture in each."""

    max_turns = TURNS

    def __init__(self) -> None:
        self.action_space = FreeText()
        text = {"text": FreeText(), "update": FreeText()}
        self.observation_space = gym.spaces.Dict(text)

    def oracle_action(self) -> str:
        return "7"

    def _deal(self, options: dict[str, Any]) -> None:
        self.first = int(self.np_random.integers(1 << 30))

    def _observe(self, verdict: Verdict | None) -> Observation:
        shown = picture(self.first + self.num_answers)
        return Observation(text="rule J = 10 target 24", update="wrong again", image=shown)

    def _judge(self, action: str) -> Verdict:
        return Verdict(
            outcome="wrong_value", success=False, reward=0.0, terms={"length": 0.0}, feedback=""
        )

    def _task_info(self) -> dict[str, Any]:
        return {"task_id": str(self.first), "split": "all", "rule": "toy", "visual": "none"}
