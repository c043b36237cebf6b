"""What the methods of this package return: an estimate with its limits, n, and what it spans."""

from dataclasses import dataclass

from .clusters import MIN_SEEDS


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
class Precision:
    """How well a difference is known; what `power` plans with.

    std_error: standard error of the estimate; 0 where all tasks say the same.
    freedom: degrees of freedom of Student's distribution.
    task_error, seed_error: what endlessly many seeds, or endlessly many tasks, would leave of it.
    mean_square: of the episodes' differences (b - a), for 0 and 1 their discordance; None where
        the estimate is no mean of episodes' differences.
    """

    std_error: float
    freedom: float
    task_error: float
    seed_error: float
    mean_square: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference(Interval):
    """Mean of b - a over the same episodes; `p_value` is two-sided, for no difference.

    only_a, only_b: episodes that just one of the two solved.
    adjusted_p: `p_value` after a correction for the `num_compared` comparisons of its family; None
        before one (`multiplicity`).
    """

    mean_a: float
    mean_b: float
    only_a: int
    only_b: int
    p_value: float
    precision: Precision
    adjusted_p: float | None = None
    num_compared: int = 1

    @property
    def is_significant(self) -> bool:
        """Whether its own interval excludes zero, however many others were looked at."""
        return self.low > 0 or self.high < 0

    @property
    def is_clear(self) -> bool:
        """Whether it stands among its family: after the correction, where there was one."""
        if self.adjusted_p is None:
            return self.is_significant
        return self.is_significant and self.adjusted_p < 1 - self.confidence
