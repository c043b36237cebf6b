"""Tasks crossed with training seeds: what `statistics` computes its intervals from.

A table holds sums by task and by seed; its variance, its bootstrap and Wilson's limits at an
effective size are here. Where the choices come from stands in `statistics`.
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


def crossed_variance(table: Table, mean: float) -> tuple[float, float, float]:
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


def reach_and_p_value(
    table: Table, estimate: float, confidence: float, num_resamples: int
) -> tuple[float, float]:
    """Of a mean difference: half the interval's width, and the two-sided p-value of none."""
    variance, freedom, counted_twice = crossed_variance(table, estimate)
    spread = float(_resampled_deviations(table, num_resamples).std())
    if spread <= 1e-12:  # every task says the same: bound what an unseen task might say
        num_tasks = table.counts.shape[0]
        reach = score_limits(0.0, num_tasks, normal_quantile(confidence))[1]
        return reach, 1.0 if estimate == 0 else 0.5 ** (num_tasks - 1)
    spread *= math.sqrt(variance / counted_twice)
    reach = spread * student_quantile(confidence, freedom)
    return reach, 2 * student_tail(abs(estimate) / spread, freedom)


def score_limits(rate: float, n: float, critical: float) -> tuple[float, float]:
    scale = 1 + critical**2 / n
    centre = (rate + critical**2 / (2 * n)) / scale
    reach = critical / scale * math.sqrt(rate * (1 - rate) / n + critical**2 / (4 * n * n))
    return max(0.0, float(min(rate, centre - reach))), min(1.0, float(max(rate, centre + reach)))


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
