"""Several attempts at a task, each from its start: what any of k would solve, and what all would.

- pass@k: the chance that at least one of k attempts succeeds (Chen et al. 2021, *Evaluating Large
  Language Models Trained on Code*, arXiv 2107.03374, equation 1).
- pass^k: the chance that all k succeed: how reliable a policy is (Yao et al. 2024, *tau-bench*,
  arXiv 2406.12045, section 3).

Both are estimated without bias from n >= k attempts of which c succeeded: the share of the C(n, k)
choices of k that hold a success, or nothing else. A power of c / n instead is biased.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .rates import clustered_share
from .values import Interval

Estimator = Callable[[int, int, int], float]


def pass_at_k(num_right: int, num_attempts: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k), of n attempts with c right ones."""
    _check(num_right, num_attempts, k)
    return 1 - math.comb(num_attempts - num_right, k) / math.comb(num_attempts, k)


def pass_hat_k(num_right: int, num_attempts: int, k: int) -> float:
    """C(c, k) / C(n, k), of n attempts with c right ones."""
    _check(num_right, num_attempts, k)
    return math.comb(num_right, k) / math.comb(num_attempts, k)


def attempts_rate(
    estimator: Estimator,
    k: int,
    success: Sequence[Any] | np.ndarray,
    deals: Sequence[Any] | np.ndarray,
    task_ids: Sequence[Any] | np.ndarray,
    seeds: Sequence[Any] | np.ndarray | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Mean of `pass_at_k` or `pass_hat_k` over deals, clustered by task and seed; all lists [N].

    deals: what attempts have in common beside the training seed, e.g. the environment's reset
        seed. `n` of the interval counts deals. At k = 1 the estimate is the rate of success.

    Raises ValueError where a deal has fewer than k attempts.
    """
    right, tried = np.asarray(success, dtype=bool), np.asarray(deals)
    columns = np.zeros(right.size, dtype=int) if seeds is None else np.asarray(seeds)
    ids = np.asarray(task_ids)
    if not right.shape == tried.shape == columns.shape == ids.shape:
        raise ValueError(
            f"deals, task_ids and seeds must be as long as the {right.size} values of success; "
            f"got {tried.size}, {ids.size} and {columns.size}"
        )
    _, names = np.unique(tried, return_inverse=True)
    _, labels = np.unique(columns, return_inverse=True)
    keys = names * (labels.max(initial=0) + 1) + labels
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    counts = np.bincount(group)
    rights = np.bincount(group, weights=right).astype(int)
    shares = [estimator(int(c), int(n), k) for c, n in zip(rights, counts, strict=True)]
    trials = int(counts.max(initial=1))
    return clustered_share(shares, ids[first], columns[first], confidence, trials)


def _check(num_right: int, num_attempts: int, k: int) -> None:
    if not 0 <= num_right <= num_attempts:
        raise ValueError(f"num_right must be between 0 and {num_attempts}; got {num_right}")
    if not 1 <= k <= num_attempts:
        raise ValueError(f"k must be between 1 and the {num_attempts} attempts; got {k}")
