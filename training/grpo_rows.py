"""From the episodes of a rollout to rows to train on, and back from rows to the episodes' turns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from ..agents.policy import Policy
from ..agents.rows import rows_from_episode
from ..agents.types import Episode
from .batch import WeightedRow
from .credit import ByTurn, Credited


def numbered_rows(
    episodes: Sequence[Episode], policy: Policy, *, first_index: int = 0
) -> list[list[WeightedRow]]:
    """The rows of every episode, without advantages, numbered from `first_index` on."""
    found: list[list[WeightedRow]] = []
    index = first_index
    for episode in episodes:
        parts = rows_from_episode(episode, policy)
        turns = _turns_by_id(episode)
        found.append(
            [
                WeightedRow(row=part, weight=1.0 / len(parts), index=index + place, turns=ids)
                for place, (part, ids) in enumerate(zip(parts, turns, strict=True))
            ]
        )
        index += len(parts)
    return found


def rows_with_signal(
    episodes: Sequence[Episode],
    rows: Sequence[Sequence[WeightedRow]],
    credits: Sequence[Credited],
) -> list[WeightedRow]:
    """The rows that have an advantage other than zero, or a value to fit."""
    kept: list[WeightedRow] = []
    for episode, parts, credit in zip(episodes, rows, credits, strict=True):
        advantages = _by_row(episode, credit.advantages)
        for place, (part, values) in enumerate(zip(parts, advantages, strict=True)):
            row = replace(part, advantages=values)
            if credit.targets is not None and credit.is_target is not None:
                row = replace(
                    row,
                    targets=_by_row(episode, credit.targets)[place],
                    is_target=_by_row(episode, credit.is_target)[place],
                )
            if any(values) or row.targets:
                kept.append(row)
    return kept


def by_turn(episode: Episode, rows: Sequence[WeightedRow], tokens: Mapping[int, Tensor]) -> ByTurn:
    """Numbers per id of an episode's rows, by row index, as numbers per sampled token of a turn."""
    sampled = [
        tokens[row.index].double().cpu().numpy()[np.array(row.row.mask, dtype=bool)] for row in rows
    ]
    counts = [len(turn.completion.token_ids) for turn in episode.turns]
    if not counts:
        return []
    return np.split(np.concatenate(sampled), np.cumsum(counts)[:-1])


def _turns_by_id(episode: Episode) -> list[list[int]]:
    """Per row of the episode, the turn within the row that each id belongs to."""
    lengths = [len(turn.prompt_ids) + len(turn.completion.token_ids) for turn in episode.turns]
    if episode.context.row_per_turn:
        return [[0] * length for length in lengths]
    return [[turn for turn, length in enumerate(lengths) for _ in range(length)]] if lengths else []


def _by_row(episode: Episode, values: ByTurn) -> list[list[float]]:
    """The turns' numbers, one per id of each row: 0 where nothing was sampled."""
    turns = [
        [0.0] * len(turn.prompt_ids) + [float(x) for x in numbers]
        for turn, numbers in zip(episode.turns, values, strict=True)
    ]
    if episode.context.row_per_turn or not turns:
        return turns
    return [[value for turn in turns for value in turn]]
