"""How far rewards by a model and the rule's verdicts go together, in a recipe's summary.

Of every measured policy: what a reward model would pay for its answers, beside the share that is
right. A policy that games its reward model is paid more than it is right (`gap`), by answers that
are wrong and pass (`wrong paid`). And of every reward model: its agreement with the rule on the
held-out verdicts that it was trained beside.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arms import seed_folder
from ..judging.agreement import THRESHOLD, area_under_curve
from ..statistics import (
    Interval,
    clustered_mean,
    clustered_rate,
    clustered_ratio,
    mean_over_seeds,
)
from .config import StageKind
from .judging import AGREEMENT_NAME
from .measures import SCORE_PREFIX
from .outline import StageOutline
from .pooled import plain

HELD_OUT = ("accuracy", "auc", "paid_wrong", "refused_right")


def judged(data: Mapping[str, np.ndarray]) -> dict[str, dict[str, Interval | float | None]]:
    """By reward model: mean score, gap, agreement, wrong answers paid, and AUC over seeds.

    data: arrays of all seeds with one entry per episode. None where nothing can be said.
    """
    return {
        name.removeprefix(SCORE_PREFIX): _judged(data, data[name])
        for name in data
        if name.startswith(SCORE_PREFIX)
    }


def held_out_agreement(
    stages: Sequence[StageOutline], root: Path, seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Of every reward model its agreement on held-out verdicts: means, their intervals over seeds
    (`over_seeds`, None for fewer than two), and each seed's.
    """
    found = []
    for stage in stages:
        if stage.kind is not StageKind.reward_model:
            continue
        paths = [seed_folder(root, seed) / stage.name / AGREEMENT_NAME for seed in seeds]
        by_seed = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
        values = {name: [each[name] for each in by_seed if name in each] for name in HELD_OUT}
        means: dict[str, Any] = {name: _mean(each) for name, each in values.items()}
        means["over_seeds"] = {name: plain(mean_over_seeds(each)) for name, each in values.items()}
        count = sum(each["n"] for each in by_seed)
        outcomes = pooled_outcomes([each["by_outcome"] for each in by_seed])
        told = {"stage": stage.name, "kind": stage.model, "n": count, **means}
        told["by_outcome"] = outcomes
        found.append({**told, "by_seed": by_seed})
    return found


def pooled_outcomes(
    by_seed: Sequence[Mapping[str, Mapping[str, float]]],
) -> dict[str, dict[str, Any]]:
    """Of each outcome n over all seeds, and how often the model agreed with the rule; `interval`
    takes what one seed judged for one observation, and is None for one seed.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in sorted({name for seed in by_seed for name in seed}):
        parts = [seed[name] for seed in by_seed if name in seed]
        counts = [part["n"] for part in parts]
        agreed = [round(part["n"] * part["accuracy"]) for part in parts]
        several = len(parts) > 1
        over = clustered_ratio(agreed, counts, range(len(parts))) if several else None
        accuracy = sum(agreed) / sum(counts)
        found[name] = {"n": sum(counts), "accuracy": accuracy, "interval": plain(over)}
    return found


def _judged(
    data: Mapping[str, np.ndarray], scores: np.ndarray
) -> dict[str, Interval | float | None]:
    right, tasks, seeds = data["success"].astype(bool), data["unit"], data["run_seed"]
    says = scores >= THRESHOLD
    areas = [
        area_under_curve(scores[seeds == seed], right[seeds == seed]) for seed in np.unique(seeds)
    ]
    known, wrong = [area for area in areas if area is not None], ~right
    paid = clustered_rate(says[wrong], tasks[wrong], seeds[wrong]) if wrong.any() else None
    return {
        "score": clustered_mean(scores, tasks, seeds),
        "gap": clustered_mean(scores - right, tasks, seeds),
        "agrees": clustered_rate(says == right, tasks, seeds),
        "wrong_paid": paid,
        "auc": _mean(known),
        "auc_over_seeds": mean_over_seeds(known),
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
