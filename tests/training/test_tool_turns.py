"""Turns that ask a tool are learnt from, counted apart from answers, and shown to be imitated."""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from cardinal_gym.agents.baselines import OracleAgent
from cardinal_gym.agents.config import BuildConfig, PolicyConfig, Vocabulary
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.rollout import rollout
from cardinal_gym.agents.rows import rows_from_episode
from cardinal_gym.agents.types import ContextMode, Episode, FinishReason, Status
from cardinal_gym.envs.core import Observation, Verdict
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.envs.general_points.env import GeneralPointsEnv
from cardinal_gym.envs.tools import CALLED, Call, ToolConfig
from cardinal_gym.training.advantages import Credit
from cardinal_gym.training.broad_cards import BroadTasks
from cardinal_gym.training.cell_results import count_cell, first_attempt, packed
from cardinal_gym.training.config import MetricKind, PretrainConfig
from cardinal_gym.training.credit import Credited
from cardinal_gym.training.demonstrations import encode_rows, oracle_conversation
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.episode_columns import episode_columns
from cardinal_gym.training.recipes.rejection import _conversation
from cardinal_gym.training.rollout_metrics import describe_rollout
from toys import ToyEnv, grpo_config, grpo_stage, is_high_number, run_steps, tiny_policy

TOOLS = {"calculator": {"budget": 3, "oracle_share": 1.0, "oracle_calls": "search", "cost": 0.125}}
ASK = "toy/Ask-v0"


class AskEnv(ToyEnv):
    """A number from 50 to 99 asks a tool; any other text is an answer, right after a call."""

    def __init__(self) -> None:
        super().__init__()
        self.tools = {"oracle": ToolConfig(budget=1)}

    def _deal(self, options: dict[str, Any]) -> None:
        pass

    def _observe(self, verdict: Verdict | None) -> Observation:
        text = "target 1" if verdict is None else "target 1 right"
        return Observation(text=text, update=text)

    def _call_in(self, action: str) -> Call | None:
        return Call("oracle", action) if is_high_number(action) else None

    def _ask(self, call: Call) -> Verdict:
        return Verdict(
            outcome=CALLED, success=False, reward=0.0, terms={}, feedback="right",
            details={"tool": "oracle"},
        )  # fmt: skip

    def _judge(self, action: str) -> Verdict:
        right = self._calls["oracle"] > 0 and not is_high_number(action)
        return self._verdict(right, float(right))


gym.register(id=ASK, entry_point=AskEnv)


def demonstrated(**settings: Any) -> Episode:
    """The oracle's episode on one hand, with a call at least."""
    fields = {"prompt": "compact", "max_turns": 2, "tools": TOOLS, **settings}
    make = lambda: gym.make("cardinal/GeneralPoints-v0", **fields)  # noqa: E731
    (episode,) = rollout(make, OracleAgent(), [5])
    return episode


def tool_policy(context: ContextMode) -> Policy:
    build = BuildConfig(
        vocabulary=Vocabulary.tools, hidden_size=16, num_layers=1, num_heads=2, max_position=512
    )
    return load_policy(PolicyConfig(name="tiny", build=build, device="cpu", context=context))


@pytest.mark.parametrize(
    ("credit", "context"),
    [
        (Credit.turn_return, ContextMode.concat),
        pytest.param(Credit.trajectory, ContextMode.concat, marks=pytest.mark.slow),
        pytest.param(Credit.turn_return, ContextMode.single_turn, marks=pytest.mark.slow),
        pytest.param(Credit.trajectory, ContextMode.last_k, marks=pytest.mark.slow),
    ],
)
def test_rl_learns_to_ask_before_it_answers(credit: Credit, context: ContextMode) -> None:
    """A call is paid nothing itself: what it earns comes with the answer after it."""
    config = grpo_config(groups_per_step=4, group_size=8, max_new_tokens=1, credit=credit,
                         discount=1.0)  # fmt: skip
    stage, state = grpo_stage(tiny_policy(context=context), lambda: gym.make(ASK), config)
    metrics = run_steps(stage, state, 40)
    assert metrics[0]["tools/episodes"] < 0.7
    assert metrics[0]["episodes/mean_turns"] == 1.0  # calls are no answers
    last = metrics[-5:]
    assert sum(each["tools/episodes"] for each in last) / 5 > 0.85
    assert sum(each["success"] for each in last) / 5 > 0.85


