"""How a suite's cells lie to one another: ladders of growing severity, crosses of rule and look.

Read from the suite in `config.yaml`; a suite that has neither gives neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .results import Run
from .words import CellWords, upper, value_words

RULE_FIELDS = ("rule", "wording")
LOOK_FIELDS = ("visual", "look")
AXIS_WORDS = {"rule": "rule", "visual": "look", "difficulty": "difficulty", "wording": "wording",
              "transfer": "transfer"}  # fmt: skip
Part = tuple[tuple[str, str], ...]  # fields of a shift with their values; () is that of training
TRAINING: Part = ()


@dataclass(frozen=True, slots=True)
class Ladder:
    """Cells of one axis by their distance from training. steps: (severity, cell), ascending."""

    axis: str
    steps: tuple[tuple[float, str], ...]

    @property
    def title(self) -> str:
        return f"Severity of the shift: {AXIS_WORDS.get(self.axis, self.axis)}"


@dataclass(frozen=True, slots=True)
class Cross:
    """Every rule under every look. rules, looks: that of training first; cells: by both."""

    rules: tuple[Part, ...]
    looks: tuple[Part, ...]
    cells: Mapping[tuple[Part, Part], str]

    @property
    def origin(self) -> str:
        return self.cells[TRAINING, TRAINING]


def ladders(run: Run) -> list[Ladder]:
    """Of every axis on which at least two measured cells have a severity.

    The cell in distribution begins each ladder that has no other cell at severity 0.
    """
    placed: dict[str, list[tuple[float, str]]] = {}
    for cell in run.cells:
        place = run.cell_configs.get(cell, {})
        axis, severity = place.get("axis"), place.get("severity")
        if axis is not None and isinstance(severity, (int, float)):
            placed.setdefault(str(axis), []).append((float(severity), cell))
    found = []
    for axis, steps in placed.items():
        starts = [step for step in steps if step[0] == 0]
        if not starts and "id" in run.cells:
            steps = [(0.0, "id"), *steps]
        if len({severity for severity, _ in steps}) > 1:
            found.append(Ladder(axis, tuple(sorted(steps))))
    return found


def cross(run: Run) -> Cross | None:
    """The rules and the looks that were measured in every combination; None without a full one."""
    known: dict[tuple[Part, Part], str] = {}
    for cell in run.cells:
        own = run.own_shift(cell)
        if set(own) <= {*RULE_FIELDS, *LOOK_FIELDS} and (own or cell == "id"):
            known.setdefault((_part(own, RULE_FIELDS), _part(own, LOOK_FIELDS)), cell)
    both = [pair for pair in known if TRAINING not in pair]
    rules = tuple(dict.fromkeys([TRAINING, *(rule for rule, _ in both)]))
    looks = tuple(dict.fromkeys([TRAINING, *(look for _, look in both)]))
    pairs = [(rule, look) for rule in rules for look in looks]
    if not both or any(pair not in known for pair in pairs):
        return None
    return Cross(rules, looks, {pair: known[pair] for pair in pairs})


def part_words(part: Part, training: str) -> str:
    """A rule or a look in words; `training` for that of training."""
    return upper(", ".join(value_words(name, value) for name, value in part)) or training


def tick_words(words: CellWords) -> str:
    """Beside an axis: without what all of its cells begin with."""
    return "Training" if words.title == "In distribution" else words.short


def _part(shift: Mapping[str, Any], names: tuple[str, ...]) -> Part:
    chosen = {name: shift[name] for name in names if name in shift}
    return tuple((name, _name(value)) for name, value in chosen.items())


def _name(value: Any) -> str:
    """A preset's name, also of one that is given in full."""
    return str(value.get("name") or value) if isinstance(value, Mapping) else str(value)
