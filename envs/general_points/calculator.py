"""The calculator: the exact value of an expression.

It reads what a formula may be (`expression.py`): numbers, + - * / and parentheses, whatever of them
the game's rule allows, with or without a claim after `=`, which it leaves alone. Values are
rationals (`7/3`). It knows nothing of the hand and the target; nothing is evaluated as code.
"""

from dataclasses import dataclass

from .expression import read_formula, show_rational

MAX_EXPRESSION_CHARS = 100
MAX_VALUE_CHARS = 24


@dataclass(frozen=True, slots=True)
class Calculation:
    """What was asked and what it is worth.

    expression: as read, in ASCII, tokens with a space between. value: in lowest terms, `15` or
    `7/3`; None where there is an error. error: why there is no value.
    """

    expression: str = ""
    value: str | None = None
    error: str = ""


def calculate(argument: str | None) -> Calculation:
    """The value of an expression; any text gives a `Calculation`."""
    if argument is None or len(argument) > MAX_EXPRESSION_CHARS:
        return Calculation(error=f"no expression of at most {MAX_EXPRESSION_CHARS} characters")
    formula = read_formula(argument)
    if formula.error is not None:
        return Calculation(error=formula.error)
    value, expression = show_rational(formula.value), " ".join(formula.tokens)
    if len(value) > MAX_VALUE_CHARS:
        return Calculation(expression, error=f"a value of more than {MAX_VALUE_CHARS} characters")
    return Calculation(expression, value)
