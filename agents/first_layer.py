"""The first layer's norm, queries, keys and values, once for every distinct id.

What enters the first layer is an id's embedding, wherever it stands: positions come in later, when
queries and keys are rotated. So norm and products need a row for each id that occurs, not for each
place, and gradients of all its places are added up before they are multiplied. In a model of four
layers, a batch of a small vocabulary saves a twentieth of its products; of many layers little.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from .blocks import known_blocks
from .last_layer import recomputes

WORTHWHILE = 0.5  # distinct ids to all: picking and spreading have costs of their own
PROJECTIONS = ("q_proj", "k_proj", "v_proj")


class Occurrences:
    """Which ids stand where, in the batch at hand; nothing is done while there is none.

    place: of one occurrence of each of n distinct ids, among the B * T, [n]. number: which of the n
    stands at each place, [B, T].
    """

    def __init__(self) -> None:
        self.place: torch.Tensor | None = None
        self.number = torch.empty(0, 0, dtype=torch.long)
        self.picked = torch.empty(0)  # what queries, keys and values are all made from, [n, D]

    def read(self, ids: torch.Tensor) -> None:
        """ids: [B, T]."""
        distinct, self.number = ids.unique(return_inverse=True)
        if len(distinct) > WORTHWHILE * ids.numel():
            return
        places = torch.arange(ids.numel(), device=ids.device)
        self.place = places.new_zeros(len(distinct)).scatter_(0, self.number.flatten(), places)

    def forget(self) -> None:
        self.place, self.picked = None, torch.empty(0)


@contextmanager
def computed_once(model: Any, ids: torch.Tensor) -> Iterator[None]:
    """Within it the first layer of `model` projects each of `ids`, [B, T], once.

    Equal ids must stand for equal embeddings: where pictures are, let every place have a number of
    its own. For calls with these ids alone. Where activations are computed a second time in the
    backward pass, which lies outside, or blocks are not known (see `blocks`), nothing is saved.
    """
    if not _is_worthwhile(model):
        yield
        return
    first = known_blocks(model)[0]
    occurrences, handles = getattr(first, "occurrences", None), []
    if occurrences is None:
        occurrences = Occurrences()
        handles = _hooks(first, occurrences)
    occurrences.read(ids)
    try:
        yield
    finally:
        occurrences.forget()
        for handle in handles:
            handle.remove()


def follow_occurrences(model: Any) -> Occurrences:
    """Have the first layer of `model` look up itself which ids occur: it may be compiled then.

    Returns where it does; nothing occurs there in a model that always works place by place.
    """
    occurrences = Occurrences()
    if _is_worthwhile(model):
        first: Any = known_blocks(model)[0]
        first.occurrences = occurrences
        _hooks(first, occurrences)
    return occurrences


def _is_worthwhile(model: Any) -> bool:
    """Whether positions are rotations, the first layer is not the last, nothing runs twice."""
    is_rotary = hasattr(model.get_decoder(), "rotary_emb")
    return len(known_blocks(model)) > 1 and is_rotary and not recomputes(model)


def _hooks(layer: Any, occurrences: Occurrences) -> list[RemovableHandle]:
    attention, norm = getattr(layer, "self_attn", None), layer.input_layernorm
    if attention is None:  # it looks at pictures: its keys and values are not of ids
        return []

    def pick(_: nn.Module, given: tuple[torch.Tensor]) -> tuple[torch.Tensor] | None:
        if occurrences.place is None:
            return None
        return (given[0].flatten(0, 1).index_select(0, occurrences.place),)

    def keep(_: nn.Module, given: tuple[torch.Tensor], found: torch.Tensor) -> Any:
        """What goes on tells the attention its shape; no place of it is read."""
        if occurrences.place is None:
            return None
        occurrences.picked = found
        return found[0].expand(*occurrences.number.shape, -1)

    def take(_: nn.Module, given: tuple[torch.Tensor]) -> tuple[torch.Tensor] | None:
        return None if occurrences.place is None else (occurrences.picked,)

    def spread(_: nn.Module, given: tuple[torch.Tensor], found: torch.Tensor) -> Any:
        """To all places, [B, T, D]; an embedding adds up their gradients, in fp32 alone well."""
        if occurrences.place is None:
            return None
        return nn.functional.embedding(occurrences.number, found.float()).to(found.dtype)

    handles = [norm.register_forward_pre_hook(pick), norm.register_forward_hook(keep)]
    for projection in (getattr(attention, name) for name in PROJECTIONS):
        handles.append(projection.register_forward_pre_hook(take))
        handles.append(projection.register_forward_hook(spread))
    return handles
