"""Answers made by the environment: right ones, for demonstrations and as a ceiling in evaluations,
well-formed wrong ones, and random ones as a floor.
"""

import json
from functools import lru_cache
from itertools import islice

import numpy as np

from .config import AnswerFormat, OracleStyle
from .expression import Rational, apply, trace, write
from .solver import reachable, solve
from .task import Task
from .thinking import think
from .thought import ThoughtConfig

MAX_CONSIDERED = 500  # solutions of one hand that `shortest` and `random` choose from
FLAW_RANGE = 12  # how far a flawed answer may miss the target
MAX_DRAWS = 100  # of a random formula that must not divide by zero


def oracle_answer(
    task: Task,
    style: OracleStyle = OracleStyle.first,
    rng: np.random.Generator | None = None,
    answer: AnswerFormat = AnswerFormat.json,
    thought: ThoughtConfig | None = None,
) -> str:
    """A right answer in the asked format; `random` draws from `rng`.

    thought: how a tagged answer is thought out, with draws from `rng`; its search ends at a formula
        of its own, whatever the style. None: the solution's steps.
    For a hand that cannot reach the target: a legal formula over its numbers (wrong, and the best
    there is). Raises ValueError where the rule allows no formula at all.
    """
    if thought is not None and answer is AnswerFormat.tagged:
        if rng is None:
            raise ValueError("rng must be given for an oracle that thinks; got None")
        found = think(task, thought, rng)
        if found is not None:
            return _tagged(found[0], _in_format(task, found[1], AnswerFormat.json))
    return _in_format(task, oracle_formula(task, style, rng), answer)


def flawed_answer(
    task: Task, rng: np.random.Generator, answer: AnswerFormat = AnswerFormat.json
) -> str | None:
    """A well-formed answer whose formula uses the right numbers and misses the target.

    The value missed by is drawn from `rng` among the integers within `FLAW_RANGE` of the target;
    the answer claims the target all the same, as a policy's own mistakes do. None if there is no
    such value.
    """
    values, operators = tuple(sorted(task.values)), task.rule.allowed
    near = _near_misses(values, task.target, operators)
    if not near:
        return None
    return _in_format(task, _first(values, near[int(rng.integers(len(near)))], operators), answer)


def random_answer(
    task: Task, rng: np.random.Generator, answer: AnswerFormat = AnswerFormat.json
) -> str:
    """A well-formed answer with a legal formula over exactly the hand's numbers, drawn from `rng`.

    Two parts drawn at random are joined by an allowed operator drawn at random until one is left;
    the answer claims the target whatever the value is. Raises ValueError where the rule allows no
    formula at all.
    """
    operators = task.rule.allowed
    for _ in range(MAX_DRAWS):
        formula = _random_formula(task.values, operators, rng)
        if formula is not None:
            return _in_format(task, formula, answer)
    return _in_format(task, _any_formula(tuple(sorted(task.values)), operators), answer)


def oracle_formula(
    task: Task, style: OracleStyle = OracleStyle.first, rng: np.random.Generator | None = None
) -> str:
    """A solution as text, e.g. "(5-3)*10+4".

    first: the first that the solver finds. shortest: fewest characters, then alphabetically.
    random: uniform. Both choose from the first `MAX_CONSIDERED` solutions, which for four
    cards and 24 are all of them (at most 22).
    """
    values, operators = tuple(sorted(task.values)), task.rule.allowed
    if style is OracleStyle.first:
        return _first(values, task.target, operators)
    formulas = _formulas(values, task.target, operators)
    if not formulas:
        return _first(values, task.target, operators)
    if style is OracleStyle.shortest:
        return min(formulas, key=lambda formula: (len(formula), formula))
    if rng is None:
        raise ValueError("rng must be given for the oracle style random; got None")
    return formulas[int(rng.integers(len(formulas)))]


def _in_format(task: Task, formula: str, answer: AnswerFormat) -> str:
    cards, numbers = json.dumps(list(task.ranks)), json.dumps(list(task.values))
    working = f'"steps": "{", ".join(trace(formula))}", ' if answer is AnswerFormat.steps else ""
    found = (
        f'{{"cards": {cards}, "number": {numbers}, {working}"formula": "{formula}={task.target}"}}'
    )
    if answer is not AnswerFormat.tagged:
        return found
    worth = ", ".join(f"{r}={v}" for r, v in zip(task.ranks, task.values, strict=True))
    return _tagged(f"{worth}; {', '.join(trace(formula))}", found)


def _tagged(thought: str, found: str) -> str:
    return f"<think>{thought}</think>\n<answer>{found}</answer>"


@lru_cache(maxsize=1 << 13)
def _near_misses(values: tuple[int, ...], target: int, operators: str) -> tuple[int, ...]:
    whole = [n for n, d in reachable(values, operators) if d == 1]
    return tuple(sorted([n for n in whole if 0 < abs(n - target) <= FLAW_RANGE]))


@lru_cache(maxsize=1 << 15)
def _first(values: tuple[int, ...], target: int, operators: str) -> str:
    for node in solve(values, target, operators):
        return write(node, operators)
    return _any_formula(values, operators)  # out of reach


def _any_formula(values: tuple[int, ...], operators: str) -> str:
    for value in reachable(values, operators):
        return write(next(solve(values, value, operators)), operators)
    raise ValueError(f"values must allow a formula with {operators}; got {values}")


@lru_cache(maxsize=1 << 12)
def _formulas(values: tuple[int, ...], target: int, operators: str) -> tuple[str, ...]:
    nodes = islice(solve(values, target, operators), MAX_CONSIDERED)
    return tuple([write(node, operators) for node in nodes])


def _random_formula(
    values: tuple[int, ...], operators: str, rng: np.random.Generator
) -> str | None:
    """A formula over all values; None where it would divide by zero."""
    parts: list[tuple[str, Rational]] = [
        (str(value) if value >= 0 else f"({value})", (value, 1)) for value in values
    ]
    while True:
        (left, a), (right, b) = (parts.pop(int(rng.integers(len(parts)))) for _ in range(2))
        op = operators[int(rng.integers(len(operators)))]
        if op == "/" and b[0] == 0:
            return None
        formula, value = f"{left}{op}{right}", apply(op, a, b)
        if not parts:
            return formula
        parts.append((f"({formula})", value))
