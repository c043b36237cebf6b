"""Settings that every environment offers in the same words."""

from enum import Enum
from typing import Any, TypeVar


class Modality(str, Enum):
    text = "text"  # what there is to see is said in words
    image = "image"  # it is only in the picture


class Split(str, Enum):
    train = "train"
    eval = "eval"
    all = "all"


class PromptStyle(str, Enum):
    study = "study"  # the paper's fields, explained in sentences
    compact = "compact"  # a few dozen words, for tiny policies


AnyEnum = TypeVar("AnyEnum", bound=Enum)


def member(kind: type[AnyEnum], name: str, value: Any) -> AnyEnum:
    """The member that `value` is or names; ValueError, with the allowed names, if there is none."""
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(str(each.value) for each in kind)
        raise ValueError(f"{name} must be one of {allowed}; got {value!r}") from None
