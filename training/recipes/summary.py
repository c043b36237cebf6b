"""What every stage of a recipe gained, with intervals, over all seeds: `recipe.json`, `recipe.md`.

For every policy that an `evaluate` stage measured: its rates and means with intervals; the
difference from the policy that it began with, on the same tasks; and what it cost. `pairs` adds
comparisons. Methods are those of the lab (`training/statistics`): tasks and training seeds are two
crossed levels; fewer than three seeds speak of the given policies only. With several comparisons
at once p-values are Holm's.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arms import seed_folder
from ..files import atomic_write_json, atomic_write_text
from ..metrics import read_jsonl
from ..statistics import (
    Interval,
    clustered_mean,
    clustered_rate,
    clustered_ratio,
    holm,
    mean_over_seeds,
    paired_difference,
)
from .config import RecipeConfig, StageKind
from .gaming import held_out_agreement, judged
from .measures import Measured, places, read_measured
from .plan import PlannedStage
from .stages import read_spent
from .tables import as_text

Pooled = dict[str, np.ndarray]  # of all seeds, with `run_seed`; one entry per episode

# how each is estimated from the pooled arrays; `tables.py` has their titles
MEASURES: dict[str, Callable[[Pooled], Interval | None]] = {
    "success": lambda all_: _rate(all_, all_["success"]),
    "tokens": lambda all_: _mean(all_, all_["num_tokens"]),
    "tags": lambda all_: _rate(all_, all_["tags"]),
    "true_steps": lambda all_: _ratio(all_, "true_steps", "steps"),
    "rechecks": lambda all_: _ratio(all_, "rechecks", "steps"),
    "dead_ends": lambda all_: _mean(all_, all_["dead_ends"]),
    "english": lambda all_: _ratio(all_, "english", "marks"),
    "sound": lambda all_: _rate(all_, all_["sound"]),
    "calls": lambda all_: _mean(all_, all_["tool_calls"]) if "tool_calls" in all_ else None,
    "called": lambda all_: _rate(all_, all_["tool_calls"] > 0) if "tool_calls" in all_ else None,
    "tool_errors": lambda all_: _ratio(all_, "tool_errors", "tool_calls"),
}
OVER_TRAINING = (
    "success", "reward/tags", "reward/consistency", "episodes/mean_tokens",
    "episodes/mean_tokens_right", "episodes/mean_tokens_wrong", "groups/zero_variance",
    "tools/calls", "tools/episodes", "tools/errors",
    "reward/model", "reward/rule", "judge/accuracy", "judge/auc", "judge/paid_wrong",
    "dpo/margin", "dpo/accuracy",
)  # fmt: skip


def write_summary(config: RecipeConfig, plan: Sequence[PlannedStage], root: Path) -> str:
    """Write both files below `root`; returns the text of `recipe.md`.

    Only seeds whose evaluations are complete are counted; ValueError where there is none.
    """
    seeds = range(config.seed, config.seed + config.seeds)
    stages = [stage for stage in plan if stage.kind is StageKind.evaluate]
    found = {
        "recipe": config.experiment,
        "about": config.about,
        "tflops": config.tflops,
        "training": [
            _over_training(stage, root, seeds)
            for stage in plan
            if stage.kind in (StageKind.grpo, StageKind.dpo)
        ],
        "costs": [
            _cost(stage, root, seeds) for stage in plan if stage.kind is not StageKind.evaluate
        ],
        "reward_models": held_out_agreement(plan, root, seeds),
        "evaluations": [_evaluation(stage, plan, root, seeds) for stage in stages],
    }
    atomic_write_json(root / "recipe.json", found)
    text = as_text(found)
    atomic_write_text(root / "recipe.md", text)
    return text


def _evaluation(
    stage: PlannedStage, plan: Sequence[PlannedStage], root: Path, seeds: Sequence[int]
) -> dict[str, Any]:
    begins = {each.name: each.start for each in plan}
    compared = [(begins[name], name) for name in stage.policies if begins[name] in stage.policies]
    pairs = list(dict.fromkeys([*compared, *stage.pairs]))
    complete = [seed for seed in seeds if _is_complete(stage, root, seed)]
    if not complete:
        raise ValueError(f"stages.{stage.name} must have been measured; got no complete seed")
    rows, gains = [], []
    for place, _, asked in places(stage, stage.policies[0]):
        data = {name: _pooled(stage, root, complete, name, place) for name in stage.policies}
        for name in stage.policies:
            rows.append(_row(name, place, asked, data[name]))
        for first, second in pairs:
            assert first is not None
            gains.append(_gain(first, second, place, data[first], data[second]))
    if gains:
        adjusted = holm([gain["success"]["p_value"] for gain in gains])
        for gain, p_value in zip(gains, adjusted, strict=True):
            gain["p_holm"] = float(p_value)
    return {"stage": stage.name, "seeds": complete, "policies": rows, "gains": gains}


def _is_complete(stage: PlannedStage, root: Path, seed: int) -> bool:
    folder = seed_folder(root, seed) / stage.name
    wanted = [
        f"{name}_{place}.npz" for name in stage.policies for place, _, _ in places(stage, name)
    ]
    return all((folder / name).exists() for name in wanted)


def _pooled(stage: PlannedStage, root: Path, seeds: Sequence[int], name: str, place: str) -> Pooled:
    parts: list[Measured] = []
    for seed in seeds:
        part = read_measured(seed_folder(root, seed) / stage.name / f"{name}_{place}.npz")
        parts.append({**part, "run_seed": np.full(len(part["success"]), seed)})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _row(name: str, place: str, asked: int | None, data: Pooled) -> dict[str, Any]:
    found: dict[str, Any] = {"policy": name, "place": place, "n": len(data["success"])}
    found |= {key: _plain(estimate(data)) for key, estimate in MEASURES.items()}
    wrong = ~data["success"].astype(bool)
    found["tokens_wrong"] = _plain(_mean(data, data["num_tokens"], wrong))
    scored = judged(data).items()
    found |= {"judged": {name: _plain_all(values) for name, values in scored}} if scored else {}
    found["tokens_right"] = _plain(_mean(data, data["num_tokens"], ~wrong))
    if asked is not None:
        found["asked"] = asked
        found["missed_by"] = _plain(_mean(data, np.abs(data["num_tokens"] - asked)))
    return found


def _gain(first: str, second: str, place: str, a: Pooled, b: Pooled) -> dict[str, Any]:
    """b less a on the same tasks: success, and tokens over all answers."""
    success = paired_difference(a["success"], b["success"], a["task_id"], a["run_seed"])
    tokens = clustered_mean(
        b["num_tokens"].astype(float) - a["num_tokens"], a["task_id"], a["run_seed"]
    )
    return {
        "from": first,
        "to": second,
        "place": place,
        "success": _plain(success),
        "tokens": _plain(tokens),
        "tokens_saved": 1.0 - float(b["num_tokens"].mean() / a["num_tokens"].mean()),
    }


def _cost(stage: PlannedStage, root: Path, seeds: Sequence[int]) -> dict[str, Any]:
    spent = [read_spent(seed_folder(root, seed) / stage.name) for seed in seeds]

    def mean(name: str, scale: float = 1.0) -> float | None:
        values = [each[name] * scale for each in spent if name in each]
        return float(np.mean(values)) if values else None

    return {
        "stage": stage.name,
        "kind": stage.kind.value,
        "start": stage.start,
        "tflops": mean("flops", 1e-12),
        "cpu_s": mean("cpu_s"),
        "peak_mib": mean("peak_mib"),
    }


def _over_training(stage: PlannedStage, root: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Means of the first and of the last tenth of an RL stage's steps, by metric, over seeds.

    change: of the second less the first, Student's interval over seeds; None for one seed.
    """
    logs = [read_jsonl(seed_folder(root, seed) / stage.name / "metrics.jsonl") for seed in seeds]
    found: dict[str, Any] = {}
    for name in OVER_TRAINING:
        ends = [_ends([row[name] for row in rows if name in row]) for rows in logs]
        known = [end for end in ends if end is not None]
        if known:
            first, last = (float(np.mean(values)) for values in zip(*known, strict=True))
            change = mean_over_seeds([after - before for before, after in known])
            found[name] = {"first": first, "last": last, "change": _plain(change)}
    return {"stage": stage.name, "steps": [len(rows) for rows in logs], "metrics": found}


