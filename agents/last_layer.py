"""The last layer where its states are wanted, and nowhere else.

Every id's keys and values are needed by those that come after it, but of what the last layer makes
of an id only the tokens that are scored need anything: with prompts twice as long as answers, two
thirds of its queries, output projections and feed-forward parts would be computed for nothing, and
once more backwards. States elsewhere are of no meaning, and nobody may read them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from .blocks import known_blocks

WORTHWHILE = 0.9  # share of ids: picking and spreading have costs of their own


class Places:
    """Where the states of one model's last layer are wanted; everywhere, unless told."""

    def __init__(self) -> None:
        self.wanted: torch.Tensor | None = None  # bool [B, T]
        self.flat = torch.empty(0, dtype=torch.long)  # its places among the B * T ids, [n]


@contextmanager
def computed_at(model: Any, wanted: torch.Tensor) -> Iterator[None]:
    """Within it the last layer of `model` computes only what the wanted states need.

    wanted: bool, of the shape [B, T] of the ids that the model is called with. Where activations
    are computed a second time in the backward pass, which lies outside, or blocks are not known
    (see `blocks`), nothing is left out.
    """
    flat, known = wanted.flatten().nonzero()[:, 0], known_blocks(model)
    if not known or recomputes(model) or len(flat) > WORTHWHILE * wanted.numel():
        yield
        return
    places, handles = getattr(known[-1], "wanted_places", None), []
    if places is None:
        places = Places()
        handles = _hooks(model, places)
    places.wanted, places.flat = wanted, flat
    try:
        yield
    finally:
        places.wanted = None
        for handle in handles:
            handle.remove()


def follow_places(model: Any) -> Places:
    """Have the last layer of `model` look up itself what is wanted: it may be compiled then.

    Returns where it does; nothing is looked up there in a model whose blocks are not known.
    """
    places = Places()
    if known := known_blocks(model):
        last: Any = known[-1]
        last.wanted_places = places
        _hooks(model, places)
    return places


def recomputes(model: Any) -> bool:
    """Whether activations are computed a second time in the backward pass."""
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def _hooks(model: Any, places: Places) -> list[RemovableHandle]:
    """What treats every id by itself, but for keys and values, reads only the places."""
    decoder = model.get_decoder()
    layer = decoder.layers[-1]
    attention = getattr(layer, "self_attn", None) or layer.cross_attn

    def pick(_: nn.Module, given: tuple[torch.Tensor]) -> tuple[torch.Tensor] | None:
        if places.wanted is None:
            return None
        return (given[0].flatten(0, 1).index_select(0, places.flat),)

    def spread(_: nn.Module, given: tuple[torch.Tensor], found: torch.Tensor) -> Any:
        """To all ids, with 0 where nothing was wanted."""
        if places.wanted is None:
            return None
        rows, length = places.wanted.shape
        whole = found.new_zeros(rows * length, found.shape[-1])
        return whole.index_copy(0, places.flat, found).view(rows, length, -1)

    # From where picked to where spread again.
    spans = [
        (attention.q_proj, attention.q_proj),
        (attention.o_proj, attention.o_proj),
        (layer.post_attention_layernorm, layer.mlp),
        (decoder.norm, decoder.norm),
    ]
    handles = []
    for first, last in spans:
        handles.append(first.register_forward_pre_hook(pick))
        handles.append(last.register_forward_hook(spread))
    return handles
