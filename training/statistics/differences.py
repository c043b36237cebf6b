"""Paired comparisons of two policies on the same episodes: a bootstrap over tasks and seeds.

- Difference: a two-level bootstrap, one draw of tasks and one of seeds, each level rescaled as in
  Rao and Wu 1988, because the plain bootstrap of five seeds understates their variance by a fifth.
  No bootstrap of crossed levels counts the noise of a single episode just once (McCullagh 2000;
  Owen's pigeonhole bootstrap counts it three times and here doubles the interval), so the draws are
  shrunk by the ratio that the crossed variance (`clusters`) gives.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .clusters import NUM_RESAMPLES, Reach, checked_parts, kept_labels, reached, tabulate
from .values import PairedDifference, Precision


def paired_difference(
    a: Sequence[Any] | np.ndarray,
    b: Sequence[Any] | np.ndarray,
    task_ids: Sequence[Any] | np.ndarray,
    seeds: Sequence[Any] | np.ndarray | None = None,
    confidence: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
) -> PairedDifference:
    """Mean of b - a, both [N] on the same episodes, by a two-level bootstrap over tasks and seeds.

    The random numbers are fixed: the same data give the same interval.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.shape != second.shape:
        raise ValueError(f"a and b must be equally long; got {first.size} and {second.size}")
    table = tabulate(second - first, task_ids, seeds)
    estimate = float(table.sums.sum() / table.counts.sum())
    num_tasks, num_seeds = table.counts.shape
    found = reached(table, estimate, confidence, num_resamples)
    return PairedDifference(
        estimate=estimate,
        low=max(estimate - found.reach, -1.0),
        high=min(estimate + found.reach, 1.0),
        n=first.size,
        num_tasks=num_tasks,
        num_seeds=num_seeds,
        confidence=confidence,
        mean_a=float(first.mean()),
        mean_b=float(second.mean()),
        only_a=int((first > second).sum()),
        only_b=int((second > first).sum()),
        p_value=found.p_value,
        precision=_precision(found, float(np.mean((second - first) ** 2))),
    )


def paired_ratio_difference(
    a: tuple[np.ndarray, np.ndarray],
    b: tuple[np.ndarray, np.ndarray],
    task_ids: Sequence[Any] | np.ndarray,
    seeds: Sequence[Any] | np.ndarray | None = None,
    confidence: float = 0.95,
    num_resamples: int = NUM_RESAMPLES,
) -> PairedDifference:
    """Ratio of sums of b minus that of a; a, b: (parts [N], wholes [N]) of the same episodes.

    The bootstrap of `paired_difference`, over the episodes' linearised contributions
    (parts - ratio * wholes) / mean(wholes). `n` counts episodes, `only_a` and `only_b` those whose
    own share is greater under one of the two. Episodes without a whole on either side are left out.
    """
    first, second = checked_parts(*a), checked_parts(*b)
    if first[0].shape != second[0].shape:
        raise ValueError(f"a and b must be equally long; got {first[0].size} and {second[0].size}")
    kept = (first[1] > 0) & (second[1] > 0)
    if not kept.any():
        raise ValueError("a and b must share an episode with an answer; got none")
    (ratio_a, lines_a, shares_a), (ratio_b, lines_b, shares_b) = (
        _linearised(parts[kept], wholes[kept]) for parts, wholes in (first, second)
    )
    estimate = ratio_b - ratio_a
    tasks, labels = kept_labels(task_ids, kept), None if seeds is None else kept_labels(seeds, kept)
    table = tabulate(lines_b - lines_a + estimate, tasks, labels)
    found = reached(table, estimate, confidence, num_resamples)
    return PairedDifference(
        estimate=estimate,
        low=max(estimate - found.reach, -1.0),
        high=min(estimate + found.reach, 1.0),
        n=int(kept.sum()),
        num_tasks=table.counts.shape[0],
        num_seeds=table.counts.shape[1],
        confidence=confidence,
        mean_a=ratio_a,
        mean_b=ratio_b,
        only_a=int((shares_a > shares_b).sum()),
        only_b=int((shares_b > shares_a).sum()),
        p_value=found.p_value,
        precision=_precision(found, None),
    )


def _precision(found: Reach, mean_square: float | None) -> Precision:
    return Precision(
        std_error=found.std_error,
        freedom=found.variance.freedom,
        task_error=found.std_error * found.variance.task_share**0.5,
        seed_error=found.std_error * found.variance.seed_share**0.5,
        mean_square=mean_square,
    )


def _linearised(parts: np.ndarray, wholes: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The ratio of sums, every episode's contribution to its error [N], and its own share [N]."""
    ratio = float(parts.sum() / wholes.sum())
    return ratio, (parts - ratio * wholes) / wholes.mean(), parts / wholes
