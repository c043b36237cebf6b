"""Checkpoints: whole or not there, verified, bounded in number, equal bytes for equal states."""

import errno
import json
import logging
import os
import random
import re
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
from cardinal_gym.training import checkpoint as checkpoint_module
from cardinal_gym.training.checkpoint import (
    capture_rng,
    find_damage,
    latest_checkpoint,
    list_checkpoints,
    mark_permanent,
    restore_rng,
    save_checkpoint,
)


def steps(folder: Path) -> list[int]:
    return [checkpoint.step for checkpoint in list_checkpoints(folder)]


def save_text(text: str) -> Any:
    return lambda folder: (folder / "weights.txt").write_text(text)


def trained_state(seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    model(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    scheduler.step()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "rng": capture_rng({"env": np.random.default_rng(seed)}),
        "step": 1,
        "cursor": [3, None, "name", (1.5, True)],
    }


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = trained_state()
    save_checkpoint(tmp_path, 7, state, save_text("hello"), keep=2)
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 7
    assert (checkpoint.model_path / "weights.txt").read_text() == "hello"
    loaded = checkpoint.load()
    torch.testing.assert_close(loaded["model"], state["model"], rtol=0, atol=0)
    assert loaded["cursor"] == state["cursor"]
    assert loaded["scheduler"]["_last_lr"] == state["scheduler"]["_last_lr"]


def test_there_is_no_checkpoint_in_a_new_folder(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "none") is None
    assert latest_checkpoint(tmp_path) is None


def test_a_state_that_could_not_be_read_back_is_refused_by_name(tmp_path: Path) -> None:
    for value, name in [(np.float64(1), "float64"), (Path("x"), "PosixPath"), ({1}, "set")]:
        with pytest.raises(ValueError, match=rf"state\['a'\]\[1\] must be .*; got {name}"):
            save_checkpoint(tmp_path, 1, {"a": [0, value]})
    assert steps(tmp_path) == []


def test_equal_states_give_equal_files_whether_loaded_or_not(tmp_path: Path) -> None:
    state = trained_state()
    twin = "".join(["na", "me"])  # equal to the literal in the state, another object
    state["twins"] = [twin, "name"]
    first = save_checkpoint(tmp_path / "a", 1, state)
    loaded = list_checkpoints(tmp_path / "a")[0].load()
    second = save_checkpoint(tmp_path / "b", 1, loaded)
    for name in ("state.pt", "manifest.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_newest_and_the_permanent_ones_are_kept(tmp_path: Path) -> None:
    for step in range(1, 7):
        save_checkpoint(tmp_path, step, {"step": step}, keep=2, permanent=step == 2)
        if step == 4:
            mark_permanent(list_checkpoints(tmp_path)[-1])
    assert steps(tmp_path) == [2, 4, 5, 6]


@pytest.mark.parametrize(("keep", "step"), [(0, 1), (1, -1)])
def test_bad_arguments_are_refused(tmp_path: Path, keep: int, step: int) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        save_checkpoint(tmp_path, step, {}, keep=keep)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda p: (p / "state.pt").write_bytes((p / "state.pt").read_bytes()[:-9]), "bytes inst"),
        (lambda p: flip_byte(p / "state.pt"), "wrong checksum"),
        (lambda p: flip_byte(p / "model" / "weights.txt"), "wrong checksum"),
        (lambda p: (p / "model" / "weights.txt").unlink(), r"weights\.txt is missing"),
        (lambda p: (p / "manifest.json").unlink(), r"manifest\.json is missing"),
        (lambda p: (p / "manifest.json").write_text('{"step": 2, "fil'), "unreadable"),
        (lambda p: (p / "manifest.json").write_text("[]"), "unreadable"),
        (lambda p: tamper_checksum(p / "manifest.json"), "wrong checksum"),
        (lambda p: (p / "manifest.json").write_text('{"step": 9, "files": {}}'), "another"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any, reason: str
) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"step": step}, save_text("abcdef"), keep=2)
    damage(tmp_path / "step-00000002")
    with caplog.at_level(logging.WARNING):
        checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.load()["step"] == 1
    assert len(caplog.records) == 1
    assert "step-00000002" in caplog.text
    assert find_damage(list_checkpoints(tmp_path)[-1]) in caplog.text
    assert re.search(reason, caplog.text)


def test_a_damaged_checkpoint_is_replaced_when_its_step_comes_again(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"step": step}, keep=2)
    flip_byte(tmp_path / "step-00000002" / "state.pt")
    assert latest_checkpoint(tmp_path, keep=2).step == 1  # type: ignore[union-attr]
    save_checkpoint(tmp_path, 2, {"step": 2}, keep=2)
    assert latest_checkpoint(tmp_path).step == 2  # type: ignore[union-attr]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000001", "step-00000002"]


def test_all_damaged_is_none(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {})
    flip_byte(tmp_path / "step-00000001" / "state.pt")
    assert latest_checkpoint(tmp_path) is None


