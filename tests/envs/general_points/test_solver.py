import math
import time
from fractions import Fraction
from itertools import combinations_with_replacement, islice, permutations

import pytest
from cardinal_gym.envs.general_points.expression import read_formula, write
from cardinal_gym.envs.general_points.solver import (
    NUM_FORMULAS,
    count_solutions,
    difficulty,
    is_solvable,
    reachable,
    solve,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def brute_force(values: list[Fraction], operators: str) -> set[Fraction]:
    """Every value reachable: replace any ordered pair by a result until one number is left."""
    if len(values) == 1:
        return {values[0]}
    found: set[Fraction] = set()
    for i, j in permutations(range(len(values)), 2):
        rest = [values[k] for k in range(len(values)) if k not in (i, j)]
        a, b = values[i], values[j]
        results = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else None}
        for op in operators:
            if results[op] is not None:
                found |= brute_force([*rest, results[op]], operators)
    return found


def brute_forms(values: tuple[int, ...], target: int) -> set[object]:
    """Solutions as nested multisets, from every binary tree over every order of the values."""
    return {form for value, form in _trees(tuple(range(len(values))), values) if value == target}


def _trees(indices: tuple[int, ...], values: tuple[int, ...]):  # type: ignore[no-untyped-def]
    if len(indices) == 1:
        yield Fraction(values[indices[0]]), f"{values[indices[0]]}"
        return
    for mask in range(1, 2 ** len(indices) - 1):
        left = tuple(index for bit, index in enumerate(indices) if mask >> bit & 1)
        right = tuple(index for bit, index in enumerate(indices) if not mask >> bit & 1)
        rights = list(_trees(right, values))
        for a, x in _trees(left, values):
            for b, y in rights:
                yield a + b, _form("s", [(1, x), (1, y)])
                yield a - b, _form("s", [(1, x), (-1, y)])
                yield a * b, _form("p", [(1, x), (1, y)])
                if b:
                    yield a / b, _form("p", [(1, x), (-1, y)])


def _form(kind: str, parts: list[tuple[int, object]]) -> object:
    flat: list[tuple[int, object]] = []
    for sign, part in parts:
        if isinstance(part, tuple) and part[0] == kind:
            flat += [(sign * inner, leaf) for inner, leaf in part[1]]
        else:
            flat.append((sign, part))
    return (kind, tuple(sorted(flat, key=repr)))


def test_1362_of_1820_hands_of_ranks_1_to_13_reach_24() -> None:
    hands = list(combinations_with_replacement(range(1, 14), 4))
    assert len(hands) == 1820
    assert sum(is_solvable(hand, 24) for hand in hands) == 1362


def test_566_of_715_hands_of_1_to_10_reach_24() -> None:
    hands = list(combinations_with_replacement(range(1, 11), 4))
    assert len(hands) == 715
    assert sum(is_solvable(hand, 24) for hand in hands) == 566


@pytest.mark.parametrize(
    ("hand", "solution"), [((3, 3, 8, 8), "8/(3-8/3)"), ((1, 5, 5, 5), "(5-1/5)*5")]
)
def test_the_hands_with_one_solution(hand: tuple[int, ...], solution: str) -> None:
    assert [write(node) for node in solve(hand, 24)] == [solution]
    assert count_solutions(hand, 24) == 1


_values = st.lists(st.integers(-3, 13), min_size=2, max_size=4)
_operators = st.sets(st.sampled_from("+-*/"), min_size=1).map(
    lambda chosen: "".join(op for op in "+-*/" if op in chosen)
)


@settings(max_examples=60)
@given(_values, _operators)
def test_reachable_values_agree_with_brute_force(values: list[int], operators: str) -> None:
    found = {Fraction(*value) for value in reachable(tuple(sorted(values)), operators)}
    assert found == brute_force([Fraction(value) for value in values], operators)


@settings(max_examples=60)
@given(_values, st.integers(-30, 30), _operators)
def test_solvability_agrees_with_brute_force(
    values: list[int], target: int, operators: str
) -> None:
    exact = brute_force([Fraction(value) for value in values], operators)
    assert is_solvable(values, target, operators) == (target in exact)


@settings(max_examples=12)
@given(st.lists(st.integers(0, 13), min_size=5, max_size=5), st.integers(-40, 400))
def test_five_cards_agree_with_the_set_of_reachable_values(values: list[int], target: int) -> None:
    everything = reachable(tuple(sorted(values)))
    assert is_solvable(values, target) == ((target, 1) in everything)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 13), min_size=2, max_size=4), st.integers(0, 30))
def test_solutions_agree_with_brute_force_up_to_commutation_and_associativity(
    values: list[int], target: int
) -> None:
    assert count_solutions(values, target) == len(brute_forms(tuple(values), target))


@settings(max_examples=80)
@given(_values, st.integers(-30, 30), _operators)
def test_every_solution_is_legal_exact_and_different(
    values: list[int], target: int, operators: str
) -> None:
    texts = [write(node, operators) for node in solve(values, target, operators)]
    assert len(set(texts)) == len(texts)
    for text in texts:
        formula = read_formula(text)
        assert formula.error is None
        assert sorted(formula.numbers) == sorted(values)
        assert formula.operators <= set(operators)
        assert formula.equals(target)


def test_the_number_of_formulas_is_that_of_different_numbers() -> None:
    for values in ((2, 7), (2, 7, 31)):
        nodes = {node for value in reachable(values) for node in solve(values, value)}
        assert len(nodes) == NUM_FORMULAS[len(values)]


def test_solutions_do_not_depend_on_the_order_of_the_hand() -> None:
    assert list(solve((8, 3, 8, 3), 24)) == list(solve((3, 3, 8, 8), 24))


def test_difficulty_is_the_number_of_bits_a_blind_guess_lacks() -> None:
    assert difficulty((3, 3, 8, 8), 24) == pytest.approx(math.log2(1260))
    assert difficulty((1, 2, 3, 4), 24) == pytest.approx(math.log2(1260 / 4))
    assert difficulty((1, 1, 1, 1), 24) == math.inf


def test_six_cards_are_solved_lazily() -> None:
    started = time.process_time()
    first = list(islice(solve((1, 2, 3, 4, 5, 6), 24), 20))
    assert len(set(first)) == 20
    assert time.process_time() - started < 1.0


def test_zeros_do_not_hide_solutions() -> None:
    assert is_solvable((0, 0, 0, 0, 24), 24)
    assert is_solvable((0, 5, 7, 11, 13), 0)
    assert not is_solvable((0, 0, 0, 0), 24)
