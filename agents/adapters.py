"""What of a policy is trained: low-rank adapters, a frozen vision tower, recomputed activations.

LoRA (arXiv 2106.09685) goes through transformers' own adapter methods, so that the model keeps its
class and everything that reads it works unchanged. A saved adapter is a small folder that names its
base; the Auto classes load it where peft is installed.
"""

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .config import LoraConfig

ADAPTER_CONFIG = "adapter_config.json"
LANGUAGE_LAYERS = r"(?:.*\.)?(?:language_model\.|text_model\.|^model\.)layers\.\d+\.(?:.*\.)?"


def target_pattern(config: LoraConfig) -> str:
    """A pattern for the full names of the linear layers that get an adapter.

    Language layers alone: a vision tower may call its own layers by the same names.
    """
    return rf"{LANGUAGE_LAYERS}(?:{'|'.join(map(re.escape, config.targets))})"


def targets(model: nn.Module, config: LoraConfig) -> list[str]:
    """The names of the linear layers of `model` that get an adapter.

    Raises ValueError for an entry of `config.targets` that names none.
    """
    found = []
    for target in config.targets:
        pattern = re.compile(target_pattern(LoraConfig(rank=config.rank, targets=[target])))
        names = [
            name
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and pattern.fullmatch(name)
        ]
        if not names:
            raise ValueError(
                "policy.lora.targets must name linear layers of the language model, as q_proj; "
                f"got {target!r}, which names none"
            )
        found += names
    return found


def add_lora(model: Any, config: LoraConfig, seed: int = 0) -> None:
    """Add a new adapter in place; afterwards nothing but it is trainable.

    Its random half depends on `seed` alone, so that all processes have the same.
    Raises ValueError if peft is not installed or a target names no layer.
    """
    peft = _peft()
    targets(model, config)
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,
        target_modules=target_pattern(config),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.add_adapter(settings)
    _train_in_fp32(model)


def load_lora(model: Any, folder: Path, config: LoraConfig) -> None:
    """Load the adapter of `folder` in place, ready for more training.

    Raises ValueError if peft is not installed or the adapter is of another shape than `config`
    asks for (rank 0 asks for none in particular).
    """
    peft = _peft()
    saved = peft.PeftConfig.from_pretrained(str(folder))
    wanted, found = (config.rank, config.alpha), (saved.r, saved.lora_alpha)
    if config.rank and wanted != found:
        raise ValueError(
            f"policy.lora.rank and alpha must be those of the adapter in {folder}, "
            f"{found[0]} and {found[1]:g}; got {wanted[0]} and {wanted[1]:g}"
        )
    # Read into bfloat16, as is the base, they would be rounded.
    model.load_adapter(str(folder), is_trainable=True, dtype_plan={"lora_": torch.float32})
    _train_in_fp32(model)


def is_adapter(folder: Path) -> bool:
    return (folder / ADAPTER_CONFIG).is_file()


def base_of(folder: Path) -> str:
    """The folder or hub name of the model that the adapter in `folder` belongs to."""
    settings = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    base = settings.get("base_model_name_or_path")
    if not base:
        raise ValueError(f"an adapter must name its base model; the one in {folder} does not")
    return str(base)


def recompute_activations(model: Any) -> None:
    """Gradient checkpointing: forget what is between the layers, and compute it again backwards.

    transformers does so in train mode alone, so every dropout is set to 0 for good: a policy's
    log-probabilities may not be random (the ratio to the sampler's would not be 1).
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    enable = getattr(model, "activation_checkpointing_enable", None)  # newer transformers
    (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})
    model.train()


def _train_in_fp32(model: nn.Module) -> None:
    """Adapters keep fp32 weights on a bfloat16 base: small updates would round to nothing."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise ValueError(
            "policy.lora must have peft installed: pip install 'cardinal-gym[lora]'"
        ) from error
    return peft
