"""Run folders: never overwritten, locked, resumed only with the same configuration."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from cardinal_gym.training.files import atomic_write_bytes, atomic_write_json, atomic_write_text
from cardinal_gym.training.locks import FolderLock
from cardinal_gym.training.run_folder import RunFolder, defaults_of

CONFIG = {"lr": 1e-4, "env": {"target": 24, "faces": ("J", "Q")}, "resume": False}


class Colour(str, Enum):
    red = "red"


def test_a_new_folder_holds_its_configuration_and_environment(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "a" / "b", resume=False, config=CONFIG) as folder:
        assert folder.config == {**CONFIG, "env": {"target": 24, "faces": ["J", "Q"]}}
        environment = json.loads((folder.root / "environment.json").read_text())
    assert environment["python"].startswith("3.")
    assert {"torch", "numpy", "gymnasium", "transformers"} <= set(environment["packages"])
    assert {"platform", "cpu", "command", "started", "git_commit"} <= set(environment)


def test_enums_and_paths_are_stored_as_plain_values(tmp_path: Path) -> None:
    config = {"colour": Colour.red, "where": Path("x/y")}
    with RunFolder.open(tmp_path / "a", resume=False, config=config) as folder:
        assert folder.config == {"colour": "red", "where": "x/y"}


def test_an_existing_run_is_refused_without_resume(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "a", resume=False, config=CONFIG).close()
    with pytest.raises(ValueError, match="add resume=true") as error:
        RunFolder.open(tmp_path / "a", resume=False, config=CONFIG)
    assert "\n" not in str(error.value)


def test_resume_accepts_the_same_configuration_and_changed_volatile_keys(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "a", resume=False, config=CONFIG).close()
    before = (tmp_path / "a" / "config.yaml").read_bytes()
    RunFolder.open(tmp_path / "a", resume=True, config={**CONFIG, "resume": True}).close()
    assert (tmp_path / "a" / "config.yaml").read_bytes() == before
    environment = json.loads((tmp_path / "a" / "environment.json").read_text())
    assert len(environment["resumed"]) == 1


def test_resume_names_every_changed_key_with_both_values(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "a", resume=False, config=CONFIG).close()
    changed = {"lr": 2e-4, "env": {"target": 24, "faces": ["J", "K"]}, "resume": True, "new": 1}
    with pytest.raises(ValueError) as error:
        RunFolder.open(tmp_path / "a", resume=True, config=changed)
    message = str(error.value)
    assert "lr=0.0002 (was 0.0001)" in message
    assert "env.faces=['J', 'K'] (was ['J', 'Q'])" in message
    assert "new=1 (was absent)" in message
    assert "target" not in message
    assert "\n" not in message


@dataclass
class Sampling:
    temperature: float = 1.0
    compiled: bool = False  # say, of a newer version


@dataclass
class Config:
    lr: float = 1e-4
    sampling: Sampling = field(default_factory=Sampling)
    names: list[str] = field(default_factory=lambda: ["a"])


def test_a_run_of_a_version_without_a_setting_goes_on_while_that_is_at_its_default(
    tmp_path: Path,
) -> None:
    older = {"lr": 2e-4, "sampling": {"temperature": 0.5}}
    RunFolder.open(tmp_path / "a", resume=False, config=older).close()
    config = Config(lr=2e-4, sampling=Sampling(0.5))

    def resume() -> None:
        now, defaults = asdict(config), defaults_of(config)
        RunFolder.open(tmp_path / "a", resume=True, config=now, defaults=defaults).close()

    resume()
    config.sampling.compiled = True
    with pytest.raises(ValueError, match=r"got sampling.compiled=True \(was False\): choose"):
        resume()


def test_a_default_does_not_stand_for_a_stored_value(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "a", resume=False, config=asdict(Config(lr=2e-4))).close()
    config = Config()
    with pytest.raises(ValueError, match=r"lr=0.0001 \(was 0.0002\)"):
        RunFolder.open(
            tmp_path / "a", resume=True, config=asdict(config), defaults=defaults_of(config)
        )


def test_resume_without_a_run_starts_one(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "a", resume=True, config=CONFIG).close()
    assert (tmp_path / "a" / "config.yaml").exists()


def test_a_run_killed_before_its_configuration_was_written_starts_anew(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".lock").touch()
    (tmp_path / "a" / ".tmp-config.yaml-1").write_text("lr: 0.")
    RunFolder.open(tmp_path / "a", resume=True, config=CONFIG).close()
    assert not list((tmp_path / "a").glob(".tmp-*"))


@pytest.mark.parametrize("resume", [False, True])
def test_somebody_elses_folder_is_left_alone(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="run folder must"):
        RunFolder.open(tmp_path, resume=resume, config=CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("x")
    with pytest.raises(ValueError, match="must be a folder that can be written"):
        RunFolder.open(tmp_path / "runs" / "a", resume=False, config=CONFIG)


def test_a_damaged_configuration_is_one_line(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "a", resume=False, config=CONFIG).close()
    (tmp_path / "a" / "config.yaml").write_bytes(b"lr: [\xff")
    with pytest.raises(ValueError, match=r"readable config\.yaml") as error:
        RunFolder.open(tmp_path / "a", resume=True, config=CONFIG)
    assert "\n" not in str(error.value)


def test_one_process_cannot_open_a_folder_twice(tmp_path: Path) -> None:
    with (
        RunFolder.open(tmp_path / "a", resume=False, config=CONFIG),
        pytest.raises(ValueError, match="in use"),
    ):
        RunFolder.open(tmp_path / "a", resume=True, config=CONFIG)
    RunFolder.open(tmp_path / "a", resume=True, config=CONFIG).close()


def test_the_lock_excludes_another_process_and_dies_with_kill_9(tmp_path: Path) -> None:
    holder = start_python(
        """
        import os, sys, time
        from pathlib import Path
        from cardinal_gym.training.run_folder import RunFolder
        folder = RunFolder.open(Path(sys.argv[1]), resume=False, config={"lr": 1})
        if os.fork() == 0:  # a worker that outlives the kill does not inherit the lock
            time.sleep(5)
            os._exit(0)
        (folder.root / "ready").touch()
        time.sleep(60)
        """,
        tmp_path / "a",
    )
    try:
        wait_for(lambda: (tmp_path / "a" / "ready").exists())
        with pytest.raises(ValueError, match="in use"):
            RunFolder.open(tmp_path / "a", resume=True, config={"lr": 1})
    finally:
        holder.kill()
        holder.wait()
    RunFolder.open(tmp_path / "a", resume=True, config={"lr": 1}).close()


def test_a_folder_in_use_can_be_waited_for(tmp_path: Path) -> None:
    first = FolderLock(tmp_path)
    first.acquire()
    threading.Timer(0.3, first.release).start()
    with FolderLock(tmp_path, wait_s=30.0), pytest.raises(ValueError, match="in use"):
        FolderLock(tmp_path).acquire()
    with RunFolder.open(tmp_path, resume=False, config=CONFIG, wait_s=1.0):
        pass


def test_a_failed_open_releases_the_lock(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "a", resume=False, config={"lr": 1}).close()
    for _ in range(2):
        with pytest.raises(ValueError, match="was 1"):
            RunFolder.open(tmp_path / "a", resume=True, config={"lr": 2})


def test_done_is_a_summary_that_survives(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "a", resume=False, config=CONFIG) as folder:
        assert not folder.is_done
        folder.mark_done({"success": 0.5})
    assert RunFolder(tmp_path / "a").is_done
    assert RunFolder(tmp_path / "a").summary == {"success": 0.5}


def test_leftovers_are_removed_on_resume_but_not_those_of_other_runs(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "a", resume=False, config=CONFIG).close()
    RunFolder.open(tmp_path / "a" / "arms" / "sft", resume=False, config=CONFIG).close()
    own, other = tmp_path / "a" / "episodes", tmp_path / "a" / "arms" / "sft"
    own.mkdir()
    (own / ".tmp-x").touch()
    (other / ".tmp-x").touch()  # that run may be alive
    RunFolder.open(tmp_path / "a", resume=True, config=CONFIG).close()
    assert not (own / ".tmp-x").exists()
    assert (other / ".tmp-x").exists()


def test_a_full_disk_keeps_the_old_file_and_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    atomic_write_json(path, {"a": 1})
    fill_disk(monkeypatch, after_bytes=5)
    with pytest.raises(OSError, match=r"disk is full.*resume=true") as error:
        atomic_write_text(path, "0123456789")
    monkeypatch.undo()
    assert error.value.errno == errno.ENOSPC
    assert json.loads(path.read_text()) == {"a": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[:3])))
    atomic_write_bytes(tmp_path / "x", b"0123456789")
    monkeypatch.undo()
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_kill_9_between_writes_leaves_a_whole_file(tmp_path: Path) -> None:
    writer = start_python(
        """
        import sys
        from pathlib import Path
        from cardinal_gym.training.files import atomic_write_bytes
        for i in range(10**9):
            atomic_write_bytes(Path(sys.argv[1]), bytes([i % 256]) * 300_000, durable=False)
        """,
        tmp_path / "x",
    )
    wait_for(lambda: (tmp_path / "x").exists())
    time.sleep(0.2)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    data = (tmp_path / "x").read_bytes()
    assert data == data[:1] * 300_000


def fill_disk(monkeypatch: pytest.MonkeyPatch, after_bytes: int) -> None:
    """os.write accepts that many bytes more, then the disk is full."""
    real, left = os.write, [after_bytes]

    def write(fd: int, data: Any) -> int:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = real(fd, bytes(data[: left[0]]))
        left[0] -= count
        return count

    monkeypatch.setattr(os, "write", write)


def start_python(code: str, *arguments: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)])


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)
