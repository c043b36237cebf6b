"""The settings of General Points' tools. No solver here: `config.py` and the prompts need them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..settings import member
from ..tools import ToolConfig, as_section

CALCULATOR = "calculator"


class OracleCalls(str, Enum):
    """What the oracle asks the calculator before it answers."""

    steps = "steps"  # every operation of its solution, in the order computed
    formula = "formula"  # its solution as a whole
    search = "search"  # formulas that miss the target, as many as are drawn, and then its solution


@dataclass(kw_only=True, slots=True)
class CalculatorConfig(ToolConfig):
    """The calculator: what every tool has, and

    oracle_calls: what the oracle asks, as far as the budget goes.
    """

    oracle_calls: OracleCalls = OracleCalls.steps

    def __post_init__(self) -> None:
        ToolConfig.__post_init__(self)  # super() does not work in a class with slots
        self.oracle_calls = member(OracleCalls, "oracle_calls", self.oracle_calls)


@dataclass(kw_only=True, slots=True)
class GeneralPointsTools:
    """Tools by name; one without a budget is not there.

    calculator: tells the exact value of an expression.
    """

    calculator: CalculatorConfig = field(default_factory=CalculatorConfig)

    def __post_init__(self) -> None:
        self.calculator = as_section(CalculatorConfig, "tools.calculator", self.calculator)

    @property
    def offered(self) -> dict[str, ToolConfig]:
        """Those with a budget."""
        return {CALCULATOR: self.calculator} if self.calculator.budget else {}


def as_tools(value: GeneralPointsTools | Mapping[str, Any] | None) -> GeneralPointsTools:
    """From a mapping by tool, or itself; None: no tools. ValueError for anything else."""
    return as_section(GeneralPointsTools, "tools", {} if value is None else value)
