"""Reading prompts: the model's side of a decoding batch, from prompts to the states that predict.

Each distinct prompt is read once and laid out for all rows that have it; a later turn of a
conversation in `Memory` reads only its new ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from .cache import Memory, spread
from .chat import Prompt
from .policy import Policy
from .rows import Row, collate
from .scoring import batch_states, hidden_states
from .types import StreamKey
from .vision import Vision, fingerprint


@dataclass(slots=True)
class Reading:
    """B rows that have read their prompts. Columns are places in the cache, P of them the prompt's.

    states: of the last token read, [B, D]; they predict the next one.
    position: of the next token in each row, [B].
    mask: additive, [B, 1, 1, P + room], or None where no row is padded on the left.
    more: the vision family's further inputs for each new token, [B, ...].
    """

    model: Any
    cache: DynamicCache
    states: torch.Tensor
    position: torch.Tensor
    width: int
    mask: torch.Tensor | None
    more: Vision

    def advance(self, new_ids: torch.Tensor, step: int) -> None:
        """Feed one more token per row, the one drawn at `step`. new_ids: [B]"""
        self.states = hidden_states(
            self.model,
            new_ids[:, None],
            attention_mask=None if self.mask is None else self.mask[..., : self.width + step + 1],
            position_ids=(self.position + step)[:, None],
            cache=self.cache,
            **self.more,
        )[:, -1]

    def keep(self, kept: torch.Tensor) -> None:
        """Drop every other row."""
        self.position = self.position[kept]
        self.mask = None if self.mask is None else self.mask[kept]
        self.more = {name: tensor[kept] for name, tensor in self.more.items()}
        for layer in self.cache.layers:
            if layer.is_initialized:
                layer.batch_select_indices(kept)


def read(policy: Policy, prompts: Sequence[Prompt], room: int) -> Reading:
    """Read every distinct prompt in full; `room`: how many tokens may follow."""
    distinct, owners_list = _distinct(prompts)
    owners = torch.tensor(owners_list, device=policy.device)
    batch = collate(policy, [_row(prompt) for prompt in distinct], pad_side="left")
    cache = DynamicCache()
    states = batch_states(policy, batch, cache)
    lengths = batch.attention_mask.sum(1)
    width = batch.input_ids.shape[1]
    sight, vision = policy.vision, batch.vision
    position = lengths if sight is None else sight.next_positions(vision, lengths)
    return Reading(
        model=policy.model,
        cache=spread(cache, owners, width, room),
        states=states[owners, -1],
        position=position[owners],
        width=width,
        mask=_padding_mask(lengths[owners], width, room, states.dtype),
        more={} if sight is None else sight.next_inputs(vision, owners),
    )


def read_on(
    policy: Policy,
    prompts: Sequence[Prompt],
    streams: Sequence[StreamKey],
    memory: Memory,
    room: int,
) -> Reading:
    """Read what is new in prompts whose beginnings are in `memory`."""
    known = [memory.num_known(s, p.ids) for s, p in zip(streams, prompts, strict=True)]
    num_new = max(len(p.ids) - count for p, count in zip(prompts, known, strict=True))
    sizes = [len(prompt.ids) for prompt in prompts]
    cache = memory.assemble(streams, sizes, num_new, room)
    lengths = torch.tensor(sizes, device=policy.device)
    width = max(sizes)
    ids = torch.tensor([prompt.ids[-num_new:] for prompt in prompts], device=policy.device)
    offsets = torch.arange(num_new, device=policy.device)
    columns = torch.arange(width, device=policy.device)
    own = columns >= (width - lengths)[:, None, None]  # [B, 1, P]
    past = columns <= (width - num_new + offsets)[:, None]  # [new, P]
    states = hidden_states(
        policy.model,
        ids,
        attention_mask=_additive(own & past, policy.model.dtype)[:, None],  # [B, 1, new, P]
        position_ids=(lengths - num_new)[:, None] + offsets,
        cache=cache,
    )
    return Reading(
        model=policy.model,
        cache=cache,
        states=states[:, -1],
        position=lengths,
        width=width,
        mask=_padding_mask(lengths, width, room, policy.model.dtype),
        more={},
    )


def _padding_mask(
    lengths: torch.Tensor, width: int, room: int, dtype: torch.dtype
) -> torch.Tensor | None:
    if bool((lengths == width).all()):
        return None
    columns = torch.arange(width + room, device=lengths.device)
    return _additive(columns >= (width - lengths)[:, None], dtype)[:, None, None]


def _additive(allowed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 where attention may look, the lowest number elsewhere."""
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(
        ~allowed, torch.finfo(dtype).min
    )


def _row(prompt: Prompt) -> Row:
    count = len(prompt.ids)
    return Row(ids=list(prompt.ids), mask=[0] * count, logprobs=[0.0] * count, images=prompt.images)


def _distinct(prompts: Sequence[Prompt]) -> tuple[list[Prompt], list[int]]:
    """The distinct prompts and, for each row, which of them it has."""
    index: dict[Any, int] = {}
    distinct: list[Prompt] = []
    owners = []
    for prompt in prompts:
        key = (prompt.ids, tuple(map(fingerprint, prompt.images)))
        if key not in index:
            index[key] = len(distinct)
            distinct.append(prompt)
        owners.append(index[key])
    return distinct, owners
