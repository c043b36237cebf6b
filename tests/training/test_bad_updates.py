"""Updates that are not finite: skipped, counted, kept for study, and fatal after some in a row."""

import logging
from pathlib import Path

import pytest
import torch
from cardinal_gym.training import objective
from cardinal_gym.training.bad_updates import MAX_FILES, keep_for_study
from cardinal_gym.training.batch import WeightedRow
from cardinal_gym.training.loop import TrainingDiverged, TrainState, train
from cardinal_gym.training.metrics import read_jsonl
from cardinal_gym.training.packed_rows import unpack_rows
from toys import bandit, grpo_config, grpo_stage, noisy_returns, optim, tiny_policy, weights

NAN = float("nan")


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "bad_updates").glob("*"))


def test_the_batch_of_a_bad_update_is_kept_for_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The second of three updates is bad: training goes on without it."""
    noisy_returns(monkeypatch)
    policy = tiny_policy()
    stage, state = grpo_stage(policy, bandit, grpo_config(3))
    good, trained = objective.aggregate, []
    apply = TrainState.apply_gradients

    def spoilt(*args: object) -> torch.Tensor:
        return good(*args) * (NAN if state.step == 1 else 1.0)

    def noted(self: TrainState, loss: float, rows: list[WeightedRow]) -> dict[str, float]:
        trained.append((rows, weights(policy)))
        return apply(self, loss, rows)

    monkeypatch.setattr(objective, "aggregate", spoilt)
    monkeypatch.setattr(TrainState, "apply_gradients", noted)
    with caplog.at_level(logging.WARNING):
        train(stage, state, tmp_path, checkpoint_every=9, keep_checkpoints=1)
    name = "step-00000001-update-1-process-0.pt"
    assert kept(tmp_path) == [name]
    assert name in caplog.text
    told = torch.load(tmp_path / "bad_updates" / name, weights_only=True)
    assert [row.row.ids for row in unpack_rows(told["rows"])] == [
        row.row.ids for row in trained[1][0]
    ]
    assert (told["step"], told["update"], told["process"]) == (1, 1, 0)
    assert told["loss"] != told["loss"]
    assert torch.equal(trained[1][1], trained[2][1])  # the weights did not move
    lines = read_jsonl(tmp_path / "metrics.jsonl")
    assert [line["updates/skipped"] for line in lines] == [0.0, 1.0, 0.0]
    assert [line["updates"] for line in lines] == [1, 1, 2]
    assert state.bad_updates == 0


def test_a_gradient_that_is_not_finite_is_kept_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    policy = tiny_policy()
    stage, state = grpo_stage(policy, bandit, grpo_config(1))
    parameter = next(iter(policy.model.parameters()))
    parameter.register_hook(lambda gradient: gradient * NAN)
    train(stage, state, tmp_path, checkpoint_every=9, keep_checkpoints=1)
    assert kept(tmp_path) == ["step-00000000-update-0-process-0.pt"]


def test_a_run_that_stays_bad_stops_and_says_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    stage, state = grpo_stage(tiny_policy(), bandit, grpo_config(9, optim=optim(max_bad_updates=3)))
    broken = objective.aggregate
    monkeypatch.setattr(objective, "aggregate", lambda *args: broken(*args) * NAN)
    with pytest.raises(TrainingDiverged, match=r"3 non-finite updates in a row.*bad_updates"):
        train(stage, state, tmp_path, checkpoint_every=9, keep_checkpoints=1)
    assert len(kept(tmp_path)) == 3
    assert state.ledger.updates == 0


def test_a_bad_run_does_not_fill_the_disk(tmp_path: Path) -> None:
    for step in range(MAX_FILES + 3):
        path = keep_for_study(
            tmp_path, [], step=step, update=0, process=0, loss=NAN, learning_rate=0.1
        )
        assert (path is None) is (step >= MAX_FILES)
    assert len(kept(tmp_path)) == MAX_FILES
