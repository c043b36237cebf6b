"""Progress that people see: of a loop, and of a training process, here or for a parent to show.

How it is drawn is in `bar.py`.
"""

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from .bar import Bar, Quantity
from .files import atomic_write_json

T = TypeVar("T")

STATUS_EVERY_S = 0.5
SHOWN_METRICS = ("success", "reward/mean", "loss")  # in a bar, if the caller names no quantity


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


def _length(items: Iterable[Any]) -> int | None:
    try:
        return len(items)  # type: ignore[arg-type]
    except TypeError:
        return None
