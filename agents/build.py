"""Builds tiny policies from a config: one of any family, with random weights.

They are ordinary Hugging Face models, so that `save_pretrained` folders load anywhere.
"""

import torch
from transformers import BaseImageProcessor, PreTrainedModel, PreTrainedTokenizerFast

from .config import BuildConfig
from .families import FAMILIES
from .tokenizer import build_tokenizer


def build(
    config: BuildConfig, attn_implementation: str = "sdpa"
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, BaseImageProcessor | None]:
    """A model in fp32 on the CPU, its tokenizer and (vision families) its image processor.

    The global torch generator is left as it was found.
    """
    family = FAMILIES[config.family]
    special = family.special_tokens(config)
    tokenizer = build_tokenizer(config.max_position, config.vocabulary, special)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = family.auto_class.from_config(
            family.shape(config, tokenizer), attn_implementation=attn_implementation
        )
    family.initialize(model)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    if family.tiny_processor is None:
        return model, tokenizer, None
    return model, tokenizer, family.processor_class(**family.tiny_processor(config))