@pytest.mark.parametrize("context", list(ContextMode))
def test_the_oracles_calls_are_imitated_and_what_the_tool_says_is_not(context: ContextMode) -> None:
    policy = tool_policy(context)
    conversation = oracle_conversation(
        GeneralPointsEnv(prompt="compact", tools=TOOLS, max_turns=2), 5, 1
    )
    wrong, *right = conversation.answers
    assert conversation.imitated == (False, *[True] * len(right))
    assert "calculator" not in wrong
    assert [*map(is_call, right)] == [*[True] * (len(right) - 1), False]
    rows = encode_rows(policy, conversation)
    assert len(rows) == (len(right) if context.row_per_turn else 1)
    ids = [i for row in rows for i, m in zip(row.ids, row.mask, strict=True) if m]
    assert policy.tokenizer.decode(ids, skip_special_tokens=True) == "".join(right)


def is_call(text: str) -> bool:
    return text.startswith('{"calculator"')


@pytest.mark.parametrize("context", list(ContextMode))
def test_rows_of_an_episode_train_what_was_sampled_in_calls_and_answers(
    context: ContextMode,
) -> None:
    policy = tool_policy(context)
    config = grpo_config(groups_per_step=1, group_size=2, max_new_tokens=4)
    env = lambda: gym.make("cardinal/GeneralPoints-v0", prompt="compact", tools=TOOLS)  # noqa: E731
    stage, state = grpo_stage(policy, env, config)
    episodes = stage._sampler.play(state)
    for episode in episodes:
        sampled = [i for turn in episode.turns for i in turn.completion.token_ids]
        rows = rows_from_episode(episode, policy)
        assert [i for r in rows for i, m in zip(r.ids, r.mask, strict=True) if m] == sampled


def test_a_base_meets_the_game_with_every_number_of_calls_and_with_none() -> None:
    policy = tool_policy(ContextMode.concat)
    env = GeneralPointsConfig(prompt="compact", tools=TOOLS, num_cards=3, max_turns=1)
    pretrain = PretrainConfig(revision_fraction=0.0)
    read = [policy.tokenizer.convert_ids_to_tokens(row.ids)
            for row in BroadTasks(policy, env, pretrain, seed=0).rows(range(24))]  # fmt: skip
    offered = [int(words[words.index("calls") + 1]) if "calls" in words else 0 for words in read]
    asked = [words.count('{"calculator": "') for words in read]
    assert set(offered) == {0, 1, 2, 3}
    assert all((few > 0) == (most > 0) for few, most in zip(asked, offered, strict=True))
    assert all(few <= most for few, most in zip(asked, offered, strict=True))


def test_calls_and_answers_are_counted_apart() -> None:
    episode = demonstrated()
    calls = sum(turn.is_call for turn in episode.turns)
    assert calls >= 1
    assert len(episode.answers) == 1
    assert episode.episode_return == pytest.approx(1.2 - 0.125 * calls)
    silent = Credited([np.zeros(1) for _ in episode.turns])
    told = describe_rollout([episode], [silent], 1, Workers("cpu"))
    assert (told["tools/calls"], told["tools/episodes"], told["tools/errors"]) == (calls, 1.0, 0.0)
    assert told["success/first_turn"] == told["episodes/mean_turns"] == 1.0
    assert told["completions/length_limit"] == told["episodes/context_limit"] == 0.0
    first, *rest = episode.turns
    cut = replace(first, completion=replace(first.completion, finish_reason=FinishReason.length))
    full = replace(episode, turns=(cut, *rest), status=Status.context_limit)
    told = describe_rollout([episode, full], [silent, silent], 1, Workers("cpu"))
    assert told["completions/length_limit"] == 1 / (2 * len(episode.turns))
    assert told["episodes/context_limit"] == told["episodes/truncated"] == 0.5
    plain = describe_rollout([demonstrated(tools={})], [silent], 1, Workers("cpu"))
    assert not [name for name in plain if name.startswith("tools/")]


def test_results_look_past_calls() -> None:
    episode = demonstrated()
    assert first_attempt(episode) == episode
    found = count_cell("id", MetricKind.success_within_turns, [episode], per_episode="")
    assert (found.successes, found.recognized, found.mean_turns) == (1, 1, 1.0)
    assert packed([episode])
    assert episode_columns([episode])["tool_calls"].tolist() == [len(episode.turns) - 1]
    assert "tool_calls" not in episode_columns([demonstrated(tools={})])
    assert all(_conversation(episode).imitated)  # by rejection sampling: the calls too
