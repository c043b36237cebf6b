"""Tasks crossed with training seeds: what intervals and comparisons are computed from.

A table holds sums by task and by seed; its variance, its bootstrap and Wilson's limits at an
effective size are here. Where the choices come from stands in `rates` and `differences`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

from .quantiles import checked, student_quantile, student_tail

BOOTSTRAP_SEED = 20250124
NUM_RESAMPLES = 4000
MIN_SEEDS = 3


@dataclass(frozen=True, slots=True)
class Table:
    """Sums of a value and of what it is a share of (1 an episode, or its answers), by task and
    training seed. [num_tasks, num_seeds]"""

    sums: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, slots=True)
class Variance:
    """Of a pooled mean.

    freedom: degrees of freedom.  counted_twice: the sum of both levels' variances, in which the
    noise of single episodes is counted twice.  task_share, seed_share: of `total`, what comes of
    tasks alone and of seeds alone; the rest is noise, which more of either would shrink.
    """

    total: float
    freedom: float
    counted_twice: float
    task_share: float = 1.0
    seed_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Reach:
    """Half the width of a difference's interval, its two-sided p-value and what they come of."""

    reach: float
    p_value: float
    std_error: float
    variance: Variance


def tabulate(values: Any, task_ids: Any, seeds: Any, wholes: np.ndarray | None = None) -> Table:
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
    return Table(
        np.bincount(cell, weights=numbers, minlength=size).reshape(shape),
        np.bincount(cell, weights=wholes, minlength=size).reshape(shape).astype(float),
    )


def normal_quantile(confidence: float) -> float:
    """Of the standard normal distribution, two-sided."""
    return NormalDist().inv_cdf(0.5 + checked(confidence) / 2)


def crossed_variance(table: Table, mean: float) -> Variance:
    """Of the pooled mean over tasks crossed with seeds."""
    residuals, total = table.sums - mean * table.counts, table.counts.sum()
    num_tasks, num_seeds = residuals.shape

    def spread(parts: np.ndarray) -> float:
        groups = parts.size
        return float((parts**2).sum() / total**2) * groups / (groups - 1) if groups > 1 else 0.0

    by_task, by_seed = spread(residuals.sum(axis=1)), spread(residuals.sum(axis=0))
    if num_seeds < MIN_SEEDS:
        return Variance(by_task, float(max(num_tasks - 1, 1)), by_task)
    both = spread(residuals[table.counts > 0])
    variance = max(by_task + by_seed - both, by_task, by_seed)
    freedom = float(max(min(num_tasks, num_seeds) - 1, 1))
    noise = _shared_noise(by_task, by_seed, both, table.counts.shape)
    parts = by_task - noise, by_seed - noise
    whole = max(sum(parts) + noise, 1e-300)
    return Variance(variance, freedom, by_task + by_seed, parts[0] / whole, parts[1] / whole)


def reached(table: Table, estimate: float, confidence: float, num_resamples: int) -> Reach:
    """How far a mean difference may be off, by the bootstrap at the crossed variance."""
    variance = crossed_variance(table, estimate)
    spread = float(_resampled_deviations(table, num_resamples).std())
    if spread <= 1e-12:  # every task says the same: bound what an unseen task might say
        num_tasks = table.counts.shape[0]
        reach = score_limits(0.0, num_tasks, normal_quantile(confidence))[1]
        return Reach(reach, 1.0 if estimate == 0 else 0.5 ** (num_tasks - 1), 0.0, variance)
    spread *= math.sqrt(variance.total / variance.counted_twice)
    return Reach(
        spread * student_quantile(confidence, variance.freedom),
        2 * student_tail(abs(estimate) / spread, variance.freedom),
        spread,
        variance,
    )


def score_limits(rate: float, n: float, critical: float) -> tuple[float, float]:
    scale = 1 + critical**2 / n
    centre = (rate + critical**2 / (2 * n)) / scale
    reach = critical / scale * math.sqrt(rate * (1 - rate) / n + critical**2 / (4 * n * n))
    return max(0.0, float(min(rate, centre - reach))), min(1.0, float(max(rate, centre + reach)))


def checked_parts(parts: Any, wholes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as floats. [N], [N]"""
    counted, total = np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)
    if counted.shape != total.shape or counted.ndim != 1:
        raise ValueError(
            f"parts and wholes must be equally long lists; got {counted.shape} and {total.shape}"
        )
    if (counted < 0).any() or (counted > total).any():
        raise ValueError("parts must be between 0 and wholes; got others")
    return counted, total


def kept_labels(labels: Any, kept: np.ndarray) -> np.ndarray:
    """Those labels [N] whose `kept` [N] is true."""
    chosen = np.asarray(labels)
    if chosen.shape != kept.shape:
        raise ValueError(
            f"task_ids and seeds must be as long as the {kept.size} values; got {chosen.size}"
        )
    return chosen[kept]


def _resampled_deviations(table: Table, num_resamples: int) -> np.ndarray:
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


def _shared_noise(by_task: float, by_seed: float, both: float, shape: tuple[int, ...]) -> float:
    """The part of both levels' variances that is the noise of single episodes.

    With t, s, e the variances of the mean that come of tasks, of seeds and of noise, the
    expectations are by_task = t + e, by_seed = s + e, both = t / num_seeds + s / num_tasks + e.
    """
    num_tasks, num_seeds = shape
    share = 1 - 1 / num_seeds - 1 / num_tasks
    if share <= 0:
        return 0.0
    noise = (both - by_task / num_seeds - by_seed / num_tasks) / share
    return min(max(noise, 0.0), by_task, by_seed)
