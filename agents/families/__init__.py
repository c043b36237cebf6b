"""The model families, one file each: what is special about loading, building and seeing."""

from . import idefics3, llava_onevision, mllama, qwen3_vl, qwen_vl, text
from .spec import FamilySpec

__all__ = ["FAMILIES", "FamilySpec", "family_of"]

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
