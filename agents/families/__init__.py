"""The model families, one file each: what is special about loading, building and seeing."""

from typing import Any

from . import idefics3, llava_onevision, mllama, qwen3_vl, qwen_vl, text
from .spec import FamilySpec

__all__ = ["FAMILIES", "FamilySpec", "block_classes", "family_of"]

FAMILIES = {
    spec.family: spec
    for spec in (
        text.LLAMA,
        text.QWEN3,
        mllama.FAMILY,
        qwen_vl.FAMILY,
        qwen3_vl.FAMILY,
        idefics3.FAMILY,
        llava_onevision.FAMILY,
    )
}
_BY_TYPE = {name: spec for spec in FAMILIES.values() for name in spec.model_types}


def family_of(model_type: str) -> FamilySpec:
    """The family of a model, by transformers' `model_type`; ValueError for one that none covers."""
    if model_type not in _BY_TYPE:
        raise ValueError(
            f"policy model type must be one of {', '.join(_BY_TYPE)}; got {model_type}"
        )
    return _BY_TYPE[model_type]


def block_classes(model: Any) -> dict[type, int]:
    """The classes of the model's repeated blocks, language and vision, and how many there are.

    They are what FSDP wraps. Raises ValueError if the model has none of its family's.
    """
    names = family_of(model.config.model_type).blocks
    found: dict[type, int] = {}
    for module in model.modules():
        if any(base.__name__ in names for base in type(module).__mro__):
            found[type(module)] = found.get(type(module), 0) + 1
    if not found:
        raise ValueError(f"a model must have blocks to wrap, one of {', '.join(names)}; got none")
    return found
