"""What every stage of a recipe gained, with intervals, over all seeds: `recipe.json`, `recipe.md`.

For every policy that an `evaluate` stage measured: its rates and means with intervals; the
difference from the policy that it began with, on the same tasks; and what it cost. `pairs` adds
comparisons. Methods are those of the lab (`training/statistics`): units (hands of cards whatever
their target, routes) and training seeds are two crossed levels; fewer than three seeds speak of the
given policies only. With several comparisons at once p-values are Holm's.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arms import seed_folder
from ..files import atomic_write_json, atomic_write_text
from ..statistics import (
    Cluster,
    Interval,
    clustered_mean,
    clustered_rate,
    clustered_ratio,
    mean_over_seeds,
)
from .asked_lengths import over_lengths
from .config import RecipeConfig, StageKind
from .gains import add_holm, gains
from .gaming import held_out_agreement, judged
from .outline import Outline, StageOutline, outline_of
from .over_training import differences, over_training
from .plan import PlannedStage
from .pooled import Pooled, measured_path, plain, pooled
from .stages import read_spent
from .tables import as_text

JSON_NAME, TEXT_NAME = "recipe.json", "recipe.md"

# how each is estimated from the pooled arrays; `tables.py` has their titles
MEASURES: dict[str, Callable[[Pooled], Interval | None]] = {
    "success": lambda all_: _rate(all_, all_["success"]),
    "tokens": lambda all_: _mean(all_, all_["num_tokens"]),
    "tags": lambda all_: _rate(all_, all_["tags"]),
    "true_steps": lambda all_: _ratio(all_, "true_steps", "steps"),
    "rechecks": lambda all_: _ratio(all_, "rechecks", "steps"),
    "rechecked": lambda all_: _rate(all_, all_["rechecks"] > 0),
    "dead_ends": lambda all_: _mean(all_, all_["dead_ends"]),
    "english": lambda all_: _ratio(all_, "english", "marks"),
    "sound": lambda all_: _rate(all_, all_["sound"]),
    "calls": lambda all_: _mean(all_, all_["tool_calls"]) if "tool_calls" in all_ else None,
    "called": lambda all_: _rate(all_, all_["tool_calls"] > 0) if "tool_calls" in all_ else None,
    "tool_errors": lambda all_: _ratio(all_, "tool_errors", "tool_calls"),
}
# what a stage has spent: name in the summary, name in `spent.json`, scale
SPENT = (
    ("tflops", "flops", 1e-12), ("updates", "updates", 1.0), ("cpu_s", "cpu_s", 1.0),
    ("peak_mib", "peak_mib", 1.0),
)  # fmt: skip


def write_summary(
    config: RecipeConfig, plan: Sequence[PlannedStage], root: Path, figures: Sequence[str] = ()
) -> str:
    """Write both files below `root`; returns the text of `recipe.md`. Raises as `summary` does."""
    return write_files(summary(outline_of(config, plan), root), root, figures)


def write_files(found: dict[str, Any], root: Path, figures: Sequence[str] = ()) -> str:
    """Write `recipe.json` and `recipe.md`; returns the second's text.

    figures: their paths below `root`, shown in the text.
    """
    atomic_write_json(root / JSON_NAME, found)
    text = as_text(found, figures)
    atomic_write_text(root / TEXT_NAME, text)
    return text


def summary(outline: Outline, root: Path, cluster: Cluster = Cluster.hand) -> dict[str, Any]:
    """All numbers. Only seeds whose evaluations are complete are counted; ValueError where there
    is none.

    cluster: what intervals take for one observation.
    """
    seeds, stages = outline.seeds, outline.stages
    measured = [stage for stage in stages if stage.kind is StageKind.evaluate]
    trained = [stage for stage in stages if stage.kind in (StageKind.grpo, StageKind.dpo)]
    return {
        "recipe": outline.recipe,
        "about": outline.about,
        "tflops": outline.tflops,
        "training": [over_training(root, stage.name, seeds) for stage in trained],
        "training_differences": differences(
            root, [pair for stage in measured for pair in stage.pairs], seeds
        ),
        "costs": [_cost(each, root, seeds) for each in stages if each not in measured],
        "reward_models": held_out_agreement(stages, root, seeds),
        "evaluations": [_evaluation(stage, outline, root, cluster) for stage in measured],
    }


def _evaluation(
    stage: StageOutline, outline: Outline, root: Path, cluster: Cluster
) -> dict[str, Any]:
    begins = {each.name: each.start for each in outline.stages}
    compared = [
        (start, name)
        for name in stage.policies
        if (start := begins[name]) is not None and start in stage.policies
    ]
    pairs = list(dict.fromkeys([*compared, *stage.pairs]))
    complete = [seed for seed in outline.seeds if _is_complete(stage, root, seed)]
    if not complete:
        raise ValueError(f"stages.{stage.name} must have been measured; got no complete seed")
    rows: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    asking: list[tuple[str, int | None, dict[str, Pooled]]] = []
    for place, asked in stage.places:
        data = {name: pooled(root, complete, stage.name, name, place, cluster)
                for name in stage.policies}  # fmt: skip
        rows += [_row(name, place, asked, data[name]) for name in stage.policies]
        found += gains(pairs, place, data)
        asking.append((place, asked, data))
    add_holm(found)
    return {
        "stage": stage.name,
        "seeds": complete,
        "unit": outline.game.units[cluster],
        "policies": rows,
        "gains": found,
        "lengths": over_lengths(asking, pairs),
    }


def _is_complete(stage: StageOutline, root: Path, seed: int) -> bool:
    return all(
        measured_path(root, seed, stage.name, name, place).exists()
        for name in stage.policies
        for place, _ in stage.places
    )


def _row(name: str, place: str, asked: int | None, data: Pooled) -> dict[str, Any]:
    found: dict[str, Any] = {"policy": name, "place": place, "n": len(data["success"])}
    found["num_units"] = len(np.unique(data["unit"]))
    found |= {key: plain(estimate(data)) for key, estimate in MEASURES.items()}
    right = data["success"].astype(bool)
    found["tokens_right"] = plain(_mean(data, data["num_tokens"], right))
    found["tokens_wrong"] = plain(_mean(data, data["num_tokens"], ~right))
    scored = judged(data).items()
    found |= {"judged": {name: _plain_all(values) for name, values in scored}} if scored else {}
    if asked is not None:
        found["asked"] = asked
        found["missed_by"] = plain(_mean(data, np.abs(data["num_tokens"] - asked)))
        found["within"] = plain(_rate(data, data["num_tokens"] <= asked))
    return found


def _cost(stage: StageOutline, root: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Means over seeds; in `over_seeds` their intervals (Student), where several are known."""
    spent = [read_spent(seed_folder(root, seed) / stage.name) for seed in seeds]
    found: dict[str, Any] = {"stage": stage.name, "kind": stage.kind.value, "start": stage.start}
    found["over_seeds"] = {}
    for name, stored, scale in SPENT:
        values = [each[stored] * scale for each in spent if stored in each]
        found[name] = float(np.mean(values)) if values else None
        found["over_seeds"][name] = plain(mean_over_seeds(values))
    return found


def _rate(data: Pooled, values: np.ndarray) -> Interval:
    return clustered_rate(values.astype(bool), data["unit"], data["run_seed"])


def _mean(data: Pooled, values: np.ndarray, kept: np.ndarray | None = None) -> Interval | None:
    """Of some episodes; None where there is none."""
    kept = np.ones(len(values), dtype=bool) if kept is None else kept
    if not kept.any():
        return None
    return clustered_mean(values[kept], data["unit"][kept], data["run_seed"][kept])


def _ratio(data: Pooled, parts: str, wholes: str) -> Interval | None:
    """Of sums over all episodes; None where nothing was said."""
    if wholes not in data or not data[wholes].sum():
        return None
    return clustered_ratio(data[parts], data[wholes], data["unit"], data["run_seed"])


def _plain_all(values: Mapping[str, Interval | float | None]) -> dict[str, Any]:
    return {key: plain(value) if isinstance(value, Interval) else value
            for key, value in values.items()}  # fmt: skip


def read_summary(root: Path) -> dict[str, Any]:
    """`recipe.json` of a finished recipe."""
    return dict(json.loads((root / JSON_NAME).read_text(encoding="utf-8")))
