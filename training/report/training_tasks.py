"""What a report says of tasks that a policy was both trained and measured on.

Read from the run folder's `contamination.json` (`..overlap`), never computed here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..overlap import read_overlap
from .results import Run

NOT_RECORDED = "Overlap of training and evaluation tasks: not recorded in this run folder."
STAGES = {"pretrain": "pretraining", "warmup": "warm-up", "sft": "SFT", "grpo": "GRPO"}


def overlap_notes(folder: Path) -> tuple[str, bool]:
    """One sentence, and whether it is a warning: some evaluation task has been trained on."""
    record = read_overlap(folder)
    try:
        return _told(record) if record is not None else (NOT_RECORDED, False)
    except (KeyError, TypeError, AttributeError):  # a file that somebody changed
        return NOT_RECORDED, False


def run_overlap_notes(run: Run) -> tuple[list[str], bool]:
    """The same of a run, or of every policy of several side by side; whether any is a warning."""
    if not run.sources:
        note, is_warning = overlap_notes(run.folder)
        return [note], is_warning
    told = {arm: overlap_notes(folder) for arm, folder in run.sources.items()}
    notes = [f"{run.arm_words(arm)}: {note}" for arm, (note, _) in told.items()]
    return notes, any(is_warning for _, is_warning in told.values())


def _told(record: Mapping[str, Any]) -> tuple[str, bool]:
    cells: Mapping[str, Any] = record["measured"]
    if not cells:
        return "Overlap of training and evaluation tasks: every cell is of another game.", False
    before = record["before"]
    unknown = [*record["unknown"], *(before["unknown"] if before else [])]
    seen = {
        stage: [(cell, each["seen"][stage], each["num_tasks"]) for cell, each in cells.items()]
        for stage in dict.fromkeys(name for each in cells.values() for name in each["seen"])
    }
    most = max((each["num_tasks"] for each in cells.values()), default=0)
    size = f"the first {most} distinct evaluation tasks of each cell, by canonical id"
    parts = []
    found = {stage: [each for each in counts if each[1]] for stage, counts in seen.items()}
    bad = {stage: counts for stage, counts in found.items() if counts}
    for stage, counts in bad.items():
        where = ", ".join(f"{count} of {total} in {cell}" for cell, count, total in counts)
        parts.append(f"{_stage(stage)} has met evaluation tasks ({where})")
    clean = [stage for stage in seen if stage not in bad]
    if clean:
        parts.append(f"none is among the first tasks of {_listed(clean)}")
    if unknown:
        parts.append(f"the files of {_listed(unknown)} do not name their tasks")
    if before is None:
        parts.append("what the policy was trained on before is not known")
    elif before["unit"] not in ("", record["unit"]):
        parts.append(f"its run {before['run']} trained on other tasks ({before['unit']})")
    if not parts:
        words = "Overlap of training and evaluation tasks: this policy was trained on nothing."
        return words, False
    return f"Overlap of training and evaluation ({size}): {'; '.join(parts)}.", bool(bad)


def _stage(name: str) -> str:
    return STAGES.get(name, name)


def _listed(stages: Sequence[str]) -> str:
    names = [_stage(name) for name in stages]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
