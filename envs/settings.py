"""Settings that every environment offers in the same words."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
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
AnyConfig = TypeVar("AnyConfig")


def given_config(
    kind: type[AnyConfig],
    read: Callable[[Mapping[str, Any]], AnyConfig],
    config: AnyConfig | Mapping[str, Any] | None,
    fields: Mapping[str, Any],
) -> AnyConfig:
    """A configuration that was given whole, as a mapping for `read`, or by its fields.

    ValueError if both are given.
    """
    if config is not None and fields:
        raise ValueError(f"give either config or its fields; got config and {sorted(fields)}")
    if isinstance(config, kind):
        return config
    given: Any = fields if config is None else config  # `read` says what it must be
    return read(given)


def as_render_mode(name: str | None, allowed: Sequence[str]) -> str | None:
    """Gymnasium's `render_mode`; ValueError, with the allowed names, if it is none of them."""
    if name is not None and name not in allowed:
        raise ValueError(f"render_mode must be one of {', '.join(allowed)}; got {name!r}")
    return name


def member(kind: type[AnyEnum], name: str, value: Any) -> AnyEnum:
    """The member that `value` is or names; ValueError, with the allowed names, if there is none."""
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(str(each.value) for each in kind)
        raise ValueError(f"{name} must be one of {allowed}; got {value!r}") from None


def require_flag(name: str, value: Any) -> None:
    """Raise ValueError unless `value` is True or False: the text "no" would count as yes."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false; got {value!r}")


def require_number(name: str, value: Any, allowed: str, low: float, high: float) -> None:
    """Raise ValueError unless `value` is a finite number in [low, high]; `allowed` says so."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{name} must be {allowed}; got {value!r}")


def as_list(name: str, value: Any, allowed: str) -> list[Any]:
    """The entries of a sequence that is not text; ValueError, with `allowed`, for what is none."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ValueError(f"{name} must be {allowed}; got {value!r}")
    return list(value)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """` (did you mean x?)`, or nothing when no choice is near."""
    near = difflib.get_close_matches(word, list(choices), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
