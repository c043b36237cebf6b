"""Metrics: defined names only, lines that survive kills, ledgers, trackers."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cardinal_gym.training import metrics as metrics_module
from cardinal_gym.training.metrics import (
    METRICS,
    Ledger,
    MetricsLog,
    cpu_s_until,
    define_metric,
    definition_of,
    read_jsonl,
)
from cardinal_gym.training.run_folder import RunFolder
from cardinal_gym.training.trackers import make_trackers


def test_lines_come_back_as_logged(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "m.jsonl") as log:
        log.log({"step": 1, "stage": "sft", "loss": 0.1 + 0.2})
        log.log({"step": 2, "loss": torch.tensor(0.5), "success": np.float64(0.25)})
    assert read_jsonl(tmp_path / "m.jsonl") == [
        {"step": 1, "stage": "sft", "loss": 0.1 + 0.2},
        {"step": 2, "loss": 0.5, "success": 0.25},
    ]


def test_an_undefined_metric_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "m.jsonl") as log:
        with pytest.raises(ValueError, match="must be defined in METRICS; got lossy, oops"):
            log.log({"step": 1, "lossy": 1.0, "loss": 1.0, "oops": 2})
        with pytest.raises(ValueError, match="must have a step"):
            log.log({"loss": 1.0})
    assert read_jsonl(tmp_path / "m.jsonl") == []


def test_patterns_define_families_and_exact_names_come_first() -> None:
    assert definition_of("outcome/correct") == METRICS["outcome/*"]
    assert definition_of("reward/mean") == METRICS["reward/mean"]
    assert definition_of("reward/anything") == METRICS["reward/*"]
    assert definition_of("nonsense") is None


def test_a_metric_has_one_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "METRICS", dict(METRICS))
    define_metric("novelty", "how new")
    define_metric("novelty", "how new")
    with pytest.raises(ValueError, match="one definition"):
        define_metric("novelty", "something else")
    assert definition_of("novelty") == "how new"


def test_every_definition_is_one_line() -> None:
    for name, definition in METRICS.items():
        assert definition, name
        assert "\n" not in definition, name


def test_not_finite_numbers_become_null_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with MetricsLog(tmp_path / "m.jsonl") as log, caplog.at_level(logging.WARNING):
        log.log({"step": 1, "loss": float("nan")})
    assert read_jsonl(tmp_path / "m.jsonl") == [{"step": 1, "loss": None}]
    assert "loss is nan" in caplog.text


def test_truncating_to_an_offset_forgets_later_lines(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with MetricsLog(path) as log:
        log.log({"step": 1, "loss": 1.0})
        offset = log.offset
        log.log({"step": 2, "loss": 2.0})
        whole = path.read_bytes()
        log.log({"step": 3, "loss": 3.0})
    with MetricsLog(path) as log:
        log.truncate(offset)
        log.log({"step": 2, "loss": 2.0})
    assert path.read_bytes() == whole


@pytest.mark.parametrize("offset", [-1, 3, 10_000])
def test_an_offset_inside_a_line_or_past_the_end_is_refused(tmp_path: Path, offset: int) -> None:
    with MetricsLog(tmp_path / "m.jsonl") as log:
        log.log({"step": 1, "loss": 1.0})
        with pytest.raises(ValueError, match="offset must end a line"):
            log.truncate(offset)


def test_a_torn_last_line_is_skipped_by_readers_and_removed_by_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2, "lo')
    assert read_jsonl(path) == [{"step": 1}]
    with MetricsLog(path) as log:
        log.log({"step": 2})
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'


def test_a_file_that_is_one_torn_line_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\x00" * 200_000)  # what a power cut may leave
    with MetricsLog(path) as log:
        log.log({"step": 1})
    assert read_jsonl(path) == [{"step": 1}]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(b'{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(ValueError, match="line 2 must be JSON"):
        read_jsonl(tmp_path / "m.jsonl")


def test_a_missing_file_has_no_lines(tmp_path: Path) -> None:
    assert read_jsonl(tmp_path / "none.jsonl") == []


def test_a_full_disk_leaves_only_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.write, [30]

    def write(fd: int, data: Any) -> int:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = real(fd, bytes(data[: left[0]]))
        left[0] -= count
        return count

    with MetricsLog(tmp_path / "m.jsonl") as log:
        monkeypatch.setattr(os, "write", write)
        log.log({"step": 1, "loss": 1.0})
        with pytest.raises(OSError, match="disk is full"):
            log.log({"step": 2, "loss": 2.0})
        monkeypatch.undo()
        assert (tmp_path / "m.jsonl").read_bytes() == b'{"step": 1, "loss": 1.0}\n'
        log.log({"step": 2, "loss": 2.0})  # space was made
    assert len(read_jsonl(tmp_path / "m.jsonl")) == 2


def test_kill_9_while_logging_costs_at_most_the_line_being_written(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from cardinal_gym.training.metrics import MetricsLog
        log = MetricsLog(Path(sys.argv[1]))
        for step in range(10**9):
            log.log({"step": step, "stage": "x" * 5000})
    """
    path = tmp_path / "m.jsonl"
    writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(path)])
    deadline = time.monotonic() + 60
    while not path.exists() or path.stat().st_size < 100_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    left = path.read_bytes()
    rows = read_jsonl(path)
    assert [row["step"] for row in rows] == list(range(left.count(b"\n")))
    with MetricsLog(path) as log:
        assert path.read_bytes() == left[: left.rfind(b"\n") + 1]
        log.log({"step": len(rows)})
    assert [row["step"] for row in read_jsonl(path)] == list(range(len(rows) + 1))


