"""Attention during decoding: over a prompt that many rows share, and over what each row added.

The keys and values of a prompt stand once in the cache, however many rows continue it. A row's
scores over its prompt and over its own ids meet in one softmax, so that the result is that of
ordinary attention over both (Hydragen, arXiv 2402.05099, shares prompts like this, but joins two
softmaxes). It enters models through transformers' attention interface, whatever their family.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import AttentionInterface

NAME = "cardinal_shared_prompts"


@dataclass(frozen=True, slots=True)
class Sharing:
    """Which of U prompts each of B rows continues.

    places: where each row stands if every prompt has `per_prompt` places (G), [B]; None: row i
    stands at i and no place is empty. padding: additive, [U, 1, 1, P]; None: no prompt is padded.
    """

    num_prompts: int
    per_prompt: int
    places: torch.Tensor | None
    padding: torch.Tensor | None

    @classmethod
    def of(cls, owners: Sequence[int], padding: torch.Tensor | None, device: Any) -> "Sharing":
        """owners: the prompt of each row. Rows of one prompt need not stand side by side."""
        counts = [0] * (max(owners) + 1)
        ranks = []
        for owner in owners:
            ranks.append(counts[owner])
            counts[owner] += 1
        most = max(counts)
        places = [owner * most + rank for owner, rank in zip(owners, ranks, strict=True)]
        in_order = places == list(range(len(counts) * most))
        return cls(
            num_prompts=len(counts),
            per_prompt=most,
            places=None if in_order else torch.tensor(places, device=device),
            padding=None if padding is None else padding[: len(counts)],
        )

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows [B, heads, n, x] next to the others of their prompt: [U, heads, G * n, x]."""
        heads, count, size = rows.shape[1:]
        if self.places is not None:
            spread = rows.new_zeros(self.num_prompts * self.per_prompt, heads, count, size)
            spread[self.places] = rows
            rows = spread
        grouped = rows.reshape(self.num_prompts, self.per_prompt, heads, count, size)
        return grouped.transpose(1, 2).reshape(self.num_prompts, heads, -1, size)

    def scatter(self, grouped: torch.Tensor) -> torch.Tensor:
        """The inverse of `gather`."""
        heads, size = grouped.shape[1], grouped.shape[-1]
        rows = grouped.view(self.num_prompts, heads, self.per_prompt, -1, size).transpose(1, 2)
        rows = rows.reshape(self.num_prompts * self.per_prompt, heads, -1, size)
        return rows if self.places is None else rows[self.places]


class Shelf(Protocol):
    """A layer of the cache: prompts (or their pictures) [U, heads, P, d], and rows that add ids.

    own_mask: additive, [B, 1, n, L], over what `update` returned; None: all of it may be seen.
    """

    prompt_keys: torch.Tensor
    prompt_values: torch.Tensor
    grows: bool

    @property
    def sharing(self) -> Sharing: ...
    @property
    def own_mask(self) -> torch.Tensor | None: ...


_shelves: ContextVar[Sequence[Shelf]] = ContextVar("shelves")
_compiled: Sequence[Shelf] = ()  # the same for compiled steps: torch.compile reads no ContextVar


@contextmanager
def sharing_prompts(model: Any, shelves: Sequence[Shelf]) -> Iterator[None]:
    """Within it the language model attends through `shelves`, its cache's layers.

    What is compiled must not do so in two threads at once.
    """
    global _compiled
    config = model.config.get_text_config()
    before = config._attn_implementation
    token, last = _shelves.set(shelves), _compiled
    _compiled = shelves
    _set_attention(model, config, NAME)
    try:
        yield
    finally:
        _set_attention(model, config, before)
        _shelves.reset(token)
        _compiled = last


def _set_attention(model: Any, config: Any, name: str) -> None:
    """Of the language model alone: a vision tower keeps its own."""
    parts = [part for part in model.config.sub_configs if getattr(model.config, part) is config]
    model.set_attn_implementation({parts[0]: name} if parts else name)


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """query: [B, H, n, d]; key, value: the rows' own, [B, heads, L, d]. Returns [B, n, H, d].

    attention_mask: of pictures only, [B, 1, n, P]; ids are masked by the cache's layout.
    Raises ValueError for what this attention has not: a narrower window, capped scores.
    """
    shelves = _compiled if torch.compiler.is_compiling() else _shelves.get()
    shelf = shelves[module.layer_idx]
    length = shelf.prompt_keys.shape[2] + (key.shape[2] if shelf.grows else 0)
    if sliding_window is not None and sliding_window < length:
        raise ValueError(f"a conversation must fit the window of {sliding_window}; got {length}")
    if kwargs.get("softcap") is not None:
        raise ValueError("attention scores must not be capped; got a model with softcap")
    batch, num_heads, count, dim = query.shape
    heads = shelf.prompt_keys.shape[1]
    query = query * (dim**-0.5 if scaling is None else scaling)
    query = query.reshape(batch, heads, -1, dim)  # query heads of one key head: more queries
    repeats = num_heads // heads
    mixed = _mix(shelf, query, key, value, attention_mask, repeats)
    return mixed.view(batch, num_heads, count, dim).transpose(1, 2), None


def _mix(
    shelf: Shelf,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    picture_mask: torch.Tensor | None,
    repeats: int,
) -> torch.Tensor:
    """query: [B, heads, repeats * n, d]. Returns the same shape."""
    sharing = shelf.sharing
    keys, values = (
        states[: sharing.num_prompts] for states in (shelf.prompt_keys, shelf.prompt_values)
    )
    scores = torch.matmul(sharing.gather(query), keys.mT)  # [U, heads, G * repeats * n, P]
    if not shelf.grows:
        scores = sharing.scatter(scores)
        if picture_mask is not None:
            scores = scores + picture_mask.repeat(1, 1, repeats, 1)
        weights = _softmax(scores, query.dtype)
        return sharing.scatter(torch.matmul(sharing.gather(weights), values))
    if sharing.padding is not None:
        scores = scores + sharing.padding
    own = torch.matmul(query, key.mT)
    if shelf.own_mask is not None:
        own = own + shelf.own_mask.repeat(1, 1, repeats, 1)
    # What a row has added is mostly less than its prompt: it is what is moved to the other's place.
    weights = _softmax(torch.cat((scores, sharing.gather(own)), -1), query.dtype)
    num_shared = scores.shape[-1]
    shared = sharing.scatter(torch.matmul(weights[..., :num_shared], values))
    return shared + torch.matmul(sharing.scatter(weights[..., num_shared:]), value)


def _softmax(scores: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.softmax(scores, -1, dtype=torch.float32).to(dtype)


AttentionInterface.register(NAME, _attend)
