"""Progress that people see: a bar on a terminal, now and then a line elsewhere, bars of children.

Nothing is shown for work that takes less than two seconds. Bars and lines go to standard error.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar, overload

from tqdm import tqdm

from .files import atomic_write_json

T = TypeVar("T")
Quantity = Callable[[], str]

SILENT_S = 2.0  # shorter work shows nothing
LINE_EVERY_S = 10.0  # away from a terminal
STATUS_EVERY_S = 0.5
REDRAW_S = 0.2  # on a terminal
SHOWN_METRICS = ("success", "reward/mean", "loss")  # in a bar, if the caller names no quantity


class Bar:
    """One line of progress. Safe to update from several threads.

    position: row of the bar among several at once, 0 for the first.
    file: where to draw; None: standard error as it is when the bar is made.
    """

    def __init__(
        self,
        description: str,
        total: int | None = None,
        unit: str = "step",
        *,
        initial: int = 0,
        position: int | None = None,
        file: TextIO | None = None,
    ) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.step = self._initial = initial
        self._quantity = ""
        self._file = file or sys.stderr
        self._lock = threading.RLock()
        self._start_s = time.monotonic()
        self._last_line_s = self._start_s - LINE_EVERY_S + SILENT_S  # the first after SILENT_S
        self._last_line = ""
        self._asked_s = self._redrawn_s = self._start_s
        self._closed = False
        self._bar: Any = None
        if self._file.isatty():
            self._bar = tqdm(
                total=total, desc=description, unit=f" {unit}", initial=initial, delay=SILENT_S,
                position=position, file=self._file, **_width(self._file), mininterval=REDRAW_S,
            )  # fmt: skip

    def show(
        self, step: int, *, total: int | None = None, quantity: str | Quantity | None = None
    ) -> None:
        """Set the number of finished steps; `quantity` (or its result) stands behind the rate.

        A callable is asked only when something is about to be drawn.
        """
        with self._lock:
            advance, self.step = step - self.step, step
            self.total = total if total is not None else self.total
            if self._bar is None:
                if time.monotonic() - self._last_line_s >= LINE_EVERY_S:
                    self._ask(quantity)
                    self._write_line()
                elif isinstance(quantity, str):
                    self._quantity = quantity
                return
            self._bar.total = self.total
            if isinstance(quantity, str) or time.monotonic() - self._asked_s >= REDRAW_S:
                self._ask(quantity)
                self._bar.set_postfix_str(self._quantity, refresh=False)
            if advance > 0:
                self._bar.update(advance)
            else:
                self._bar.n = step
                self._redraw()

    def restart(
        self, description: str, total: int | None, initial: int = 0, unit: str | None = None
    ) -> None:
        """Begin another stage on the same line; unit: None keeps the last."""
        with self._lock:
            self.unit = unit or self.unit
            self.description, self.total, self.step, self._initial = (
                description, total, initial, initial,
            )  # fmt: skip
            self._start_s = time.monotonic()
            self._quantity = ""
            if self._bar is not None:
                self._bar.set_description(description, refresh=False)
                self._bar.unit = f" {self.unit}"
                self._bar.reset(total)
                self._bar.n = self._bar.initial = self._bar.last_print_n = initial

    def close(self, quantity: str | Quantity | None = None) -> None:
        """Draw the last state, if the work took long enough to show anything."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._bar is not None:
                self._ask(quantity)
                self._bar.set_postfix_str(self._quantity, refresh=False)
                self._bar.close()
            elif time.monotonic() - self._start_s >= SILENT_S:
                self._ask(quantity)
                self._write_line()

    def line(self) -> str:
        """The state as one plain line, e.g. `sft 120/300 40% 3.1 step/s 1:02<1:33 loss 0.41`."""
        elapsed_s = max(time.monotonic() - self._start_s, 1e-9)
        rate = (self.step - self._initial) / elapsed_s
        return format_line(self.description, self.step, self.total, self.unit, rate, self._quantity)

    def _ask(self, quantity: str | Quantity | None) -> None:
        if quantity is not None:
            self._quantity = quantity if isinstance(quantity, str) else quantity()
            self._asked_s = time.monotonic()

    def _redraw(self) -> None:
        """Show a new quantity within a step, which tqdm alone would not."""
        now_s = time.monotonic()
        if now_s - self._start_s >= SILENT_S and now_s - self._redrawn_s >= REDRAW_S:
            self._redrawn_s = now_s
            self._bar.refresh()

    def _write_line(self) -> None:
        line = self.line()
        if line != self._last_line:
            self._file.write(line + "\n")  # one call, so that lines of processes do not mix
            self._file.flush()
        self._last_line, self._last_line_s = line, time.monotonic()


class Progress(Generic[T]):
    """An iterable, or a counter to `update`, with a bar. Made by `progress`."""

    def __init__(self, items: Iterable[T], bar: Bar, quantity: Quantity | None) -> None:
        self._items, self._bar, self._quantity = items, bar, quantity

    def __iter__(self) -> Iterator[T]:
        with self:
            for item in self._items:
                yield item
                self.update()

    def update(self, count: int = 1) -> None:
        with self._bar._lock:
            self._bar.show(self._bar.step + count, quantity=self._quantity)

    def __enter__(self) -> "Progress[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close(self._quantity)


