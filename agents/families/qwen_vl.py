"""Qwen2.5-VL: a picture takes as many ids as it has merged patches, and positions are 3-D.

Positions count time, row and column within a picture, and one after the other in text. Departure
from transformers: they are computed here for every batch and never kept in the model (its
`rope_deltas` go stale between batches).
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedConfig, Qwen2_5_VLConfig

from ..config import BuildConfig, Family
from ..tokenizer import IMAGE
from ..vision import Vision
from .embedded import EmbeddedVision, Picture
from .spec import FamilySpec, Tokenizer, text_settings


class QwenVision(EmbeddedVision):
    """Adds to a batch's tensors: image_grid_thw [U, 3] (frames, rows and columns of patches),
    position_ids [3, B, L] and next_position [B].
    """

    stacked_names = ("image_grid_thw",)

    def __init__(self, processor: Any, config: Any, tokenizer: Tokenizer) -> None:
        super().__init__(int(config.image_token_id))
        self.reserved_ids |= {int(config.video_token_id)}
        self.processor = processor
        self._merge = int(config.vision_config.spatial_merge_size)

    def cut(self, image: np.ndarray) -> Picture:
        out = self.processor(image, return_tensors="pt", input_data_format="channels_last")
        grid = out["image_grid_thw"][0]
        ids = (self.image_token_id,) * (int(grid.prod()) // self._merge**2)
        return Picture(out["pixel_values"], ids, {"image_grid_thw": grid})

    def encode(self, model: Any, vision: Vision) -> list[torch.Tensor]:
        out = model.model.get_image_features(
            vision["pixel_values"].to(model.dtype), vision["image_grid_thw"], return_dict=True
        )
        deeper = getattr(out, "deepstack_features", None) or []
        return [torch.stack(levels) for levels in zip(out.pooler_output, *deeper, strict=True)]

    def inputs(self, model: Any, vision: Vision) -> dict[str, Any]:
        return {**super().inputs(model, vision), "position_ids": vision["position_ids"]}

    def next_positions(self, vision: Vision, lengths: torch.Tensor) -> torch.Tensor:
        return vision["next_position"] if vision else lengths

    def modules(self, model: Any) -> list[nn.Module]:
        return [model.model.visual]

    def layout(
        self, vision: Vision, placeholders: torch.Tensor, attention_mask: torch.Tensor
    ) -> Vision:
        """Three-dimensional positions [3, B, L] and the position after each row [B]."""
        positions = torch.zeros(3, *placeholders.shape, dtype=torch.long)
        after = []
        remaining = iter(vision["image_grid_thw"][vision["image_order"]].tolist())
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
        return {"position_ids": positions, "next_position": torch.tensor(after)}


def mrope_section(config: BuildConfig) -> list[int]:
    """How many of a head's rotated pairs turn with time, row and column."""
    half = config.hidden_size // config.num_heads // 2
    space = half * 3 // 8  # pairs for rows, and as many for columns; the rest for time
    return [half - 2 * space, space, space]


def picture_tokens(tokenizer: Tokenizer) -> dict[str, int]:
    """The configuration's ids of pictures and videos, of which a tiny tokenizer has only one."""
    absent = len(tokenizer)
    return {
        "image_token_id": tokenizer.convert_tokens_to_ids(IMAGE),
        "video_token_id": absent,
        "vision_start_token_id": absent,
        "vision_end_token_id": absent,
    }


def tiny_processor(config: BuildConfig) -> dict[str, Any]:
    most = config.max_tiles * config.tile_size**2  # pixels
    size = {"shortest_edge": min((4 * config.patch_size) ** 2, most), "longest_edge": most}
    return {"size": size, "patch_size": config.patch_size}


def limit(processor: Any, config: Any, max_ids: int) -> None:
    """A picture is shrunk to at most `max_ids` merged patches."""
    pixels = max_ids * (processor.patch_size * processor.merge_size) ** 2
    shortest = min(processor.size["shortest_edge"], pixels)
    processor.size = {"shortest_edge": shortest, "longest_edge": pixels}


def _shape(config: BuildConfig, tokenizer: Tokenizer) -> PreTrainedConfig:
    return Qwen2_5_VLConfig(
        text_config={
            **text_settings(config, tokenizer),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": mrope_section(config),
            },
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": config.vision_layers,
            "hidden_size": config.vision_hidden_size,
            "intermediate_size": 4 * config.vision_hidden_size,
            "num_heads": 4,
            "patch_size": config.patch_size,
            "out_hidden_size": config.hidden_size,
            "fullatt_block_indexes": list(range(config.vision_layers)),
        },
        tie_word_embeddings=True,
        **picture_tokens(tokenizer),
    )


FAMILY = FamilySpec(
    family=Family.qwen_vl,
    model_types=("qwen2_5_vl",),
    blocks=("Qwen2_5_VLDecoderLayer", "Qwen2_5_VLVisionBlock"),
    shape=_shape,
    processor="Qwen2VLImageProcessor",
    tiny_processor=tiny_processor,
    vision=QwenVision,
    limit=limit,
)
