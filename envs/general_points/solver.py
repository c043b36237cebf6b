"""Which hands reach a target, and by which formulas: exact, without `eval`, lazily.

Two formulas are one solution when they differ by commutation and associativity only (see the
canonical forms in `expression.py`); a*(b-c) and -(c-b)*a are two. The search meets in the middle:
the values that every part of a hand can reach are known, so that it enters only branches that end
in a solution. Rationals are reduced pairs of integers.

The study's solver enumerates by `eval`, in floating point, and needs 130-175 ms a deal.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from math import gcd, inf, log2

from .expression import NUMBER, Node, Rational, combine
from .rules import OPERATORS

# Distinct formulas of n different numbers up to commutation and associativity: n! times the
# coefficients of 2s, where s = e^(2u) - e^u - u and u = x + s (sums of non-sums, and dually).
NUM_FORMULAS = {1: 1, 2: 6, 3: 68, 4: 1_260, 5: 32_632, 6: 1_085_952}

Values = tuple[int, ...]  # sorted
_ALL = "".join(OPERATORS)


def is_solvable(values: Sequence[int], target: int, operators: str = _ALL) -> bool:
    """Whether a formula that uses every value exactly once equals the target."""
    return _is_solvable(tuple(sorted(values)), target, operators)


def solve(values: Sequence[int], target: int | Rational, operators: str = _ALL) -> Iterator[Node]:
    """The distinct solutions, lazily, in an order that depends on the sorted values only.

    target: an integer, or a rational in lowest terms with a positive denominator.
    """
    seen: set[Node] = set()
    goal = (target, 1) if isinstance(target, int) else target
    for node in _solutions(tuple(sorted(values)), goal, operators):
        if node not in seen:
            seen.add(node)
            yield node


def count_solutions(values: Sequence[int], target: int, operators: str = _ALL) -> int:
    """The number of distinct solutions (of six cards in seconds)."""
    return sum(1 for _ in solve(values, target, operators))


def difficulty(values: Sequence[int], target: int, operators: str = _ALL) -> float:
    """Bits that a blind guess lacks: log2(formulas of n numbers / solutions); inf if unsolvable.

    The number of formulas is that of n different numbers and four operators, so that hands of one
    size compare by their number of solutions: 10.3 bits for one solution of four cards.
    """
    found = count_solutions(values, target, operators)
    return log2(NUM_FORMULAS[len(values)] / found) if found else inf


@lru_cache(maxsize=1 << 18)
def _is_solvable(values: Values, target: int, operators: str) -> bool:
    return _can_reach(values, (target, 1), operators)


def reachable(values: Values, operators: str = _ALL) -> dict[Rational, None]:
    """Every value that formulas over all of the sorted `values` can take (an ordered set)."""
    if len(values) == 1:
        return {(values[0], 1): None}
    # Sets of two and three cards are small and shared by many hands; larger ones are neither.
    return (
        _reachable_few(values, operators)
        if len(values) <= 3
        else _reachable_many(values, operators)
    )


@lru_cache(maxsize=2_048)
def _reachable_few(values: Values, operators: str) -> dict[Rational, None]:
    return _reachable(values, operators)


@lru_cache(maxsize=32)
def _reachable_many(values: Values, operators: str) -> dict[Rational, None]:
    return _reachable(values, operators)


def _reachable(values: Values, operators: str) -> dict[Rational, None]:
    add, subtract, multiply, divide = [op in operators for op in OPERATORS]
    raw: dict[Rational, None] = {}
    for left, right in _halves(values):
        others = list(reachable(right, operators))
        for a, b in reachable(left, operators):
            for c, d in others:
                ad, cb, bd = a * d, c * b, b * d
                if add:
                    raw[ad + cb, bd] = None
                if subtract:
                    raw[ad - cb, bd] = None
                    raw[cb - ad, bd] = None
                if multiply:
                    raw[a * c, bd] = None
                if divide:
                    if c:
                        raw[(ad, cb) if cb > 0 else (-ad, -cb)] = None
                    if a:
                        raw[(cb, ad) if ad > 0 else (-cb, -ad)] = None
    lowest: dict[Rational, None] = {}
    for n, d in raw:
        divisor = gcd(n, d)
        lowest[n // divisor, d // divisor] = None
    return lowest


def _can_reach(values: Values, target: Rational, operators: str) -> bool:
    if len(values) <= 3:
        return target in reachable(values, operators)
    for left, right in _halves(values):
        known = _partner_values(right, operators)
        for value in reachable(left, operators):
            for _, needed in _partners(value, target, right, operators):
                if needed in known if known is not None else _can_reach(right, needed, operators):
                    return True
    return False


def _solutions(values: Values, target: Rational, operators: str) -> Iterator[Node]:
    """Solutions with repetitions: one for each binary tree that leads to them."""
    if len(values) == 1:
        if target == (values[0], 1):
            yield (NUMBER, values[0])
        return
    for left, right in _halves(values):
        known = _partner_values(right, operators)
        for value in reachable(left, operators):
            for op, needed in _partners(value, target, right, operators):
                if known is not None and needed not in known:
                    continue
                for a in _solutions(left, value, operators):
                    for b in _solutions(right, needed, operators):
                        yield combine(op[0], b, a) if op[1:] else combine(op, a, b)


def _partner_values(right: Values, operators: str) -> dict[Rational, None] | None:
    """What the larger part can reach; None for five cards: asking for each value is cheaper."""
    return reachable(right, operators) if len(right) <= 4 else None


def _partners(
    value: Rational, target: Rational, right: Values, operators: str
) -> list[tuple[str, Rational]]:
    """What must stand beside `value` to give the target; "-r" and "/r" put `value` on the right."""
    (a, b), (n, d) = value, target
    found: list[tuple[str, Rational]] = []
    nb, ad, bd = n * b, a * d, b * d
    if "+" in operators:
        found.append(("+", _lowest(nb - ad, bd)))
    if "*" in operators and a:
        found.append(("*", _lowest(nb, ad)))
    if "-" in operators:
        found.append(("-", _lowest(ad - nb, bd)))
        found.append(("-r", _lowest(nb + ad, bd)))
    if "/" in operators and a:
        if n:
            found.append(("/", _lowest(ad, nb)))
        found.append(("/r", _lowest(n * a, bd)))
    if n == 0 == a:  # zero times anything, zero divided by anything but zero
        for other in reachable(right, operators):
            if "*" in operators:
                found.append(("*", other))
            if "/" in operators and other[0]:
                found.append(("/", other))
    return found


def _lowest(numerator: int, denominator: int) -> Rational:
    divisor = gcd(numerator, denominator)
    if denominator < 0:
        divisor = -divisor
    return numerator // divisor, denominator // divisor


@lru_cache(maxsize=4_096)
def _halves(values: Values) -> tuple[tuple[Values, Values], ...]:
    """The ways to split sorted values into two non-empty parts, the smaller part first."""
    found: dict[tuple[Values, Values], None] = {}
    indices = range(len(values))
    for size in range(len(values) // 2, 0, -1):
        for chosen in combinations(indices, size):
            left = tuple([values[i] for i in chosen])
            right = tuple([values[i] for i in indices if i not in chosen])
            if size * 2 < len(values) or left <= right:
                found[left, right] = None
    return tuple(found)
