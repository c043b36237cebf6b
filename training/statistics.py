"""Intervals and paired comparisons whose unit is the task, not the episode.

Episodes that deal the same hand (or walk the same route) are not independent, so everything here
clusters by canonical task id, and training seeds are a second, crossed level: every seed's policies
meet the same tasks. Pure numpy; the tests compare with scipy and measure coverage by simulation.

Choices, and where they come from:
- Rate over clusters: a Wilson interval at the *effective* sample size (n over the design effect)
  with a Student quantile; the best all-round choice for cluster samples in Franco et al. 2019,
  *Comparative Study of Confidence Intervals for Proportions in Complex Sample Surveys*. A
  percentile bootstrap collapses to a point at 0 % and 100 %, which are common here.
- Share of answers over walks of any length: the same at the linearised ratio's variance (Cochran
  1977, *Sampling Techniques*, chapter 6), because the denominator is random, too.
- Tasks crossed with seeds: variances add as in Cameron, Gelbach and Miller 2011, with their degrees
  of freedom (seeds less one; Satterthwaite's undercovers with three). Two seeds say too little of
  their own spread: below `MIN_SEEDS` an interval speaks of the given policies only.
- Difference: a two-level bootstrap, one draw of tasks and one of seeds, each level rescaled as in
  Rao and Wu 1988, because the plain bootstrap of five seeds understates their variance by a fifth.
  No bootstrap of crossed levels counts the noise of a single episode just once (McCullagh 2000;
  Owen's pigeonhole bootstrap counts it three times and here doubles the interval), so the draws are
  shrunk by the ratio that the crossed variance above gives.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .clusters import (
    MIN_SEEDS,
    NUM_RESAMPLES,
    Table,
    crossed_variance,
    normal_quantile,
    reach_and_p_value,
    score_limits,
    tabulate,
)
from .quantiles import student_quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate between two limits.

    n: episodes (or values) behind it.  num_tasks: distinct task ids among them.
    num_seeds: training seeds.  effective_n: as many independent episodes would say as much.
    """

    estimate: float
    low: float
    high: float
    n: int
    num_tasks: int
    num_seeds: int = 1
    effective_n: float | None = None
    confidence: float = 0.95

    @property
    def spans_seeds(self) -> bool:
        """Whether it speaks of the training method, and not only of the policies at hand."""
        return self.num_seeds >= MIN_SEEDS


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference(Interval):
    """Mean of b - a over the same episodes; `p_value` is two-sided, for no difference.

    only_a, only_b: episodes that just one of the two solved.
    """

    mean_a: float
    mean_b: float
    only_a: int
    only_b: int
    p_value: float

    @property
    def is_significant(self) -> bool:
        return self.low > 0 or self.high < 0


def wilson(
    successes: int, n: int, confidence: float = 0.95, num_tasks: int | None = None
) -> Interval:
    """Wilson's score interval for `successes` of `n` independent trials."""
    if n < 1:
        raise ValueError(f"n must be at least 1; got {n}")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be between 0 and n = {n}; got {successes}")
    low, high = score_limits(successes / n, n, normal_quantile(confidence))
    return Interval(
        estimate=successes / n,
        low=low,
        high=high,
        n=n,
        num_tasks=n if num_tasks is None else num_tasks,
        effective_n=float(n),
        confidence=confidence,
    )


