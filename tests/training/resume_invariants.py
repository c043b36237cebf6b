"""Invariants of resuming: a run that was stopped ends, bit for bit, as one that was not.

`planted_resume_bugs.py` holds what a checkpoint may forget, and how it shows.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Row, row_from_answer
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.checkpoint import list_checkpoints
from cardinal_gym.training.config import BudgetConfig, Schedule
from cardinal_gym.training.loop import TrainState, train
from cardinal_gym.training.supervised import SupervisedStage
from invariants import Check
from toys import (
    bandit,
    grpo_config,
    grpo_stage,
    guess,
    noisy_returns,
    optim,
    tiny_policy,
    weights,
)
from two_processes import OneOf


@contextmanager
def stopping(kind: Any, method: str, count: int | None) -> Iterator[None]:
    """Within it a method is interrupted when it is called once more than `count` times."""
    plain, calls = getattr(kind, method), iter(range(count or 0))

    def stop(*args: Any) -> Any:
        if count is not None and next(calls, None) is None:
            raise KeyboardInterrupt
        return plain(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, method, stop)
        yield


class Wandering:
    """A stage whose gradients are random numbers of all three kinds."""

    name, head = "wander", None

    def __init__(self, steps: int) -> None:
        self.budget, self.optim = BudgetConfig(steps=steps), optim(1e-2)

    def update(self, state: TrainState) -> dict[str, float]:
        factor = random.random() + np.random.random() + state.step  # noqa: NPY002
        for parameter in state.parameters:
            parameter.grad = factor * torch.randn_like(parameter)
        state.ledger.add(train_tokens=1)
        return {"loss": factor, **state.apply_gradients()}


def a_resumed_run_is_the_uninterrupted_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped a step after its last checkpoint, when that step has been logged."""

    def run(folder: Path, stop: bool = False) -> tuple[torch.Tensor, dict[str, int]]:
        stage = Wandering(4)
        policy = tiny_policy()
        state = TrainState.create(policy, stage.optim, stage.budget, OneOf(0, 1))
        with stopping(TrainState, "apply_gradients", 3 if stop else None):
            train(stage, state, folder, checkpoint_every=2, keep_checkpoints=1)
        return weights(policy), state.ledger.asdict()

    with tempfile.TemporaryDirectory() as name:
        whole, parts = Path(name) / "whole", Path(name) / "parts"
        wanted = run(whole)
        with pytest.raises(KeyboardInterrupt):
            run(parts, stop=True)
        found = run(parts)
        assert torch.equal(found[0], wanted[0])
        assert found[1] == wanted[1]
        assert (parts / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def a_resumed_run_takes_up_its_data_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imitation asks for every demonstration once and in order."""

    class Sentences:
        def __init__(self, policy: Policy) -> None:
            self.policy = policy
            self.asked: list[int] = []

        def rows(self, indices: Sequence[int]) -> list[Row]:
            self.asked += indices
            return [row_from_answer(self.policy, range(10, 14), "5 " * (1 + i)) for i in indices]

    shown = []
    with tempfile.TemporaryDirectory() as name:
        for steps in (2, 3):
            policy, budget = tiny_policy(), BudgetConfig(steps=steps)
            shown.append(Sentences(policy))
            stage = SupervisedStage("sft", shown[-1], batch_size=2, budget=budget, optim=optim())
            state = TrainState.create(policy, stage.optim, budget, OneOf(0, 1))
            train(stage, state, Path(name), checkpoint_every=2, keep_checkpoints=1)
    assert [each.asked for each in shown] == [[0, 1, 2, 3], [4, 5]]


def a_resumed_run_of_rollouts_is_the_uninterrupted_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a critic, a reference that has moved and a learning rate that rises and falls."""
    noisy_returns(monkeypatch)
    config = grpo_config(
        4, groups_per_step=1, group_size=2, max_new_tokens=2, advantage=AdvantageKind.gae,
        credit=Credit.turn_return, kl_coef=0.5, reference_every=2,
        optim=optim(warmup_steps=2, schedule=Schedule.linear),
    )  # fmt: skip

    def run(folder: Path) -> list[torch.Tensor]:
        policy, reference = tiny_policy(spread=3.0), tiny_policy(spread=3.0)
        stage, state = grpo_stage(policy, bandit, config, reference=reference)
        train(stage, state, folder, checkpoint_every=3, keep_checkpoints=2)
        assert stage.head is not None
        return [weights(policy), weights(reference), *stage.head.parameters()]

    with tempfile.TemporaryDirectory() as name:
        wanted = run(Path(name))
        *_, last = list_checkpoints(Path(name) / "checkpoints")
        shutil.rmtree(last.path)  # as if the last of four steps had not been made
        assert all(map(torch.equal, run(Path(name)), wanted))


def a_resumed_step_makes_the_updates_that_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy_returns(monkeypatch)
    small = grpo_config(groups_per_step=1, group_size=3, epochs=2)

    def run(folder: Path, stop: bool = False) -> torch.Tensor:
        policy = tiny_policy(spread=3.0)
        stage, state = grpo_stage(policy, guess, small)
        with stopping(TrainState, "apply_gradients", 1 if stop else None):
            train(
                stage, state, folder,
                checkpoint_every=1, keep_checkpoints=2, checkpoint_updates=1,
            )  # fmt: skip
        return weights(policy)

    with tempfile.TemporaryDirectory() as name:
        wanted = run(Path(name) / "whole")
        with pytest.raises(KeyboardInterrupt):
            run(Path(name) / "parts", stop=True)
        assert torch.equal(run(Path(name) / "parts"), wanted)


RESUME_INVARIANTS: tuple[Check, ...] = (
    a_resumed_run_is_the_uninterrupted_one,
    a_resumed_run_takes_up_its_data_where_it_was,
    a_resumed_run_of_rollouts_is_the_uninterrupted_one,
    a_resumed_step_makes_the_updates_that_are_left,
)
