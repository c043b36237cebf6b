"""Pictures to tensors for the Qwen2.5-VL family.

A picture takes as many placeholder ids as it has merged patches, whose embeddings the projected
patches replace, and positions are three-dimensional: temporal, row and column within a picture.
Departure from transformers: positions are computed here for every batch and never kept in the model
(its `rope_deltas` go stale between batches).
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import Qwen2_5_VLConfig, Qwen2VLImageProcessorPil

from .vision import Images, PictureCache, Vision, VisionFamily, distinct


class _Patches(NamedTuple):
    """One picture, preprocessed."""

    pixels: torch.Tensor  # [patches, channels * frames * side * side]
    grid: torch.Tensor  # [3]: frames, rows and columns of patches
    num_ids: int  # placeholders it takes


class QwenVision(VisionFamily):
    """Tensors of a batch, for U distinct pictures in B rows of L tokens:

    pixel_values [patches of all U, d], image_grid_thw [U, 3], image_order [pictures of all rows]
    (which of the U each shown picture is, row by row), position_ids [3, B, L], next_position [B].
    """

    def __init__(self, processor: Qwen2VLImageProcessorPil, config: Qwen2_5_VLConfig) -> None:
        self.processor = processor
        self.image_token_id = int(config.image_token_id)
        self._merge = int(config.vision_config.spatial_merge_size)
        self._patches = PictureCache(self._cut)

    def expand(self, ids: tuple[int, ...], images: Images) -> tuple[int, ...]:
        shown = iter(images)
        expanded: list[int] = []
        for token in ids:
            count = self._patches[next(shown)].num_ids if token == self.image_token_id else 1
            expanded += [token] * count
        return tuple(expanded)

    def batch(
        self, images: Sequence[Images], ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> Vision:
        if not any(images):
            return {}
        placeholders = (ids == self.image_token_id) & attention_mask.bool()
        self._check(images, placeholders)
        unique, order = distinct([(image,) for row in images for image in row])
        patches = [self._patches[image] for (image,) in unique]
        grids = torch.stack([p.grid for p in patches])
        positions, next_position = self._positions(placeholders, attention_mask, grids[order])
        return {
            "pixel_values": torch.cat([p.pixels for p in patches]).to(ids.device),
            "image_grid_thw": grids.to(ids.device),
            "image_order": torch.tensor(order, device=ids.device),
            "position_ids": positions,
            "next_position": next_position,
        }

    def inputs(self, model: Any, vision: Vision) -> dict[str, Any]:
        patches = self._encode(model, vision["pixel_values"], vision["image_grid_thw"])
        shown = [patches[i] for i in vision["image_order"].tolist()]
        return {
            "mm_encoder_outputs": {"image": SimpleNamespace(pooler_output=shown)},
            "position_ids": vision["position_ids"],
        }

    def next_positions(self, vision: Vision, lengths: torch.Tensor) -> torch.Tensor:
        return vision["next_position"] if vision else lengths

    def features(self, model: Any, images: Sequence[np.ndarray]) -> torch.Tensor:
        """Raises ValueError unless all pictures take equally many patches."""
        patches = [self._patches[image] for image in images]
        if len({p.num_ids for p in patches}) > 1:
            raise ValueError("pictures must be of one size; got different numbers of patches")
        pixels = torch.cat([p.pixels for p in patches]).to(model.device)
        grids = torch.stack([p.grid for p in patches]).to(model.device)
        return torch.stack(list(self._encode(model, pixels, grids)))

    def modules(self, model: Any) -> list[nn.Module]:
        return [model.model.visual]

    def _encode(
        self, model: Any, pixels: torch.Tensor, grids: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Projected patches of each picture, [num_ids, hidden]."""
        features = model.model.get_image_features(pixels.to(model.dtype), grids, return_dict=True)
        return features.pooler_output

    def _check(self, images: Sequence[Images], placeholders: torch.Tensor) -> None:
        for row, found in zip(images, placeholders.sum(1).tolist(), strict=True):
            wanted = self.num_placeholders(row)
            if found != wanted:
                raise ValueError(
                    f"a row must hold {wanted} placeholders for its pictures; got {found}"
                )

    def _positions(
        self, placeholders: torch.Tensor, attention_mask: torch.Tensor, grids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Three-dimensional positions [3, B, L] and the position after each row [B]."""
        device = placeholders.device
        positions = torch.zeros(3, *placeholders.shape, dtype=torch.long)
        after = []
        remaining = iter(grids.tolist())
        for row, (is_patch, present) in enumerate(
            zip(placeholders.tolist(), attention_mask.tolist(), strict=True)
        ):
            column, position = 0, 0
            while column < len(present):
                if is_patch[column]:
                    _, height, width = (side // self._merge for side in next(remaining))
                    span = slice(column, column + height * width)
                    positions[1, row, span] = torch.arange(height).repeat_interleave(width)
                    positions[2, row, span] = torch.arange(width).repeat(height)
                    positions[:, row, span] += position
                    column, position = span.stop, position + max(height, width)
                else:
                    positions[:, row, column] = position
                    column, position = column + 1, position + int(present[column])
            after.append(position)
        return positions.to(device), torch.tensor(after, device=device)

    def _cut(self, image: np.ndarray) -> _Patches:
        out = self.processor(image, return_tensors="pt", input_data_format="channels_last")
        grid = out["image_grid_thw"][0]
        return _Patches(out["pixel_values"], grid, int(grid.prod()) // self._merge**2)
