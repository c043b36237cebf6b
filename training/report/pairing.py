"""Pools evaluations of a policy and pairs those of two: the same task under the same reset seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..statistics import (
    Interval,
    McNemar,
    PairedDifference,
    clustered_rate,
    clustered_ratio,
    mcnemar,
    paired_difference,
    paired_ratio_difference,
    wilson,
)
from .results import Evaluation, Outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Success of two policies on the episodes that both played. All [N]"""

    first: np.ndarray
    second: np.ndarray
    units: np.ndarray  # what is one observation: a hand, a task
    seeds: np.ndarray  # training seeds


def pooled_rate(evaluations: Sequence[Evaluation], *, recognition: bool = False) -> Interval:
    """Success (or recognition) rate of one policy per training seed, tasks and seeds as clusters.

    Without per-episode files the interval is Wilson's, which takes episodes as independent.
    """
    parts = [each.episodes for each in evaluations]
    if any(part is None for part in parts):
        counts = [(e.recognized or 0) if recognition else e.successes for e in evaluations]
        num_tasks = max(each.num_tasks for each in evaluations)
        return wilson(sum(counts), sum(each.n for each in evaluations), num_tasks=num_tasks)
    known = [part for part in parts if part is not None]
    values = [part.recognized if recognition else part.success for part in known]
    keep = np.concatenate(values) >= 0
    seeds = np.repeat([e.train_seed for e in evaluations], [v.size for v in values])
    return clustered_rate(
        np.concatenate(values)[keep],
        np.concatenate([part.units for part in known])[keep],
        seeds[keep],
    )


def step_accuracy(evaluations: Sequence[Evaluation]) -> Interval | None:
    """Share of right answers of one policy per training seed, over walks; `n` counts answers.

    None unless every evaluation counted them. Without per-episode files the interval is Wilson's.
    """
    parts = [each.episodes for each in evaluations]
    known = [part for part in parts if part is not None and part.answers is not None]
    if len(known) < len(parts) or not known:
        counts = [(e.answers_right, e.answers) for e in evaluations]
        right = sum(count or 0 for count, _ in counts)
        answers = sum(count or 0 for _, count in counts)
        if not answers or any(None in pair for pair in counts):
            return None
        return wilson(right, answers, num_tasks=max(each.num_tasks for each in evaluations))
    answered = np.concatenate([part.answers for part in known if part.answers is not None])
    if not answered.any():
        return None
    return clustered_ratio(
        np.concatenate([part.answers_right for part in known if part.answers_right is not None]),
        answered,
        np.concatenate([part.units for part in known]),
        np.repeat([e.train_seed for e in evaluations], [part.units.size for part in known]),
    )


def difference(a: Mapping[int, Evaluation], b: Mapping[int, Evaluation]) -> PairedDifference | None:
    """Success of b minus a on the episodes that both played; None if there are none."""
    shared = shared_episodes(a, b)
    if shared is None:
        return None
    return paired_difference(shared.first, shared.second, shared.units, shared.seeds)


def column_difference(
    a: Mapping[int, Evaluation],
    b: Mapping[int, Evaluation],
    column: Callable[[Outcomes], np.ndarray | None],
) -> PairedDifference | None:
    """Mean of another number of the episodes, b minus a, on those that both played.

    column: it, [n], NaN where an episode has none. None if there are no such episodes.
    """

    def columns(outcomes: Outcomes) -> tuple[np.ndarray, ...] | None:
        found = column(outcomes)
        return None if found is None else (found.astype(float),)

    shared = _shared(a, b, columns)
    if shared is None:
        return None
    kept = np.isfinite(shared[0]) & np.isfinite(shared[1])
    if not kept.any():
        return None
    first, second, units, seeds = (part[kept] for part in shared)
    return paired_difference(first, second, units, seeds)


def exact_difference(a: Mapping[int, Evaluation], b: Mapping[int, Evaluation]) -> McNemar | None:
    """McNemar's test of the policies at hand on the episodes that both played; None if none."""
    shared = shared_episodes(a, b)
    return None if shared is None else mcnemar(shared.first, shared.second, shared.units)


def step_difference(
    a: Mapping[int, Evaluation], b: Mapping[int, Evaluation]
) -> PairedDifference | None:
    """Share of right answers of b minus that of a, on the walks that both took; None if none."""
    shared = _shared(a, b, _steps)
    if shared is None:
        return None
    right_a, answers_a, right_b, answers_b, units, seeds = shared
    if not ((answers_a > 0) & (answers_b > 0)).any():
        return None
    return paired_ratio_difference((right_a, answers_a), (right_b, answers_b), units, seeds)


def shared_episodes(a: Mapping[int, Evaluation], b: Mapping[int, Evaluation]) -> Shared | None:
    """The same task under the same reset seed and training seed; None if there are none."""
    shared = _shared(a, b, lambda outcomes: (outcomes.success,))
    if shared is None:
        return None
    first, second, units, seeds = shared
    return Shared(first=first, second=second, units=units, seeds=seeds)


def _steps(outcomes: Outcomes) -> tuple[np.ndarray, ...] | None:
    if outcomes.answers is None or outcomes.answers_right is None:
        return None
    return outcomes.answers_right, outcomes.answers


def _shared(
    a: Mapping[int, Evaluation],
    b: Mapping[int, Evaluation],
    columns: Callable[[Outcomes], tuple[np.ndarray, ...] | None],
) -> list[np.ndarray] | None:
    """Columns of a, the same of b, units, training seeds of the episodes that both played."""
    rows: list[tuple[np.ndarray, ...]] = []
    for seed in sorted(a.keys() & b.keys()):
        first, second = a[seed].episodes, b[seed].episodes
        before = None if first is None else columns(first)
        after = None if second is None else columns(second)
        if first is None or second is None or before is None or after is None:
            continue
        i, j = _same(first.deals, second.deals)
        same = first.task_ids[i] == second.task_ids[j]
        i, j = i[same], j[same]
        values = [*(column[i] for column in before), *(column[j] for column in after)]
        rows.append((*values, first.units[i], np.full(i.size, seed)))
    rows = [row for row in rows if row[0].size]
    return [np.concatenate(part) for part in zip(*rows, strict=True)] if rows else None


def _same(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of the rows that both have; rows: (reset seed, attempt), each once. [n, 2], [m, 2]"""
    _, number = np.unique(np.concatenate([first, second]), axis=0, return_inverse=True)
    number = number.reshape(-1)
    _, i, j = np.intersect1d(number[: len(first)], number[len(first) :], return_indices=True)
    return i, j
