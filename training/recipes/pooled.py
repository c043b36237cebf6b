"""Results of one policy over all seeds, and numbers as JSON holds them."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arms import seed_folder
from ..statistics import Cluster, Interval, units
from .measures import Measured, read_measured

Pooled = dict[str, np.ndarray]  # of all seeds, with `run_seed` and `unit`; one entry per episode


def measured_path(root: Path, seed: int, stage: str, policy: str, place: str) -> Path:
    """The file of one policy's results."""
    return seed_folder(root, seed) / stage / f"{policy}_{place}.npz"


def pooled(
    root: Path,
    seeds: Sequence[int],
    stage: str,
    policy: str,
    place: str,
    cluster: Cluster = Cluster.hand,
) -> Pooled:
    """One policy's episodes at one place, seed after seed.

    cluster: what `unit`, by which intervals cluster, names; files hold the finer `task_id`.
    """
    parts: list[Measured] = []
    for seed in seeds:
        part = read_measured(measured_path(root, seed, stage, policy, place))
        parts.append({**part, "run_seed": np.full(len(part["success"]), seed)})
    found = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return {**found, "unit": units(found["task_id"], cluster)}


def plain(value: Interval | None) -> dict[str, Any] | None:
    """As JSON; limits that are not finite become null."""
    if value is None:
        return None
    found = dataclasses.asdict(value)
    return {
        key: None if isinstance(item, float) and not math.isfinite(item) else item
        for key, item in found.items()
    }
