"""Intervals for one policy: rates, shares and means, whose unit is the task.

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
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .clusters import (
    Table,
    checked_parts,
    crossed_variance,
    kept_labels,
    normal_quantile,
    score_limits,
    tabulate,
)
from .quantiles import student_quantile
from .values import Interval


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
    counted, total = checked_parts(parts, wholes)
    kept = total > 0
    tasks, labels = kept_labels(task_ids, kept), None if seeds is None else kept_labels(seeds, kept)
    return _score_interval(tabulate(counted[kept], tasks, labels, total[kept]), confidence)


def clustered_share(
    shares: Sequence[Any] | np.ndarray,
    task_ids: Sequence[Any] | np.ndarray,
    seeds: Sequence[Any] | np.ndarray | None = None,
    confidence: float = 0.95,
    trials: int = 1,
) -> Interval:
    """Interval for the mean of numbers from 0 to 1, as `clustered_rate`; all lists [N].

    trials: what each number was estimated from (attempts at a task): the mean may be known as well
        as that many times N independent episodes would tell it, and no better.
    """
    numbers = np.asarray(shares, dtype=float)
    if not ((numbers >= 0) & (numbers <= 1)).all():
        raise ValueError("shares must be between 0 and 1; got others")
    return _score_interval(tabulate(numbers, task_ids, seeds), confidence, trials)


def clustered_mean(
    values: Sequence[Any] | np.ndarray,
    task_ids: Sequence[Any] | np.ndarray,
    seeds: Sequence[Any] | np.ndarray | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Student's interval for the mean of any numbers (tokens, rewards), by task; all lists [N].

    One task alone says nothing of the others: its limits are infinite.
    """
    numbers = np.asarray(values, dtype=float)
    table = tabulate(numbers, task_ids, seeds)
    mean, (num_tasks, num_seeds) = float(numbers.mean()), table.counts.shape
    spread = crossed_variance(table, mean)
    reach = math.sqrt(spread.total) * student_quantile(confidence, spread.freedom)
    reach = reach if num_tasks > 1 else math.inf
    return Interval(
        estimate=mean,
        low=mean - reach,
        high=mean + reach,
        n=numbers.size,
        num_tasks=num_tasks,
        num_seeds=num_seeds,
        confidence=confidence,
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


def _score_interval(table: Table, confidence: float, trials: int = 1) -> Interval:
    """Of the ratio of a table's sums: Wilson's, at the effective size, at most `trials` times n."""
    n, rate = int(table.counts.sum()), float(table.sums.sum() / table.counts.sum())
    binomial = rate * (1 - rate) / n
    num_tasks, num_seeds = table.counts.shape
    if binomial > 0:
        spread = crossed_variance(table, rate)
        effective, freedom = n / max(spread.total / binomial, 1 / trials), spread.freedom
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
