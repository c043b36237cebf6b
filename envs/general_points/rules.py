"""What cards are worth: rules are data. `RULES` holds the presets."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..settings import as_list
from .cards import RANK_INDEX, RANKS

OPERATORS = ("+", "-", "*", "/")
MAX_DIGITS = 12  # of any number in a rule, a target or a formula


@dataclass(kw_only=True, slots=True)
class Rule:
    """What the cards are worth and which operators are allowed.

    face_values: value by rank; a rank not named keeps its pips (A 1, J 11, Q 12, K 13).
    operators: some of + - * /.
    """

    name: str
    face_values: dict[str, int] = field(default_factory=dict)
    operators: list[str] = field(default_factory=lambda: list(OPERATORS))

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ValueError(f"name must be text; got {self.name!r}")
        if not isinstance(self.face_values, Mapping):
            raise ValueError(f"face_values must map ranks to integers; got {self.face_values!r}")
        self.face_values = dict(self.face_values)
        for rank, value in self.face_values.items():
            if rank not in RANK_INDEX:
                raise ValueError(f"face_values must name ranks of {', '.join(RANKS)}; got {rank!r}")
            require_short_int(f"face_values[{rank}]", value)
        allowed = f"some of {list(OPERATORS)}, as a list"
        self.operators = as_list("operators", self.operators, allowed)
        if not self.operators or any(op not in OPERATORS for op in self.operators):
            raise ValueError(f"operators must be {allowed}; got {self.operators}")

    @property
    def value_table(self) -> tuple[int, ...]:
        """Value by rank index, ace to king. [13]"""
        return tuple([self.face_values.get(rank, index + 1) for index, rank in enumerate(RANKS)])

    @property
    def allowed(self) -> str:
        """The allowed operators in the order of `OPERATORS`, as one string (a key for caches)."""
        return "".join([op for op in OPERATORS if op in self.operators])


def preset_rule(name: str, field_name: str = "rule") -> Rule:
    """A fresh copy of a preset; ValueError names the presets when there is none of this name."""
    if name not in RULES:
        raise ValueError(
            f"{field_name} must be one of {', '.join(RULES)}, or a rule of your own as a mapping, "
            f"{{name: mine, face_values: {{J: 11}}}}; got {name!r}"
        )
    rule = RULES[name]
    return Rule(name=rule.name, face_values=dict(rule.face_values), operators=list(rule.operators))


def as_rule(rule: Rule | Mapping[str, Any] | str, field_name: str = "rule") -> Rule:
    """A rule from a preset's name, a mapping of fields, or a rule.

    field_name: of what is set, for messages. Raises ValueError for anything else.
    """
    if isinstance(rule, Rule):
        return rule
    if isinstance(rule, str):
        return preset_rule(rule, field_name)
    if not isinstance(rule, Mapping):
        raise ValueError(
            f"{field_name} must be a preset's name ({', '.join(RULES)}), a mapping with a name and "
            f"face_values, or a Rule; got {rule!r}"
        )
    known = [f.name for f in fields(Rule)]
    unknown = [key for key in rule if key not in known]
    if unknown or "name" not in rule:
        raise ValueError(
            f"{field_name} must have a name and fields of {', '.join(known)}, as in "
            f"{{'name': 'mine', 'face_values': {{'J': 10}}}}; got {dict(rule)}"
        )
    try:
        return Rule(**rule)
    except ValueError as error:
        raise ValueError(f"{field_name}.{error}") from error


def require_short_int(name: str, value: Any) -> None:
    """Raise ValueError unless `value` is an integer of at most `MAX_DIGITS` digits."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 10**MAX_DIGITS:
        raise ValueError(f"{name} must be an integer of at most {MAX_DIGITS} digits; got {value!r}")


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        # The study trains on the first and measures out of distribution on the second.
        Rule(name="faces_as_ten", face_values={"J": 10, "Q": 10, "K": 10}),
        Rule(name="faces_as_ranks", face_values={"J": 11, "Q": 12, "K": 13}),
        Rule(name="faces_as_sevens", face_values={"J": 7, "Q": 7, "K": 7}),
        Rule(name="faces_shifted", face_values={"J": 12, "Q": 13, "K": 11}),
        Rule(name="aces_high", face_values={"J": 11, "Q": 12, "K": 13, "A": 14}),
    )
}
