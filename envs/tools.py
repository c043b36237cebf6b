"""Tools that an agent may ask before it answers, as turns of the episode: settings and calls.

A call is an object with the tool's name and what it is asked, alone or at the end of some
reasoning, in a text without an answer:

    {"calculator": "(10-5)*3"}

It is read with the same care as an answer (`parsing.py`): any text gives a call or none, in bounded
time. `LanguageEnv` counts calls against their own budget and leaves the turns to the answers; what
a tool says is the game's business. The departure from function calling as servers have it: a call
is part of the text, so that any policy can make it and its ids are trained like an answer's.
"""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeVar

from .parsing import Value, between_tags, find_object
from .settings import require_number

CALLED = "called"  # outcome: the tool has told what it was asked
TOOL_ERROR = "tool_error"  # outcome: it could not read what it was asked; a call is spent
OVER_BUDGET = "over_budget"  # outcome: no call is left, and so this counts as an answer
MAX_BUDGET = 1_000


@dataclass(kw_only=True, slots=True)
class ToolConfig:
    """One tool.

    budget: calls in one episode; 0: there is no such tool, and no prompt speaks of it.
    cost: what a call takes off the reward.
    oracle_share: how often the oracle asks before an answer, in [0, 1], drawn for every answer.
    """

    budget: int = 0
    cost: float = 0.0
    oracle_share: float = 0.5

    def __post_init__(self) -> None:
        is_whole = isinstance(self.budget, int) and not isinstance(self.budget, bool)
        if not is_whole or not 0 <= self.budget <= MAX_BUDGET:
            raise ValueError(f"budget must be 0 to {MAX_BUDGET}, whole; got {self.budget!r}")
        require_number("cost", self.cost, "a number, at least 0", 0.0, math.inf)
        require_number("oracle_share", self.oracle_share, "in [0, 1]", 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Call:
    """argument: as written; None where it is neither text nor a whole number."""

    tool: str
    argument: str | None


def read_call(
    text: str, tools: Sequence[str], answer_keys: Set[str], *, is_tagged: bool
) -> Call | None:
    """The call in a model's text; None where there is none, or an answer.

    answer_keys: of an answer's object. Of several objects the last counts; with `is_tagged`,
    where answers stand in <answer> tags, a text that has those is no call.
    """
    if is_tagged:
        if between_tags(text, "answer") is not None:
            return None
        answer_keys = frozenset()
    found = find_object(text, frozenset((*tools, *answer_keys)))
    if found is None or not answer_keys.isdisjoint(found):
        return None
    tool = next(name for name in tools if name in found)
    return Call(tool, _argument(found[tool]))


def write_call(tool: str, argument: str) -> str:
    """A call as `read_call` reads it; `argument` holds neither quotes nor backslashes."""
    assert '"' not in argument
    assert "\\" not in argument
    return f'{{"{tool}": "{argument}"}}'


AnyConfig = TypeVar("AnyConfig")


def as_section(kind: type[AnyConfig], name: str, value: Any) -> AnyConfig:
    """A section of settings from a mapping of its fields, or itself.

    name: its full key, for messages. Raises ValueError for anything else, and for a bad value.
    """
    if isinstance(value, kind):
        return value
    known = list(kind.__dataclass_fields__)  # type: ignore[attr-defined]
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a section with {', '.join(known)}; got {value!r}")
    unknown = [key for key in value if key not in known]
    if unknown:
        raise ValueError(f"{name} must have fields among {', '.join(known)}; got {unknown[0]}")
    try:
        return kind(**value)
    except ValueError as error:
        said = str(error)
        raise ValueError(said if said.startswith(f"{name}.") else f"{name}.{said}") from error


def _argument(value: Value) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value)