def _ends(values: Sequence[float]) -> tuple[float, float] | None:
    """Means of the first and the last tenth, of one value at least; None where there is none."""
    if not values:
        return None
    tenth = max(len(values) // 10, 1)
    return float(np.mean(values[:tenth])), float(np.mean(values[-tenth:]))


def _rate(data: Pooled, values: np.ndarray) -> Interval:
    return clustered_rate(values.astype(bool), data["task_id"], data["run_seed"])


def _mean(data: Pooled, values: np.ndarray, kept: np.ndarray | None = None) -> Interval | None:
    """Of some episodes; None where there is none."""
    kept = np.ones(len(values), dtype=bool) if kept is None else kept
    if not kept.any():
        return None
    return clustered_mean(values[kept], data["task_id"][kept], data["run_seed"][kept])


def _ratio(data: Pooled, parts: str, wholes: str) -> Interval | None:
    """Of sums over all episodes; None where nothing was said."""
    if wholes not in data or not data[wholes].sum():
        return None
    return clustered_ratio(data[parts], data[wholes], data["task_id"], data["run_seed"])


def _plain(value: Interval | None) -> dict[str, Any] | None:
    """As JSON; limits that are not finite become null."""
    if value is None:
        return None
    found = dataclasses.asdict(value)
    return {
        key: None if isinstance(item, float) and not math.isfinite(item) else item
        for key, item in found.items()
    }


def _plain_all(values: Mapping[str, Interval | float | None]) -> dict[str, Any]:
    return {key: _plain(value) if isinstance(value, Interval) else value
            for key, value in values.items()}  # fmt: skip


def read_summary(root: Path) -> dict[str, Any]:
    """`recipe.json` of a finished recipe."""
    return dict(json.loads((root / "recipe.json").read_text(encoding="utf-8")))
