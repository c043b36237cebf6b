"""Idefics3 and SmolVLM: a picture is cut into tiles, and each tile stands in the prompt.

A picture's ids are those of transformers' `Idefics3Processor`: for each tile an opening mark, its
row and column, and its placeholders; then the whole picture, shrunk to one tile. Small renders need
no cutting: `policy.max_image_tokens` limits the tiles, down to the whole picture alone. Departure
from transformers: it takes a tile of zeros for padding and drops it, so that a flat picture could
vanish; here only real tiles are ever encoded.
"""

from math import isqrt
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import Idefics3Config, PreTrainedConfig

from ..config import BuildConfig, Family
from ..tokenizer import IMAGE
from ..vision import Vision
from .embedded import EmbeddedVision, Picture
from .spec import FamilySpec, Tokenizer, text_settings

FAKE, WHOLE = "<fake_token_around_image>", "<global-img>"
TINY_SCALE = 2  # patches merged along each side


class Idefics3Vision(EmbeddedVision):
    """Nothing beside what `EmbeddedVision` has: pixel_values [tiles of all U, 3, S, S]."""

    def __init__(self, processor: Any, config: Any, tokenizer: Tokenizer) -> None:
        super().__init__(int(config.image_token_id))
        self.processor = processor
        self._tokenizer = tokenizer
        self._image = tokenizer.convert_ids_to_tokens(self.image_token_id)
        marks = (name for name in tokenizer.get_added_vocab() if name.startswith("<row_"))
        self.reserved_ids |= set(tokenizer.convert_tokens_to_ids([FAKE, WHOLE, *marks]))
        side = config.vision_config.image_size // config.vision_config.patch_size
        self._tile_ids = side**2 // config.scale_factor**2

    def cut(self, image: np.ndarray) -> Picture:
        out = self.processor(
            image,
            return_tensors="pt",
            input_data_format="channels_last",
            return_row_col_info=True,
        )
        rows, columns = int(out["rows"][0][0]), int(out["cols"][0][0])
        text = self._prompt(rows, columns)
        ids = self._tokenizer.encode(text, add_special_tokens=False)
        return Picture(out["pixel_values"][0], tuple(ids))

    def encode(self, model: Any, vision: Vision) -> list[torch.Tensor]:
        tiles = model.model.vision_model(
            pixel_values=vision["pixel_values"].to(model.dtype)
        ).last_hidden_state  # [tiles, patches, width]
        features = model.model.connector(tiles)  # [tiles, placeholders of a tile, hidden]
        parts = features.split(vision["entry_sizes"].tolist())
        return [part.flatten(0, 1)[None] for part in parts]

    def modules(self, model: Any) -> list[nn.Module]:
        return [model.model.vision_model, model.model.connector]

    def _prompt(self, rows: int, columns: int) -> str:
        """What stands for a picture of so many rows and columns of tiles; 0 x 0: it was not cut."""
        tile = self._image * self._tile_ids
        text = ""
        for row in range(rows):
            marks = [f"{FAKE}<row_{row + 1}_col_{column + 1}>" for column in range(columns)]
            text += tile.join(marks) + tile + "\n"
        return text + ("\n" if rows else "") + FAKE + WHOLE + tile + FAKE


def _shape(config: BuildConfig, tokenizer: Tokenizer) -> PreTrainedConfig:
    return Idefics3Config(
        text_config={
            "model_type": "llama",
            **text_settings(config, tokenizer),
            "tie_word_embeddings": False,
        },
        vision_config={
            "hidden_size": config.vision_hidden_size,
            "intermediate_size": 4 * config.vision_hidden_size,
            "num_hidden_layers": config.vision_layers,
            "num_attention_heads": 4,
            "image_size": config.tile_size,
            "patch_size": config.patch_size,
        },
        scale_factor=TINY_SCALE,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        tie_word_embeddings=False,
    )


def _processor(config: BuildConfig) -> dict[str, Any]:
    return {
        "size": {"longest_edge": config.max_tiles * config.tile_size},
        "max_image_size": {"longest_edge": config.tile_size},
        "do_image_splitting": config.max_tiles > 1,
    }


def limit(processor: Any, config: Any, max_ids: int) -> None:
    """A picture is cut into a square of tiles at most, or not at all, within `max_ids`.

    Raises ValueError if even one tile takes more.
    """
    side = config.vision_config.image_size // config.vision_config.patch_size
    tile_ids = side**2 // config.scale_factor**2 + 3  # with its marks
    if max_ids < tile_ids:
        raise ValueError(
            f"policy.max_image_tokens must be at least {tile_ids}, one tile; got {max_ids}"
        )
    tiles_per_side = isqrt(max_ids // tile_ids - 1)
    tile = processor.max_image_size["longest_edge"]
    processor.do_image_splitting = processor.do_image_splitting and tiles_per_side > 1
    longest = min(processor.size["longest_edge"], max(1, tiles_per_side) * tile)
    processor.size = {"longest_edge": longest}


def _special_tokens(config: BuildConfig) -> tuple[str, ...]:
    sides = range(1, config.max_tiles + 1)
    return (FAKE, WHOLE, *(f"<row_{row}_col_{column}>" for row in sides for column in sides))


FAMILY = FamilySpec(
    family=Family.idefics3,
    model_types=("idefics3", "smolvlm"),
    blocks=(
        "LlamaDecoderLayer",
        "Idefics3EncoderLayer",
        "SmolVLMEncoderLayer",
    ),
    shape=_shape,
    processor="Idefics3ImageProcessor",
    tiny_processor=_processor,
    vision=Idefics3Vision,
    special_tokens=_special_tokens,
    limit=limit,
)
