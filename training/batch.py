"""Rows of ids with their weights, cut into micro-batches.

A row is what a policy was asked to continue and what it answered; `Row` (agents) holds ids, mask
and pictures, `WeightedRow` adds what the loss needs to know about it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..agents.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedRow:
    """One training row.

    advantages: one per id, used where the mask is 1 [T]; empty in supervised training.
    weight: 1 for a row that is a whole episode, 1 / n for each of an episode's n rows.
    index: the row's place in the step, to find its old log-probabilities again.
    turns: which answer of the row each id belongs to, from 0 [T].
    targets, is_target: with a critic, what the value before each id should be, and 1 where it is
        fitted [T].
    """

    row: Row
    advantages: Sequence[float] = ()
    weight: float = 1.0
    index: int = 0
    turns: Sequence[int] = ()
    targets: Sequence[float] = ()
    is_target: Sequence[float] = ()

    @property
    def num_tokens(self) -> int:
        return len(self.row.ids)

    @property
    def num_sampled(self) -> int:
        return int(sum(self.row.mask))

    @property
    def num_targets(self) -> int:
        return int(sum(self.is_target))


def micro_batches(rows: Sequence[WeightedRow], max_tokens: int) -> Iterator[list[WeightedRow]]:
    """Rows of like length together, at most `max_tokens` padded tokens (but at least one row) each.

    The order is by length, then by index: the same for any order of the rows given.
    """
    batch: list[WeightedRow] = []
    longest = 0
    for row in sorted(rows, key=lambda row: (row.num_tokens, row.index)):
        longest = max(longest, row.num_tokens)
        if batch and longest * (len(batch) + 1) > max_tokens:
            yield batch
            batch, longest = [], row.num_tokens
        batch.append(row)
    if batch:
        yield batch


def padded(values: Sequence[Sequence[float] | Tensor], like: Tensor) -> Tensor:
    """Per-token numbers of each row, with zeros on the right. [B, T] as `like`"""
    stacked = torch.zeros_like(like, requires_grad=False)
    for place, row in enumerate(values):
        stacked[place, : len(row)] = torch.as_tensor(row, dtype=like.dtype, device=like.device)
    return stacked


def column(values: Sequence[float], device: torch.device) -> Tensor:
    """Per-row numbers as a column that broadcasts over tokens. [B, 1] float32"""
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None]
