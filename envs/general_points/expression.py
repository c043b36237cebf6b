"""Formulas as text: reading one in bounded time, exactly, and writing one with few parentheses.

    formula  = sum [ "=" [ "-" ] number ]
    sum      = product { ("+" | "-") product }
    product  = operand { ("*" | "/") operand }
    operand  = [ "-" ] number | "(" sum ")"

A minus before a number belongs to the number (so that cards may be worth negative values); before a
parenthesis it is an error, as is any function, power or decimal point. Signs that people and models
write for the operators (× · ÷ : − and so on) mean the ASCII ones; digits are the ASCII digits only.

Departure from the study's code: no `eval`, values are exact rationals, and what follows `=` is read
(there, anything after it was ignored). https://arxiv.org/abs/2501.17161
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from .rules import MAX_DIGITS

MAX_FORMULA_CHARS = 1_000

# Numerator and denominator; where reduced, in lowest terms with a positive denominator.
Rational = tuple[int, int]

_SAME_SIGN = {
    "+": "＋﹢➕",
    "-": "−‐‑‒–—﹣－➖",
    "*": "×·⋅∙•✕✖✗∗⨯＊xX",
    "/": "÷∕⁄➗／:∶：",
    "(": "（[{",
    ")": "）]}",
    "=": "＝",
}
_ASCII = str.maketrans({sign: plain for plain, signs in _SAME_SIGN.items() for sign in signs})
_UNUSUAL = re.compile(r"[^0-9+*/()= -]")
_TOKEN = re.compile(r"[0-9]+|\S")
_CLAIM = re.compile(rf"\s*-?\s*[0-9]{{1,{MAX_DIGITS}}}\s*")
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "(": 0}
_DIGITS = frozenset("0123456789")
_OPERATORS = frozenset("+-*/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """A formula as read.

    numbers: in the order written.
    value: of the part before `=`, not in lowest terms; (0, 0) when there is an error.
    claim: the number after `=`, None without one.
    operators: those used.
    tokens: of the part before `=`, in ASCII.
    error: what makes it illegal, None when it is legal.
    """

    numbers: tuple[int, ...] = ()
    value: Rational = (0, 0)
    claim: int | None = None
    operators: frozenset[str] = frozenset()
    tokens: tuple[str, ...] = ()
    error: str | None = None

    def equals(self, target: int) -> bool:
        """Whether it is legal, its value is the target and nothing else is claimed."""
        if self.error is not None or self.claim not in (None, target):
            return False
        numerator, denominator = self.value
        return numerator == target * denominator


class _IllegalFormula(Exception):
    """Caught in `read_formula` and nowhere else."""


def read_formula(text: str) -> Formula:
    """Read a formula; any text gives a `Formula`, with `error` if it is illegal."""
    if len(text) > MAX_FORMULA_CHARS:
        return Formula(error=f"longer than {MAX_FORMULA_CHARS} characters")
    try:
        tokens, claim = _tokens_and_claim(text)
        value, numbers, operators = _evaluate(tokens, None)
    except _IllegalFormula as problem:
        return Formula(error=str(problem))
    return Formula(
        numbers=tuple(numbers),
        value=value,
        claim=claim,
        operators=frozenset(operators),
        tokens=tuple(tokens),
    )


def trace(text: str) -> list[str]:
    """The steps of a legal formula in the order computed, e.g. ["5-3=2", "2*10=20", "20+4=24"]."""
    steps: list[str] = []
    _evaluate(_tokens_and_claim(text)[0], steps)
    return steps


def show_rational(value: Rational) -> str:
    """`7/3`, or `7` for an integer; any denominator but 0."""
    numerator, denominator = reduced(*value)
    return str(numerator) if denominator == 1 else f"{numerator}/{denominator}"


def reduced(numerator: int, denominator: int) -> Rational:
    """In lowest terms with a positive denominator."""
    divisor = gcd(numerator, denominator)
    if denominator < 0:
        divisor = -divisor
    return numerator // divisor, denominator // divisor


# Canonical forms. A sum holds its added and its subtracted terms, a product its numerators and its
# denominators, each sorted and none of the node's own kind: commuting or re-associating an
# expression gives the same node. Nodes are plain tuples that compare and hash fast.
NUMBER, SUM, PRODUCT = 0, 1, 2
Node = tuple  # (NUMBER, value) | (SUM, added, subtracted) | (PRODUCT, numerators, denominators)


def combine(op: str, left: Node, right: Node) -> Node:
    """The canonical form of `left op right`."""
    kind = SUM if op in "+-" else PRODUCT
    over, under = (left[1], left[2]) if left[0] == kind else ((left,), ())
    more_over, more_under = (right[1], right[2]) if right[0] == kind else ((right,), ())
    if op in "-/":
        more_over, more_under = more_under, more_over
    return (kind, tuple(sorted(over + more_over)), tuple(sorted(under + more_under)))


def write(node: Node, operators: str = "+-*/") -> str:
    """The node as a formula with minimal parentheses, using only the allowed operators.

    Larger and compound terms come first: `(5-3)*10+4`. Without `+`, a sum such as a + b - c is
    written a-(c-b), without `*` likewise.
    """
    return _write(node, operators)[0]


def _write(node: Node, operators: str) -> tuple[str, Rational]:
    if node[0] == NUMBER:
        return (str(node[1]) if node[1] >= 0 else f"({node[1]})"), (node[1], 1)
    join, cut = ("+", "-") if node[0] == SUM else ("*", "/")
    over = _in_order([_term(part, node[0], operators) for part in node[1]])
    under = _in_order([_term(part, node[0], operators) for part in node[2]])
    value = over[0][1]
    for _, other, _ in over[1:]:
        value = apply(join, value, other)
    for _, other, _ in under:
        value = apply(cut, value, other)
    must_cut = len(over) > 1 and join not in operators
    if must_cut and join == "*":
        over.sort(key=lambda term: term[1][0] != 0)  # zero may be divided and must not divide
    above, below = [text for text, _, _ in over], [text for text, _, _ in under]
    if must_cut:
        # a + b + d - c - e  =  a - (c - b - d) - e
        below[0] = "(" + cut.join([below[0], *above[1:]]) + ")"
        above = above[:1]
    return cut.join([join.join(above), *below]), value


def _term(part: Node, parent: int, operators: str) -> tuple[str, Rational, bool]:
    text, value = _write(part, operators)
    if parent == PRODUCT and part[0] == SUM:
        text = f"({text})"
    return text, value, part[0] != NUMBER


def _in_order(terms: list[tuple[str, Rational, bool]]) -> list[tuple[str, Rational, bool]]:
    """Compound terms first, then by value, the largest first; text breaks ties."""
    return sorted(terms, key=lambda term: (not term[2], -term[1][0] / term[1][1], term[0]))


def apply(op: str, left: Rational, right: Rational) -> Rational:
    """left op right, not reduced; the divisor must not be zero."""
    (a, b), (c, d) = left, right
    if op == "+":
        return a * d + c * b, b * d
    if op == "-":
        return a * d - c * b, b * d
    if op == "*":
        return a * c, b * d
    assert c != 0
    return a * d, b * c


def _tokens_and_claim(text: str) -> tuple[list[str], int | None]:
    """The tokens before `=` and the number after it."""
    plain = text.translate(_ASCII) if _UNUSUAL.search(text) else text
    formula, equals, claim = plain.partition("=")
    if not equals:
        return _TOKEN.findall(formula), None
    if _CLAIM.fullmatch(claim) is None:
        raise _IllegalFormula("what follows = must be one number")
    return _TOKEN.findall(formula), int("".join(claim.split()))


def _integer(token: str) -> int:
    if token[0] not in _DIGITS:
        raise _IllegalFormula(f"unexpected {token!r}")
    if len(token) > MAX_DIGITS:
        raise _IllegalFormula(f"a number of more than {MAX_DIGITS} digits")
    return int(token)


def _evaluate(
    tokens: Sequence[str], steps: list[str] | None
) -> tuple[Rational, list[int], list[str]]:
    """Value, numbers and operators of a token list, by operator precedence on two stacks."""
    values: list[Rational] = []
    pending: list[str] = []  # operators and open parentheses
    numbers: list[int] = []
    used: list[str] = []
    operand_next, sign = True, 1
    for token in tokens:
        if operand_next:
            if token[0] in _DIGITS:
                number = sign * _integer(token)
                numbers.append(number)
                values.append((number, 1))
                operand_next, sign = False, 1
            elif token == "(" and sign > 0:
                pending.append(token)
            elif token == "-" and sign > 0:
                sign = -1
            else:
                raise _IllegalFormula(f"unexpected {token!r}")
        elif token in _OPERATORS:
            precedence = _PRECEDENCE[token]
            if pending and _PRECEDENCE[pending[-1]] >= precedence:
                _reduce(values, pending, precedence, steps)
            pending.append(token)
            used.append(token)
            operand_next = True
        elif token == ")":
            _reduce(values, pending, 1, steps)
            if not pending:
                raise _IllegalFormula("unbalanced parentheses")
            pending.pop()
        else:
            raise _IllegalFormula(f"unexpected {token!r}")
    if operand_next:
        raise _IllegalFormula("incomplete")
    _reduce(values, pending, 1, steps)
    if pending:
        raise _IllegalFormula("unbalanced parentheses")
    return values[0], numbers, used


def _reduce(
    values: list[Rational], pending: list[str], precedence: int, steps: list[str] | None
) -> None:
    """Apply pending operators that bind at least as tightly, down to an open parenthesis."""
    while pending and _PRECEDENCE[pending[-1]] >= precedence:
        op = pending.pop()
        right = values.pop()
        left = values[-1]
        if op == "/" and right[0] == 0:
            raise _IllegalFormula("division by zero")
        values[-1] = apply(op, left, right)
        if steps is not None:
            steps.append(f"{_operand(left)}{op}{_operand(right)}={show_rational(values[-1])}")


def _operand(value: Rational) -> str:
    shown = show_rational(value)
    return shown if shown.isdigit() else f"({shown})"
