"""What a comparison can see: its minimum detectable difference, and what a smaller one would need.

The smallest true difference that such data show with probability `power` in a two-sided test at
level `alpha`, as McNemar's test is planned (Connor 1987, *Sample Size for Testing Differences in
Proportions for the Paired-Sample Design*), at the effective number of pairs:

    (t_a sqrt(q) + t_b sqrt(q - d^2)) / sqrt(pairs) = d,    t_a, t_b: quantiles of alpha and power

q is the discordance: the share of pairs that one policy alone solves; it can be no less than d. The
effective number of pairs is what reproduces the measured standard error, and so holds the design
effect of repeated tasks and, over several training seeds, their spread (a cluster-randomised plan:
Donner and Klar 2000, *Design and Analysis of Cluster Randomization Trials*). More tasks shrink only
what comes of tasks: `needed_tasks` is None where the spread of seeds alone is too wide.

None of this uses the difference that was found as the one to be found (which would restate its
p-value; Hoenig and Heisey 2001); it needs the spread alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from .quantiles import student_quantile
from .values import PairedDifference

ALPHA, POWER = 0.05, 0.8
MOST = 10_000_000  # tasks or seeds; beyond, the answer is "never"
EXPANSION_FROM = 100  # degrees of freedom from which the normal expansion is good to five digits


@dataclass(frozen=True, slots=True)
class Design:
    """What decides how small a difference is seen.

    num_pairs: effective number of pairs.  discordance: share of pairs that one alone solves (for
    other values their mean square); None: no floor is known.  freedom: of Student's distribution.
    """

    num_pairs: float
    discordance: float
    freedom: float = math.inf


def detectable(
    difference: PairedDifference, power: float = POWER, alpha: float = ALPHA
) -> float | None:
    """The smallest difference that data like these show with probability `power`; None: not even
    one of 100 points."""
    return smallest(_design(difference), power, alpha)


def needed_tasks(
    difference: PairedDifference, target: float, power: float = POWER, alpha: float = ALPHA
) -> int | None:
    """Distinct tasks, each as often played and by as many seeds as here, that would show a
    difference of `target`; None: seeds differ too much for any number of tasks."""
    return _fewest(lambda count: _design(difference, num_tasks=count), target, power, alpha)


def needed_seeds(
    difference: PairedDifference, target: float, power: float = POWER, alpha: float = ALPHA
) -> int | None:
    """Training seeds on the same tasks that would show `target`; None: tasks are too few for any
    number of seeds, or here were too few seeds to know how much they differ."""
    if not difference.spans_seeds:
        return None
    return _fewest(lambda count: _design(difference, num_seeds=count), target, power, alpha)


def needed_pairs(
    target: float,
    discordance: float,
    design_effect: float = 1.0,
    power: float = POWER,
    alpha: float = ALPHA,
) -> int | None:
    """Episodes in pairs to plan for, before anything was measured.

    discordance: share of pairs that one policy alone will solve, at least `target`.
    design_effect: variance over that of independent episodes: 1 + (m - 1) rho for m episodes a
        task that are correlated by rho.
    """
    if design_effect <= 0:
        raise ValueError(f"design_effect must be positive; got {design_effect}")
    if not target <= discordance <= 1:
        raise ValueError(
            f"discordance must be at least the target {target} and at most 1; got {discordance}"
        )
    return _fewest(lambda n: Design(n / design_effect, discordance), target, power, alpha)


def smallest(design: Design, power: float = POWER, alpha: float = ALPHA) -> float | None:
    """The smallest difference that a design shows with probability `power`; None: none at all."""
    if not 0.5 < power < 1:
        raise ValueError(f"power must be between 0.5 and 1; got {power}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1; got {alpha}")
    t_a = _quantile(1 - alpha, design.freedom)
    t_b = _quantile(2 * power - 1, design.freedom)  # its upper tail is 1 - power

    def falls_short(d: float) -> bool:
        q = max(design.discordance, d)
        return t_a * math.sqrt(q) + t_b * math.sqrt(q - d * d) > d * math.sqrt(design.num_pairs)

    if falls_short(1.0):
        return None
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if falls_short(middle) else (low, middle)
    return high


def _design(
    difference: PairedDifference, num_tasks: int | None = None, num_seeds: int | None = None
) -> Design:
    """Of data like these, with other numbers of tasks or seeds."""
    known = difference.precision
    tasks, seeds = num_tasks or difference.num_tasks, num_seeds or difference.num_seeds
    rest = known.std_error**2 - known.task_error**2 - known.seed_error**2
    by_task, by_seed = difference.num_tasks / tasks, difference.num_seeds / seeds
    variance = (
        known.task_error**2 * by_task
        + known.seed_error**2 * by_seed
        + max(rest, 0.0) * by_task * by_seed
    )
    fewest = min(tasks, seeds) if difference.spans_seeds else tasks
    freedom = max(fewest - 1, 1)
    if known.mean_square is None:  # a ratio: no pairs to count, its error says all
        return Design(1 / max(variance, 1e-12), 1.0, freedom)
    one_pair = known.mean_square - difference.estimate**2
    if known.std_error == 0 or one_pair <= 1e-12:  # all tasks say the same
        return Design(tasks, known.mean_square, freedom)
    return Design(one_pair / max(variance, 1e-12), known.mean_square, freedom)


def _fewest(
    design: Callable[[int], Design], target: float, power: float, alpha: float
) -> int | None:
    """The smallest count whose design shows `target`; None beyond MOST."""
    if not 0 < target <= 1:
        raise ValueError(f"target must be a difference between 0 and 1; got {target}")

    def suffices(count: int) -> bool:
        found = smallest(design(count), power, alpha)
        return found is not None and found <= target

    if not suffices(MOST):
        return None
    low, high = 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def _quantile(confidence: float, freedom: float) -> float:
    """Two-sided, Student's; by its expansion about the normal one where that is as good."""
    if freedom < EXPANSION_FROM:
        return student_quantile(confidence, freedom)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