def clustered_rate(
    success: Sequence[Any] | np.ndarray,
    task_ids: Sequence[Any] | np.ndarray,
    seeds: Sequence[Any] | np.ndarray | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Interval for the rate of `success` [N] when episodes of one task id [N] are alike.

    seeds: the training seed of each episode [N], where several policies met the same tasks.
    At 0 % and 100 % the data cannot show how alike they are; then they count as identical.
    """
    return _score_interval(tabulate(success, task_ids, seeds), confidence)


def clustered_ratio(
    parts: Sequence[Any] | np.ndarray,
    wholes: Sequence[Any] | np.ndarray,
    task_ids: Sequence[Any] | np.ndarray,
    seeds: Sequence[Any] | np.ndarray | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Interval for sum(parts) / sum(wholes), both [N] per episode, 0 <= parts <= wholes.

    For shares whose denominator is random, as right answers among those that walks of any length
    took: the variance is the linearised ratio's (residuals parts - ratio * wholes; Cochran 1977,
    *Sampling Techniques*, 6.3), clustered as in `clustered_rate`, which it is where all wholes
    are 1. `n` is sum(wholes). Episodes with a whole of 0 say nothing and are left out.
    """
    counted, total = _checked_parts(parts, wholes)
    kept = total > 0
    tasks, labels = _kept(task_ids, kept), None if seeds is None else _kept(seeds, kept)
    return _score_interval(tabulate(counted[kept], tasks, labels, total[kept]), confidence)


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
    reach, p_value = reach_and_p_value(table, estimate, confidence, num_resamples)
    return PairedDifference(
        estimate=estimate,
        low=max(estimate - reach, -1.0),
        high=min(estimate + reach, 1.0),
        n=first.size,
        num_tasks=num_tasks,
        num_seeds=num_seeds,
        confidence=confidence,
        mean_a=float(first.mean()),
        mean_b=float(second.mean()),
        only_a=int((first > second).sum()),
        only_b=int((second > first).sum()),
        p_value=p_value,
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
    first, second = _checked_parts(*a), _checked_parts(*b)
    if first[0].shape != second[0].shape:
        raise ValueError(f"a and b must be equally long; got {first[0].size} and {second[0].size}")
    kept = (first[1] > 0) & (second[1] > 0)
    if not kept.any():
        raise ValueError("a and b must share an episode with an answer; got none")
    (ratio_a, lines_a, shares_a), (ratio_b, lines_b, shares_b) = (
        _linearised(parts[kept], wholes[kept]) for parts, wholes in (first, second)
    )
    estimate = ratio_b - ratio_a
    tasks, labels = _kept(task_ids, kept), None if seeds is None else _kept(seeds, kept)
    table = tabulate(lines_b - lines_a + estimate, tasks, labels)
    reach, p_value = reach_and_p_value(table, estimate, confidence, num_resamples)
    return PairedDifference(
        estimate=estimate,
        low=max(estimate - reach, -1.0),
        high=min(estimate + reach, 1.0),
        n=int(kept.sum()),
        num_tasks=table.counts.shape[0],
        num_seeds=table.counts.shape[1],
        confidence=confidence,
        mean_a=ratio_a,
        mean_b=ratio_b,
        only_a=int((shares_a > shares_b).sum()),
        only_b=int((shares_b > shares_a).sum()),
        p_value=p_value,
    )


def mean_over_seeds(
    values: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> Interval | None:
    """Student's interval for the mean of one value per training seed; None for fewer than two."""
    numbers = np.asarray(values, dtype=float)
    if numbers.size < 2:
        return None
    mean = float(numbers.mean())
    error = float(numbers.std(ddof=1)) / math.sqrt(numbers.size)
    reach = error * student_quantile(confidence, numbers.size - 1)
    return Interval(
        estimate=mean,
        low=mean - reach,
        high=mean + reach,
        n=int(numbers.size),
        num_tasks=0,
        num_seeds=int(numbers.size),
        confidence=confidence,
    )


def _checked_parts(parts: Any, wholes: Any) -> tuple[np.ndarray, np.ndarray]:
    counted, total = np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)
    if counted.shape != total.shape or counted.ndim != 1:
        raise ValueError(
            f"parts and wholes must be equally long lists; got {counted.shape} and {total.shape}"
        )
    if (counted < 0).any() or (counted > total).any():
        raise ValueError("parts must be between 0 and wholes; got others")
    return counted, total


def _kept(labels: Any, kept: np.ndarray) -> np.ndarray:
    chosen = np.asarray(labels)
    if chosen.shape != kept.shape:
        raise ValueError(
            f"task_ids and seeds must be as long as the {kept.size} values; got {chosen.size}"
        )
    return chosen[kept]


def _linearised(parts: np.ndarray, wholes: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The ratio of sums, every episode's contribution to its error [N], and its own share [N]."""
    ratio = float(parts.sum() / wholes.sum())
    return ratio, (parts - ratio * wholes) / wholes.mean(), parts / wholes


def _score_interval(table: Table, confidence: float) -> Interval:
    """Of the ratio of a table's sums: Wilson's, at the effective size."""
    n, rate = int(table.counts.sum()), float(table.sums.sum() / table.counts.sum())
    binomial = rate * (1 - rate) / n
    num_tasks, num_seeds = table.counts.shape
    if binomial > 0:
        variance, freedom, _ = crossed_variance(table, rate)
        effective = n / max(variance / binomial, 1.0)
    else:
        by_task = table.counts.sum(axis=1)
        effective, freedom = n * n / float((by_task**2).sum()), float(max(num_tasks - 1, 1))
    low, high = score_limits(rate, effective, student_quantile(confidence, freedom))
    return Interval(
        estimate=rate,
        low=low,
        high=high,
        n=n,
        num_tasks=num_tasks,
        num_seeds=num_seeds,
        effective_n=effective,
        confidence=confidence,
    )
