"""LLaVA-OneVision: a picture is one square tile, its patches and a newline embedding.

transformers encodes a sample's only picture in up to ten tiles and each of several pictures in one.
Here it is always one, as in samples of several: a second turn's picture must not change how the
first one was read.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import LlavaOnevisionConfig, PreTrainedConfig

from ..config import BuildConfig, Family
from ..tokenizer import IMAGE
from ..vision import Vision
from .embedded import EmbeddedVision, Picture
from .spec import FamilySpec, Tokenizer, text_settings


class LlavaOnevisionVision(EmbeddedVision):
    """Nothing beside what `EmbeddedVision` has: pixel_values [U, 3, S, S]."""

    def __init__(self, processor: Any, config: Any, tokenizer: Tokenizer) -> None:
        super().__init__(int(config.image_token_id))
        self.reserved_ids |= {int(config.video_token_id)}
        self.processor = processor
        if config.vision_feature_select_strategy != "full":
            raise ValueError(
                "a LLaVA-OneVision model's vision_feature_select_strategy must be full; "
                f"got {config.vision_feature_select_strategy}"
            )
        side = config.vision_config.image_size // config.vision_config.patch_size
        self._num_ids = side**2 + 1  # and the newline

    def cut(self, image: np.ndarray) -> Picture:
        # Twice, so that the processor takes it for one of several pictures (see the module).
        out = self.processor(
            [[image, image]], return_tensors="pt", input_data_format="channels_last"
        )
        return Picture(out["pixel_values"][0], (self.image_token_id,) * self._num_ids)

    def encode(self, model: Any, vision: Vision) -> list[torch.Tensor]:
        pixels = vision["pixel_values"].to(model.dtype)
        count = len(pixels)
        sizes = torch.tensor([pixels.shape[-2:]] * count)
        features = model.model.get_image_features(
            pixels,
            image_sizes=sizes,
            batch_num_images=[max(count, 2)],  # more than one: one tile each
            return_dict=True,
        ).pooler_output
        return [picture[None] for picture in features]

    def modules(self, model: Any) -> list[nn.Module]:
        return [model.model.vision_tower, model.model.multi_modal_projector]

    def parameters(self, model: Any) -> list[nn.Parameter]:
        return [*super().parameters(model), model.model.image_newline]


def _shape(config: BuildConfig, tokenizer: Tokenizer) -> PreTrainedConfig:
    side = config.tile_size
    return LlavaOnevisionConfig(
        text_config={
            "model_type": "qwen2",
            **text_settings(config, tokenizer),
            "tie_word_embeddings": True,
        },
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": config.vision_hidden_size,
            "intermediate_size": 4 * config.vision_hidden_size,
            "num_hidden_layers": config.vision_layers,
            "num_attention_heads": 4,
            "image_size": side,
            "patch_size": config.patch_size,
            "vision_use_head": False,
        },
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        video_token_index=len(tokenizer),  # an id that no text has
        image_grid_pinpoints=[[side, side]],
        tie_word_embeddings=True,
    )


def _processor(config: BuildConfig) -> dict[str, Any]:
    side = config.tile_size
    return {"size": {"height": side, "width": side}, "image_grid_pinpoints": [[side, side]]}


FAMILY = FamilySpec(
    family=Family.llava_onevision,
    model_types=("llava_onevision",),
    blocks=("Qwen2DecoderLayer", "SiglipEncoderLayer"),
    shape=_shape,
    processor="LlavaOnevisionImageProcessor",
    tiny_processor=_processor,
    vision=LlavaOnevisionVision,
)
