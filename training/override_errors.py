"""Turns whatever composing a configuration can raise into one line: key, value, what is allowed.

Hydra and OmegaConf keep the facts in the exception's attributes (`full_key`, `value`, the node, the
options of a group); their own messages spread over several lines and name internals. Nothing here
decides what is an error: it only says it.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib.resources import files
from typing import TYPE_CHECKING, Any, get_args

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import BooleanNode, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    OmegaConfBaseException,
)

from .key_hints import did_you_mean, likely_keys

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # of Python 3.11

CONF = "cardinal_gym.conf"
PRESET_GROUPS = {"env.rule": "rules", "env.visual": "visuals"}  # sections that a group fills
SETTINGS_GROUPS = {"grpo": "algorithm", "policy": "hardware"}  # sections that a group changes
STREET_SETTINGS = {"rules": "env.rule", "visuals": "env.look"}  # in the place of groups
NODE_WORDS = {
    "IntegerNode": "an integer",
    "FloatNode": "a number",
    "BooleanNode": "true or false",
    "StringNode": "text",
    "PathNode": "a path",
}

MERGES = {  # what stands there, and what was given
    "Cannot merge DictConfig with ListConfig": ("a section with keys and values", "a list"),
    "Cannot merge ListConfig with DictConfig": ("a list, as in [a,b]", "a section"),
}

CONFIG_ERRORS = (HydraException, OmegaConfBaseException)


def explain(error: BaseException) -> str:
    """One line for an exception of Hydra or OmegaConf."""
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    cause = cause or error.__context__  # Hydra's errors about a file have no cause
    if isinstance(error, OverrideParseException):
        return _malformed(error.override)
    if isinstance(error, MissingConfigException):
        return _unknown_choice(error)
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
        return _where(error) + _unknown_key(cause)
    if isinstance(cause, OmegaConfBaseException):
        return _where(error) + _bad_value(cause)
    strange = re.match(r"Could not override '([^'@]+)", str(error))
    if strange is not None and strange[1] in STREET_SETTINGS:
        return (
            f"{strange[1]} is a group of General Points alone (env=general_points); street "
            f"navigation has {STREET_SETTINGS[strange[1]]}=name"
        )
    if strange is not None and "/" in strange[1] and strange[1].partition("/")[0] in groups():
        group, _, folder = strange[1].partition("/")
        return f"{strange[1]} is a folder inside the group {group}; write {group}={folder}/name"
    if strange is not None:
        return f"{strange[1]} is not a group of this command; its --help lists those that are"
    return one_line(str(error)) or type(error).__name__


def to_config(cfg: DictConfig) -> Any:
    """The dataclass behind a composed configuration.

    Raises ValueError, with the full key in front, where a dataclass refuses its values or a value
    is missing.
    """
    try:
        return OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        raise ValueError(explain(error)) from error
    except ValueError as error:
        path, node = _refusing_node(cfg)
        raise ValueError(with_path(path, str(error), node)) from error


def with_path(path: list[str], message: str, node: Any = None) -> str:
    """`message` about a field of the section at `path`, with the field's full key.

    A message that names part of the path already ("build.width must be ...") is not doubled.
    """
    subject = message.split(" ", 1)[0].split(".")
    for overlap in range(min(len(path), len(subject)), 0, -1):
        if path[-overlap:] == subject[:overlap]:
            return ".".join([*path[:-overlap], message])
    known = list(node) if isinstance(node, DictConfig) else []
    if not path or re.split(r"[.\[:]", subject[0])[0] in known:
        return ".".join([*path, message])
    return f"{'.'.join(path)}: {message}"


def one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def groups() -> dict[str, list[str]]:
    """The choices of every group that comes with the package."""
    return {
        folder.name: sorted(_choices(folder))
        for folder in files(CONF).iterdir()
        if folder.is_dir() and folder.name not in ("hydra", "__pycache__")
    }


def _choices(folder: "Traversable") -> Iterator[str]:
    """Names in a group, those of a folder inside it behind a slash."""
    for entry in folder.iterdir():
        if entry.name.endswith(".yaml"):
            yield entry.name.removesuffix(".yaml")
        elif entry.is_dir() and entry.name != "__pycache__":
            yield from (f"{entry.name}/{choice}" for choice in _choices(entry))


def _malformed(override: str) -> str:
    key, equals, value = override.partition("=")
    if not equals:
        return f"{override} must be key=value; got no '='"
    return (
        f"{key} must be a value that Hydra can read (quote text that has special characters, "
        f"as in '{key}=\"a=b\"'); got {value}"
    )


def _unknown_choice(error: MissingConfigException) -> str:
    name = error.missing_cfg_file or ""
    group, _, choice = name.rpartition("/")
    options = [option for option in error.options or () if option != "__init__"]
    own = name.partition("/")[0]
    if own in groups():  # with the folders inside it
        group, choice = own, name.removeprefix(f"{own}/")
        options = sorted({*groups()[own], *options} if "/" not in choice else groups()[own])
    if not group:
        return f"{name or 'the configuration'} must be a configuration file; got none of that name"
    return (
        f"{group} must be one of {', '.join(options) or 'nothing (the group is empty)'}; "
        f"got {choice}{_meant(choice, options)}"
    )


def _meant(choice: str, options: list[str]) -> str:
    """A hint at the choice of the same name in a folder of the group, or one spelt alike."""
    if any(option.startswith(f"{choice}/") for option in options):
        return f" (as in {choice}/NAME)"
    same = [option for option in options if option.endswith(f"/{choice}")]
    return f" (did you mean {same[0]}?)" if same else did_you_mean(choice, options)


def _unknown_key(error: OmegaConfBaseException) -> str:
    parent, key = error.parent_node, str(error.key)
    full_key = error.full_key or key
    siblings = [str(name) for name in parent] if isinstance(parent, DictConfig) else []
    prefix = full_key[: -len(key)] if full_key.endswith(key) else ""
    if not prefix:  # at the top a choice of a group is written like a setting
        siblings = [name for name in siblings if name != "hydra"] + _groups_beside(parent)
    suggestions = likely_keys(parent, prefix, key, siblings)
    hint = f"did you mean {' or '.join(suggestions)}? " if suggestions else ""
    where = prefix.rstrip(".") or "the configuration"
    is_mapping = isinstance(parent, DictConfig) and parent._metadata.object_type is dict
    add = f"; a new entry is written +{full_key}=..." if is_mapping else ""
    return f"{full_key} is not a key of {where}; {hint}allowed: {', '.join(siblings)}{add}"


def _groups_beside(root: Any) -> list[str]:
    """Groups that this program has and that are not sections of the same name."""
    sections = {**PRESET_GROUPS, **SETTINGS_GROUPS}
    return [group for at, group in sections.items() if OmegaConf.select(root, at) is not None]


def _bad_value(error: OmegaConfBaseException) -> str:
    key = error.full_key
    merged = MERGES.get((error.msg or "").split("\n")[0])
    if merged is not None:
        return f"{key} must be {merged[0]}; got {merged[1]}"
    allowed = None if isinstance(error, InterpolationResolutionError) else _allowed(error)
    if not key or allowed is None:
        first = one_line((error.msg or str(error)).split("\n")[0])
        return f"{key}: {first}" if key else first
    value = "null" if error.value is None else repr(error.value)
    is_section = isinstance(error.child_node, DictConfig)
    group = PRESET_GROUPS.get(key) if is_section else None
    hint = f" (a preset is chosen with {group}=name: {', '.join(groups()[group])})" if group else ""
    return f"{key} must be {allowed}; got {value}{hint}"


def _allowed(error: OmegaConfBaseException) -> str | None:
    """What the schema allows at the place of the error, in words; None when it cannot be told."""
    node = error.child_node
    enum = getattr(node, "enum_type", None)
    expected = re.search(r"expected one of \[(.*?)\]", error.msg or "")
    converted = re.search(r"could not be converted to (\w+)", error.msg or "")
    if isinstance(enum, type) and issubclass(enum, Enum):
        return f"one of {', '.join(member.name for member in enum)}"
    if expected:
        return f"one of {expected[1]}"
    entry = next((kind for kind in get_args(error.ref_type) if is_dataclass(kind)), None)
    if entry is not None and "is not a subclass of" in (error.msg or ""):
        return f"a section with {', '.join(field.name for field in fields(entry))}"
    if isinstance(node, ListConfig):
        return "a list, as in [a,b]"
    if isinstance(node, DictConfig):
        return f"a section with {', '.join(map(str, node)) or 'keys and values'}"
    if isinstance(node, BooleanNode) and node._is_optional():
        return "true, false or null"
    return NODE_WORDS.get(f"{converted[1]}Node" if converted else type(node).__name__)


def _where(error: BaseException) -> str:
    """The file, when the fault is in a YAML file rather than in an override."""
    found = re.match(r"In '([^']+)': ", str(error))
    return f"{found[1]}.yaml: " if found else ""


def _refusing_node(node: Any) -> tuple[list[str], Any]:
    """Path and node of the innermost section whose dataclass refuses its values."""
    keys = range(len(node)) if isinstance(node, ListConfig) else list(node)
    for key in keys:
        child = node._get_node(key)
        if isinstance(child, (DictConfig, ListConfig)) and not child._is_none():
            try:
                OmegaConf.to_object(child)
            except ValueError:
                path, refusing = _refusing_node(child)
                return [str(key), *path], refusing
    return [], node
