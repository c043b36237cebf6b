"""Policies really learn: a bandit, and a task of several turns that only feedback solves."""

from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import pytest
import torch
from cardinal_gym.agents.config import SamplingConfig
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.policy_agent import PolicyAgent
from cardinal_gym.agents.rollout import rollout
from cardinal_gym.agents.rows import Row
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.envs.core import Observation
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.config import Aggregation, BudgetConfig, GrpoConfig
from cardinal_gym.training.demonstrations import Conversation, encode_rows
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import TrainState
from cardinal_gym.training.policy_gradient import GrpoStage
from cardinal_gym.training.supervised import SupervisedStage
from toys import (
    BANDIT,
    GUESS,
    LATE,
    SECRETS,
    GuessEnv,
    grpo_config,
    grpo_stage,
    optim,
    run_steps,
    tiny_policy,
    weights,
)


class Guesses:
    """Demonstrations that follow the feedback four times in ten and else name any secret."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.env = GuessEnv()

    def rows(self, indices: Sequence[int]) -> list[Row]:
        return [row for index in indices for row in self._rows(index)]

    def _rows(self, index: int) -> list[Row]:
        rng = np.random.default_rng([index, 1])
        first, _ = self.env.reset(seed=index)
        answer, other = (SECRETS[i] for i in rng.integers(4, size=2))
        if index % 2 or answer == self.env.secret:
            conversation = Conversation(
                observations=(Observation(**first),), answers=(other,), imitated=(True,)
            )
            return encode_rows(self.policy, conversation)
        second, *_ = self.env.step(answer)
        conversation = Conversation(
            observations=(Observation(**first), Observation(**second)),
            answers=(answer, self.env.secret if rng.random() < 0.4 else other),
            imitated=(False, True),
        )
        return encode_rows(self.policy, conversation)


def guessing(context: ContextMode) -> Policy:
    """A policy that answers with one of the four secrets and does not know how to choose."""
    policy = tiny_policy(context=context, spread=4.0)
    stage = SupervisedStage(
        "sft", Guesses(policy), batch_size=32, budget=BudgetConfig(steps=110), optim=optim(3e-3)
    )
    run_steps(stage, TrainState.create(policy, stage.optim, stage.budget, Workers("cpu")), 110)
    return policy


def successes(policy: Policy, **env: object) -> tuple[float, float]:
    """Shares of 250 fresh episodes solved by the first answer and within all turns."""
    agent = PolicyAgent(policy, SamplingConfig(max_new_tokens=2))
    played = rollout(lambda: gym.make(GUESS, **env), agent, range(10**6, 10**6 + 250))
    first = sum(episode.turns[0].success for episode in played)
    return first / len(played), sum(episode.success for episode in played) / len(played)


@pytest.mark.parametrize(
    "kind",
    [
        AdvantageKind.dr_grpo,
        pytest.param(AdvantageKind.grpo, marks=pytest.mark.slow),
        pytest.param(AdvantageKind.rloo, marks=pytest.mark.slow),
    ],
)
def test_a_two_action_bandit_is_solved(kind: AdvantageKind) -> None:
    config = grpo_config(groups_per_step=4, group_size=8, max_new_tokens=1, advantage=kind)
    stage, state = grpo_stage(tiny_policy(), lambda: gym.make(BANDIT), config)
    metrics = run_steps(stage, state, 40)
    assert metrics[0]["success"] < 0.7
    assert sum(each["success"] for each in metrics[-5:]) / 5 > 0.95


@pytest.mark.parametrize("credit", [Credit.trajectory, Credit.turn_return])
def test_a_reward_that_comes_late_reaches_the_answer_that_earned_it(credit: Credit) -> None:
    """Pay by the turn alone would leave the first answer without a signal."""
    metrics = run_steps(*late(tiny_policy(), credit, paid_late=True), 40)
    assert metrics[0]["success"] < 0.7
    assert sum(each["success"] for each in metrics[-5:]) / 5 > 0.95


def test_only_credit_by_turn_learns_to_succeed_at_once() -> None:
    """Every episode ends with the same reward; that of a right first answer just comes earlier."""
    policy = tiny_policy()
    before = weights(policy)
    (metrics,) = run_steps(*late(policy, Credit.trajectory, paid_late=False), 1)
    assert metrics["groups/zero_variance"] == metrics["groups/total"]
    assert torch.equal(weights(policy), before)
    metrics_by_step = run_steps(*late(policy, Credit.turn_return, paid_late=False), 40)
    assert metrics_by_step[0]["success/first_turn"] < 0.7
    assert sum(each["success/first_turn"] for each in metrics_by_step[-5:]) / 5 > 0.95


def late(policy: Policy, credit: Credit, *, paid_late: bool) -> tuple[GrpoStage, TrainState]:
    config = grpo_config(group_size=8, max_new_tokens=1, credit=credit, discount=0.5)
    return grpo_stage(policy, lambda: gym.make(LATE, paid_late=paid_late), config)


@pytest.mark.parametrize(
    "context",
    [
        pytest.param(mode, marks=[] if mode is ContextMode.concat else [pytest.mark.slow])
        for mode in ContextMode
    ],
)
def test_feedback_is_learnt_from_over_several_turns(context: ContextMode) -> None:
    """The first answer can only be a guess; the second can be right if the feedback is read."""
    policy = guessing(context)
    assert 0.4 < successes(policy)[1] < 0.65
    run_steps(*grpo_stage(policy, lambda: gym.make(GUESS), several_turns()), 40)
    first, within = successes(policy)
    assert 0.15 < first < 0.35
    assert within > 0.9
    assert successes(policy, honest=False)[1] < 0.4  # it believes what it is told


def several_turns(**settings: object) -> GrpoConfig:
    small = {"groups_per_step": 12, "group_size": 8, "max_new_tokens": 2}
    return grpo_config(**{**small, "optim": optim(3e-3), **settings})


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", list(Aggregation))
@pytest.mark.parametrize("updates", [(1, 1), (2, 2)])
def test_every_aggregation_and_inner_updates_learn_from_feedback(
    aggregation: Aggregation, updates: tuple[int, int]
) -> None:
    policy = guessing(ContextMode.concat)
    config = several_turns(aggregation=aggregation, epochs=updates[0], minibatches=updates[1])
    run_steps(*grpo_stage(policy, lambda: gym.make(GUESS), config), 60)
    assert successes(policy)[1] > 0.9


@pytest.mark.slow
def test_three_turns_are_learnt_too() -> None:
    policy = guessing(ContextMode.concat)
    run_steps(*grpo_stage(policy, lambda: gym.make(GUESS, max_turns=3), several_turns()), 60)
    assert successes(policy, max_turns=3)[1] > 0.95
