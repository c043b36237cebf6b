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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arms import seed_folder
from ..files import atomic_write_json, atomic_write_text
from ..statistics import (
    MIN_SEEDS,
    Interval,
    clustered_mean,
    clustered_rate,
    clustered_ratio,
    holm,
    paired_difference,
)
from .config import RecipeConfig, StageKind
from .measures import Measured, places, read_measured
from .plan import PlannedStage
from .stages import read_spent

Pooled = dict[str, np.ndarray]  # of all seeds, with `run_seed`; one entry per episode

# name -> (title, how it is estimated from the pooled arrays)
MEASURES: dict[str, tuple[str, Callable[[Pooled], Interval | None]]] = {
    "success": ("success", lambda all_: _rate(all_, all_["success"])),
    "tokens": ("tokens", lambda all_: _mean(all_, all_["num_tokens"])),
    "tags": ("whole format", lambda all_: _rate(all_, all_["tags"])),
    "true_steps": ("true steps", lambda all_: _ratio(all_, "true_steps", "steps")),
    "rechecks": ("re-checks", lambda all_: _ratio(all_, "rechecks", "steps")),
    "dead_ends": ("dead ends", lambda all_: _mean(all_, all_["dead_ends"])),
    "english": ("English marks", lambda all_: _ratio(all_, "english", "marks")),
    "sound": ("sound thoughts", lambda all_: _rate(all_, all_["sound"])),
}


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
        "costs": [
            _cost(stage, root, seeds) for stage in plan if stage.kind is not StageKind.evaluate
        ],
        "evaluations": [_evaluation(stage, plan, root, seeds) for stage in stages],
    }
    atomic_write_json(root / "recipe.json", found)
    text = as_text(found)
    atomic_write_text(root / "recipe.md", text)
    return text


def as_text(found: dict[str, Any]) -> str:
    """The tables in Markdown."""
    lines = [f"# {found['recipe']}", ""]
    lines += [found["about"], ""] if found["about"] else []
    for evaluation in found["evaluations"]:
        lines += _evaluation_lines(evaluation)
    lines += ["## Costs (means over seeds)", "", "| stage | kind | begins with | TFLOP | CPU s |"
              " peak MiB |", "|---|---|---|---|---|---|"]  # fmt: skip
    for cost in found["costs"]:
        numbers = (cost["tflops"], cost["cpu_s"], cost["peak_mib"])
        shown = " | ".join("" if number is None else f"{number:.3g}" for number in numbers)
        lines.append(f"| {cost['stage']} | {cost['kind']} | {cost['start'] or ''} | {shown} |")
    return "\n".join(lines) + "\n"


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
    for place, _, asked in places(stage):
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
    wanted = [f"{name}_{place}.npz" for name in stage.policies for place, _, _ in places(stage)]
    return all((folder / name).exists() for name in wanted)


def _pooled(stage: PlannedStage, root: Path, seeds: Sequence[int], name: str, place: str) -> Pooled:
    parts: list[Measured] = []
    for seed in seeds:
        part = read_measured(seed_folder(root, seed) / stage.name / f"{name}_{place}.npz")
        parts.append({**part, "run_seed": np.full(len(part["success"]), seed)})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _row(name: str, place: str, asked: int | None, data: Pooled) -> dict[str, Any]:
    found: dict[str, Any] = {"policy": name, "place": place, "n": len(data["success"])}
    found |= {key: _plain(estimate(data)) for key, (_, estimate) in MEASURES.items()}
    wrong = ~data["success"].astype(bool)
    found["tokens_wrong"] = _plain(_mean(data, data["num_tokens"], wrong))
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
    if not data[wholes].sum():
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


def _evaluation_lines(evaluation: dict[str, Any]) -> list[str]:
    seeds = evaluation["seeds"]
    shown = [*MEASURES, "tokens_wrong"]
    titles = [*(title for title, _ in MEASURES.values()), "tokens if wrong"]
    asks = any("asked" in row for row in evaluation["policies"])
    if asks:
        shown.append("missed_by")
        titles.append("tokens from those asked")
    speaks = "" if len(seeds) >= MIN_SEEDS else f"; fewer than {MIN_SEEDS} seeds: of these policies"
    lines = [
        f"## {evaluation['stage']}: {len(seeds)} seed{'s' * (len(seeds) != 1)}, "
        f"95 % intervals{speaks}",
        "",
        "| policy | place | n | " + " | ".join(titles) + " |",
        "|---|---|---" + "|---" * len(titles) + "|",
    ]
    for row in evaluation["policies"]:
        cells = [_shown(row[name], is_rate="tokens" not in name and name != "missed_by"
                        and name != "dead_ends") for name in shown]  # fmt: skip
        lines.append(f"| {row['policy']} | {row['place']} | {row['n']} | {' | '.join(cells)} |")
    if evaluation["gains"]:
        lines += ["", "| gain of | over | place | success | p (Holm) | tokens | tokens saved |",
                  "|---|---|---|---|---|---|---|"]  # fmt: skip
    for gain in evaluation["gains"]:
        lines.append(
            f"| {gain['to']} | {gain['from']} | {gain['place']} | "
            f"{_shown(gain['success'], is_rate=True, signed=True)} | {gain['p_holm']:.3f} | "
            f"{_shown(gain['tokens'], is_rate=False, signed=True)} | {gain['tokens_saved']:+.1%} |"
        )
    return [*lines, ""]


def _shown(value: dict[str, Any] | None, *, is_rate: bool, signed: bool = False) -> str:
    """`.62 [.55, .69]`, or `41.3 [40.1, 42.5]`."""
    if value is None:
        return ""
    digits = ".3f" if is_rate else ".1f"
    low, high = ("?" if value[key] is None else f"{value[key]:{digits}}" for key in ("low", "high"))
    return f"{value['estimate']:{'+' if signed else ''}{digits}} [{low}, {high}]"


def read_summary(root: Path) -> dict[str, Any]:
    """`recipe.json` of a finished recipe."""
    return dict(json.loads((root / "recipe.json").read_text(encoding="utf-8")))
