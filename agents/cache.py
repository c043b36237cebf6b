"""Keys and values during decoding: each prompt once, and room for what every row adds to its own.

U prompts are shared by the rows that continue them; nothing of a prompt is copied. A row's own ids
are written in place, into room that doubles when it is full. The rows in use stand first; a row
that waits for its next turn keeps its place behind them, with all that it has read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from .attention import Sharing


@dataclass(slots=True)
class Layout:
    """Where the B rows of one forward pass lie: from row `first` of the store on.

    start: the column of each row's first new id, one for all rows or [B].
    width: own columns that may be seen (L).
    mask: additive, [B, 1, n, L]; None: every row sees all L.
    """

    sharing: Sharing
    first: int
    start: int | torch.Tensor
    width: int
    mask: torch.Tensor | None


@dataclass(slots=True)
class Present:
    """The layout of the present forward pass, as all layers of a cache see it.

    Layers know this and not their cache: a cycle would keep hundreds of megabytes alive until
    Python's collector looks at old objects, which it seldom does.
    """

    layout: Layout | None = None


class SharedLayer(DynamicLayer):
    """One layer: prompts [U, heads, P, d] and own ids [S, heads, room, d] of S rows.

    grows: False for a cross-attention layer, which holds pictures and nothing else.
    """

    is_initialized: bool
    prompt_keys: torch.Tensor
    prompt_values: torch.Tensor
    own_keys: torch.Tensor
    own_values: torch.Tensor

    def __init__(self, present: Present, grows: bool) -> None:
        super().__init__()
        self.present, self.grows = present, grows

    @property
    def layout(self) -> Layout:
        assert self.present.layout is not None
        return self.present.layout

    @property
    def sharing(self) -> Sharing:
        return self.layout.sharing

    @property
    def own_mask(self) -> torch.Tensor | None:
        return self.layout.mask

    def add_prompts(
        self, keys: torch.Tensor | None, values: torch.Tensor | None, before: int, new: int
    ) -> None:
        """Put `new` prompts behind the `before` that are here: [new, heads, P', d], or no picture.

        Ids are padded on the left, pictures on the right.
        """
        if keys is None or values is None:
            if not self.is_initialized:
                return
            keys = values = self.prompt_keys[:0].new_zeros(new, *self.prompt_keys.shape[1:])
        if not self.is_initialized:
            self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
            self.prompt_keys = self.prompt_values = keys.new_zeros(before, *keys.shape[1:])
            self.own_keys = self.own_values = keys.new_empty(0, keys.shape[1], 0, keys.shape[3])
        self.prompt_keys = stack(self.prompt_keys, keys, left=self.grows)
        self.prompt_values = stack(self.prompt_values, values, left=self.grows)
        self._show()

    def keep_prompts(self, kept: torch.Tensor, longest: int) -> None:
        self.prompt_keys, self.prompt_values = self.prompt_keys[kept], self.prompt_values[kept]
        if self.grows:  # the padding that only a longer prompt needed goes with it
            first = self.prompt_keys.shape[2] - longest
            self.prompt_keys = self.prompt_keys[:, :, first:]
            self.prompt_values = self.prompt_values[:, :, first:]
        self._show()

    def make_room(self, rows: int, room: int) -> None:
        """Room for at least `rows` rows of `room` ids."""
        have = self.own_keys.shape
        if not self.grows or (rows <= have[0] and room <= have[2]):
            return
        room = have[2] if room <= have[2] else max(room, 2 * have[2])
        self.own_keys, self.own_values = (
            _enlarged(states, max(rows, have[0]), room)
            for states in (self.own_keys, self.own_values)
        )

    def move(self, sources: torch.Tensor, targets: torch.Tensor, width: int) -> None:
        """Rows `sources` go to `targets`, the first `width` columns of each."""
        if self.grows:
            for states in (self.own_keys, self.own_values):
                states[targets, :, :width] = states[sources, :, :width]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new ids, [B, heads, n, d]; returns what the rows have added, [B, heads, L, d]."""
        layout = self.layout
        rows = slice(layout.first, layout.first + len(key_states))
        for store, states in ((self.own_keys, key_states), (self.own_values, value_states)):
            _write(store[rows], states, layout.start)
        columns = slice(0, layout.width)
        return self.own_keys[rows, :, columns], self.own_values[rows, :, columns]

    def get_seq_length(self) -> int:
        return self.prompt_keys.shape[2] if self.is_initialized else 0

    def _show(self) -> None:
        """What a cross-attention layer reads instead of calling `update`.

        Prompts' keys lie in memory as they are multiplied: half the time on a CPU.
        """
        self.prompt_keys = self.prompt_keys.mT.contiguous().mT
        self.keys, self.values = self.prompt_keys, self.prompt_values


class SharedCache(DynamicCache):
    """The layers of one policy; `present.layout` is set before every forward pass.

    picture_layers: those that attend to pictures instead of ids.
    """

    def __init__(self, picture_layers: Sequence[int] = ()) -> None:
        super().__init__()
        self.present = Present()
        self.num_prompts = 0
        self.picture_layers = frozenset(picture_layers)

    def add_prompts(self, read: DynamicCache, count: int) -> None:
        """Take over what a forward pass over `count` new prompts has filled."""
        for index in range(max(len(read.layers), len(self.layers))):
            if index == len(self.layers):
                self.layers.append(SharedLayer(self.present, index not in self.picture_layers))
            filled = index < len(read.layers) and read.layers[index].is_initialized
            states = (read.layers[index].keys, read.layers[index].values) if filled else (None,) * 2
            self.layers[index].add_prompts(*states, self.num_prompts, count)
        self.num_prompts += count

    def keep_prompts(self, kept: torch.Tensor, longest: int) -> None:
        """Drop every other prompt. kept: places among the prompts. longest: ids of one of them."""
        for layer in self.layers:
            if layer.is_initialized:
                layer.keep_prompts(kept, longest)
        self.num_prompts = len(kept)

    def make_room(self, rows: int, room: int) -> None:
        """Room for at least `rows` rows of `room` own ids."""
        for layer in self.layers:
            if layer.is_initialized:
                layer.make_room(rows, room)

    def move(self, sources: torch.Tensor, targets: torch.Tensor, width: int) -> None:
        """Put rows `sources` where `targets` are, with the first `width` of their own ids."""
        for layer in self.layers:
            if layer.is_initialized and len(sources):
                layer.move(sources, targets, width)


def stack(first: torch.Tensor, second: torch.Tensor, *, left: bool = False) -> torch.Tensor:
    """One behind the other in dimension 0, padded with zeros to one shape in all others.

    left: dimension 2 is padded at its beginning instead of its end.
    """
    if len(first) == 0:
        return second
    sizes = [max(pair) for pair in zip(first.shape[1:], second.shape[1:], strict=True)]
    stacked = first.new_zeros(len(first) + len(second), *sizes)
    for start, part in ((0, first), (len(first), second)):
        place = [slice(start, start + len(part)), *(slice(0, size) for size in part.shape[1:])]
        if left:
            place[2] = slice(sizes[1] - part.shape[2], sizes[1])
        stacked[tuple(place)] = part
    return stacked


def _write(store: torch.Tensor, states: torch.Tensor, start: int | torch.Tensor) -> None:
    """store: [B, heads, room, d]; states: [B, heads, n, d]."""
    if isinstance(start, int):
        store[:, :, start : start + states.shape[2]] = states
        return
    rows = torch.arange(len(store), device=store.device)
    columns = start[:, None] + torch.arange(states.shape[2], device=store.device)
    columns = columns.clamp(max=store.shape[2] - 1)  # an ended row may run on: nobody looks
    store[rows[:, None], :, columns] = states.transpose(1, 2)


def additive(allowed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 where attention may look, the lowest number elsewhere."""
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(
        ~allowed, torch.finfo(dtype).min
    )


def _enlarged(states: torch.Tensor, rows: int, room: int) -> torch.Tensor:
    larger = states.new_zeros(rows, states.shape[1], room, states.shape[3])
    larger[: states.shape[0], :, : states.shape[2]] = states
    return larger