@overload
def progress(
    items: int | None, description: str, unit: str = ..., quantity: Quantity | None = ...,
    *, position: int | None = ...,
) -> Progress[int]: ...  # fmt: skip
@overload
def progress(
    items: Iterable[T], description: str, unit: str = ..., quantity: Quantity | None = ...,
    *, position: int | None = ...,
) -> Progress[T]: ...  # fmt: skip
def progress(
    items: Any, description: str, unit: str = "it", quantity: Quantity | None = None,
    *, position: int | None = None,
) -> Any:  # fmt: skip
    """Show the progress of a loop, or of `with progress(total, …) as bar: bar.update(n)`.

    items: an iterable, or a total, which as an iterable is `range(total)`; None: of unknown length.
    quantity: called when drawing; what a user cares about, e.g. `lambda: f"success {rate:.2f}"`.
    """
    total = items if items is None or isinstance(items, int) else _length(items)
    if items is None or isinstance(items, int):
        items = range(items or 0)
    return Progress(items, Bar(description, total, unit, position=position), quantity)


class ProgressReporter:
    """The progress of a training process: to a status file that a parent watches, or as a bar here.

    status_path: written atomically, at most twice a second, as {stage, step, total, unit, rate,
        quantity}; None: draw a bar in this process.
    unit: of `step`, where a stage does not say another.
    """

    def __init__(self, status_path: Path | None = None, *, unit: str = "step") -> None:
        self._path, self._unit = status_path, unit
        self._bar: Bar | None = None
        self._status: dict[str, Any] = {}
        self._stage = ""
        self._start = (0.0, 0)  # monotonic seconds, step: of the stage, in this process
        self._written_s = 0.0

    def update(
        self,
        *,
        stage: str,
        step: int,
        total: int | None = None,
        done: float | None = None,
        unit: str | None = None,
        quantity: str | None = None,
        **metrics: float,
    ) -> None:
        """Tell how far `stage` is.

        done: the finished fraction, for a stage that ends at a budget instead of a number of steps.
        metrics: success, mean reward or loss are shown if no `quantity` is given.
        """
        now_s = time.monotonic()
        if total is None and done is not None and done > 0:
            total = max(step, round(step / min(done, 1.0)))
        if quantity is None:
            shown = [f"{n} {metrics[n]:.3g}" for n in SHOWN_METRICS if metrics.get(n) is not None]
            quantity = " ".join(shown[:2])
        is_new = stage != self._stage
        if is_new:
            self._stage, self._start = stage, (now_s, max(step - 1, 0))
        if self._path is None:
            self._draw(is_new, stage, step, total, unit or self._unit, quantity)
            return
        elapsed_s = now_s - self._start[0]
        rate = (step - self._start[1] - 1) / elapsed_s if elapsed_s > 0 else 0.0
        self._status = {
            "stage": stage, "step": step, "total": total, "unit": unit or self._unit,
            "rate": rate, "quantity": quantity,
        }  # fmt: skip
        if is_new or step == total or now_s - self._written_s >= STATUS_EVERY_S:
            self._write(now_s)

    def close(self) -> None:
        """Show the last state."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        elif self._path is not None and self._status:
            self._write(time.monotonic())

    def __enter__(self) -> "ProgressReporter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(
        self, is_new: bool, stage: str, step: int, total: int | None, unit: str, quantity: str
    ) -> None:
        if is_new:
            if self._bar is not None:
                self._bar.close()
            self._bar = Bar(stage, total, unit, initial=self._start[1])
        assert self._bar is not None
        self._bar.show(step, total=total, quantity=quantity)

    def _write(self, now_s: float) -> None:
        assert self._path is not None
        atomic_write_json(self._path, self._status, durable=False)
        self._written_s = now_s


def read_status(path: Path) -> dict[str, Any] | None:
    """What a reporter wrote last; None before its first report."""
    try:
        return dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None


def format_line(
    description: str, step: int, total: int | None, unit: str, rate: float, quantity: str
) -> str:
    parts = [description, f"{step}/{total} {100 * step // total}%" if total else f"{step} {unit}"]
    if rate > 0:
        parts.append(f"{rate:.3g} {unit}/s" if rate >= 1 else f"{1 / rate:.3g} s/{unit}")
        if total and total > step:
            parts.append(f"{tqdm.format_interval((total - step) / rate)} left")
    return "  ".join([*parts, quantity] if quantity else parts)


def _width(file: TextIO) -> dict[str, Any]:
    """Follow the terminal's width; some pseudo-terminals say 0, where tqdm would draw nothing."""
    try:
        known = os.get_terminal_size(file.fileno()).columns > 0
    except (OSError, ValueError):
        known = False
    return {"dynamic_ncols": True} if known else {"ncols": 80, "nrows": 24}


def _length(items: Iterable[Any]) -> int | None:
    try:
        return len(items)  # type: ignore[arg-type]
    except TypeError:
        return None
