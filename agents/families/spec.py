"""What a model family is: one value per file of this folder.

To add a family, write its file with a `FAMILY`, name it in `config.Family`, and list it in
`families/__init__.py`; the tests of `tests/agents` then run on it. Nothing else knows families.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import transformers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    BaseImageProcessor,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.utils import is_torchvision_available

from ..config import BuildConfig, Family
from ..vision import VisionFamily

Tokenizer: TypeAlias = PreTrainedTokenizerBase


def nothing(model: Any) -> None:
    """Leaves a model as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilySpec:
    """One family of models.

    model_types: transformers' names of the models that it loads.
    blocks: classes of the repeated blocks, language and vision: what FSDP wraps.
    shape: the configuration of a tiny model of this family.
    processor: transformers' image processor class; None for text.
    tiny_processor: settings of that class for the tiny model.
    vision: (image processor, model configuration, tokenizer) -> how the family sees.
    special_tokens: those that the tiny model's tokenizer needs beside its own.
    limit: makes an image processor shrink pictures to at most so many ids each, given the model's
        configuration; None: this family cannot.
    prepare: adjusts a loaded or built model in place.
    initialize: adjusts the random weights of a built one in place.
    """

    family: Family
    model_types: tuple[str, ...]
    blocks: tuple[str, ...]
    shape: Callable[[BuildConfig, Tokenizer], PreTrainedConfig]
    processor: str | None = None
    tiny_processor: Callable[[BuildConfig], dict[str, Any]] | None = None
    vision: Callable[[Any, Any, Tokenizer], VisionFamily] | None = None
    special_tokens: Callable[[BuildConfig], tuple[str, ...]] = lambda config: ()
    limit: Callable[[Any, Any, int], None] | None = None
    prepare: Callable[[Any], None] = nothing
    initialize: Callable[[Any], None] = nothing

    @property
    def sees(self) -> bool:
        return self.vision is not None

    @property
    def auto_class(self) -> Any:
        """The Auto class that loads and builds its models."""
        return AutoModelForImageTextToText if self.sees else AutoModelForCausalLM

    @property
    def processor_class(self) -> type[BaseImageProcessor]:
        """The image processor: torchvision's where that is installed, else Pillow's."""
        assert self.processor is not None
        suffix = "" if is_torchvision_available() else "Pil"
        found: type[BaseImageProcessor] = getattr(transformers, self.processor + suffix)
        return found


def text_settings(config: BuildConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """The language model's part of a tiny configuration, as all families name it."""
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
