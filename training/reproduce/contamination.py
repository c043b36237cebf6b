"""Whether a policy was measured on tasks that it was trained on, for every run and cell.

A run folder records it (`..overlap`). One of an older version has no record, and one that only
measures another run's policies has none of their training: there the tasks of the study's
configuration are dealt again, as the record would have been made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..contamination import check_contamination
from ..overlap import counted, read_overlap
from ..report.results import Run
from ..report.words import CellWords
from .plan import PlannedRun

SHAPE_TASKS = ("env.", "pretrain", "warmup", "suite.", "evaluate.seed", "sft.data")  # settings


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOverlap:
    """One cell of a run.

    num_tasks: distinct evaluation tasks that were looked at, the first of the cell. seen: how many
    of them each stage has among its first training tasks; empty where that is not known.
    is_recorded: read from the run folder; else dealt again.
    """

    label: str
    cell: str
    words: CellWords
    num_tasks: int
    seen: Mapping[str, int]
    is_recorded: bool

    @property
    def is_bad(self) -> bool:
        return any(self.seen.values())


def overlaps(plan: Sequence[PlannedRun], runs: Mapping[str, Run]) -> list[CellOverlap]:
    """Of every run that was read (by label), in the order of the plan and of its cells."""
    return [row for run in plan if run.label in runs for row in _of_run(run, runs[run.label])]


def stages_of(run: PlannedRun) -> list[str]:
    """What the measured policies were trained in, before and during the study."""
    config = run.config
    first = ["pretrain"] if config.pretrain is not None and config.policy.path is None else []
    return [*first, *(["warmup"] if config.warmup is not None else []), *run.arms]


def _of_run(run: PlannedRun, read: Run) -> list[CellOverlap]:
    record = read_overlap(run.root)
    measured = _recorded(record)
    is_recorded = any(cell["seen"] for cell in measured.values())
    if not is_recorded and not _differs(run):
        dealt = check_contamination(run.config, stages_of(run), refuse=False)
        measured = counted(dealt, dealt.trained)
    return [
        CellOverlap(
            label=run.label,
            cell=cell,
            words=read.words(cell),
            num_tasks=int(found["num_tasks"]),
            seen={name: found["seen"][name] for name in stages_of(run) if name in found["seen"]},
            is_recorded=is_recorded,
        )
        for cell, found in measured.items()
    ]


def _recorded(record: Mapping[str, Any] | None) -> dict[str, Any]:
    measured = (record or {}).get("measured")
    return dict(measured) if isinstance(measured, Mapping) else {}


def _differs(run: PlannedRun) -> bool:
    """Whether a folder that was taken may have dealt other tasks than the study does."""
    return any(setting.startswith(SHAPE_TASKS) for setting in run.differs)
