"""Group-relative advantages: pure functions from returns to one number per episode.

Sources: GRPO (DeepSeekMath, arXiv 2402.03300, section 4.1), Dr. GRPO (arXiv 2503.20783, section 3),
RLOO (arXiv 2402.14740, section 3). Departures: a group whose returns agree gets exactly zero (by
range, not by a standard deviation that rounding can make 1e-8), and so does a group of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

EPSILON = 1e-6
SAME_RETURN = 1e-9


class AdvantageKind(str, Enum):
    """How a return is compared with the others of its group."""

    grpo = "grpo"  # (R - mean) / (std + eps)
    dr_grpo = "dr_grpo"  # R - mean
    rloo = "rloo"  # R - mean of the others


@dataclass(frozen=True, slots=True)
class GroupAdvantages:
    """Advantages of a batch of episodes.

    values: one advantage per episode, in the order given. float64 [N]
    num_groups: how many groups there were.
    num_zero_variance: how many of them carry no signal (all returns equal, or gated).
    """

    values: np.ndarray
    num_groups: int
    num_zero_variance: int


def group_advantages(
    returns: Sequence[float],
    groups: Sequence[int],
    kind: AdvantageKind = AdvantageKind.grpo,
    *,
    successes: Sequence[bool] | None = None,
    outcome_gate: bool = False,
    min_std: float = 0.0,
) -> GroupAdvantages:
    """Compare every return with those of its own group.

    returns, groups: [N]; members of a group may stand anywhere and groups may differ in size.
    successes: [N], needed by `outcome_gate`, which zeroes groups without a single success (shaped
        penalties otherwise give all-fail groups full-size z-scores).
    min_std: the least divisor of `grpo`.

    Raises ValueError when lengths differ or the gate has no successes to look at.
    """
    reward = np.asarray(returns, dtype=np.float64)  # [N]
    group = np.asarray(groups)  # [N]
    if reward.shape != group.shape:
        raise ValueError(f"returns and groups must pair up; got {len(reward)} and {len(group)}")
    if outcome_gate and successes is None:
        raise ValueError("outcome_gate needs successes; got None")
    solved = np.asarray(successes, dtype=bool) if successes is not None else None
    values = np.zeros_like(reward)
    silent = 0
    ids = np.unique(group)
    for group_id in ids:
        members = np.flatnonzero(group == group_id)
        spread = np.ptp(reward[members])
        gated = outcome_gate and solved is not None and not solved[members].any()
        if len(members) < 2 or spread <= SAME_RETURN or gated:
            silent += 1
            continue
        values[members] = _compare(reward[members], kind, min_std)
    return GroupAdvantages(values=values, num_groups=len(ids), num_zero_variance=silent)


def _compare(returns: np.ndarray, kind: AdvantageKind, min_std: float) -> np.ndarray:
    centred = returns - returns.mean()
    if kind is AdvantageKind.dr_grpo:
        return centred
    if kind is AdvantageKind.rloo:
        return centred * len(returns) / (len(returns) - 1)
    return centred / (max(returns.std(ddof=1), min_std) + EPSILON)
