"""Builds tiny policies from a config: a Llama, or a Mllama or Qwen2.5-VL with a small vision tower.

They are ordinary Hugging Face models, so that `save_pretrained` folders load anywhere. The built
Mllama departs from transformers' initialisation in one thing: the gates of its cross-attention,
global vision layers and positional embeddings start open (at 0 they suit grafting onto a trained
language model, but starve a model that learns from nothing).
"""

from typing import Any

import torch
from torch import nn
from transformers import (
    BaseImageProcessor,
    LlamaConfig,
    LlamaForCausalLM,
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaImageProcessorPil,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)
from transformers.models.mllama.image_processing_pil_mllama import get_all_supported_aspect_ratios

from .config import BuildConfig, Family
from .tokenizer import IMAGE, build_tokenizer

OPEN_GATE = 1.0  # tanh(1) = 0.76
HALF_OPEN_GATE = 0.5


def build(
    config: BuildConfig, attn_implementation: str = "sdpa"
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, BaseImageProcessor | None]:
    """A model in fp32 on the CPU, its tokenizer and (vision families) its image processor.

    The global torch generator is left as it was found.
    """
    tokenizer = build_tokenizer(config.max_position, config.vocabulary)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = _build_model(config, tokenizer, attn_implementation)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer, _image_processor(config)


def _build_model(
    config: BuildConfig, tokenizer: PreTrainedTokenizerFast, attn_implementation: str
) -> PreTrainedModel:
    attention = {"attn_implementation": attn_implementation}
    if config.family is Family.text:
        return LlamaForCausalLM._from_config(_llama_config(config, tokenizer), **attention)
    if config.family is Family.qwen_vl:
        shape = _qwen_config(config, tokenizer)
        return Qwen2_5_VLForConditionalGeneration._from_config(shape, **attention)
    shape = _mllama_config(config, tokenizer)
    model = MllamaForConditionalGeneration._from_config(shape, **attention)
    _open_gates(model)
    return model


def _text_settings(config: BuildConfig, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size or 3 * config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_heads,
        "max_position_embeddings": config.max_position,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def _llama_config(config: BuildConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(tie_word_embeddings=True, **_text_settings(config, tokenizer))


def _mllama_config(config: BuildConfig, tokenizer: PreTrainedTokenizerFast) -> MllamaConfig:
    width, depth = config.vision_hidden_size, config.vision_layers
    return MllamaConfig(
        text_config={
            **_text_settings(config, tokenizer),
            "cross_attention_layers": list(range(1, config.num_layers, 2)),
            "tie_word_embeddings": False,
        },
        vision_config={
            "hidden_size": width,
            "num_hidden_layers": depth,
            "num_global_layers": 1,
            "attention_heads": 4,
            "intermediate_size": 4 * width,
            "image_size": config.tile_size,
            "patch_size": config.patch_size,
            "max_num_tiles": config.max_tiles,
            # Explicit: the default list is that of four tiles.
            "supported_aspect_ratios": [
                list(ratio) for ratio in get_all_supported_aspect_ratios(config.max_tiles)
            ],
            "intermediate_layers_indices": [depth - 1],
            "vision_output_dim": 2 * width,  # the final layer and one intermediate layer
        },
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        tie_word_embeddings=False,
    )


def _qwen_config(config: BuildConfig, tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    half = config.hidden_size // config.num_heads // 2  # rotated pairs per head
    space = half * 3 // 8  # pairs for rows, and as many for columns; the rest for time
    absent = len(tokenizer)  # an id that no text has
    return Qwen2_5_VLConfig(
        text_config={
            **_text_settings(config, tokenizer),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [half - 2 * space, space, space],
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
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        video_token_id=absent,
        vision_start_token_id=absent,
        vision_end_token_id=absent,
        tie_word_embeddings=True,
    )


def _image_processor(config: BuildConfig) -> BaseImageProcessor | None:
    if config.family is Family.mllama:
        return MllamaImageProcessorPil(
            size={"height": config.tile_size, "width": config.tile_size},
            max_image_tiles=config.max_tiles,
        )
    if config.family is Family.qwen_vl:
        most = config.max_tiles * config.tile_size**2  # pixels
        size = {"shortest_edge": min(56 * 56, most), "longest_edge": most}
        return Qwen2VLImageProcessorPil(size=size, patch_size=config.patch_size)
    return None


@torch.no_grad()
def _open_gates(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith(("attn_gate", "mlp_gate", "gate_attn", "gate_ffn")):
            parameter.fill_(OPEN_GATE)
        elif name.endswith("embedding.gate"):
            parameter.fill_(HALF_OPEN_GATE)
