"""Builds tiny policies from a config: a Llama, or a Mllama with a small vision tower.

Both are ordinary Hugging Face models, so that `save_pretrained` folders load anywhere. The built
Mllama departs from transformers' initialisation in one thing: the gates of its cross-attention,
global vision layers and positional embeddings start open (at 0 they suit grafting onto a trained
language model, but starve a model that learns from nothing).
"""

from typing import Any

import torch
from torch import nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaImageProcessorPil,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.mllama.image_processing_pil_mllama import get_all_supported_aspect_ratios

from .config import BuildConfig, Family
from .tokenizer import IMAGE, build_tokenizer

OPEN_GATE = 1.0  # tanh(1) = 0.76
HALF_OPEN_GATE = 0.5


def build(
    config: BuildConfig, attn_implementation: str = "sdpa"
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, MllamaImageProcessorPil | None]:
    """A model in fp32 on the CPU, its tokenizer and (mllama) its image processor.

    The global torch generator is left as it was found.
    """
    tokenizer = build_tokenizer(config.max_position)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.family is Family.text:
            model: PreTrainedModel = LlamaForCausalLM._from_config(
                _llama_config(config, tokenizer), attn_implementation=attn_implementation
            )
            processor = None
        else:
            model = MllamaForConditionalGeneration._from_config(
                _mllama_config(config, tokenizer), attn_implementation=attn_implementation
            )
            _open_gates(model)
            processor = _image_processor(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer, processor


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


def _image_processor(config: BuildConfig) -> MllamaImageProcessorPil:
    return MllamaImageProcessorPil(
        size={"height": config.tile_size, "width": config.tile_size},
        max_image_tiles=config.max_tiles,
    )


@torch.no_grad()
def _open_gates(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith(("attn_gate", "mlp_gate", "gate_attn", "gate_ffn")):
            parameter.fill_(OPEN_GATE)
        elif name.endswith("embedding.gate"):
            parameter.fill_(HALF_OPEN_GATE)
