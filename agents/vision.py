"""What every vision family shares: pictures become tensors once, and rows share them.

A family (`families/`) says how many placeholder ids a picture takes, which tensors a batch needs,
and how they enter the model. The tower runs once per distinct picture of a batch, however many
members a group has, and a picture is preprocessed once while it stays in use. A frozen tower runs
once per picture: what it saw is remembered across groups, epochs and turns.
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
MAX_FEATURE_BYTES = 1 << 30  # of a frozen tower's features, on the model's device


class VisionFamily(ABC):
    """How one family of models sees. Tensors of a batch are its own business.

    image_token_id: the placeholder of a picture, or of one of its patches.
    reserved_ids: ids that stand for pictures and may never be sampled.
    frozen: the tower has no trainable parameter; its features are kept.
    """

    image_token_id: int
    reserved_ids: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self.frozen = False
        self._features = FeatureStore(MAX_FEATURE_BYTES)

    def expand(self, ids: tuple[int, ...], images: Images) -> tuple[int, ...]:
        """The ids with as many placeholders per picture as the model wants; one unless overridden.

        ids: with one placeholder per picture, as chat templates write them.
        """
        return ids

    def num_placeholders(self, images: Images) -> int:
        """How many placeholder ids a row with these pictures holds."""
        expanded = self.expand((self.image_token_id,) * len(images), images)
        return expanded.count(self.image_token_id)

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

    def parameters(self, model: Any) -> list[nn.Parameter]:
        """All that only seeing uses."""
        return [p for module in self.modules(model) for p in module.parameters()]

    @abstractmethod
    def encode(self, model: Any, vision: Vision) -> list[torch.Tensor]:
        """Run the tower: what the language model sees of each of a batch's U distinct entries."""

    @abstractmethod
    def select(self, vision: Vision, entries: Sequence[int]) -> Vision:
        """The tower's tensors of these of the U entries alone."""

    def encode_once(self, model: Any, vision: Vision) -> list[torch.Tensor]:
        """`encode`, but a frozen tower runs once for each of `vision["entry_keys"]`, int64 [U].

        On one entry at a time: in other company it would differ by a rounding, and a resumed run,
        which meets its pictures in other batches, would no longer equal the uninterrupted one.
        """
        if not self.frozen:
            return self.encode(model, vision)
        keys = vision["entry_keys"].tolist()
        found = {key: self._features[key] for key in keys if key in self._features}
        new = [u for u, key in enumerate(keys) if key not in found]
        if new:
            # Outside inference mode: training may use what a rollout has computed.
            with torch.inference_mode(False), torch.no_grad():
                fresh = [self.encode(model, self.select(vision, [u]))[0] for u in new]
            for u, features in zip(new, fresh, strict=True):
                found[keys[u]] = self._features[keys[u]] = features
        return [found[key] for key in keys]

    def forget(self) -> None:
        """Drop what a frozen tower saw, as its weights are about to change."""
        self._features = FeatureStore(MAX_FEATURE_BYTES)


class FeatureStore:
    """The features of the last pictures, up to a number of bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._num_bytes = max_bytes, 0
        self._kept: OrderedDict[int, torch.Tensor] = OrderedDict()

    def __contains__(self, key: int) -> bool:
        return key in self._kept

    def __getitem__(self, key: int) -> torch.Tensor:
        self._kept.move_to_end(key)
        return self._kept[key]

    def __setitem__(self, key: int, features: torch.Tensor) -> None:
        own = features.clone()  # not a view that would keep its whole batch alive
        self._kept[key] = own
        self._num_bytes += own.nbytes
        while self._num_bytes > self._max_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._num_bytes -= dropped.nbytes


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


def entry_key(images: Images, layout: int = 0) -> int:
    """A number for what these pictures show, in tensors of one layout; equal by content."""
    digest = blake2b(b"".join(map(fingerprint, images)), digest_size=8, key=str(layout).encode())
    return int.from_bytes(digest.digest(), "little", signed=True)


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
