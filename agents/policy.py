"""A policy: a Hugging Face model with its tokenizer, image processor and context mode.

`load_policy` takes a config that names a folder, a hub model or a shape to build, and every later
step treats the three alike. `Policy.save` writes one folder that the Auto classes load.
"""

import json
import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    BaseImageProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import cached_file

from .build import build
from .config import BuildConfig, Dtype, PolicyConfig
from .families import family_of
from .hub import check_reachable
from .types import ContextMode
from .vision import VisionFamily

__all__ = ["BuildConfig", "Policy", "PolicyConfig", "load_policy"]

logger = logging.getLogger(__name__)


class Policy:
    """A model that answers, with all that is needed to ask it.

    model: the Hugging Face model, evaluated and trained in place.
    tokenizer: with a chat template.
    processor: the image processor; None for text.
    vision: pictures -> tensors; None for text.
    end_ids: ids that end an answer; the first is the one that SFT teaches.
    banned_ids: ids never sampled (special, image, padding and out-of-vocabulary ids).
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        processor: BaseImageProcessor | None = None,
        context: ContextMode = ContextMode.concat,
        max_context: int | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.processor = processor
        self.context = ContextMode(context)
        spec = family_of(model.config.model_type)
        self.family = spec.family
        self.vision: VisionFamily | None = None
        if spec.vision is not None:
            self.vision = spec.vision(processor, model.config, tokenizer)
        spec.prepare(model)
        limit = model.config.get_text_config().max_position_embeddings
        self.max_context = min(max_context or limit, limit)
        self.end_ids = _end_ids(model, tokenizer)
        reserved = frozenset[int]() if self.vision is None else self.vision.reserved_ids
        self.banned_ids = _banned_ids(model, tokenizer, self.end_ids, reserved)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    @cached_property
    def pad_id(self) -> int:
        pad = self.tokenizer.pad_token_id
        return int(self.end_ids[0] if pad is None else pad)

    def save(self, folder: str | Path) -> None:
        """Write model, tokenizer with chat template, and image processor, as Auto classes read."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        if self.processor is not None:
            self.processor.save_pretrained(folder)

    def image_features(self, images: list[np.ndarray]) -> torch.Tensor:
        """Projected patches of each picture, as the language model sees them.

        images: uint8 [H, W, 3] each. Returns [B, patches, hidden]; differentiable.
        Raises ValueError for a text policy.
        """
        if self.vision is None:
            raise ValueError(f"a policy of family {self.family.value} has no image features")
        return self.vision.features(self.model, images)

    def vision_parameters(self) -> list[nn.Parameter]:
        """Of the vision tower and its projector; none in a text policy."""
        if self.vision is None:
            return []
        return self.vision.parameters(self.model)


def load_policy(config: PolicyConfig) -> Policy:
    """Load `config.path`, or build `config.build`.

    Raises ValueError, in one line, for a folder without a model, a name that cannot be reached or
    does not exist, a gated model, and a model class that no family covers.
    """
    device = torch_device(config.device)
    if config.path is not None:
        model, tokenizer, processor = _from_pretrained(config.path, config)
    elif config.build is not None:
        model, tokenizer, processor = build(config.build, config.attn_implementation)
        if config.dtype is Dtype.bfloat16:
            model = model.to(torch.bfloat16)
    else:
        raise ValueError(f"policy {config.name!r} must have a path or a build; got neither")
    model = model.to(device).eval()
    policy = Policy(
        model,
        tokenizer,
        processor=processor,
        context=config.context,
        max_context=config.max_context,
    )
    logger.info("policy %s: %d parameters on %s", config.name, policy.num_parameters, device)
    return policy


def _from_pretrained(
    path: str, config: PolicyConfig
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, BaseImageProcessor | None]:
    path = str(Path(path).expanduser()) if path.startswith("~") else path
    check_reachable(path)
    dtype = "auto" if config.dtype is Dtype.auto else getattr(torch, config.dtype.value)
    try:
        family = family_of(AutoConfig.from_pretrained(path).model_type)
        auto = AutoModelForImageTextToText if family.sees else AutoModelForCausalLM
        model = auto.from_pretrained(
            path, dtype=dtype, attn_implementation=config.attn_implementation
        )
        tokenizer = AutoTokenizer.from_pretrained(path)
        processor = None
        if family.sees:
            processor = AutoImageProcessor.from_pretrained(path)
            tokenizer.chat_template = _processor_template(path) or tokenizer.chat_template
    except OSError as error:
        raise ValueError(f"policy {path!r} could not be loaded: {_first_line(error)}") from error
    if tokenizer.chat_template is None:
        raise ValueError(f"policy {path!r} must have a chat template; its tokenizer has none")
    return model, tokenizer, processor


def _processor_template(path: str) -> str | None:
    """The chat template that older hub models keep with their processor, apart from the tokenizer.

    It is the one that knows pictures.
    """
    file = cached_file(
        path,
        "chat_template.json",
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if file is None:
        return None
    return str(json.loads(Path(file).read_text(encoding="utf-8"))["chat_template"])


def torch_device(name: str) -> torch.device:
    """The device that a setting names; ValueError for none, or one that this machine lacks."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(
            f"policy.device must be auto, cpu, cuda or cuda:<n>; got {name!r}"
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"policy.device is {name!r}, but torch sees no CUDA device")
    return device


def _end_ids(model: Any, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The tokenizer's end token first, then what the generation config names besides."""
    declared = model.generation_config.eos_token_id
    more = declared if isinstance(declared, list) else [declared]
    ids = [i for i in (tokenizer.eos_token_id, *more) if i is not None]
    if not ids:
        raise ValueError("a policy's tokenizer must have an end token; it has none")
    return tuple(dict.fromkeys(int(i) for i in ids))


def _banned_ids(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    end_ids: tuple[int, ...],
    reserved: frozenset[int],
) -> tuple[int, ...]:
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    special |= set(tokenizer.all_special_ids)
    rows = model.get_output_embeddings().weight.shape[0]
    beyond = set(range(len(tokenizer), rows))  # rows of the head that no token has
    return tuple(sorted(i for i in (special | beyond | reserved) - set(end_ids) if i < rows))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
