"""A rollout that a step still trains on: what a checkpoint between two updates of it must hold.

The rows of all processes go into it, with the numbers that stay fixed and the sums so far, so that
a resumed step goes on with its next update and samples nothing again. As many processes as before
take up their own rows; another number of them shares the rows out anew, in the same order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .batch import WeightedRow
from .distributed import Workers
from .grpo_update import Measured, TrainRows, UpdateSums, greatest
from .losses import Totals
from .packed_rows import pack_numbers, pack_rows, unpack_numbers, unpack_rows

_FIXED = ("old", "reference", "values")


@dataclass(slots=True)
class Rollout:
    """What one step trains on. metrics: of the rollout. num_done: updates made of it."""

    batch: TrainRows
    metrics: dict[str, float]
    sums: UpdateSums = field(default_factory=UpdateSums)
    num_done: int = 0


def pack_rollout(rollout: Rollout, workers: Workers) -> dict[str, Any]:
    """As tensors and plain values, of all processes; all must call it."""
    batch, sums = rollout.batch, rollout.sums
    mine = {
        "rows": pack_rows(batch.rows),
        "fixed": {name: pack_numbers(getattr(batch.measured, name)) for name in _FIXED},
        "sums": {name: float(value) for name, value in sums.sums.items()},
        "largest": {name: float(value) for name, value in sums.largest.items()},
    }
    return {
        "parts": workers.gather([mine]),
        "totals": asdict(batch.totals),
        "metrics": {name: _number(value) for name, value in rollout.metrics.items()},
        "num_done": rollout.num_done,
        "num_updates": sums.updates,
        "num_skipped": sums.skipped,
    }


def unpack_rollout(saved: Mapping[str, Any], workers: Workers) -> Rollout:
    """This process's part of what was packed."""
    parts = saved["parts"]
    if any("largest" not in part for part in parts):
        raise ValueError(
            "a checkpoint within a step must be of this version; got one of an older one: remove "
            "it, and the run goes on from the one before"
        )
    if len(parts) == workers.size:
        mine = parts[workers.rank]
        rows, sums, largest = unpack_rows(mine["rows"]), mine["sums"], dict(mine["largest"])
    else:
        every = [row for part in parts for row in unpack_rows(part["rows"])]
        rows, sums = workers.share(every), _total(parts) if workers.is_main else {}
        largest = greatest([part["largest"] for part in parts])
    batch = TrainRows(rows=rows, totals=Totals(**saved["totals"]), measured=_measured(parts, rows))
    done = UpdateSums(
        sums=dict(sums),
        largest=largest,
        updates=saved["num_updates"],
        skipped=saved["num_skipped"],
    )
    return Rollout(batch, dict(saved["metrics"]), done, saved["num_done"])


def _measured(parts: Sequence[Mapping[str, Any]], rows: Sequence[WeightedRow]) -> Measured:
    """The fixed numbers of these rows, whichever process had them."""
    wanted = {row.index for row in rows}
    found: dict[str, dict[int, Any]] = {name: {} for name in _FIXED}
    for part in parts:
        for name in _FIXED:
            numbers = unpack_numbers(part["fixed"][name])
            found[name] |= {index: each for index, each in numbers.items() if index in wanted}
    return Measured(**found)


def _number(value: float) -> float:
    """A number of Python's own; whole ones stay whole, as the log writes them."""
    return int(value) if isinstance(value, int) else float(value)


def _total(parts: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, value in part["sums"].items():
            total[name] = total.get(name, 0.0) + value
    return total
