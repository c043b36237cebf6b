"""Generalised advantage estimation over turns, and over the tokens within them: pure functions.

Sources: GAE (arXiv 1506.02438, eq. 16); PPO over turns as in *SFT Memorizes, RL Generalizes*
(arXiv 2501.17161; its released trainer: discount .9, lambda .95, value of the state before the
answer); bi-level GAE (VAGEN, arXiv 2510.16907, and its code: a turn's value is read before its last
token). A turn is one action: what comes between two turns is the environment's and belongs to no
return. Nothing is carried over the end of an episode.
"""

from collections.abc import Sequence

import numpy as np


def gae(
    rewards: Sequence[float],
    values: Sequence[float],
    *,
    discount: float,
    gae_lambda: float,
    value_after: float = 0.0,
) -> np.ndarray:
    """Advantages of the turns of ONE episode. float64 [turns]

        delta_k = r_k + discount * V_(k+1) - V_k;  A_k = delta_k + discount * lambda * A_(k+1)

    values: of the state before each answer. [turns]
    value_after: of the state after the last answer: 0 where the game ended.
    """
    advantages = np.zeros(len(rewards))
    advantage, following = 0.0, value_after
    for turn in reversed(range(len(rewards))):
        delta = rewards[turn] + discount * following - values[turn]
        advantage = delta + discount * gae_lambda * advantage
        advantages[turn], following = advantage, values[turn]
    return advantages


def bilevel_gae(
    rewards: Sequence[float],
    values: Sequence[np.ndarray],
    *,
    discount: float,
    gae_lambda: float,
    value_after: float = 0.0,
) -> list[np.ndarray]:
    """Advantages of every sampled token of ONE episode. float64 [tokens of the turn] each

    values: by turn, of the state before each of its tokens. A turn's last token gets the turn's
    advantage (`gae` over the values before last tokens); from there the recursion runs backwards
    through the turn with discount 1 and no reward of its own:

        A_t = V_(t+1) - V_t + lambda * A_(t+1)

    Turns without tokens get an empty array and are left out of the recursion over turns.
    """
    spoken = [turn for turn, each in enumerate(values) if len(each)]
    by_turn = gae(
        [rewards[turn] for turn in spoken],
        [float(values[turn][-1]) for turn in spoken],
        discount=discount,
        gae_lambda=gae_lambda,
        value_after=value_after,
    )
    found = [np.zeros(len(each)) for each in values]
    for turn, advantage in zip(spoken, by_turn, strict=True):
        value, within = values[turn], found[turn]
        within[-1] = advantage
        for token in reversed(range(len(value) - 1)):
            delta = value[token + 1] - value[token]
            within[token] = delta + gae_lambda * within[token + 1]
    return found
