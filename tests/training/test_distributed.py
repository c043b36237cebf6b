"""Two real processes (gloo) do what one does: the same episodes, gradients and weights.

The policy is whole on both (as in DDP), or split over them (FSDP2, `fully_shard`).
"""

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from cardinal_gym.agents.rows import Row, row_from_answer
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.training import supervised
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.config import Aggregation, BudgetConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import TrainingDiverged, TrainState, trained_parameters
from cardinal_gym.training.policy_gradient import GrpoStage
from cardinal_gym.training.sharding import shard
from cardinal_gym.training.supervised import SupervisedStage
from torch.distributed.tensor import DTensor
from toys import (
    BANDIT,
    GUESS,
    gradients,
    grpo_config,
    grpo_stage,
    optim,
    recorded,
    run_steps,
    tiny_policy,
    weights,
)
from two_processes import OneOf, in_processes

BATCH = 5  # shares of 2 and 3: unequal on purpose


class Sentences:
    """Demonstrations of unequal lengths."""

    def __init__(self, policy: object) -> None:
        self.policy = policy

    def rows(self, indices: list[int]) -> list[Row]:
        return [
            row_from_answer(self.policy, [2, 4, *range(10, 12 + i)], "5 * 3 " * (1 + i % 4))  # type: ignore[arg-type]
            for i in indices
        ]


def sft(aggregation: Aggregation, sharded: bool = False) -> tuple[SupervisedStage, TrainState]:
    policy = tiny_policy(spread=3.0)
    if sharded:
        shard(policy, Workers("cpu"))
    small = optim(micro_batch_tokens=40)  # the shares take unequal numbers of micro-batches
    stage = SupervisedStage(
        "sft", Sentences(policy), batch_size=BATCH, budget=BudgetConfig(steps=2), optim=small,
        aggregation=aggregation,
    )  # fmt: skip
    return stage, TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"))


def everything(sharded: bool = False) -> dict[str, torch.Tensor]:
    """Gradients and, after a few updates, weights, of this number of processes."""
    found = {f"sft {kind.value}": gradients(*sft(kind, sharded)) for kind in Aggregation}
    for context, kind in zip(ContextMode, Aggregation, strict=True):
        policy = tiny_policy(context=context)
        # 3 groups: one process plays 1 of them and the other 2; some have no signal at all
        config = grpo_config(groups_per_step=3, group_size=6, aggregation=kind)
        stage = grpo_stage(policy, lambda: gym.make(BANDIT), config, sharded=sharded)
        found[f"grpo {context.value} {kind.value}"] = gradients(*stage)
    found |= several_updates(sharded)
    # One group: nothing to do for the first process, which must take part all the same.
    config = grpo_config(groups_per_step=1)
    stage, state = grpo_stage(tiny_policy(), lambda: gym.make(BANDIT), config, sharded=sharded)
    found["one group"] = gradients(stage, state)
    config = grpo_config()
    stage, state = grpo_stage(tiny_policy(), lambda: gym.make(GUESS), config, sharded=sharded)
    run_steps(stage, state, 1)  # no success anywhere: no process may wait for another's gradient
    return found


def several_updates(sharded: bool) -> dict[str, torch.Tensor]:
    """Three steps of several updates each, towards a reference; then with a critic."""
    policy = tiny_policy()
    config = grpo_config(
        groups_per_step=3, group_size=6, epochs=2, minibatches=3, kl_coef=0.1, optim=optim(1e-3)
    )
    reference = tiny_policy()
    stage, state = grpo_stage(
        policy, lambda: gym.make(BANDIT), config, reference=reference, sharded=sharded
    )
    metrics = run_steps(stage, state, 3)
    names = ("reward/mean", "groups/zero_variance", "loss", "kl", "sampler_gap/mean", "grad_norm")
    found = {
        "weights": weights(policy),
        "metrics": torch.tensor([[each[name] for name in names] for each in metrics]),
        "ledger": torch.tensor(list(state.ledger.asdict().values())),
    }
    policy = tiny_policy()
    config = grpo_config(
        groups_per_step=3, epochs=2, advantage=AdvantageKind.gae, credit=Credit.turn_return,
        optim=optim(1e-3),
    )  # fmt: skip
    stage, state = grpo_stage(policy, lambda: gym.make(BANDIT), config, sharded=sharded)
    run_steps(stage, state, 2)
    assert all(isinstance(p, DTensor) for p in trained_parameters(policy, stage)) is sharded
    found["weights with a critic"] = weights(policy)
    return found


