"""Which environment a reward model was trained in, as plain data inside its folder.

An answer that is right under one rule is wrong under another, and a model that reads one prompt is
blind to another: a reward model pays only where all of this is what it was trained on.
"""

from typing import Any

from ..files import plain

# Of an environment's configuration, where it has them: what an answer's verdict depends on, and how
# task and answer are written. What cards and targets are dealt may differ.
FIELDS = ("id", "modality", "prompt", "answer", "rule", "rules", "wording", "world", "mode")


def identity(env: Any) -> dict[str, Any]:
    """The identity of an environment's configuration."""
    return {name: plain(getattr(env, name)) for name in FIELDS if hasattr(env, name)}


def check_identity(
    found: dict[str, Any], env: Any, where: str, what: str = "a reward model"
) -> None:
    """ValueError in one line, with the first field that differs; where: the key that names it."""
    wanted = identity(env)
    for name in dict.fromkeys([*wanted, *found]):
        if found.get(name) != wanted.get(name):
            raise ValueError(
                f"{where} must be {what} of this environment, env.{name} "
                f"{_shown(wanted.get(name))}; got one of {_shown(found.get(name))}"
            )


def _shown(value: Any) -> str:
    """A rule by its name, anything else as it is."""
    if isinstance(value, dict) and "name" in value:
        operators = value.get("operators", [])
        return f"{value['name']} with {' '.join(operators)}" if operators else str(value["name"])
    return "none" if value is None else str(value)
