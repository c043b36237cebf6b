"""From the episodes of a rollout to what GRPO trains on: advantages by turn, rows with a signal."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..agents.policy import Policy
from ..agents.rows import rows_from_episode
from ..agents.types import ContextMode, Episode, Status
from .advantages import Credit, group_advantages, turn_advantages
from .batch import WeightedRow
from .config import GrpoConfig


def advantages_by_turn(episodes: Sequence[Episode], config: GrpoConfig) -> list[np.ndarray]:
    """One advantage per turn of every episode. float64 [turns] each"""
    groups = [episode.group for episode in episodes]
    options: dict[str, Any] = {
        "successes": [episode.success for episode in episodes],
        "outcome_gate": config.outcome_gate,
        "min_std": config.min_std,
    }
    if config.credit is Credit.turn_return:
        rewards = [[turn.reward for turn in episode.turns] for episode in episodes]
        return turn_advantages(
            rewards, groups, config.advantage, discount=config.discount, **options
        )
    returns = [episode.episode_return for episode in episodes]
    whole = group_advantages(returns, groups, config.advantage, **options).values
    return [
        np.full(len(episode.turns), value) for episode, value in zip(episodes, whole, strict=True)
    ]


def rows_with_signal(
    episodes: Sequence[Episode],
    advantages: Sequence[np.ndarray],
    policy: Policy,
    *,
    first_index: int = 0,
) -> list[WeightedRow]:
    """The rows that have an advantage other than zero, numbered from `first_index` on."""
    rows: list[WeightedRow] = []
    for episode, by_turn in zip(episodes, advantages, strict=True):
        parts = rows_from_episode(episode, policy)
        for part, values in zip(parts, _by_token(episode, by_turn), strict=True):
            if any(values):
                index, weight = first_index + len(rows), 1.0 / len(parts)
                rows.append(WeightedRow(row=part, advantages=values, weight=weight, index=index))
    return rows


def played(episodes: Sequence[Episode]) -> dict[str, int]:
    """What these episodes add to the ledger."""
    turns = [turn for episode in episodes for turn in episode.turns]
    return {
        "sampled_tokens": sum(len(turn.completion.token_ids) for turn in turns),
        "prompt_tokens": sum(len(turn.prompt_ids) for turn in turns),
        "env_steps": len(turns),
        "episodes": len(episodes),
    }


def rollout_sums(episodes: Sequence[Episode], advantages: Sequence[np.ndarray]) -> dict[str, float]:
    """Sums over episodes of what is logged as their mean; `n` and `groups/zero_variance` count."""
    sums: dict[str, float] = {"n": len(episodes)}
    signal = {e.group for e, a in zip(episodes, advantages, strict=True) if a.any()}
    sums["groups/zero_variance"] = len({e.group for e in episodes}) - len(signal)
    for episode in episodes:
        last = episode.turns[-1] if episode.turns else None
        parts = {
            "reward/mean": episode.episode_return,
            "success": float(episode.success),
            "success/first_turn": float(bool(last and episode.turns[0].success)),
            "episodes/mean_turns": float(len(episode.turns)),
            "episodes/truncated": float(episode.status is not Status.terminated),
            "episodes/mean_tokens": float(episode.num_sampled_tokens),
        }
        for name, value in last.reward_terms.items() if last else ():
            parts[f"reward/{name}"] = float(value)
        if last:
            parts[f"outcome/{last.outcome}"] = 1.0
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums


def _by_token(episode: Episode, by_turn: np.ndarray) -> list[list[float]]:
    """The turns' advantages, one per id of each row that `rows_from_episode` makes."""
    turns = [
        [float(value)] * (len(turn.prompt_ids) + len(turn.completion.token_ids))
        for turn, value in zip(episode.turns, by_turn, strict=True)
    ]
    if episode.context is ContextMode.single_turn or not turns:
        return turns
    return [[value for turn in turns for value in turn]]
