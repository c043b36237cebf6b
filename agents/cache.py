"""Keys and values during decoding: laid out per row with room to grow, and kept between turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from .types import StreamKey

Conversation = tuple[int, int, int, int]  # seed, step, group, member


class RoomyLayer(DynamicLayer):
    """A cache layer with room for a whole completion, written in place.

    keys, values: [B, heads, P + room, d], of which the first `length` columns are in use.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, length: int) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self.all_keys, self.all_values, self.length = keys, values, length
        self._show()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        start, self.length = self.length, self.length + key_states.shape[2]
        self.all_keys[:, :, start : self.length] = key_states
        self.all_values[:, :, start : self.length] = value_states
        self._show()
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        self.all_keys = self.all_keys[indices]
        self.all_values = self.all_values[indices]
        self._show()

    def _show(self) -> None:
        self.keys = self.all_keys[:, :, : self.length]
        self.values = self.all_values[:, :, : self.length]


def spread(cache: DynamicCache, owners: torch.Tensor, width: int, room: int) -> DynamicCache:
    """A cache of U prompts of `width` ids as one of B rows; row i continues prompt owners[i]."""

    def row_states(states: torch.Tensor) -> torch.Tensor:
        _, heads, length, dim = states.shape
        if length != width:  # a picture's: nothing is ever added to it
            return states[owners]
        rows = states.new_empty(len(owners), heads, length + room, dim)
        rows[:, :, :length] = states[owners]
        return rows

    wide = DynamicCache()
    wide.layers = [
        RoomyLayer(row_states(layer.keys), row_states(layer.values), layer.keys.shape[2])
        if layer.is_initialized
        else layer  # a cross-attention layer that was skipped, as no row has a picture
        for layer in cache.layers
    ]
    return wide


@dataclass(frozen=True, slots=True)
class _Remembered:
    """One conversation: ids that were read, and their keys and values by layer, [heads, L, d]."""

    ids: tuple[int, ...]
    layers: list[tuple[torch.Tensor, torch.Tensor]]


class Memory:
    """What a policy has read of its running conversations, so that a turn reads only what is new.

    Valid for one set of weights: forget before they change.
    """

    def __init__(self) -> None:
        self._rows: dict[Conversation, _Remembered] = {}

    def forget(self) -> None:
        self._rows.clear()

    def drop_all_but(self, streams: Sequence[StreamKey]) -> None:
        """Forget the conversations that are over."""
        running = {_conversation(stream) for stream in streams}
        self._rows = {key: row for key, row in self._rows.items() if key in running}

    def num_known(self, stream: StreamKey, ids: Sequence[int]) -> int:
        """How many of the prompt's first ids need not be read again; the last always must be."""
        row = self._rows.get(_conversation(stream))
        if row is None or len(row.ids) >= len(ids) or tuple(ids[: len(row.ids)]) != row.ids:
            return 0
        return len(row.ids)

    def store(
        self, stream: StreamKey, ids: tuple[int, ...], cache: DynamicCache, row: int, start: int
    ) -> None:
        """Keep what row `row` of a cache holds of `ids`, from column `start` on."""
        span = slice(start, start + len(ids))
        layers = [
            (layer.all_keys[row, :, span].clone(), layer.all_values[row, :, span].clone())
            for layer in cache.layers
        ]
        self._rows[_conversation(stream)] = _Remembered(ids, layers)

    def assemble(
        self, streams: Sequence[StreamKey], lengths: Sequence[int], num_new: int, room: int
    ) -> DynamicCache:
        """The conversations as one cache, ready to read each prompt's last `num_new` ids.

        lengths: of the prompts, P at most. Row i's known part ends at column P - num_new, whatever
        its length; the columns before it are zeros, to be masked. [B, heads, P + room, d]
        """
        rows = [self._rows[_conversation(stream)] for stream in streams]
        known = max(lengths) - num_new
        cache = DynamicCache()
        for index, (first, _) in enumerate(rows[0].layers):
            heads, _, width = first.shape
            shape = (len(rows), heads, known + num_new + room, width)
            keys, values = first.new_zeros(shape), first.new_zeros(shape)
            for i, (row, length) in enumerate(zip(rows, lengths, strict=True)):
                count = length - num_new
                keys[i, :, known - count : known] = row.layers[index][0][:, :count]
                values[i, :, known - count : known] = row.layers[index][1][:, :count]
            cache.layers.append(RoomyLayer(keys, values, known))
        return cache


def _conversation(stream: StreamKey) -> Conversation:
    return (stream.seed, stream.step, stream.group, stream.member)
