"""A run stopped between two updates of one rollout goes on with the next and samples nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cardinal_gym.agents.rows import Row
from cardinal_gym.training import grpo_rollout
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.batch import WeightedRow
from cardinal_gym.training.checkpoint import latest_checkpoint, list_checkpoints
from cardinal_gym.training.config import GrpoConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.grpo_config import KLPlace
from cardinal_gym.training.grpo_update import Measured, TrainRows, UpdateSums
from cardinal_gym.training.loop import TrainState, train
from cardinal_gym.training.losses import Totals
from cardinal_gym.training.metrics import read_jsonl
from cardinal_gym.training.packed_rows import pack_rows, unpack_rows
from cardinal_gym.training.unfinished import Rollout, pack_rollout, unpack_rollout
from resume_harness import compare_folders
from toys import grpo_config, grpo_stage, guess, needed, noisy_returns, optim, tiny_policy
from two_processes import OneOf

INNER: dict[str, Any] = {"groups_per_step": 2, "group_size": 3, "epochs": 2, "minibatches": 2}
CONFIGS = {
    "penalty": grpo_config(
        4, **INNER, kl_coef=0.1, reference_every=2, optim=optim(1e-3)
    ),
    "penalty in the reward": grpo_config(
        4, **INNER, kl_coef=0.1, kl_in=KLPlace.reward, optim=optim(1e-3)
    ),
    "critic": grpo_config(
        4, **INNER, advantage=AdvantageKind.gae, credit=Credit.turn_return, optim=optim(1e-3)
    ),
}  # fmt: skip


def run(config: GrpoConfig, folder: Path) -> TrainState:
    stage, state = grpo_stage(tiny_policy(), guess, config, **needed(config))
    return train(stage, state, folder, checkpoint_every=2, keep_checkpoints=3, checkpoint_updates=1)


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_a_step_stopped_between_two_updates_ends_the_same(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    config = CONFIGS[kind]
    run(config, tmp_path / "whole")
    apply = TrainState.apply_gradients

    def interrupted(self: TrainState, *args: Any) -> dict[str, float]:
        if (self.step, self.ledger.updates) == (2, 2 * 4 + 3):
            raise KeyboardInterrupt
        return apply(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(TrainState, "apply_gradients", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "stopped")
    newest = latest_checkpoint(tmp_path / "stopped" / "checkpoints")
    assert newest is not None
    assert (newest.step, newest.update) == (2, 3)
    assert newest.path.name == "step-00000002-update-0003"
    steps_played = counted(monkeypatch)
    run(config, tmp_path / "stopped")
    assert steps_played == [3]  # the third step's episodes come from the checkpoint
    assert compare_folders(tmp_path / "whole", tmp_path / "stopped") == []
    lines = read_jsonl(tmp_path / "stopped" / "metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert [line["updates"] for line in lines] == [4, 8, 12, 16]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps whose episodes are played from now on."""
    steps: list[int] = []
    play: Callable[..., Any] = grpo_rollout.rollout

    def counting(*args: Any, **kwargs: Any) -> Any:
        steps.append(kwargs["step"])
        return play(*args, **kwargs)

    monkeypatch.setattr(grpo_rollout, "rollout", counting)
    return steps


def test_checkpoints_within_a_step_lie_between_those_of_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    run(CONFIGS["critic"], tmp_path)
    kept = list_checkpoints(tmp_path / "checkpoints")
    assert [each.place for each in kept] == [(3, 2), (3, 3), (4, 0)]
    assert "unfinished" in kept[1].load()
    assert "unfinished" not in kept[2].load()


def rows() -> list[WeightedRow]:
    """Three rows, two of which show one picture."""
    random = np.random.default_rng(0)
    shown = random.integers(0, 255, (2, 3, 3), dtype=np.uint8)
    other = random.integers(0, 255, (1, 2, 3), dtype=np.uint8)
    pictures = [(shown,), (shown, other), ()]
    found = []
    for place, images in enumerate(pictures):
        length = 3 + place
        row = Row(
            ids=list(range(length)), mask=[0] + [1] * (length - 1),
            logprobs=random.normal(size=length).tolist(), images=images,
        )  # fmt: skip
        found.append(
            WeightedRow(
                row=row, advantages=random.normal(size=length).tolist(), weight=1 / (1 + place),
                index=7 + place, turns=[0] * length,
                targets=random.normal(size=length).tolist() if place else (),
                is_target=[1.0] * length if place else (),
            )
        )  # fmt: skip
    return found


def test_rows_come_back_bit_for_bit() -> None:
    before = rows()
    after = unpack_rows(pack_rows(before))
    for old, new in zip(before, after, strict=True):
        assert replace(new.row, images=()) == replace(old.row, images=())
        assert (new.weight, new.index) == (old.weight, old.index)
        for name in ("advantages", "turns", "targets", "is_target"):
            assert list(getattr(new, name)) == list(getattr(old, name))
        for one, two in zip(old.row.images, new.row.images, strict=True):
            assert np.array_equal(one, two)
    assert after[0].row.images[0] is after[1].row.images[0]
    assert unpack_rows(pack_rows([])) == []


def test_another_number_of_processes_shares_the_rows_out_anew() -> None:
    """In the same order, with every sum once."""
    every = rows()
    old = {row.index: torch.full((row.num_tokens,), float(row.index)) for row in every}
    batch = TrainRows(
        rows=every, totals=Totals(tokens=9.0, rows=3.0, max_tokens=4), measured=Measured(old=old)
    )
    sums = UpdateSums(sums={"loss": 3.0}, largest={"ratio/max": 2.0}, updates=2, skipped=1.0)
    saved = pack_rollout(Rollout(batch, {"success": 0.5}, sums, 2), Workers("cpu"))
    shares = [unpack_rollout(saved, OneOf(rank, 2)) for rank in range(2)]
    assert [[row.index for row in each.batch.rows] for each in shares] == [[7], [8, 9]]
    assert [sorted(each.batch.measured.old) for each in shares] == [[7], [8, 9]]
    assert torch.equal(shares[1].batch.measured.old[9], old[9])
    assert [each.sums.sums for each in shares] == [{"loss": 3.0}, {}]
    for each in shares:
        assert (each.sums.updates, each.sums.skipped) == (2, 1.0)
        assert each.sums.largest == {"ratio/max": 2.0}
        assert (each.num_done, each.metrics) == (2, {"success": 0.5})
        assert each.batch.totals == batch.totals
