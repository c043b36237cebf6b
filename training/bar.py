"""One line of progress: a bar on a terminal, now and then a plain line elsewhere.

Nothing is shown for work that takes less than two seconds. Bars and lines go to standard error.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm

Quantity = Callable[[], str]

SILENT_S = 2.0  # shorter work shows nothing
LINE_EVERY_S = 10.0  # away from a terminal
REDRAW_S = 0.2  # on a terminal


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
