"""What the turns of an episode are paid: the environment's rewards, lengths, and the reference.

Only training sees these; evaluation and `reward/mean` stay with the environment's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..agents.types import Episode
from .grpo_config import GrpoConfig, LengthConfig, LengthReward
from .length_rewards import kimi_length_rewards, l1_exact, l1_max, overlong_penalty

ASKED_TOKENS = "asked_tokens"  # in a turn's details: the number that the prompt asked for


@dataclass(frozen=True, slots=True)
class Pay:
    """What one episode is worth in training.

    rewards: by turn; they count where rewards are added up over turns. [turns]
    total: the whole episode's, for credit by trajectory.
    """

    rewards: tuple[float, ...]
    total: float


def shaped(episodes: Sequence[Episode], config: GrpoConfig, step: int) -> list[Pay]:
    """The environment's rewards plus those for length.

    A fine for an overlong answer goes to its turn, a reward for the episode's length to the last.
    """
    extra = np.zeros(len(episodes))
    if config.length.kind is not LengthReward.none and step >= config.length.after_steps:
        extra = _length_rewards(episodes, config.length)
    limit, fraction = config.max_new_tokens, config.length.overlong_fraction
    pays = []
    for episode, bonus in zip(episodes, extra, strict=True):
        counts = [len(turn.completion.token_ids) for turn in episode.turns]
        fines = [overlong_penalty(count, limit, fraction) for count in counts]
        rewards = [turn.reward + fine for turn, fine in zip(episode.turns, fines, strict=True)]
        if rewards:
            rewards[-1] += float(bonus)
        total = episode.episode_return + sum(fines) + float(bonus)
        pays.append(Pay(tuple(rewards), total))
    return pays


def fined(pays: Sequence[Pay], penalties: Sequence[Sequence[np.ndarray]]) -> list[Pay]:
    """Less the penalty towards the reference: by episode, by turn, beta * k1 of every token."""
    found = []
    for pay, by_turn in zip(pays, penalties, strict=True):
        sums = [float(each.sum()) for each in by_turn]
        rewards = tuple(reward - fine for reward, fine in zip(pay.rewards, sums, strict=True))
        found.append(Pay(rewards, pay.total - sum(sums)))
    return found


def _length_rewards(episodes: Sequence[Episode], config: LengthConfig) -> np.ndarray:
    """What each episode's length adds to its return. [N]"""
    used = [episode.num_sampled_tokens for episode in episodes]
    if config.kind is LengthReward.kimi:
        groups = [episode.group for episode in episodes]
        successes = [episode.success for episode in episodes]
        return config.weight * kimi_length_rewards(used, groups, successes)
    changes = []
    for episode, count in zip(episodes, used, strict=True):
        worth = episode.episode_return
        if not episode.turns:
            changes.append(0.0)
            continue
        asked = int(episode.turns[-1].details[ASKED_TOKENS])
        if config.kind is LengthReward.l1_exact:
            changed = l1_exact(worth, asked, count, config.alpha)
        else:
            changed = l1_max(worth, asked, count, config.alpha, config.delta)
        changes.append(changed - worth)
    return np.array(changes)
