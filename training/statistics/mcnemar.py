"""McNemar's test: two policies on the same tasks, judged by the tasks that only one of them solved.

- Exact and mid-p (McNemar 1947; Fagerland, Lydersen and Laake 2013, *The McNemar test for binary
  matched-pairs data*, who recommend mid-p over the exact test's caution). Both take episodes as
  independent: right only where no task was played twice.
- Obuchowski 1998, *On the Comparison of Correlated Proportions for Clustered Data*: the variance
  from the tasks' sums of differences; McNemar's chi-square (but for (K - 1) / K) at one episode a
  task. It needs a few dozen discordant tasks for its chi-square.
- Flips: under the null hypothesis the two policies could have changed places on any task, so every
  task's sum of differences is as likely with the other sign. The distribution of their total is
  counted in full, without sampling. At one episode a task this is the exact McNemar test; with
  repeated tasks it is exact still, where the other exact tests are wrong.

These speak of the two policies at hand. `paired_difference` also spans training seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .clusters import tabulate


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """Two-sided p-values for "neither policy is better".

    n: pairs of episodes; only_a, only_b: those that one alone solved (the discordant ones).
    num_tasks, num_discordant: distinct tasks, and those of them whose differences do not cancel.
    exact_p, mid_p: with episodes as independent.  clustered_p: Obuchowski's, by task.
    flip_p: exact, by task.
    """

    n: int
    num_tasks: int
    only_a: int
    only_b: int
    num_discordant: int
    exact_p: float
    mid_p: float
    clustered_p: float
    flip_p: float


def mcnemar(
    a: Sequence[Any] | np.ndarray,
    b: Sequence[Any] | np.ndarray,
    task_ids: Sequence[Any] | np.ndarray,
) -> McNemar:
    """Compare success (0 or 1) of two policies on the same episodes; all lists [N].

    Raises ValueError for lists of unequal length and for values other than 0 and 1.
    """
    first, second = _binary("a", a), _binary("b", b)
    if first.shape != second.shape:
        raise ValueError(f"a and b must be equally long; got {first.size} and {second.size}")
    by_task = tabulate(second.astype(float) - first, task_ids, None).sums[:, 0]
    only_a, only_b = int((first & ~second).sum()), int((second & ~first).sum())
    return McNemar(
        n=first.size,
        num_tasks=by_task.size,
        only_a=only_a,
        only_b=only_b,
        num_discordant=int((by_task != 0).sum()),
        exact_p=exact_p(only_a, only_b),
        mid_p=mid_p(only_a, only_b),
        clustered_p=clustered_p(by_task),
        flip_p=flip_p(by_task),
    )


def exact_p(only_a: int, only_b: int) -> float:
    """Two-sided binomial p-value of the discordant pairs, of which half would favour each."""
    fewer, total = _discordant(only_a, only_b)
    ways, below = 1, 1  # binomial coefficient of k, and the sum of those up to k
    for k in range(fewer):
        ways = ways * (total - k) // (k + 1)
        below += ways
    return min(1.0, 2 * below / 2**total)


def mid_p(only_a: int, only_b: int) -> float:
    """The exact p-value less half the chance of what was seen (on both sides)."""
    fewer, total = _discordant(only_a, only_b)
    seen = math.comb(total, fewer) / 2**total
    return 1 - seen / 2 if only_a == only_b else exact_p(only_a, only_b) - seen


def clustered_p(by_task: np.ndarray) -> float:
    """Obuchowski's p-value. by_task: every task's sum of differences b - a. [K]"""
    spread = float((np.asarray(by_task, dtype=float) ** 2).sum())
    groups = np.size(by_task)
    if spread == 0 or groups < 2:
        return 1.0
    statistic = (groups - 1) / groups * float(np.sum(by_task)) ** 2 / spread  # chi-square, 1 df
    return math.erfc(math.sqrt(statistic / 2))


def flip_p(by_task: np.ndarray) -> float:
    """Exact p-value over all 2^K signs of the tasks' sums of differences (integers). [K]"""
    sizes = np.abs(np.asarray(by_task)).round().astype(int)
    sizes, total = sizes[sizes > 0], int(sizes.sum())
    chance = np.zeros(2 * total + 1)  # of a total of -total ... total
    chance[total] = 1.0
    for size in sizes:
        flipped = np.zeros_like(chance)
        flipped[size:] += 0.5 * chance[:-size]
        flipped[:-size] += 0.5 * chance[size:]
        chance = flipped
    seen = abs(round(float(np.sum(by_task))))
    if seen == 0:
        return 1.0
    return float(min(1.0, chance[: total - seen + 1].sum() + chance[total + seen :].sum()))


def _binary(name: str, values: Any) -> np.ndarray:
    numbers = np.asarray(values)
    if numbers.ndim != 1 or not np.isin(numbers, (0, 1)).all():
        raise ValueError(f"{name} must be a list of 0 and 1 (or False and True); got others")
    return numbers.astype(bool)


def _discordant(only_a: int, only_b: int) -> tuple[int, int]:
    if only_a < 0 or only_b < 0:
        raise ValueError(f"only_a and only_b must be at least 0; got {only_a} and {only_b}")
    return min(only_a, only_b), only_a + only_b