def with_a_bad_process(workers: Workers, folder: Path) -> dict[str, Any]:
    """Two updates to which the second process contributes what is not finite."""
    stage, state = sft(Aggregation.token_mean)
    state.folder, state.optim.max_bad_updates = folder, 2
    before = weights(state.policy)
    good = supervised.aggregate
    if workers.rank == 1:
        supervised.aggregate = lambda *args: good(*args) * float("nan")
    try:
        (metrics,) = run_steps(stage, state, 1)
        with pytest.raises(TrainingDiverged, match="2 non-finite updates in a row"):
            run_steps(stage, state, 1)
    finally:
        supervised.aggregate = good
    return {
        "skipped": metrics["updates/skipped"],
        "still": torch.equal(weights(state.policy), before),
        "updates": state.ledger.updates,
    }


def of_this_process(workers: Workers, folder: str) -> dict[str, Any]:
    assert workers.sum({"a": 1.0, f"b{workers.rank}": 2.0}) == {"a": 2.0, "b0": 2.0, "b1": 2.0}
    assert workers.broadcast(workers.rank) == 0
    assert workers.any(workers.rank == 1)
    assert not workers.any(False)
    found = everything()
    found |= {f"fsdp2 {name}": value for name, value in everything(sharded=True).items()}
    return {"found": found, "bad": with_a_bad_process(workers, Path(folder))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def by_two(folder: Path) -> list[dict[str, Any]]:
    return in_processes(of_this_process, folder, str(folder))


def test_two_processes_train_as_one_whole_and_sharded(by_two: list[dict[str, Any]]) -> None:
    alone = everything()
    for name in ("weights", "weights with a critic"):
        assert (alone[name] - weights(tiny_policy())).abs().max() > 1e-3  # they have moved
    first, second = (each["found"] for each in by_two)
    assert len(first) == 2 * len(alone)
    for name, found in first.items():
        wanted = alone[name.removeprefix("fsdp2 ")]
        assert torch.equal(found, second[name]), name
        assert wanted.abs().max() > 1e-4, name
        torch.testing.assert_close(
            found, wanted, rtol=1e-4, atol=5e-6, msg=lambda text, name=name: name + text
        )


def test_all_processes_agree_on_an_update_that_is_bad_on_one(
    by_two: list[dict[str, Any]], folder: Path
) -> None:
    """Both skip it and stop after the second; the process at fault keeps its batch."""
    for each in by_two:
        assert each["bad"] == {"skipped": 1.0, "still": True, "updates": 0}
    kept = sorted(path.name for path in (folder / "bad_updates").iterdir())
    assert kept == [
        "step-00000000-update-0-process-1.pt",
        "step-00000001-update-1-process-1.pt",
    ]


@pytest.mark.parametrize("size", [2, 3, 5])
def test_every_group_is_played_by_one_process_alone(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its members are compared with each other there: none may be missing or played twice."""
    played = recorded(monkeypatch)
    by_group: dict[int, list[tuple[int, int]]] = {}
    for rank in range(size):
        stage, state = grpo_stage(tiny_policy(), lambda: gym.make(BANDIT), grpo_config())
        state.workers = OneOf(rank, size)
        assert isinstance(stage, GrpoStage)
        for episode in stage._sampler.play(state):
            by_group.setdefault(episode.group, []).append((rank, episode.member))
    assert len(played) == 4 * 4
    assert sorted(by_group) == [0, 1, 2, 3]
    for places in by_group.values():
        assert sorted(member for _, member in places) == [0, 1, 2, 3]
        assert len({rank for rank, _ in places}) == 1
