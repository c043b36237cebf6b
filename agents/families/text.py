"""Families without eyes: Llama, Qwen2 and Qwen3.

A tiny Llama ties its embeddings; a tiny Qwen3 has, as the real ones, norms on queries and keys and
fewer heads for keys than for queries.
"""

from transformers import LlamaConfig, PreTrainedConfig, Qwen3Config

from ..config import BuildConfig, Family
from .spec import FamilySpec, Tokenizer, text_settings


def _llama(config: BuildConfig, tokenizer: Tokenizer) -> PreTrainedConfig:
    return LlamaConfig(tie_word_embeddings=True, **text_settings(config, tokenizer))


def _qwen3(config: BuildConfig, tokenizer: Tokenizer) -> PreTrainedConfig:
    settings = text_settings(config, tokenizer)
    settings["num_key_value_heads"] = max(1, config.num_heads // 2)
    head_dim = config.hidden_size // config.num_heads
    return Qwen3Config(tie_word_embeddings=True, head_dim=head_dim, **settings)


LLAMA = FamilySpec(
    family=Family.text,
    model_types=("llama", "qwen2"),
    blocks=("LlamaDecoderLayer", "Qwen2DecoderLayer"),
    shape=_llama,
)
QWEN3 = FamilySpec(
    family=Family.qwen3,
    model_types=("qwen3",),
    blocks=("Qwen3DecoderLayer",),
    shape=_qwen3,
)
