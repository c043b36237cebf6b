"""Rewards for length by their formulas, where they are added, and how a length is asked for."""

from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from cardinal_gym.training.config import GrpoConfig, LengthConfig
from cardinal_gym.training.grpo_config import LengthReward
from cardinal_gym.training.length_request import with_length_requests
from cardinal_gym.training.length_rewards import (
    kimi_length_rewards,
    l1_exact,
    l1_max,
    overlong_penalty,
)
from cardinal_gym.training.shaping import fined, shaped
from toys import BANDIT


@pytest.mark.parametrize(
    ("tokens", "fine"), [(0, 0.0), (80, 0.0), (85, -0.25), (90, -0.5), (100, -1.0), (120, -1.0)]
)
def test_an_overlong_answer_is_fined_linearly_over_the_buffer(tokens: int, fine: float) -> None:
    assert overlong_penalty(tokens, 100, 0.2) == pytest.approx(fine)
    assert overlong_penalty(tokens, 100, 0.0) == 0.0


def test_kimi_prefers_short_right_answers_and_never_rewards_wrong_ones() -> None:
    found = kimi_length_rewards(
        [10, 20, 30, 10, 30, 7, 7], [0, 0, 0, 0, 0, 1, 1], [True, True, True, False, False, 1, 0]
    )
    np.testing.assert_allclose(found, [0.5, 0.0, -0.5, 0.0, -0.5, 0.0, 0.0])


def test_l1_pays_less_the_further_from_what_was_asked() -> None:
    assert l1_exact(1.0, 100, 130, 0.01) == pytest.approx(0.7)
    assert l1_exact(0.0, 100, 70, 0.01) == pytest.approx(-0.3)
    assert l1_max(1.0, 100, 100, 0.01, 0.5) == pytest.approx(0.5)
    assert l1_max(1.0, 100, 30, 0.01, 0.5) == 1.0
    assert l1_max(1.0, 100, 170, 0.01, 0.5) == 0.0
    assert l1_max(0.0, 100, 30, 0.01, 0.5) == 0.0


def played(counts: list[int], rewards: list[float], **fields: Any) -> Any:
    """Stands for an episode: what shaping reads of it."""
    turns = [
        SimpleNamespace(
            completion=SimpleNamespace(token_ids=(0,) * count, logprobs=(0.0,) * count),
            reward=reward,
            details={"asked_tokens": 10},
        )
        for count, reward in zip(counts, rewards, strict=True)
    ]
    return SimpleNamespace(
        turns=turns, num_sampled_tokens=sum(counts), episode_return=rewards[-1],
        **{"group": 0, "success": True, **fields},
    )  # fmt: skip


def test_a_fine_goes_to_its_turn_and_a_length_reward_to_the_last() -> None:
    episodes = [played([10, 8], [0.0, 1.0]), played([4], [1.0]), played([8], [0.0], success=False)]
    length = LengthConfig(overlong_fraction=0.5, kind=LengthReward.kimi, weight=2.0, after_steps=5)
    config = GrpoConfig(max_new_tokens=10, length=length)
    early, late = shaped(episodes, config, 4), shaped(episodes, config, 5)
    assert early[0].rewards == pytest.approx((-1.0, 1.0 - 0.6))
    assert early[0].total == pytest.approx(1.0 - 1.6)
    bonus = [2 * (0.5 - (n - 4) / 14) for n in (18, 4, 8)]
    assert late[0].rewards == pytest.approx((-1.0, 0.4 + bonus[0]))
    assert late[1].total == pytest.approx(1.0 + bonus[1])
    assert late[2].total == pytest.approx(-0.6 + min(0.0, bonus[2]))


def test_without_rewards_for_length_nothing_is_touched() -> None:
    (pay,) = shaped([played([3, 9], [0.1, 0.3])], GrpoConfig(), 0)
    assert (pay.rewards, pay.total) == ((0.1, 0.3), 0.3)


@pytest.mark.parametrize(
    ("kind", "total"), [("l1_exact", 1.0 - 0.1 * 2), ("l1_max", 1.0 * (0.1 * -2 + 0.5))]
)
def test_l1_compares_with_what_the_prompt_asked_for(kind: str, total: float) -> None:
    config = GrpoConfig(length=LengthConfig(kind=LengthReward(kind), alpha=0.1))
    (pay,) = shaped([played([4, 8], [0.0, 1.0])], config, 0)
    assert pay.total == pytest.approx(total)
    assert pay.rewards == pytest.approx((0.0, total))


def test_the_penalty_towards_the_reference_is_paid_turn_by_turn() -> None:
    pays = shaped([played([1, 2], [0.5, 1.0])], GrpoConfig(), 0)
    (found,) = fined(pays, [[np.array([0.1]), np.array([0.2, -0.3])]])
    assert found.rewards == pytest.approx((0.4, 1.1))
    assert found.total == pytest.approx(1.0)


def test_members_are_asked_for_one_length_and_tasks_for_different_ones() -> None:
    length = LengthConfig(kind=LengthReward.l1_max, asked_tokens=[5, 500])
    env = with_length_requests(gym.make(BANDIT), length)
    plain, _ = gym.make(BANDIT).reset(seed=3)
    observed, info = env.reset(seed=3)
    again, _ = env.reset(seed=3)
    assert observed == again
    assert observed["text"] == f"{plain['text']} Think for {info['asked_tokens']} tokens."
    after, *_, told = env.step("77")
    assert told["asked_tokens"] == info["asked_tokens"]
    assert f"Think for {told['asked_tokens']} tokens." in after["text"]
    assert len({env.reset(seed=seed)[1]["asked_tokens"] for seed in range(8)}) > 4
    kept = gym.make(BANDIT)
    assert with_length_requests(kept, LengthConfig()) is kept
