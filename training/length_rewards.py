"""Rewards for the number of sampled tokens: pure functions.

Sources: DAPO (arXiv 2503.14476, eq. 13), Kimi k1.5 (arXiv 2501.12599, section 2.3.3), L1 (arXiv
2503.04697, eqs. 1 and 2). Departure: L1 pays 1 for a right answer; here that is the environment's
return R, so that shaped rewards keep their shape.
"""

from collections.abc import Sequence

import numpy as np


def overlong_penalty(num_tokens: int, max_tokens: int, fraction: float) -> float:
    """DAPO: 0 up to (1 - fraction) of the limit, then linear down to -1 at the limit and beyond."""
    free = max_tokens * (1.0 - fraction)
    if fraction <= 0 or num_tokens <= free:
        return 0.0
    return -min(1.0, (num_tokens - free) / (max_tokens - free))


def kimi_length_rewards(
    lengths: Sequence[int], groups: Sequence[int], successes: Sequence[bool]
) -> np.ndarray:
    """Kimi k1.5: .5 - (length - shortest) / (longest - shortest) within the group. float64 [N]

    A wrong episode gets at most 0, and a group of one length 0.
    """
    rewards = np.zeros(len(lengths))
    for group in set(groups):
        members = [i for i, each in enumerate(groups) if each == group]
        shortest = min(lengths[i] for i in members)
        spread = max(lengths[i] for i in members) - shortest
        for i in members if spread else ():
            value = 0.5 - (lengths[i] - shortest) / spread
            rewards[i] = value if successes[i] else min(0.0, value)
    return rewards


def l1_exact(episode_return: float, asked: int, used: int, alpha: float) -> float:
    """L1-Exact: R - alpha |asked - used|."""
    return episode_return - alpha * abs(asked - used)


def l1_max(episode_return: float, asked: int, used: int, alpha: float, delta: float) -> float:
    """L1-Max: R * clip(alpha (asked - used) + delta, 0, 1)."""
    return episode_return * min(1.0, max(0.0, alpha * (asked - used) + delta))
