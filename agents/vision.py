"""What every vision family shares: pictures become tensors once, and rows share them.

A family (`mllama`, `qwen_vl`) says how many placeholder ids a picture takes, which tensors a batch
needs, and how they enter the model. The tower runs once per distinct picture of a batch, however
many members a group has, and a picture is preprocessed once while it stays in use.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn

Images = tuple[np.ndarray, ...]  # the pictures of one row, uint8 [H, W, 3] each
Vision = dict[str, torch.Tensor]

T = TypeVar("T")

MAX_CACHED_PICTURES = 2048


class VisionFamily(ABC):
    """How one family of models sees. Tensors of a batch are its own business."""

    image_token_id: int

    def expand(self, ids: tuple[int, ...], images: Images) -> tuple[int, ...]:
        """The ids with as many placeholders per picture as the model wants; one unless overridden.

        ids: with one placeholder per picture, as chat templates write them.
        """
        return ids

    def num_placeholders(self, images: Images) -> int:
        """How many placeholder ids a row with these pictures holds."""
        return len(self.expand((self.image_token_id,) * len(images), images))

    @abstractmethod
    def batch(
        self, images: Sequence[Images], ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> Vision:
        """Everything the model needs beside the ids; empty if no row has a picture.

        images: the pictures of each row; ids, attention_mask: [B, L] with any padding.
        Raises ValueError if a row's placeholders do not match its pictures.
        """

    @abstractmethod
    def inputs(self, model: Any, vision: Vision) -> dict[str, Any]:
        """A batch's tensors as keyword arguments of the model's forward; runs the vision tower."""

    def next_inputs(self, vision: Vision, owners: torch.Tensor) -> Vision:
        """Keyword arguments for one more token of rows that continue the batch's rows `owners`."""
        return {}

    def next_positions(self, vision: Vision, lengths: torch.Tensor) -> torch.Tensor:
        """Position of the token after each row of `lengths` ids. [B]"""
        return lengths

    @abstractmethod
    def features(self, model: Any, images: Sequence[np.ndarray]) -> torch.Tensor:
        """Projected patches of each picture, as the language model sees them. [B, n, hidden]"""

    @abstractmethod
    def modules(self, model: Any) -> list[nn.Module]:
        """The modules that see: the vision tower and its projector."""


class PictureCache(Generic[T]):
    """Remembers what was made of the last pictures."""

    def __init__(self, make: Callable[[np.ndarray], T]) -> None:
        self._make = make
        self._made: OrderedDict[bytes, T] = OrderedDict()

    def __getitem__(self, image: np.ndarray) -> T:
        key = fingerprint(image)
        if key in self._made:
            self._made.move_to_end(key)
            return self._made[key]
        made = self._made[key] = self._make(image)
        if len(self._made) > MAX_CACHED_PICTURES:
            self._made.popitem(last=False)
        return made


def fingerprint(image: np.ndarray) -> bytes:
    """Equal exactly for equal pictures."""
    return blake2b(image.tobytes(), digest_size=16, key=str(image.shape).encode()).digest()


def distinct(images: Sequence[Images]) -> tuple[list[Images], list[int]]:
    """Distinct picture tuples and, for each row, which of them it shows."""
    index: dict[tuple[bytes, ...], int] = {}
    found: list[Images] = []
    rows = []
    for row in images:
        key = tuple(map(fingerprint, row))
        if key not in index:
            index[key] = len(found)
            found.append(row)
        rows.append(index[key])
    return found, rows
