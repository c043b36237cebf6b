"""What a report says, as numbers: curves, the final table, paired comparisons, compute.

Every rate is clustered by task id and, over several training seeds, by seed (`..statistics`);
every comparison is between the same episodes (the same reset seed) of the same training seed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from ..statistics import Interval, McNemar, PairedDifference, clustered_rate, wilson
from .comparisons import over_cells
from .pairing import (
    difference,
    exact_difference,
    pooled_rate,
    step_accuracy,
    step_difference,
)
from .results import COMPUTE_FIELDS, SOLVED, Evaluation, Run
from .words import CellWords

BASE = "base"
MAX_EACH_WITH_EACH = 4
Compared = TypeVar("Compared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One checkpoint of an arm, over all training seeds that reached it."""

    flops: float
    step: float
    rate: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Success along training. `lines`: by training seed, (flops or step, rate) of every point."""

    arm: str
    cell: str
    words: CellWords
    metric: str
    points: tuple[Point, ...]
    lines: dict[int, list[tuple[float, float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """Final success of every arm on one cell, and the differences (a, b) -> b - a between arms.

    recognition: share of final episodes whose pictures were read rightly; empty in text mode.
    mcnemars: the same comparisons for the policies at hand (`pairing.exact_difference`).
    steps, step_differences: share of right answers over walks; empty in other games.
    Differences are corrected over the cells of each metric and pair of arms (`comparisons`).
    """

    cell: str
    words: CellWords
    metric: str
    rates: dict[str, Interval]
    recognition: dict[str, Interval]
    differences: dict[tuple[str, str], PairedDifference]
    mcnemars: dict[tuple[str, str], McNemar] = field(default_factory=dict)
    steps: dict[str, Interval] = field(default_factory=dict)
    step_differences: dict[tuple[str, str], PairedDifference] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """Shares of an arm's final episodes by the outcome of the last answer, most frequent first."""

    metric: str
    cell: str
    words: CellWords
    arm: str
    shares: dict[str, Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What an arm or a stage of the base spent, mean over seeds; None where it is not recorded."""

    arm: str
    num_seeds: int
    amounts: dict[str, float | None]
    final_step: float | None


def curve(run: Run, arm: str, cell: str, metric: str) -> Curve:
    """Success of an arm against compute, beginning with the base both arms start from.

    Checkpoints of different training seeds are pooled by their order, because equal compute falls
    on different steps; the mean stops where the first seed stops.
    """
    tracks = run.select(arm, cell, metric)
    if arm != BASE:
        starts = run.select(BASE, cell, metric)
        tracks = {seed: starts.get(seed, [])[-1:] + track for seed, track in tracks.items()}
    use_flops = all("flops" in e.compute for track in tracks.values() for e in track)
    x = {
        id(e): e.compute["flops"] if use_flops else float(e.step)
        for t in tracks.values()
        for e in t
    }
    length = min((len(track) for track in tracks.values()), default=0)
    points = []
    for place in range(length):
        pooled = [track[place] for track in tracks.values()]
        points.append(
            Point(
                flops=float(np.mean([x[id(each)] for each in pooled])),
                step=float(np.mean([each.step for each in pooled])),
                rate=pooled_rate(pooled),
            )
        )
    return Curve(
        arm=arm,
        cell=cell,
        words=run.words(cell),
        metric=metric,
        points=tuple(points),
        lines={seed: [(x[id(e)], e.rate) for e in track] for seed, track in tracks.items()},
    )


def has_compute(run: Run) -> bool:
    """Whether every evaluation knows its FLOPs; if not, curves run against training steps."""
    return all("flops" in each.compute for each in run.evaluations)


def finals(run: Run, arm: str, cell: str, metric: str) -> dict[int, Evaluation]:
    """The latest evaluation of an arm, by training seed."""
    return {seed: track[-1] for seed, track in run.select(arm, cell, metric).items()}


def table(run: Run) -> list[TableRow]:
    """Final rates and paired differences of every metric and cell."""
    rows = []
    for metric in run.metric_names:
        for cell in run.cells:
            last = {arm: finals(run, arm, cell, metric) for arm in run.arms}
            last = {arm: found for arm, found in last.items() if found}
            if not last:
                continue
            steps = {arm: step_accuracy(list(found.values())) for arm, found in last.items()}
            rates = {arm: pooled_rate(list(found.values())) for arm, found in last.items()}
            rows.append(
                TableRow(
                    cell=cell,
                    words=run.words(cell),
                    metric=metric,
                    rates=rates,
                    recognition=_recognition(run, last),
                    differences=_differences(last, difference),
                    mcnemars=_differences(last, exact_difference),
                    steps={arm: rate for arm, rate in steps.items() if rate is not None},
                    step_differences=_differences(last, step_difference),
                )
            )
    return _among_cells(rows)


def spending(run: Run) -> list[Spending]:
    """Compute of the base's stages, accounted apart, then of every arm: means over seeds.

    Policies that were only measured spent nothing here.
    """
    if run.policies:
        return []
    rows = []
    stages = list(dict.fromkeys(stage for spent in run.spent.values() for stage in spent))
    for stage in stages:
        costs = [spent[stage] for spent in run.spent.values() if isinstance(spent.get(stage), dict)]
        rows.append(_spending(stage, [_with_flops(cost) for cost in costs], None))
    for arm in run.arms:
        if arm == BASE:
            continue
        last: dict[int, Evaluation] = {}
        for each in run.evaluations:
            if each.arm == arm and each.step >= last.get(each.train_seed, each).step:
                last[each.train_seed] = each
        step = float(np.mean([each.step for each in last.values()]))
        rows.append(_spending(arm, [each.compute for each in last.values()], step))
    return rows


def outcome_rows(run: Run) -> list[OutcomeRow]:
    """What the final policies' last answers were, by metric, cell and arm."""
    rows = []
    for metric in run.metric_names:
        for cell in run.cells:
            for arm in run.arms:
                shares = _shares(list(finals(run, arm, cell, metric).values()))
                if shares:
                    words = run.words(cell)
                    rows.append(
                        OutcomeRow(metric=metric, cell=cell, words=words, arm=arm, shares=shares)
                    )
    return rows


def _among_cells(rows: Sequence[TableRow]) -> list[TableRow]:
    """The rows with their differences corrected for the number of cells."""
    metrics = [row.metric for row in rows]
    success = over_cells([row.differences for row in rows], metrics)
    steps = over_cells([row.step_differences for row in rows], metrics)
    return [
        replace(row, differences=found, step_differences=others)
        for row, found, others in zip(rows, success, steps, strict=True)
    ]


def _shares(last: Sequence[Evaluation]) -> dict[str, Interval]:
    """By outcome. Where runs kept none per episode, wrong answers get Wilson's interval."""
    total: dict[str, int] = {}
    for each in last:
        for name, count in each.outcomes.items():
            total[name] = total.get(name, 0) + count
    n = sum(total.values())
    if n == 0:
        return {}
    names = sorted(total, key=lambda name: (-total[name], name))
    known = [each.episodes for each in last]
    parts = [part for part in known if part is not None and part.outcome is not None]
    if len(parts) < len(last):
        num_tasks = max(each.num_tasks for each in last)
        return {
            name: pooled_rate(last)
            if name in SOLVED and total[name] == sum(each.successes for each in last)
            else wilson(total[name], n, num_tasks=num_tasks)
            for name in names
        }
    found = np.concatenate([part.outcome for part in parts if part.outcome is not None])
    units = np.concatenate([part.units for part in parts])
    sizes = [part.units.size for part in parts]
    seeds = np.repeat([each.train_seed for each in last], sizes)
    return {name: clustered_rate(found == name, units, seeds) for name in names}


def _recognition(run: Run, last: Mapping[str, dict[int, Evaluation]]) -> dict[str, Interval]:
    if not run.reads_pictures:
        return {}
    return {
        arm: pooled_rate(list(found.values()), recognition=True)
        for arm, found in last.items()
        if all(each.recognized is not None for each in found.values())
    }


def _differences(
    last: Mapping[str, dict[int, Evaluation]],
    between: Callable[[dict[int, Evaluation], dict[int, Evaluation]], Compared | None],
) -> dict[tuple[str, str], Compared]:
    """Of every pair of arms that has episodes in common."""
    found = {(a, b): between(last[a], last[b]) for a, b in _pairs(list(last))}
    return {pair: each for pair, each in found.items() if each is not None}


def _pairs(arms: list[str]) -> list[tuple[str, str]]:
    """Each with each; of many policies each with the first, which leaves a table to be read."""
    firsts = arms if len(arms) <= MAX_EACH_WITH_EACH else arms[:1]
    return [(a, b) for i, a in enumerate(firsts) for b in arms[i + 1 :]]


def _spending(arm: str, costs: Sequence[Mapping[str, float]], step: float | None) -> Spending:
    amounts: dict[str, float | None] = {}
    for name in COMPUTE_FIELDS:
        known = [float(cost[name]) for cost in costs if cost.get(name) is not None]
        amounts[name] = float(np.mean(known)) if known else None
    return Spending(arm=arm, num_seeds=len(costs), amounts=amounts, final_step=step)


def _with_flops(cost: Mapping[str, Any]) -> dict[str, Any]:
    """A ledger with the study's formula applied: 6 N per trained and 2 N per sampled token."""
    tokens = 6 * cost.get("train_tokens", 0) + 2 * cost.get("sampled_tokens", 0)
    return {"flops": cost.get("num_parameters", 0) * tokens or None, **cost}