def test_an_unreadable_state_is_one_line(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {})
    (tmp_path / "step-00000001" / "state.pt").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="must be a readable checkpoint") as error:
        list_checkpoints(tmp_path)[0].load()
    assert "\n" not in str(error.value)


def test_a_full_disk_leaves_earlier_checkpoints_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1}, keep=1)
    real = checkpoint_module._Sink.write
    written = [0]

    def write(sink: Any, data: bytes) -> int:
        written[0] += len(data)
        if written[0] > 2_000:  # in the middle of the file: torch then reports "unexpected pos"
            sink.error = OSError(errno.ENOSPC, "No space left on device")
            raise sink.error
        return real(sink, data)

    monkeypatch.setattr(checkpoint_module._Sink, "write", write)
    with pytest.raises(OSError, match=r"disk is full.*resume=true") as error:
        save_checkpoint(tmp_path, 2, {"weights": torch.ones(9_000)}, keep=1)
    assert error.value.errno == errno.ENOSPC
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert latest_checkpoint(tmp_path).load() == {"step": 1}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("I/O error: No space left on device (os error 28)"),  # safetensors
    ],
)
def test_a_full_disk_in_the_model_saver_is_recognized(tmp_path: Path, failure: Exception) -> None:
    def saver(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise failure

    save_checkpoint(tmp_path, 1, {}, keep=1)
    with pytest.raises(OSError, match="disk is full"):
        save_checkpoint(tmp_path, 2, {}, saver, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_another_failure_of_the_model_saver_passes_through(tmp_path: Path) -> None:
    def saver(folder: Path) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        save_checkpoint(tmp_path, 1, {}, saver)
    assert list(tmp_path.iterdir()) == []


def test_the_owner_finishes_what_a_killed_run_left_undone(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, {"step": step}, keep=9)
    (tmp_path / ".tmp-step-00000004").mkdir()
    assert latest_checkpoint(tmp_path).step == 3  # type: ignore[union-attr]
    assert (tmp_path / ".tmp-step-00000004").exists()  # a reader deletes nothing
    assert latest_checkpoint(tmp_path, keep=2).step == 3  # type: ignore[union-attr]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]


@pytest.mark.parametrize("seed", range(3))
def test_kill_9_while_saving_leaves_a_sound_checkpoint(tmp_path: Path, seed: int) -> None:
    code = """
        import sys
        from pathlib import Path
        import torch
        from cardinal_gym.training.checkpoint import save_checkpoint
        torch.set_num_threads(1)
        for step in range(1, 10**6):
            state = {"step": step, "weights": torch.full((100_000,), float(step))}
            save_checkpoint(Path(sys.argv[1]), step, state, keep=1)
    """
    writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "c")])
    deadline = time.monotonic() + 60
    while not steps(tmp_path / "c"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0.0, 0.3))
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    checkpoint = latest_checkpoint(tmp_path / "c", keep=1)
    assert checkpoint is not None
    assert checkpoint == list_checkpoints(tmp_path / "c")[-1]  # the newest one, not a fallback
    state = checkpoint.load()
    assert state["step"] == checkpoint.step
    assert torch.equal(state["weights"], torch.full((100_000,), float(checkpoint.step)))
    assert len(list((tmp_path / "c").iterdir())) == 1


def test_random_numbers_go_on_where_they_were_captured(tmp_path: Path) -> None:
    generators = {
        name: np.random.Generator(kind(5))
        for name, kind in [
            ("pcg", np.random.PCG64), ("mt", np.random.MT19937), ("philox", np.random.Philox),
        ]
    }  # fmt: skip
    draw_all(generators)  # leaves half-used buffers: gauss, 32-bit halves
    save_checkpoint(tmp_path, 1, capture_rng(generators))
    expected = draw_all(generators)
    restore_rng(list_checkpoints(tmp_path)[0].load(), generators)
    assert draw_all(generators) == expected


def test_restoring_other_generators_is_refused() -> None:
    with pytest.raises(ValueError, match=r"generators must be \['env'\]; got \[\]"):
        restore_rng(capture_rng({"env": np.random.default_rng(0)}))


def draw_all(generators: dict[str, np.random.Generator]) -> list[Any]:
    values: list[Any] = [random.random(), random.gauss(0, 1)]
    values += [float(np.random.standard_normal()), int(np.random.randint(99))]  # noqa: NPY002
    values += [torch.randn(3).tolist(), torch.randperm(7).tolist()]
    for generator in generators.values():
        values += [generator.normal(), int(generator.integers(100, dtype=np.uint32))]
    return values


def flip_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def tamper_checksum(path: Path) -> None:
    manifest = json.loads(path.read_text())
    digest = manifest["files"]["state.pt"]["sha256"]
    manifest["files"]["state.pt"]["sha256"] = digest[::-1]
    path.write_text(json.dumps(manifest))
