"""Group-relative advantages: pure functions from rewards to one number per episode or per turn.

Sources: GRPO (DeepSeekMath, arXiv 2402.03300, section 4.1), Dr. GRPO (arXiv 2503.20783, section 3),
RLOO (arXiv 2402.14740, section 3), the batch's deviation (arXiv 2508.08221, section 4.2), GiGPO
(arXiv 2505.10978, section 4). Departures: a group whose returns agree gets exactly zero (by range,
not by a standard deviation that rounding can make 1e-8), and so does a group of one. What needs no
groups stands in `whitening.py` (REINFORCE++) and `gae.py` (with a critic).
"""

from collections.abc import Hashable, Sequence
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
    batch_std = "batch_std"  # (R - mean) / (std of the whole batch + eps)
    reinforce_plus_plus = "reinforce_plus_plus"  # whitened over the batch, no groups
    reinforce_plus_plus_baseline = "reinforce_plus_plus_baseline"  # R - mean, then whitened
    gae = "gae"  # with a critic: generalised advantage estimation over turns, whitened


class Credit(str, Enum):
    """Which turns of an episode an advantage belongs to."""

    trajectory = "trajectory"  # the episode's, to every turn alike
    turn_return = "turn_return"  # each turn's own: discounted rewards from that turn on
    gigpo = "gigpo"  # the episode's, plus one among turns with an equal observation
    bilevel = "bilevel"  # with a critic: over turns, and over the tokens within each


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
    batch_std: float = 0.0,
) -> GroupAdvantages:
    """Compare every return with those of its own group.

    kind: one that compares within groups; `reinforce_plus_plus_baseline` gives R - mean.
    returns, groups: [N]; members of a group may stand anywhere and groups may differ in size.
    successes: [N], needed by `outcome_gate`, which zeroes groups without a single success (shaped
        penalties otherwise give all-fail groups full-size z-scores).
    min_std: the least divisor of `grpo` and `batch_std`.
    batch_std: the divisor of the kind of that name, from all groups of all processes.

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
        values[members] = _compare(reward[members], kind, min_std, batch_std)
    return GroupAdvantages(values=values, num_groups=len(ids), num_zero_variance=silent)


def turn_advantages(
    rewards: Sequence[Sequence[float]],
    groups: Sequence[int],
    kind: AdvantageKind = AdvantageKind.grpo,
    *,
    discount: float,
    successes: Sequence[bool] | None = None,
    outcome_gate: bool = False,
    min_std: float = 0.0,
    batch_std: float = 0.0,
) -> list[np.ndarray]:
    """Compare what each turn still earned with the same turn of the group's other members.

    rewards: by episode, then by turn; episodes may differ in length. The return of turn k is
        sum over j >= k of discount^(j - k) * rewards[j]. Its group are the members that played a
        turn k; one who is alone there gets exactly zero.
    Returns one array per episode, float64 [turns]. The other settings are those of
    `group_advantages`.
    """
    returns = [returns_to_go(episode, discount) for episode in rewards]
    values = [np.zeros(len(episode)) for episode in rewards]
    for turn in range(max(map(len, rewards), default=0)):
        played = [i for i, episode in enumerate(returns) if len(episode) > turn]
        found = group_advantages(
            [returns[i][turn] for i in played],
            [groups[i] for i in played],
            kind,
            successes=None if successes is None else [successes[i] for i in played],
            outcome_gate=outcome_gate,
            min_std=min_std,
            batch_std=batch_std,
        )
        for i, value in zip(played, found.values, strict=True):
            values[i][turn] = value
    return values


def anchor_advantages(
    rewards: Sequence[Sequence[float]],
    groups: Sequence[int],
    anchors: Sequence[Sequence[Hashable]],
    kind: AdvantageKind = AdvantageKind.grpo,
    *,
    discount: float,
    min_std: float = 0.0,
) -> list[np.ndarray]:
    """GiGPO's step advantage: compare turns of a group that answered one and the same observation.

    anchors: by episode, then by turn, what was observed; equal ones within a group are compared by
        their returns (as in `turn_advantages`), whichever turn or member they belong to. A turn
        whose observation nobody else met gets exactly zero.
    Returns one array per episode, float64 [turns]; GiGPO adds omega times this to the episode's.
    """
    names: dict[Hashable, int] = {}
    keys, returns = [], []
    for episode, group, seen in zip(rewards, groups, anchors, strict=True):
        returns += returns_to_go(episode, discount)
        keys += [names.setdefault((group, anchor), len(names)) for anchor in seen]
    found = group_advantages(returns, keys, kind, min_std=min_std).values
    ends = np.cumsum([len(episode) for episode in rewards])
    return np.split(found, ends[:-1]) if len(rewards) else []


def returns_to_go(rewards: Sequence[float], discount: float) -> list[float]:
    """Of every turn, the discounted sum of its own and later rewards. [turns]"""
    total, found = 0.0, []
    for reward in reversed(rewards):
        total = reward + discount * total
        found.append(total)
    return found[::-1]


def _compare(
    returns: np.ndarray, kind: AdvantageKind, min_std: float, batch_std: float
) -> np.ndarray:
    centred = returns - returns.mean()
    if kind in (AdvantageKind.dr_grpo, AdvantageKind.reinforce_plus_plus_baseline):
        return centred
    if kind is AdvantageKind.rloo:
        return centred * len(returns) / (len(returns) - 1)
    if kind is AdvantageKind.grpo:
        return centred / (max(returns.std(ddof=1), min_std) + EPSILON)
    if kind is AdvantageKind.batch_std:
        return centred / (max(batch_std, min_std) + EPSILON)
    raise ValueError(f"kind must be one that compares within groups; got {kind.value}")