def test_flops_follow_the_studys_formula() -> None:
    ledger = Ledger(num_parameters=10, train_tokens=3, sampled_tokens=5, prompt_tokens=100)
    assert ledger.flops() == 6 * 10 * 3 + 2 * 10 * 5


def test_a_ledger_adds_and_round_trips_without_its_cpu_time() -> None:
    ledger = Ledger(num_parameters=2)
    ledger.add(train_tokens=3, env_steps=2)
    ledger.add(train_tokens=1)
    with ledger.counting_cpu():
        sum(range(200_000))
    assert ledger.cpu_s > 0
    assert ledger.train_tokens == 4
    assert "cpu_s" not in ledger.asdict()
    assert json.loads(json.dumps(ledger.asdict())) == ledger.asdict()
    restored = Ledger.from_dict(ledger.asdict(), cpu_s=1.5)
    assert restored == ledger
    assert restored.cpu_s == 1.5


def test_a_ledger_refuses_unknown_names_and_negative_counts() -> None:
    with pytest.raises(ValueError, match=r"counter must be one of .*; got tokens"):
        Ledger().add(tokens=1)
    with pytest.raises(ValueError, match="counter must be one of"):
        Ledger().add(num_parameters=1)
    with pytest.raises(ValueError, match="must grow; got -1"):
        Ledger().add(episodes=-1)


def test_every_ledger_metric_is_defined() -> None:
    assert all(definition_of(name) for name in Ledger().as_metrics())


def test_cpu_time_counts_a_repeated_step_once(tmp_path: Path) -> None:
    path = tmp_path / "timings.jsonl"
    with MetricsLog(path) as log:
        for step, cpu_s in [(1, 1.0), (2, 2.0), (3, 4.0), (2, 8.0), (3, 16.0), (4, 32.0)]:
            log.log({"step": step, "cpu_s": cpu_s})
    assert cpu_s_until(path, 3) == 1.0 + 8.0 + 16.0
    assert cpu_s_until(path, 0) == 0.0
    assert cpu_s_until(tmp_path / "none.jsonl", 5) == 0.0


def test_tensorboard_gets_the_numbers_and_the_configuration(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "x" / "a", resume=False, config={"lr": 0.1}) as folder:
        trackers = make_trackers(["tensorboard"], folder, {"lr": 0.1})
        trackers.log({"step": 1, "stage": "sft", "loss": 0.5, "success": None}, step=1)
        trackers.close()
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = events.EventAccumulator(str(tmp_path / "x" / "a" / "tensorboard"))
    read.Reload()
    assert read.Tags()["scalars"] == ["loss"]
    assert [event.value for event in read.Scalars("loss")] == [0.5]
    assert "lr: 0.1" in str(read.Tensors("config/text_summary"))


def test_no_trackers_is_fine(tmp_path: Path) -> None:
    trackers = make_trackers([], RunFolder(tmp_path), {})
    trackers.log({"loss": 1.0}, step=1)
    trackers.close()


def test_an_unknown_or_missing_tracker_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"trackers must be among .*tensorboard.*; got tensorbord"):
        make_trackers(["tensorbord"], RunFolder(tmp_path), {})
    tracking = pytest.importorskip("accelerate.tracking")
    monkeypatch.setattr(tracking, "get_available_trackers", list)
    with pytest.raises(
        ValueError, match=r"trackers must be installed \(pip install wandb\); got wandb"
    ):
        make_trackers(["wandb"], RunFolder(tmp_path), {})
