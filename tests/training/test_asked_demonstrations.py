"""Demonstrations that are asked for their own length: the number, the words, and who may ask."""

from typing import Any

import gymnasium as gym
import pytest
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.training.config import ExperimentConfig, GrpoConfig, LengthConfig, SftConfig
from cardinal_gym.training.demonstrations import OracleDemonstrations, OracleEpisodes
from cardinal_gym.training.export import main as export
from cardinal_gym.training.grpo_config import LengthReward
from cardinal_gym.training.length_request import (
    HindsightRequests,
    LengthRequest,
    hindsight_requests,
)
from cardinal_gym.training.recipes.config import RecipeConfig
from cardinal_gym.training.recipes.plan import planned
from toys import tiny_policy

ENV = GeneralPointsConfig(prompt="compact", answer="tagged", thought={"dead_ends": [0, 6]})
EPISODES: dict[str, Any] = {
    "stream": "sft", "seed": 0, "revision_fraction": 0.5, "max_wrong_attempts": 2,
}  # fmt: skip
LENGTH = LengthConfig(request="target {tokens}")  # words of the tests' vocabulary


def requests(context: ContextMode = ContextMode.concat, share: float = 1.0) -> HindsightRequests:
    policy = tiny_policy(context=context)
    found = hindsight_requests(policy, SftConfig(length_requests=share), LENGTH, seed=0)
    assert found is not None
    return found


@pytest.mark.parametrize("context", [ContextMode.concat, ContextMode.single_turn])
def test_the_number_asked_is_what_the_answers_take(context: ContextMode) -> None:
    """As a rollout counts it: every answer that the policy gave, the wrong ones too."""
    asking = requests(context)
    policy = asking.policy
    plain = OracleDemonstrations(policy, ENV, **EPISODES)
    asked = OracleDemonstrations(policy, ENV, **EPISODES, requests=asking)
    turns = set()
    for index in range(6):
        before, after = plain.rows([index]), asked.rows([index])
        conversation = OracleEpisodes(ENV, **EPISODES).conversation(index)
        turns.add(len(conversation.answers))
        used = sum(len(policy.tokenizer.encode(a)) + 1 for a in conversation.answers)
        added = policy.tokenizer.encode(f"target {used}")
        for old, new in zip(before, after, strict=True):
            assert len(new.ids) == len(old.ids) + len(added)
            prompt = new.ids[: new.mask.index(1)]
            places = range(len(prompt) - len(added) + 1)
            assert any(prompt[at : at + len(added)] == added for at in places)
            assert answer(new) == answer(old)
    assert {1, 3} <= turns


def answer(row: Any) -> list[int]:
    return [token for token, kept in zip(row.ids, row.mask, strict=True) if kept]


def test_a_demonstration_is_asked_in_the_words_of_rl() -> None:
    asking = requests()
    episodes = OracleEpisodes(ENV, **{**EPISODES, "revision_fraction": 1.0})
    plain = episodes.conversation(1)
    found = asking.asked(plain, 1)
    number = int(found.observations[0].text.rpartition(" ")[2])
    rl = LengthConfig(
        kind=LengthReward.l1_exact, asked_tokens=[number, number], request=LENGTH.request
    )
    env = LengthRequest(gym.make(ENV.id, config=ENV), rl)
    first, _ = env.reset(seed=3)
    bare, _ = gym.make(ENV.id, config=ENV).reset(seed=3)
    later, *_ = env.step("wrong")
    for name in ("text", "update"):
        request = first[name].removeprefix(bare[name])
        before, after = (getattr(each.observations[0], name) for each in (plain, found))
        assert after == before + request
    assert later["text"].endswith(request)
    assert found.observations[1].text == plain.observations[1].text + request
    assert found.observations[1].update == plain.observations[1].update
    assert request not in later["update"]


def test_some_demonstrations_are_asked_and_the_same_at_every_pass() -> None:
    some = OracleDemonstrations(
        tiny_policy(), ENV, **EPISODES, count=24, requests=requests(share=0.5)
    )
    none = OracleDemonstrations(tiny_policy(), ENV, **EPISODES, count=24)
    passes = [{tuple(row.ids) for row in some.rows(range(start, start + 24))} for start in (0, 24)]
    assert passes[0] == passes[1]
    plain = {tuple(row.ids) for row in none.rows(range(24))}
    assert 6 <= len(passes[0] & plain) <= 18
    assert hindsight_requests(tiny_policy(), SftConfig(), LENGTH, seed=0) is None


ASKING = {"kind": "sft", "sft": {"length_requests": 1.0}}
BASE, PAID = {"kind": "pretrain"}, {"kind": "grpo", "grpo": {"length": {"kind": "l1_max"}}}
KEPT = {"kind": "reject_sample"}


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ({"warm": ASKING}, "sft.length_requests must be 0 in a recipe that asks for no length"),
        ({"warm": ASKING, "rl": {"kind": "grpo"}}, "length later .*; got 1.0"),
        (
            {"kept": KEPT, "warm": {**ASKING, "data": "kept"}, "rl": PAID},
            "stages.warm.sft.length_requests must be 0 with data, .*; got 1.0",
        ),
    ],
)
def test_a_recipe_refuses_requests_that_lead_nowhere(stages: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        planned(RecipeConfig(env=ENV, stages={"base": BASE, **stages}))
    assert "\n" not in str(caught.value)


def test_requests_may_be_followed_by_rl_or_an_evaluation_that_asks() -> None:
    measured = {"kind": "evaluate", "asked_tokens": [40]}
    for last in ({"rl": PAID}, {"measured": measured}):
        planned(RecipeConfig(env=ENV, stages={"base": BASE, "warm": ASKING, **last}))


def test_settings_that_cannot_ask_are_refused() -> None:
    with pytest.raises(ValueError, match="length_requests must be between 0 and 1; got 2"):
        SftConfig(length_requests=2)
    with pytest.raises(ValueError, match=r"length_requests must be 0 with data, .*; got 0.5"):
        SftConfig(length_requests=0.5, data="file.jsonl")
    silent = GrpoConfig(length=LengthConfig(request="Be brief."))
    with pytest.raises(ValueError, match=r"request must contain \{tokens\} with sft.length_req"):
        ExperimentConfig(sft=SftConfig(length_requests=1.0), grpo=silent)


def test_an_export_is_not_asked_for_what_only_a_policy_can_count() -> None:
    config = ExperimentConfig(env=ENV, sft=SftConfig(length_requests=1.0))
    with pytest.raises(ValueError, match=r"sft.length_requests must be 0 to export: .*; got 1.0"):
        export.__wrapped__(config)  # type: ignore[attr-defined]
