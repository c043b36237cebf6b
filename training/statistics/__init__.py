"""Statistics of evaluations. The unit is the task; `README.md` says which method is used where.

rates            intervals for one policy: rates, shares, means
differences      two policies on the same episodes, over tasks and training seeds
mcnemar          two policies on the same tasks, exactly
attempts         pass@k and pass^k of several attempts at a task
multiplicity     Holm, Benjamini and Hochberg: several comparisons at once
power            the difference that a comparison can see, and the tasks that a smaller one needs
units            which episodes are one observation: a hand, or a hand with its target
clusters         tasks crossed with seeds; quantiles: Student's distribution
"""

from .attempts import attempts_rate, pass_at_k, pass_hat_k
from .clusters import MIN_SEEDS
from .differences import paired_difference, paired_ratio_difference
from .mcnemar import McNemar, mcnemar
from .multiplicity import benjamini_hochberg, corrected, holm
from .power import detectable, needed_pairs, needed_seeds, needed_tasks
from .rates import (
    clustered_mean,
    clustered_rate,
    clustered_ratio,
    clustered_share,
    mean_over_seeds,
    wilson,
)
from .units import Cluster, units
from .values import Interval, PairedDifference, Precision

__all__ = [
    "MIN_SEEDS",
    "Cluster",
    "Interval",
    "McNemar",
    "PairedDifference",
    "Precision",
    "attempts_rate",
    "benjamini_hochberg",
    "clustered_mean",
    "clustered_rate",
    "clustered_ratio",
    "clustered_share",
    "corrected",
    "detectable",
    "holm",
    "mcnemar",
    "mean_over_seeds",
    "needed_pairs",
    "needed_seeds",
    "needed_tasks",
    "paired_difference",
    "paired_ratio_difference",
    "pass_at_k",
    "pass_hat_k",
    "units",
    "wilson",
]
