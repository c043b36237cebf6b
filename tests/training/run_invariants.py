"""Invariants of whole runs: updates that learn, and processes that share them.

See `invariants.py`, `row_invariants.py`, `picture_invariants.py` and `resume_invariants.py` for the
others; `planted_run_bugs.py` has the mistakes.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from cardinal_gym.agents import scoring
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Row, collate, row_from_answer
from cardinal_gym.training import advantages, distributed
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.config import BudgetConfig
from cardinal_gym.training.loop import TrainState
from cardinal_gym.training.supervised import SupervisedStage
from invariants import Check
from row_invariants import rows_of
from toys import (
    LATE,
    bandit,
    grpo_config,
    grpo_stage,
    guess,
    noisy_returns,
    optim,
    recorded,
    run_steps,
    tiny_policy,
    weights,
)
from two_processes import OneOf


def an_update_makes_likelier_what_was_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, episodes = tiny_policy(), recorded(monkeypatch)
    stage, state = grpo_stage(policy, bandit, grpo_config(group_size=8, max_new_tokens=1))
    run_steps(stage, state, 1)
    rows = rows_of(policy, episodes)
    pairs = zip(_logp(policy, rows), rows, strict=True)
    gain = torch.stack([after.sum() - sum(row.logprobs) for after, row in pairs])
    right = torch.tensor([episode.success for episode in episodes])
    assert gain[right].mean() > gain[~right].mean() + 1e-3


def _logp(policy: Policy, rows: Sequence[Row]) -> list[torch.Tensor]:
    with torch.no_grad():
        return list(scoring.token_logprobs(policy, collate(policy, rows)))


def only_credit_by_turn_sees_a_reward_that_comes_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every episode ends with the same reward; that of a right first answer just comes earlier."""
    silent = {}
    for credit in (Credit.trajectory, Credit.turn_return):
        config = grpo_config(group_size=8, max_new_tokens=1, credit=credit, discount=0.5)
        stage, state = grpo_stage(tiny_policy(), lambda: gym.make(LATE, paid_late=False), config)
        (metrics,) = run_steps(stage, state, 1)
        silent[credit] = metrics["groups/zero_variance"]
    assert silent[Credit.trajectory] == 4
    assert silent[Credit.turn_return] < 4


def a_shift_of_all_rewards_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    returns, groups = np.array([0.0, 1.0, 0.5, 3.0]), [0, 0, 1, 1]
    for kind in (AdvantageKind.grpo, AdvantageKind.dr_grpo, AdvantageKind.rloo):
        found, shifted = (
            advantages.group_advantages(returns + more, groups, kind).values for more in (0.0, 5.0)
        )
        np.testing.assert_allclose(shifted, found, atol=1e-9)


class Beside(OneOf):
    """One of two processes that are threads: what they exchange lies on a board."""

    board: tuple[list[Any], list[Any]]

    def __init__(self, rank: int, board: list[Any], barrier: threading.Barrier) -> None:
        super().__init__(rank, 2)
        self._board, self._barrier = board, barrier

    def gather(self, items: list[Any]) -> list[Any]:
        self._board[self.rank] = items
        self._barrier.wait(60)
        every = [item for part in self._board for item in part]
        self._barrier.wait(60)
        return every


def side_by_side(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[Policy, OneOf], None]
) -> list[Policy]:
    """Do the work of two processes in two threads, then alone; policies that began as one."""
    here = threading.local()

    def all_reduce(tensor: torch.Tensor, op: Any = None) -> None:
        both = torch.stack(here.workers.gather([tensor.clone()]))
        tensor.copy_(both.sum(0) if op is None else both.amax(0))

    def beside(policy: Policy, workers: OneOf) -> None:
        here.workers = workers
        try:
            work(policy, workers)
        except BaseException:
            barrier.abort()  # else the other would wait for it
            raise

    monkeypatch.setattr(distributed.dist, "all_reduce", all_reduce)
    policies = [tiny_policy(spread=3.0) for _ in range(3)]
    board: list[Any] = [None, None]
    barrier = threading.Barrier(2)
    threads = [
        threading.Thread(target=beside, args=(policies[rank], Beside(rank, board, barrier)))
        for rank in range(2)
    ]
    for thread in threads:
        thread.start()
    work(policies[2], OneOf(0, 1))
    for thread in threads:
        thread.join()
    return policies


def shares_of_two_processes_add_up_to_the_gradient_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though one has twice as many tokens as the other."""
    caught: dict[int, torch.Tensor] = {}

    def catch(self: TrainState, *_: Any) -> dict[str, float]:
        self.workers.sum_gradients(self.parameters)
        flat = [p.grad.flatten() for p in self.parameters if p.grad is not None]
        caught[self.workers.rank if self.workers.size > 1 else -1] = torch.cat(flat)
        return {}

    class Sentences:
        def __init__(self, policy: Policy) -> None:
            self.policy = policy

        def rows(self, indices: Sequence[int]) -> list[Row]:
            return [
                row_from_answer(self.policy, range(10, 20), "5 * 3 " * (1 + i)) for i in indices
            ]

    def update(policy: Policy, workers: OneOf) -> None:
        budget = BudgetConfig(steps=1)
        stage = SupervisedStage(
            "sft", Sentences(policy), batch_size=3, budget=budget, optim=optim()
        )
        stage.update(TrainState.create(policy, stage.optim, budget, workers))

    monkeypatch.setattr(TrainState, "apply_gradients", catch)
    side_by_side(monkeypatch, update)
    for rank in range(2):
        torch.testing.assert_close(caught[rank], caught[-1], rtol=1e-4, atol=1e-6)


def two_processes_make_the_updates_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several of one rollout, each on a part of its rows."""
    noisy_returns(monkeypatch)
    small = grpo_config(groups_per_step=3, group_size=2, minibatches=2, optim=optim(1e-3))

    def update(policy: Policy, workers: OneOf) -> None:
        stage, state = grpo_stage(policy, guess, small)
        state.workers = workers
        run_steps(stage, state, 1)

    before = weights(tiny_policy(spread=3.0))
    *both, alone = [weights(policy) for policy in side_by_side(monkeypatch, update)]
    assert not torch.equal(alone, before)
    for found in both:
        torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)


def two_processes_play_the_episodes_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tasks and the same draws, each played by one of them."""
    by_size: dict[int, list[tuple[Any, ...]]] = {}
    for size in (1, 2):
        with pytest.MonkeyPatch.context() as patch:
            episodes = recorded(patch)
            for rank in range(size):
                stage, state = grpo_stage(tiny_policy(), bandit, grpo_config())
                state.workers = OneOf(rank, size)
                stage._sampler.play(state)
        by_size[size] = [
            (e.group, e.member, e.seed, e.turns[0].completion.token_ids) for e in episodes
        ]
    assert sorted(by_size[2]) == sorted(by_size[1])


RUN_INVARIANTS: tuple[Check, ...] = (
    an_update_makes_likelier_what_was_paid,
    only_credit_by_turn_sees_a_reward_that_comes_early,
    a_shift_of_all_rewards_changes_nothing,
    shares_of_two_processes_add_up_to_the_gradient_of_one,
    two_processes_play_the_episodes_of_one,
    two_processes_make_the_updates_of_one,
)
