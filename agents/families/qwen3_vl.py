"""Qwen3-VL: sees as Qwen2.5-VL does, and shows early language layers what early tower layers saw.

These deeper features ("DeepStack", arXiv 2406.04334) are further levels of a picture's encoding;
positions and tensors are those of Qwen2.5-VL.
"""

from typing import Any

from transformers import PreTrainedConfig, Qwen3VLConfig

from ..config import BuildConfig, Family
from .qwen_vl import QwenVision, limit, mrope_section, picture_tokens, tiny_processor
from .spec import FamilySpec, Tokenizer, text_settings


def _shape(config: BuildConfig, tokenizer: Tokenizer) -> PreTrainedConfig:
    positions_per_side = 8  # interpolated to the picture's grid
    return Qwen3VLConfig(
        text_config={
            **text_settings(config, tokenizer),
            "head_dim": config.hidden_size // config.num_heads,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": mrope_section(config),
                "mrope_interleaved": True,
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
            "num_position_embeddings": positions_per_side**2,
            "deepstack_visual_indexes": [config.vision_layers - 1],
        },
        tie_word_embeddings=True,
        **picture_tokens(tokenizer),
    )


def _processor(config: BuildConfig) -> dict[str, Any]:
    half = [0.5, 0.5, 0.5]
    return {**tiny_processor(config), "image_mean": half, "image_std": half}


FAMILY = FamilySpec(
    family=Family.qwen3_vl,
    model_types=("qwen3_vl",),
    blocks=("Qwen3VLTextDecoderLayer", "Qwen3VLVisionBlock"),
    shape=_shape,
    processor="Qwen2VLImageProcessor",
    tiny_processor=_processor,
    vision=QwenVision,
    limit=limit,
)
