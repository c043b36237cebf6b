"""A model's layers as decoding on a CPU wants them, for as long as it decodes.

A decoding step multiplies few rows by every weight, so that how the weights lie in memory decides
how long it takes: laid out in the order in which they are multiplied, and with rows that do not all
begin in the same cache sets, they take two thirds of the time (64 rows, one core with AVX-512).
Training and reading prompts multiply many rows, where the layout makes no difference. The layers
stay what they are, and so does the result but for rounding.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

MAX_BYTES = 1 << 30  # of weights that are held a second time
SKEW = 16  # numbers between one row of a weight and the next: row lengths are often powers of two


class DecodingLayers:
    """A model's layers in their forms for decoding; valid while its weights stay the same.

    Elsewhere than on a CPU in float32, and where weights are split over processes or take more than
    MAX_BYTES, they are left alone.
    """

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        """parts: what a decoding step runs: the decoder and the head."""
        found = {id(m): m for part in parts for m in part.modules()}
        self._forwards: list[tuple[nn.Module, Callable[..., torch.Tensor]]] = []
        linear = [m for m in found.values() if isinstance(m, nn.Linear) and _is_plain(m.weight)]
        if sum(layer.weight.nbytes for layer in linear) <= MAX_BYTES:
            self._forwards += [(layer, _linear(layer)) for layer in linear]
        self._forwards += [
            (module, _rms_norm(module)) for module in found.values() if _is_rms_norm(module)
        ]

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Within it the model computes with them."""
        for module, forward in self._forwards:
            module.forward = forward
        try:
            yield
        finally:
            for module, _ in self._forwards:
                del module.forward


def _linear(layer: nn.Linear) -> Callable[..., torch.Tensor]:
    rows, columns = layer.weight.shape
    store = layer.weight.new_empty(columns, rows + SKEW)[:, :rows]
    store.copy_(layer.weight.T)
    return partial(F.linear, weight=store.T, bias=layer.bias)


def _rms_norm(module: Any) -> Callable[..., torch.Tensor]:
    """In one call for six."""
    return partial(
        F.rms_norm,
        normalized_shape=module.weight.shape,
        weight=module.weight,
        eps=module.variance_epsilon,
    )


def _is_rms_norm(module: Any) -> bool:
    """Whether it is transformers' T5 norm, x / rms(x) * weight, whatever the family calls it."""
    return (
        type(module).__name__.endswith("RMSNorm")
        and hasattr(module, "variance_epsilon")
        and _is_plain(getattr(module, "weight", None))
    )


def _is_plain(weight: Any) -> bool:
    """Whether it is a whole float32 parameter on a CPU, neither sharded nor quantized."""
    return (
        type(weight) is nn.Parameter
        and weight.device.type == "cpu"
        and weight.dtype is torch.float32
    )
