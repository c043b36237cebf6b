import time
from fractions import Fraction
from itertools import islice

import pytest
from cardinal_gym.envs.general_points.expression import (
    NUMBER,
    combine,
    read_formula,
    trace,
    write,
)
from cardinal_gym.envs.general_points.solver import reachable, solve
from hypothesis import example, given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "text",
    [
        "(5-3)*10+4",
        " ( 5 - 3 ) * 10 + 4 ",
        "((5-3)*(10))+((4))",
        "(5−3)×10+4",
        "(5-3)·10+4 = 24",
        "4+10*(5-3)=24",
        "[5-3]x10+4",
        "(5–3)∗10＋4",
    ],
)
def test_a_formula_is_judged_by_its_value(text: str) -> None:
    assert read_formula(text).equals(24)


@pytest.mark.parametrize("text", ["8/(3-8/3)", "8÷(3−8÷3)=24", "8:(3-8:3)"])
def test_thirds_are_exact(text: str) -> None:
    assert read_formula(text).equals(24)


@pytest.mark.parametrize("text", ["(5-3)*10+4=99", "(5-3)*10+4=-24", "(5-3)*10-4", "20+4=20"])
def test_another_value_or_claim_is_not_the_target(text: str) -> None:
    formula = read_formula(text)
    assert formula.error is None
    assert not formula.equals(24)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "+", "5+", "*5", "5 5", "5++5", "(5", "5)", ")5(", "()", "-(5)", "--5"),
        *(
            "5**5",
            "5//5",
            "2^3",
            "5!",
            "1e9",
            "1.5",
            "5,3",
            "sqrt(4)",
            "٣+٥",
            "５+３",
            "1_000",
            "²",
        ),
        *("5=", "=5", "5=5=5", "24=(5-3)*10+4", "5=x", "5==5", "5/(3-3)", "0/0", "9" * 13),
        *("1+" * 1_000 + "1", "(" * 5_000, "5" * 100_000, "None", "__import__('os')", "\x00"),
    ],
)
def test_what_is_not_a_formula_has_an_error(text: str) -> None:
    started = time.process_time()
    formula = read_formula(text)
    assert time.process_time() - started < 0.5
    assert formula.error
    assert formula.numbers == ()
    assert not formula.equals(24)


def test_deep_redundant_parentheses_are_read() -> None:
    assert read_formula("(" * 400 + "24" + ")" * 400).equals(24)


def test_a_minus_before_a_number_belongs_to_it() -> None:
    formula = read_formula("(-3)*-8")
    assert formula.numbers == (-3, -8)
    assert formula.equals(24)
    assert formula.operators == {"*"}


@given(st.text(max_size=80) | st.text(alphabet="0123456789+-*/()= ", max_size=80))
def test_no_text_raises(text: str) -> None:
    formula = read_formula(text)
    assert formula.error is not None or formula.value[1] != 0


_Tree = tuple  # (text, value, numbers); value None: division by zero
_signs = {"+": ["+"], "-": ["-", "−", "–"], "*": ["*", "×", "·"], "/": ["/", "÷", ":"]}


def _join(op: str, sign: str, space: str, left: _Tree, right: _Tree) -> _Tree:
    text = f"({left[0]}){space}{sign}{space}({right[0]})"
    if left[1] is None or right[1] is None or (op == "/" and right[1] == 0):
        return text, None, left[2] + right[2]
    a, b = left[1], right[1]
    value = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else None}[op]
    return text, value, left[2] + right[2]


_leaves = st.integers(0, 30).map(lambda n: (str(n), Fraction(n), [n]))
_trees = st.recursive(
    _leaves,
    lambda parts: st.sampled_from("+-*/").flatmap(
        lambda op: st.builds(
            _join,
            st.just(op),
            st.sampled_from(_signs[op]),
            st.sampled_from(["", " "]),
            parts,
            parts,
        )
    ),
    max_leaves=7,
)


@given(_trees)
def test_reading_agrees_with_fractions(tree: _Tree) -> None:
    text, value, numbers = tree
    formula = read_formula(text)
    if value is None:
        assert formula.error
    else:
        assert list(formula.numbers) == numbers
        assert Fraction(*formula.value) == value


@given(st.lists(st.tuples(st.sampled_from("+-*/"), st.integers(1, 13)), min_size=1, max_size=5))
def test_precedence_agrees_with_python(terms: list[tuple[str, int]]) -> None:
    text = "7" + "".join(f"{op}{number}" for op, number in terms)
    exact = "Fraction(7)" + "".join(f"{op}Fraction({number})" for op, number in terms)
    assert Fraction(*read_formula(text).value) == eval(exact)  # of our own text


def _leaf(value: int) -> tuple:
    return (NUMBER, value)


def test_commuting_and_reassociating_give_one_canonical_form() -> None:
    a, b, c = _leaf(2), _leaf(3), _leaf(5)
    left = combine("-", combine("+", a, b), c)
    right = combine("+", b, combine("-", a, c))
    assert left == right == combine("-", a, combine("-", c, b))
    assert combine("/", combine("*", a, b), c) == combine("/", a, combine("/", c, b))
    assert combine("-", a, b) != combine("-", b, a)


def test_writing_uses_few_parentheses_and_puts_compound_and_large_terms_first() -> None:
    two = combine("-", _leaf(5), _leaf(3))
    assert write(combine("+", _leaf(4), combine("*", _leaf(10), two))) == "(5-3)*10+4"
    assert write(combine("-", _leaf(3), _leaf(-2))) == "3-(-2)"


@pytest.mark.parametrize(("operators", "text"), [("-", "5-(1-3)"), ("+-", "5+3-1")])
def test_writing_uses_only_the_allowed_operators(operators: str, text: str) -> None:
    node = combine("-", _leaf(5), combine("-", _leaf(1), _leaf(3)))
    assert write(node, operators) == text


def test_without_times_a_zero_is_divided_and_never_divides() -> None:
    node = combine("/", _leaf(0), combine("/", _leaf(4), _leaf(2)))
    assert write(node, "/") == "0/(4/2)"
    assert write(combine("/", combine("-", _leaf(3), _leaf(3)), _leaf(4)), "/") == "(3-3)/4"


@given(
    st.lists(st.integers(-2, 13), min_size=2, max_size=4).map(sorted),
    st.sets(st.sampled_from("+-*/"), min_size=1).map(lambda ops: "".join(sorted(ops))),
    st.data(),
)
@example([0, 0, 2, 4], "-/", None)
@example([0, 1, 2, 4], "/", None)
def test_every_solution_is_written_as_a_legal_formula_of_its_value(
    values: list[int], operators: str, data: st.DataObject | None
) -> None:
    reached = list(reachable(tuple(values), operators))
    targets = reached[:20] if data is None else [data.draw(st.sampled_from(reached or [(0, 1)]))]
    for target in targets:
        for node in islice(solve(values, target, operators), 40):
            formula = read_formula(write(node, operators))
            assert formula.error is None
            assert Fraction(*formula.value) == Fraction(*target)
            assert formula.operators <= set(operators)
            assert sorted(formula.numbers) == values


def test_trace_lists_the_steps_as_computed() -> None:
    assert trace("(5-3)*10+4") == ["5-3=2", "2*10=20", "20+4=24"]
    assert trace("8/(3-8/3)") == ["8/3=8/3", "3-(8/3)=1/3", "8/(1/3)=24"]
