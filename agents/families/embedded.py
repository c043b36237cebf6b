"""Families that put a picture among the ids: its projected patches replace placeholder embeddings.

What they share: pictures are cut once, a batch holds every distinct picture once, the tower runs
over these, and the features go to the rows that show them, in order, through the model's own
`mm_encoder_outputs` (transformers from 5.17 on).
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from ..vision import Images, PictureCache, Vision, VisionFamily, distinct, entry_key


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, preprocessed.

    pixels: what the tower reads, [n, ...]: n patches, tiles, or one whole picture.
    ids: what stands for it in a prompt.
    more: further tensors of the tower, stacked over pictures in a batch.
    """

    pixels: torch.Tensor
    ids: tuple[int, ...]
    more: dict[str, torch.Tensor] = field(default_factory=dict)


class EmbeddedVision(VisionFamily):
    """Tensors of a batch, for U distinct pictures in B rows of L tokens:

    pixel_values [sum of n over all U, ...], entry_sizes [U] (each one's n), entry_keys [U],
    image_order [pictures of all rows] (which of the U each shown picture is, row by row), and what
    the family adds.
    """

    def __init__(self, image_token_id: int) -> None:
        super().__init__()
        self.image_token_id = image_token_id
        self.reserved_ids = frozenset({image_token_id})
        self.pictures = PictureCache(self.cut)

    @abstractmethod
    def cut(self, image: np.ndarray) -> Picture:
        """Preprocess one picture, uint8 [H, W, 3]."""

    @abstractmethod
    def encode(self, model: Any, vision: Vision) -> list[torch.Tensor]:
        """Projected patches of each distinct picture, [levels, placeholders, hidden].

        One level, unless later layers of the language model are shown more of the picture.
        """

    def expand(self, ids: tuple[int, ...], images: Images) -> tuple[int, ...]:
        shown = iter(images)
        expanded: list[int] = []
        for token in ids:
            expanded += self.pictures[next(shown)].ids if token == self.image_token_id else (token,)
        return tuple(expanded)

    def batch(
        self, images: Sequence[Images], ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> Vision:
        if not any(images):
            return {}
        placeholders = (ids == self.image_token_id) & attention_mask.bool()
        self._check(images, placeholders)
        unique, order = distinct([(image,) for row in images for image in row])
        pictures = [self.pictures[image] for (image,) in unique]
        vision = self.stack(pictures)
        vision["entry_keys"] = torch.tensor([entry_key(entry) for entry in unique])
        vision["image_order"] = torch.tensor(order)
        vision |= self.layout(vision, placeholders.cpu(), attention_mask.cpu())
        return {name: tensor.to(ids.device) for name, tensor in vision.items()}

    def layout(
        self, vision: Vision, placeholders: torch.Tensor, attention_mask: torch.Tensor
    ) -> Vision:
        """What a family must say about where pictures lie in the rows. placeholders: [B, L]"""
        return {}

    def inputs(self, model: Any, vision: Vision) -> dict[str, Any]:
        features = self.encode_once(model, vision)
        shown = [features[u] for u in vision["image_order"].tolist()]
        levels = list(zip(*shown, strict=True))  # [levels][pictures shown]
        outputs = SimpleNamespace(pooler_output=levels[0], deepstack_features=levels[1:])
        return {"mm_encoder_outputs": {"image": outputs}}

    def features(self, model: Any, images: Sequence[np.ndarray]) -> torch.Tensor:
        """Raises ValueError unless all pictures take equally many placeholders."""
        encoded = [f[0] for f in self.encode(model, self._stacked(images, model.device))]
        if len({len(features) for features in encoded}) > 1:
            raise ValueError("pictures must be of one size; got different numbers of patches")
        return torch.stack(encoded)

    def select(self, vision: Vision, entries: Sequence[int]) -> Vision:
        parts = vision["pixel_values"].split(vision["entry_sizes"].tolist())
        per_entry = ("entry_sizes", *self.stacked_names)
        return {
            "pixel_values": torch.cat([parts[u] for u in entries]),
            **{name: vision[name][list(entries)] for name in per_entry},
        }

    stacked_names: tuple[str, ...] = ()  # of the tensors in `Picture.more`

    def stack(self, pictures: Sequence[Picture]) -> Vision:
        """The tower's tensors of these pictures."""
        return {
            "pixel_values": torch.cat([p.pixels for p in pictures]),
            "entry_sizes": torch.tensor([len(p.pixels) for p in pictures]),
            **{name: torch.stack([p.more[name] for p in pictures]) for name in self.stacked_names},
        }

    def _stacked(self, images: Sequence[np.ndarray], device: torch.device) -> Vision:
        tensors = self.stack([self.pictures[image] for image in images])
        return {name: tensor.to(device) for name, tensor in tensors.items()}

    def _check(self, images: Sequence[Images], placeholders: torch.Tensor) -> None:
        for row, found in zip(images, placeholders.sum(1).tolist(), strict=True):
            wanted = self.num_placeholders(row)
            if found != wanted:
                raise ValueError(
                    f"a row must hold {wanted} placeholders for its pictures; got {found}"
                )
