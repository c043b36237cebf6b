"""Which tasks a policy was trained on and is measured on: kept in the run folder, told in reports.

    <run>/contamination.json
        unit        what keys stand for: a hand, a hand with its target, a route
        trained     keys of the first tasks of every stage of this run, by stage
        unknown     stages that are trained on demonstrations from files, which name no tasks
        before      the same of the run that `policy.path` lies in; null where it is not known
        measured    by cell: distinct tasks, and how many of them each stage has seen

A task counts as seen if any of its keys (its ranks, its values) is a stage's. A checkpoint that is
moved out of its run folder, and a model from a hub, have no record of what they were trained on.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..agents.config import PolicyConfig
from .files import atomic_write_json

if TYPE_CHECKING:  # a report reads the record and needs no policy, so no torch
    from .contamination import DealtTasks

OVERLAP_FILE = "contamination.json"


def write_overlap(root: Path, dealt: "DealtTasks", policy: PolicyConfig) -> None:
    """Write the record of a run folder, once: what resumes a run is the same configuration."""
    path = root / OVERLAP_FILE
    if path.exists():
        return
    before = _before(policy)
    stages = {**_trained(before, dealt.unit), **dealt.trained}
    record = {
        "unit": dealt.unit,
        "trained": {stage: sorted(keys) for stage, keys in dealt.trained.items()},
        "unknown": list(dealt.unknown),
        "before": before,
        "measured": counted(dealt, stages),
    }
    atomic_write_json(path, record)


def counted(dealt: "DealtTasks", stages: Mapping[str, frozenset[str]]) -> dict[str, Any]:
    """By cell: `num_tasks`, and how many of them each of these stages has `seen`."""
    return {
        cell: {
            "num_tasks": len(tasks),
            "seen": {
                stage: sum(not keys.isdisjoint(task) for task in tasks)
                for stage, keys in stages.items()
            },
        }
        for cell, tasks in dealt.measured.items()
    }


def read_overlap(root: Path) -> dict[str, Any] | None:
    """The record of a run folder; None where there is none that can be read."""
    try:
        record = json.loads((root / OVERLAP_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _before(policy: PolicyConfig) -> dict[str, Any] | None:
    """What the policy was trained on before this run: by stage, as far as its run folder tells.

    None: not known. A policy that is built here, or that is no model, was trained on nothing.
    """
    nothing: dict[str, Any] = {"unit": "", "trained": {}, "unknown": [], "run": None}
    if policy.path is None:
        return nothing if policy.base_url is None else None
    folder = Path(policy.path).expanduser().resolve()
    for root in (folder, *folder.parents):
        record = read_overlap(root)
        if record is not None:
            return _merged(record, root)
    return None


def _merged(record: Mapping[str, Any], root: Path) -> dict[str, Any] | None:
    """A run's own stages and those before it; None where the latter are not known."""
    before = record["before"]
    if before is None:
        return None
    return {
        "unit": record["unit"],
        "trained": {**before["trained"], **record["trained"]},
        "unknown": [*before["unknown"], *record["unknown"]],
        "run": f"{root.parent.name}/{root.name}",
    }


def _trained(before: Mapping[str, Any] | None, unit: str) -> dict[str, frozenset[str]]:
    """Keys by stage of an earlier run whose tasks can be compared with those of this one."""
    if before is None or before["unit"] != unit:
        return {}
    return {stage: frozenset(keys) for stage, keys in before["trained"].items()}
