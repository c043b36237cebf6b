"""The pieces together: a small trainer, killed at random and resumed, ends bit for bit the same."""

import sys
from pathlib import Path

import pytest
from resume_harness import check_resume, compare_folders

TRAINER = """
import random, sys, time
from pathlib import Path
import numpy as np
import torch
from cardinal_gym.training.checkpoint import (
    capture_rng, latest_checkpoint, restore_rng, save_checkpoint,
)
from cardinal_gym.training.metrics import Ledger, MetricsLog
from cardinal_gym.training.run_folder import RunFolder

STEPS, KEEP = 60, 2
forgetful = "forgetful" in sys.argv
torch.set_num_threads(1)
torch.manual_seed(0); random.seed(0); np.random.seed(0)
generator = np.random.default_rng(0)
run = RunFolder.open(Path("runs/x/a"), resume="resume=true" in sys.argv, config={"steps": STEPS})
if not run.is_done:
    log, timings = MetricsLog(run.path("metrics.jsonl")), MetricsLog(run.path("timings.jsonl"))
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    ledger, start = Ledger(num_parameters=72), 0
    checkpoint = latest_checkpoint(run.path("checkpoints"), keep=KEEP)
    if checkpoint is None:
        log.truncate(0)
    else:
        state = checkpoint.load()
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        if not forgetful:
            restore_rng(state["rng"], {"data": generator})
        ledger, start = Ledger.from_dict(state["ledger"]), checkpoint.step
        log.truncate(state["offset"])
    for step in range(start + 1, STEPS + 1):
        data = torch.randn(4, 8) * random.gauss(1, 1) + np.random.standard_normal()
        data = data + float(generator.normal())
        loss = (model(data) ** 2).mean()
        optimizer.zero_grad(); loss.backward(); optimizer.step(); scheduler.step()
        ledger.add(train_tokens=4, updates=1)
        log.log({"step": step, "loss": loss.item(), **ledger.as_metrics()})
        timings.log({"step": step, "wall_s": time.monotonic()})
        time.sleep(0.01)
        if step % 7 == 0 or step == STEPS:
            state = {
                "model": model.state_dict(), "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(), "ledger": ledger.asdict(),
                "rng": capture_rng({"data": generator}), "offset": log.offset,
            }
            save_checkpoint(
                run.path("checkpoints"), step, state,
                lambda folder: torch.save(model.state_dict(), folder / "model.pt"), KEEP,
            )
    run.mark_done({"flops": ledger.flops()})
"""


@pytest.mark.parametrize(
    ("seed", "kills"), [(0, 2), *(pytest.param(i, 6, marks=pytest.mark.slow) for i in (1, 2, 3))]
)
def test_a_killed_and_resumed_run_ends_bit_for_bit_the_same(
    tmp_path: Path, seed: int, kills: int
) -> None:
    (tmp_path / "trainer.py").write_text(TRAINER)
    command = [sys.executable, str(tmp_path / "trainer.py")]
    report = check_resume(command, tmp_path, run_folder="runs/x/a", kills=kills, seed=seed)
    assert report.kills
    assert report.starts == len(report.kills) + 1


@pytest.mark.slow
def test_a_run_that_forgets_its_random_state_is_caught(tmp_path: Path) -> None:
    (tmp_path / "trainer.py").write_text(TRAINER)
    command = [sys.executable, str(tmp_path / "trainer.py"), "forgetful"]
    with pytest.raises(AssertionError, match=r"metrics\.jsonl: .* first difference at byte"):
        check_resume(command, tmp_path, run_folder="runs/x/a", kills=1, seed=3)


def test_folders_are_compared_by_bytes_except_volatile_files(tmp_path: Path) -> None:
    left, right = tmp_path / "l", tmp_path / "r"
    for side in (left, right):
        (side / "sub" / "tensorboard").mkdir(parents=True)
        (side / "sub" / "tensorboard" / "events").write_text(str(side))
        (side / "timings.jsonl").write_text(str(side))
        (side / "same").write_text("x")
    assert compare_folders(left, right) == []
    (left / "extra").touch()
    (right / "same").write_text("y")
    assert compare_folders(left, right) == [
        f"extra: only in {left}",
        "same: 1 and 1 bytes, first difference at byte 0",
    ]
