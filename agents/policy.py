"""A policy: a Hugging Face model with its tokenizer, image processor and context mode.

`load_policy` takes a config that names a folder, a hub model or a shape to build, and every later
step treats the three alike. `Policy.save` writes one folder that the Auto classes load.
"""

import json
import logging
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoTokenizer,
    BaseImageProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import cached_file
from transformers.utils.logging import disable_progress_bar

from .adapters import add_lora, base_of, is_adapter, load_lora, recompute_activations
from .build import build
from .compiled import compile_blocks
from .config import BuildConfig, Dtype, PolicyConfig
from .families import family_of
from .hub import check_reachable
from .implementations import check_attention
from .tokens import banned_ids, choose_thinking, end_ids, reads_parts_only
from .types import ContextMode
from .vision import VisionFamily

if TYPE_CHECKING:
    from .fixed import FixedDecoder

__all__ = ["BuildConfig", "Policy", "PolicyConfig", "load_policy"]

logger = logging.getLogger(__name__)


class Policy:
    """A model that answers, with all that is needed to ask it.

    model: the Hugging Face model, evaluated and trained in place.
    tokenizer: with a chat template.
    processor: the image processor; None for text.
    vision: pictures -> tensors; None for text.
    text_as_parts: the chat template reads lists of parts only, no plain strings.
    end_ids: ids that end an answer; the first is the one that SFT teaches.
    decoder: steps of fixed shapes, where answers are drawn by compiled ones.
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
        context_turns: int = 3,
        max_images: int | None = None,
        max_rows: int = 512,
    ) -> None:
        self.model = model
        self.decoder: FixedDecoder | None = None
        self.tokenizer = tokenizer
        self.processor = processor
        self.context = ContextMode(context)
        self.context_turns, self.max_images = context_turns, max_images
        self.max_rows = max_rows
        spec = family_of(model.config.model_type)
        self.family = spec.family
        self.vision: VisionFamily | None = None
        if spec.vision is not None:
            self.vision = spec.vision(processor, model.config, tokenizer)
            seeing = self.vision.parameters(model)
            self.vision.frozen = not any(parameter.requires_grad for parameter in seeing)
        spec.prepare(model)
        limit = model.config.get_text_config().max_position_embeddings
        self.max_context = min(max_context or limit, limit)
        self.text_as_parts = reads_parts_only(tokenizer)
        self.end_ids = end_ids(model, tokenizer)
        reserved = frozenset[int]() if self.vision is None else self.vision.reserved_ids
        self.banned_ids = banned_ids(model, tokenizer, self.end_ids, reserved)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def num_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def num_trained(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    @cached_property
    def pad_id(self) -> int:
        pad = self.tokenizer.pad_token_id
        return int(self.end_ids[0] if pad is None else pad)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What training changes: all weights, or of adapters and a thawed part just those.

        The rest is the base's, which a checkpoint need not hold.
        """
        trained = {name for name, p in self.model.named_parameters() if p.requires_grad}
        whole: dict[str, torch.Tensor] = self.model.state_dict()
        if all(parameter.requires_grad for parameter in self.model.parameters()):
            return whole
        return {name: tensor for name, tensor in whole.items() if name in trained}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state_dict` gave; ValueError if it was another kind of policy's."""
        wanted = set(self.state_dict())
        if wanted != set(state):
            odd = sorted(wanted ^ set(state))
            raise ValueError(
                "a checkpoint must hold the weights that this policy trains (see policy.lora and "
                f"policy.freeze_vision); {len(odd)} differ, as {odd[0]}"
            )
        self.model.load_state_dict(state, strict=False)
        if self.vision is not None:
            self.vision.forget()

    def save(self, folder: str | Path, state: Mapping[str, torch.Tensor] | None = None) -> None:
        """Write model, tokenizer with chat template, and image processor, as Auto classes read.

        Of a policy with adapters, those alone, with the name of their base.
        state: all weights by name, where the model itself holds only a part of each.
        """
        self.model.save_pretrained(folder, state_dict=None if state is None else dict(state))
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

    def freeze_vision(self) -> None:
        """Train neither tower nor projector; from now on a picture is encoded once."""
        for parameter in self.vision_parameters():
            parameter.requires_grad_(False)
        if self.vision is not None:
            self.vision.frozen = True

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
    check_attention(config, device)
    if config.path is not None:
        model, tokenizer, processor = _from_pretrained(config.path, config)
    elif config.build is not None and config.lora.rank:
        raise ValueError(
            f"policy.lora must have a pretrained policy to adapt; {config.name!r} is new"
        )
    elif config.build is not None:
        model, tokenizer, processor = build(config.build, config.attn_implementation)
        if config.dtype is Dtype.bfloat16:
            model = model.to(torch.bfloat16)
    else:
        raise ValueError(f"policy {config.name!r} must have a path or a build; got neither")
    if config.thinking is not None:
        choose_thinking(tokenizer, config.thinking)
    model = model.to(device).eval()
    if config.lora.rank and not getattr(model, "_hf_peft_config_loaded", False):
        add_lora(model, config.lora)
    if config.max_image_tokens is not None:
        _limit_pictures(model, processor, config.max_image_tokens)
    policy = Policy(
        model,
        tokenizer,
        processor=processor,
        context=config.context,
        max_context=config.max_context,
        context_turns=config.context_turns,
        max_images=config.max_images,
        max_rows=config.max_rows,
    )
    if config.freeze_vision:
        policy.freeze_vision()
    if config.gradient_checkpointing:
        recompute_activations(model)
    if config.compile:
        compile_blocks(model)
    if config.compile_decode:
        from .fixed import compiled_decoder  # which knows policies

        policy.decoder = compiled_decoder(model)
    logger.info(
        "policy %s: %d parameters, %d of them trainable, on %s",
        config.called, policy.num_parameters, policy.num_trained, device,
    )  # fmt: skip
    return policy


def _from_pretrained(
    path: str, config: PolicyConfig
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, BaseImageProcessor | None]:
    """The model of a folder or hub name, with the adapter of a folder that is one."""
    path = str(Path(path).expanduser()) if path.startswith("~") else path
    check_reachable(path)
    if not sys.stderr.isatty():
        disable_progress_bar()  # of "Loading weights": in a log every stroke would be a line
    adapter = Path(path) if is_adapter(Path(path)) else None
    base = path if adapter is None else base_of(adapter)
    if adapter is not None:
        try:
            check_reachable(base)
        except ValueError as error:
            raise ValueError(f"the adapter in {path} needs its base model: {error}") from error
    dtype = "auto" if config.dtype is Dtype.auto else getattr(torch, config.dtype.value)
    try:
        family = family_of(AutoConfig.from_pretrained(base).model_type)
        model = family.auto_class.from_pretrained(
            base, dtype=dtype, attn_implementation=config.attn_implementation
        )
        tokenizer = AutoTokenizer.from_pretrained(path)
        processor = None
        if family.sees:
            processor = AutoImageProcessor.from_pretrained(path)
            tokenizer.chat_template = _processor_template(path) or tokenizer.chat_template
        if adapter is not None:
            load_lora(model, adapter, config.lora)
    except OSError as error:
        raise ValueError(f"policy {path!r} could not be loaded: {_first_line(error)}") from error
    if tokenizer.chat_template is None:
        raise ValueError(f"policy {path!r} must have a chat template; its tokenizer has none")
    if adapter is None and Path(path).is_dir():
        model.name_or_path = str(Path(path).resolve())  # an adapter's folder names its base by it
    return model, tokenizer, processor


def _limit_pictures(model: Any, processor: Any, max_ids: int) -> None:
    family = family_of(model.config.model_type)
    if family.limit is None:
        raise ValueError(
            f"policy.max_image_tokens must be null for a policy of family {family.family.value}, "
            f"which gives every picture the same room or none; got {max_ids}"
        )
    family.limit(processor, model.config, max_ids)


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


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
