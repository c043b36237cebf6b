"""How RL changed what it sampled while it trained: ends and curves of logged metrics, over seeds.

A stage of equal compute takes another number of steps with every seed, so curves are cut into ten
parts of a stage's steps: each seed's mean within the part, then the mean and Student's interval
over seeds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arms import seed_folder
from ..metrics import read_jsonl
from ..statistics import mean_over_seeds
from .pooled import plain

NUM_PARTS = 10
METRICS = (
    "success", "reward/tags", "reward/consistency", "episodes/mean_tokens",
    "episodes/mean_tokens_right", "episodes/mean_tokens_wrong", "groups/zero_variance",
    "tools/calls", "tools/episodes", "tools/errors",
    "reward/model", "reward/rule", "judge/accuracy", "judge/auc", "judge/paid_wrong",
    "dpo/margin", "dpo/accuracy",
)  # fmt: skip
COMPARED = (  # between stages that are a pair
    "success", "episodes/mean_tokens", "episodes/mean_tokens_right", "episodes/mean_tokens_wrong",
)  # fmt: skip


def over_training(root: Path, stage: str, seeds: Sequence[int]) -> dict[str, Any]:
    """By metric: means of the first and of the last tenth of the steps, and the curve between.

    over_seeds: Student's intervals of both ends. change: of the last less the first, with its own.
    All of them are None for one seed. by_seed: both ends of every seed. curve: see `curve`.
    """
    logs = [read_jsonl(seed_folder(root, seed) / stage / "metrics.jsonl") for seed in seeds]
    found = {name: told for name in METRICS if (told := _metric(name, logs)) is not None}
    return {"stage": stage, "steps": [len(rows) for rows in logs], "metrics": found}


def differences(
    root: Path, pairs: Sequence[tuple[str, str]], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Of stages (a, b) trained beside each other: b less a, over all of training, by metric.

    Each seed's mean of its ten parts, paired by seed, with Student's interval over seeds. Pairs
    that have not both logged a metric with two seeds are left out.
    """
    found = []
    for first, second in pairs:
        for name in COMPARED:
            by_seed = []
            for seed in seeds:
                a, b = (_whole(root, seed, stage, name) for stage in (first, second))
                if a is not None and b is not None:
                    by_seed.append(b - a)
            change = mean_over_seeds(by_seed)
            if change is not None:
                told = {"from": first, "to": second, "metric": name, "change": plain(change)}
                found.append({**told, "by_seed": by_seed})
    return found


def curve(series: Sequence[Sequence[float | None]]) -> list[dict[str, Any]]:
    """The parts of training: `at` (their middle, of 1), estimate, low, high and n, seeds.

    series: by seed, a value for every step, None where it was not logged. Parts without any value
    are left out; limits are None for fewer than two seeds.
    """
    found = []
    for part in range(NUM_PARTS):
        means = [mean for values in series if (mean := _part(values, part)) is not None]
        if not means:
            continue
        spread = mean_over_seeds(means)
        found.append(
            {
                "at": (part + 0.5) / NUM_PARTS,
                "estimate": float(np.mean(means)),
                "low": None if spread is None else spread.low,
                "high": None if spread is None else spread.high,
                "n": len(means),
            }
        )
    return found


def _whole(root: Path, seed: int, stage: str, name: str) -> float | None:
    """The mean of a metric over a stage's training, part by part; None where it was not logged."""
    rows = read_jsonl(seed_folder(root, seed) / stage / "metrics.jsonl")
    values = [row.get(name) for row in rows]
    parts = [mean for part in range(NUM_PARTS) if (mean := _part(values, part)) is not None]
    return float(np.mean(parts)) if parts else None


def _metric(name: str, logs: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any] | None:
    """One metric of all seeds; None where no seed logged it."""
    ends = [_ends([row[name] for row in rows if name in row]) for rows in logs]
    known = [end for end in ends if end is not None]
    if not known:
        return None
    first, last = zip(*known, strict=True)
    return {
        "first": float(np.mean(first)),
        "last": float(np.mean(last)),
        "over_seeds": {
            "first": plain(mean_over_seeds(first)),
            "last": plain(mean_over_seeds(last)),
        },
        "change": plain(mean_over_seeds([after - before for before, after in known])),
        "by_seed": known,
        "curve": curve([[row.get(name) for row in rows] for rows in logs]),
    }


def _ends(values: Sequence[float]) -> tuple[float, float] | None:
    """Means of the first and the last tenth, of one value at least; None where there is none."""
    if not values:
        return None
    tenth = max(len(values) // 10, 1)
    return float(np.mean(values[:tenth])), float(np.mean(values[-tenth:]))


def _part(values: Sequence[float | None], part: int) -> float | None:
    """The mean of one part of the steps; None where nothing was logged in it."""
    first = part * len(values) // NUM_PARTS
    last = (part + 1) * len(values) // NUM_PARTS
    known = [value for value in values[first:last] if value is not None]
    return float(np.mean(known)) if known else None
