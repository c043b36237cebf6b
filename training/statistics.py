"""Intervals and paired comparisons whose unit is the task, not the episode.

Episodes that deal the same hand (or walk the same route) are not independent, so everything here
clusters by canonical task id, and training seeds are a second, crossed level: every seed's policies
meet the same tasks. Pure numpy; the tests compare with scipy and measure coverage by simulation.

Choices, and where they come from:
- Rate over clusters: a Wilson interval at the *effective* sample size (n over the design effect)
  with a Student quantile; the best all-round choice for cluster samples in Franco et al. 2019,
  *Comparative Study of Confidence Intervals for Proportions in Complex Sample Surveys*. A
  percentile bootstrap collapses to a point at 0 % and 100 %, which are common here.
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
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

from .quantiles import checked, student_quantile, student_tail

BOOTSTRAP_SEED = 20250124
NUM_RESAMPLES = 4000
MIN_SEEDS = 3


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
    critical = NormalDist().inv_cdf(0.5 + checked(confidence) / 2)
    low, high = _score_limits(successes / n, n, critical)
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
    table = _tabulate(success, task_ids, seeds)
    n, rate = int(table.counts.sum()), float(table.sums.sum() / table.counts.sum())
    binomial = rate * (1 - rate) / n
    num_tasks, num_seeds = table.counts.shape
    if binomial > 0:
        variance, freedom, _ = _crossed_variance(table, rate)
        effective = n / max(variance / binomial, 1.0)
    else:
        by_task = table.counts.sum(axis=1)
        effective, freedom = n * n / float((by_task**2).sum()), float(max(num_tasks - 1, 1))
    low, high = _score_limits(rate, effective, student_quantile(confidence, freedom))
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
    table = _tabulate(second - first, task_ids, seeds)
    estimate = float(table.sums.sum() / table.counts.sum())
    num_tasks, num_seeds = table.counts.shape
    reach, p_value = _reach_and_p_value(table, estimate, confidence, num_resamples)
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


@dataclass(frozen=True, slots=True)
class _Table:
    """Sums and counts of a value by task and training seed. [num_tasks, num_seeds]"""

    sums: np.ndarray
    counts: np.ndarray


def _tabulate(values: Any, task_ids: Any, seeds: Any) -> _Table:
    numbers = np.asarray(values, dtype=float)
    ids = np.asarray(task_ids)
    columns = np.zeros(numbers.size, dtype=int) if seeds is None else np.asarray(seeds)
    if numbers.ndim != 1 or numbers.size == 0:
        raise ValueError(f"values must be a non-empty list; got shape {numbers.shape}")
    if ids.shape != numbers.shape or columns.shape != numbers.shape:
        raise ValueError(
            f"task_ids and seeds must be as long as the {numbers.size} values; "
            f"got {ids.size} and {columns.size}"
        )
    names, row = np.unique(ids, return_inverse=True)
    labels, column = np.unique(columns, return_inverse=True)
    shape = (len(names), len(labels))
    cell = row * shape[1] + column
    size = shape[0] * shape[1]
    return _Table(
        np.bincount(cell, weights=numbers, minlength=size).reshape(shape),
        np.bincount(cell, minlength=size).reshape(shape).astype(float),
    )


def _crossed_variance(table: _Table, mean: float) -> tuple[float, float, float]:
    """Of the pooled mean over tasks crossed with seeds: variance, degrees of freedom, and the sum
    of both levels' variances, in which the noise of single episodes is counted twice."""
    residuals, total = table.sums - mean * table.counts, table.counts.sum()
    num_tasks, num_seeds = residuals.shape

    def spread(parts: np.ndarray) -> float:
        groups = parts.size
        return float((parts**2).sum() / total**2) * groups / (groups - 1) if groups > 1 else 0.0

    by_task, by_seed = spread(residuals.sum(axis=1)), spread(residuals.sum(axis=0))
    if num_seeds < MIN_SEEDS:
        return by_task, float(max(num_tasks - 1, 1)), by_task
    both = spread(residuals[table.counts > 0])
    variance = max(by_task + by_seed - both, by_task, by_seed)
    return variance, float(max(min(num_tasks, num_seeds) - 1, 1)), by_task + by_seed


def _reach_and_p_value(
    table: _Table, estimate: float, confidence: float, num_resamples: int
) -> tuple[float, float]:
    """Of a mean difference: half the interval's width, and the two-sided p-value of none."""
    variance, freedom, counted_twice = _crossed_variance(table, estimate)
    spread = float(_resampled_deviations(table, num_resamples).std())
    if spread <= 1e-12:  # every task says the same: bound what an unseen task might say
        num_tasks = table.counts.shape[0]
        reach = wilson(0, num_tasks, confidence).high
        return reach, 1.0 if estimate == 0 else 0.5 ** (num_tasks - 1)
    spread *= math.sqrt(variance / counted_twice)
    reach = spread * student_quantile(confidence, freedom)
    return reach, 2 * student_tail(abs(estimate) / spread, freedom)


def _resampled_deviations(table: _Table, num_resamples: int) -> np.ndarray:
    """Deviations of the pooled mean under resampled tasks, plus those under resampled seeds. [R]"""
    mean = table.sums.sum() / table.counts.sum()
    deviations = np.zeros(num_resamples)
    for axis in (1, 0) if table.counts.shape[1] >= MIN_SEEDS else (1,):
        residuals = (table.sums - mean * table.counts).sum(axis=axis)
        counts = table.counts.sum(axis=axis)
        weights = _rescaled_weights(counts.size, num_resamples)  # [R, groups]
        deviations += (weights @ residuals) / np.maximum(weights @ counts, 1.0)
    return deviations


@lru_cache(maxsize=4)
def _rescaled_weights(groups: int, num_resamples: int) -> np.ndarray:
    """How often each of `groups` is drawn, [R, G]: groups - 1 draws, for an unbiased variance.

    Kept, because the comparisons of one report all have the same few sizes.
    """
    if groups == 1:
        return np.ones((num_resamples, 1))
    rng = np.random.default_rng([BOOTSTRAP_SEED, groups])
    draws = rng.multinomial(groups - 1, np.full(groups, 1 / groups), size=num_resamples)
    return draws.astype(float)


def _score_limits(rate: float, n: float, critical: float) -> tuple[float, float]:
    scale = 1 + critical**2 / n
    centre = (rate + critical**2 / (2 * n)) / scale
    reach = critical / scale * math.sqrt(rate * (1 - rate) / n + critical**2 / (4 * n * n))
    return max(0.0, float(min(rate, centre - reach))), min(1.0, float(max(rate, centre + reach)))
