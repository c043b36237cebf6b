"""Kill a command again and again, resume it, and compare its folder with an undisturbed run's.

    command = [sys.executable, "-m", "cardinal_gym.training.cli", "sft", ...]
    check_resume(command, tmp_path, run_folder="runs/test/sft", kills=3, seed=0)

Both runs get the same command line, each in a working directory of its own, so that nothing in the
stored configuration differs; a start after a kill adds `resume=true`. A kill is SIGKILL to the
whole process group at a random moment between two lines of the run's `metrics.jsonl`, or at a
random time of the start-up.
"""

import fnmatch
import os
import random
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Files that may differ between two runs: times, machine, logs for people.
VOLATILE = (
    "environment.json", "*/environment.json", "*timings.jsonl", "*tensorboard/*", "*.log", "*.lock",
    "*status.json", "*.hydra/*",
)  # fmt: skip
POLL_S = 0.005


@dataclass(slots=True)
class ResumeReport:
    """What happened: metric lines seen when each kill struck, and what differs in the end."""

    kills: list[int] = field(default_factory=list)
    starts: int = 0
    differences: list[str] = field(default_factory=list)


def check_resume(
    command: Sequence[str],
    workspace: Path,
    *,
    run_folder: str,
    kills: int = 3,
    seed: int = 0,
    resume_argument: str = "resume=true",
    metrics: str = "metrics.jsonl",
    volatile: Sequence[str] = VOLATILE,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 300.0,
) -> ResumeReport:
    """Run `command` undisturbed and, elsewhere, with `kills` kills; AssertionError if they differ.

    run_folder: of the command, relative to its working directory.
    metrics: file inside the run folder whose lines count the progress.
    """
    workspace = workspace.resolve()
    whole, killed = workspace / "whole", workspace / "killed"
    whole.mkdir(parents=True)
    killed.mkdir(parents=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
    start = time.monotonic()
    _finish(_start(command, whole, environment), whole, timeout_s)
    duration_s = time.monotonic() - start
    num_lines = _count_lines(whole / run_folder / metrics)
    assert num_lines > 1, f"{run_folder}/{metrics} must have lines to kill between; got {num_lines}"

    rng, report = random.Random(seed), ResumeReport()
    targets = sorted(rng.randrange(num_lines) for _ in range(kills))
    jitter_s = 2 * duration_s / num_lines
    for target in targets:
        process = _start(_command(command, resume_argument, report), killed, environment)
        struck = _kill_after(
            process, killed / run_folder / metrics, target, rng.uniform(0, jitter_s), timeout_s
        )
        report.starts += 1
        if not struck:  # it ended first
            _finish(process, killed, timeout_s)
            break
        report.kills.append(_count_lines(killed / run_folder / metrics))
    final = _start(_command(command, resume_argument, report), killed, environment)
    report.starts += 1
    _finish(final, killed, timeout_s)
    report.differences = compare_folders(whole / run_folder, killed / run_folder, volatile)
    assert not report.differences, "\n".join(["resumed run differs:", *report.differences])
    return report


def compare_folders(left: Path, right: Path, volatile: Sequence[str] = VOLATILE) -> list[str]:
    """Files, by relative path, that only one side has or whose bytes differ."""
    names = {side: _files(side, volatile) for side in (left, right)}
    differences = [f"{name}: only in {left}" for name in sorted(names[left] - names[right])]
    differences += [f"{name}: only in {right}" for name in sorted(names[right] - names[left])]
    for name in sorted(names[left] & names[right]):
        one, two = (left / name).read_bytes(), (right / name).read_bytes()
        if one != two:
            first = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), -1)
            differences.append(
                f"{name}: {len(one)} and {len(two)} bytes, first difference at byte {first}"
            )
    return differences


def _command(command: Sequence[str], resume_argument: str, report: ResumeReport) -> list[str]:
    return [*command, resume_argument] if report.starts else list(command)


def _start(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    with open(cwd / "output.log", "ab") as log:
        return subprocess.Popen(
            command, cwd=cwd, env=dict(env), stdout=log, stderr=log, start_new_session=True
        )


def _finish(process: "subprocess.Popen[bytes]", cwd: Path, timeout_s: float) -> None:
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        _kill(process)
        raise
    tail = (cwd / "output.log").read_text(errors="replace")[-3000:]
    assert code == 0, f"exit status {code}:\n{tail}"


def _kill_after(
    process: "subprocess.Popen[bytes]", metrics: Path, lines: int, delay_s: float, timeout_s: float
) -> bool:
    """Kill `delay_s` after the file has more than `lines` lines; False if the process ended first.

    With 0 lines the delay counts from the start: the kill may hit the start-up.
    """
    deadline = time.monotonic() + timeout_s
    while lines and _count_lines(metrics) <= lines and process.poll() is None:
        assert time.monotonic() < deadline, f"no progress within {timeout_s} s"
        time.sleep(POLL_S)
    until = time.monotonic() + delay_s
    while time.monotonic() < until and process.poll() is None:
        time.sleep(min(POLL_S, delay_s))
    if process.poll() is not None:
        return False
    _kill(process)
    return True


def _kill(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)  # a session of its own: reaches its children as well
    process.wait()


def _count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _files(folder: Path, volatile: Sequence[str]) -> set[str]:
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return {name for name in names if not any(fnmatch.fnmatch(name, each) for each in volatile)}
