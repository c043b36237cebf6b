"""The last layer where its states are wanted, and nowhere else.

Every id's keys and values are needed by those that come after it, but of what the last layer makes
of an id only the tokens that are scored need anything: with prompts twice as long as answers, two
thirds of its queries, output projections and feed-forward parts would be computed for nothing, and
once more backwards. States elsewhere are the layer's input, more or less, and nobody may read them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

WORTHWHILE = 0.9  # share of ids: picking and spreading have costs of their own


@contextmanager
def computed_at(model: Any, wanted: torch.Tensor) -> Iterator[None]:
    """Within it the last layer of `model` computes only what the wanted states need.

    wanted: bool, of the shape [B, T] of the ids that the model is called with. Where activations
    are computed a second time in the backward pass, which lies outside, nothing is left out.
    """
    places = wanted.flatten().nonzero()[:, 0]
    if _recomputes(model) or len(places) > WORTHWHILE * wanted.numel():
        yield
        return
    with ExitStack() as stack:
        for module in _parts(model.get_decoder().layers[-1]):
            stack.enter_context(_at(module, places, wanted.shape))
        yield


def _recomputes(model: Any) -> bool:
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def _parts(layer: nn.Module) -> list[nn.Module]:
    """What treats every id by itself, but for keys and values."""
    attention = getattr(layer, "self_attn", None) or getattr(layer, "cross_attn", None)
    parts = [
        getattr(attention, "q_proj", None),
        getattr(attention, "o_proj", None),
        getattr(layer, "mlp", None),
    ]
    return [part for part in parts if part is not None]


@contextmanager
def _at(module: nn.Module, places: torch.Tensor, shape: torch.Size) -> Iterator[None]:
    """Within it `module` reads only these of the flattened ids, and gives 0 for the others."""

    def pick(_: nn.Module, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (given[0].flatten(0, 1).index_select(0, places),)

    def spread(_: nn.Module, given: tuple[torch.Tensor], found: torch.Tensor) -> torch.Tensor:
        whole = found.new_zeros(shape[0] * shape[1], found.shape[-1])
        return whole.index_copy(0, places, found).view(*shape, -1)

    hooks = (module.register_forward_pre_hook(pick), module.register_forward_hook(spread))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
