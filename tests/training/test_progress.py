"""Progress: silent when short, plain lines away from a terminal, bars of children for a parent."""

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import textwrap
import threading
from pathlib import Path

import pytest
from cardinal_gym.training import bar as bar_module
from cardinal_gym.training import progress as module
from cardinal_gym.training.bar import Bar, format_line
from cardinal_gym.training.progress import ProgressReporter, progress, read_status


class Clock:
    """Replaces time.monotonic."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(bar_module, "time", clock)
    return clock


def test_short_work_shows_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress(range(10), "short"):
        clock.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_long_work_shows_a_line_every_ten_seconds_and_the_last(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in progress(range(25), "long", "task", lambda: "success 0.50"):
        clock.sleep(1.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "long  2/25 8%  1 task/s  00:23 left  success 0.50",
        "long  12/25 48%  1 task/s  00:13 left  success 0.50",
        "long  22/25 88%  1 task/s  00:03 left  success 0.50",
        "long  25/25 100%  1 task/s  success 0.50",
    ]


def test_the_items_come_through_unchanged() -> None:
    assert list(progress(iter("abc"), "letters")) == ["a", "b", "c"]
    assert list(progress(3, "count")) == [0, 1, 2]


def test_a_total_can_be_counted_by_hand_even_when_it_fails(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        with progress(10, "hand", "file") as bar:
            clock.sleep(8.0)
            bar.update(4)
            clock.sleep(8.0)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert capsys.readouterr().err.splitlines() == [
        "hand  4/10 40%  2 s/file  00:12 left",
        "hand  4/10 40%  4 s/file  00:24 left",
    ]


def test_the_quantity_is_asked_only_when_something_is_drawn(clock: Clock) -> None:
    asked = []
    for _ in progress(range(1000), "many", quantity=lambda: str(asked.append(1))):
        clock.sleep(0.01)
    assert len(asked) == 2  # at 2 s and at the end


@pytest.mark.parametrize("columns", [100, 0])  # some pseudo-terminals claim to have no columns
def test_a_terminal_gets_a_bar_with_rate_and_quantity(columns: int) -> None:
    output = on_terminal(
        """
        with module.ProgressReporter() as reporter:
            for step in range(1, 11):
                time.sleep(0.06)
                reporter.update(stage="sft", step=step, total=10, success=step / 10)
        """,
        columns,
    )
    assert re.search(r"sft: +[5-9]0%.* [5-9]/10 .*step/s, success 0\.[5-9]", output), output
    assert re.search(r"10/10 .*success 1", output.splitlines()[-1]), output


def test_a_long_step_shows_what_it_is_doing() -> None:
    """tqdm draws when the count moves; the rollout of a large policy takes minutes of one step."""
    output = on_terminal(
        """
        with module.ProgressReporter() as reporter:
            for part in range(1, 21):
                time.sleep(0.06)
                reporter.update(stage="grpo", step=1, total=3, quantity=f"rollout {part}/20")
        """
    )
    assert len(set(re.findall(r"rollout (\d+)/20", output))) >= 4, output


def test_a_short_bar_leaves_the_terminal_clean() -> None:
    terminal = Terminal()
    bar = Bar("sft", 4, file=terminal)
    bar.show(4)
    bar.close()
    assert terminal.getvalue().strip() == ""


def test_threads_count_together() -> None:
    bar = progress(4000, "threads")
    threads = [
        threading.Thread(target=lambda: [bar.update() for _ in range(1000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bar._bar.step == 4000


def test_format_line_leaves_out_what_is_unknown() -> None:
    assert format_line("a", 0, None, "it", 0.0, "") == "a  0 it"
    assert format_line("a", 5, 10, "it", 0.5, "") == "a  5/10 50%  2 s/it  00:10 left"


def test_a_reporter_writes_at_most_twice_a_second(clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    seen = []
    with ProgressReporter(path) as reporter:
        for step in range(1, 101):
            reporter.update(stage="grpo", step=step, total=100, success=0.25, loss=1.0)
            status = json.loads(path.read_text())
            if not seen or seen[-1] != status:
                seen.append(status)
            clock.sleep(0.125)
    assert [status["step"] for status in seen] == [*range(1, 100, 4), 100]
    assert seen[5] == {
        "stage": "grpo", "step": 21, "total": 100, "unit": "step", "rate": 8.0,
        "quantity": "success 0.25 loss 1",
    }  # fmt: skip


def test_a_reporter_estimates_the_total_of_a_budget(tmp_path: Path) -> None:
    with ProgressReporter(tmp_path / "s.json") as reporter:
        reporter.update(stage="sft", step=10, done=0.25)
    assert read_status(tmp_path / "s.json")["total"] == 40  # type: ignore[index]


def test_a_reporter_without_a_path_draws_here(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressReporter() as reporter:
        for step in range(11, 15):  # a resumed run: the rate counts only what was done now
            clock.sleep(1.0)
            reporter.update(stage="sft", step=step, total=20, loss=0.5)
    assert capsys.readouterr().err.splitlines()[-1].startswith("sft  14/20 70%")


def test_a_stage_may_count_something_else(
    clock: Clock, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with ProgressReporter() as reporter, ProgressReporter(tmp_path / "s.json") as writer:
        for step in range(0, 60, 15):
            for each in (reporter, writer):
                each.update(stage="evaluating", step=step, total=60, unit="episode")
            clock.sleep(3.0)
    assert "evaluating  45/60 75%  3.75 episode/s" in capsys.readouterr().err
    assert read_status(tmp_path / "s.json")["unit"] == "episode"  # type: ignore[index]
    bar = Bar("sft")
    bar.restart("evaluating", 60, 0, "episode")
    assert bar.unit == "episode"


def test_a_status_that_is_missing_or_damaged_is_none(tmp_path: Path) -> None:
    assert read_status(tmp_path / "none.json") is None
    (tmp_path / "bad.json").write_text("{")
    assert read_status(tmp_path / "bad.json") is None


def on_terminal(code: str, columns: int = 100) -> str:
    """What a script draws on a pseudo-terminal; `time` and the `module` are imported, and anything
    longer than a tenth of a second is shown."""
    head = "import time\nfrom cardinal_gym.training import bar, progress as module\n"
    script = f"{head}bar.SILENT_S = 0.1\n{textwrap.dedent(code)}"
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30 if columns else 0, columns, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=slave, stderr=slave, stdin=slave
    )
    os.close(slave)
    output = read_all(master)
    assert child.wait() == 0, output
    return output


def read_all(fd: int) -> str:
    """Until the other end of the pseudo-terminal is closed, which Linux reports as an error."""
    data = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(fd, 65_536):
            data += chunk
    os.close(fd)
    return data.decode().replace("\r\n", "\n").replace("\r", "\n").strip()
