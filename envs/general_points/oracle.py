"""Answers that earn the maximum return, for demonstrations and as a ceiling in evaluations."""

import json
from functools import lru_cache
from itertools import islice

import numpy as np

from .config import AnswerFormat, OracleStyle
from .expression import trace, write
from .solver import reachable, solve
from .task import Task

MAX_CONSIDERED = 500  # solutions of one hand that `shortest` and `random` choose from
FLAW_RANGE = 12  # how far a flawed answer may miss the target


def oracle_answer(
    task: Task,
    style: OracleStyle = OracleStyle.first,
    rng: np.random.Generator | None = None,
    answer: AnswerFormat = AnswerFormat.json,
) -> str:
    """A right answer in the asked format; `random` draws from `rng`.

    For a hand that cannot reach the target: a legal formula over its numbers (wrong, and the best
    there is). Raises ValueError where the rule allows no formula at all.
    """
    formula = oracle_formula(task, style, rng)
    found = _json_answer(task, formula)
    if answer is AnswerFormat.json:
        return found
    worth = ", ".join(f"{r}={v}" for r, v in zip(task.ranks, task.values, strict=True))
    return f"<think>{worth}; {', '.join(trace(formula))}</think>\n<answer>{found}</answer>"


def flawed_answer(task: Task, rng: np.random.Generator) -> str | None:
    """A well-formed answer whose formula uses the right numbers and misses the target.

    The value missed by is drawn from `rng` among the integers within `FLAW_RANGE` of the target; the
    answer claims the target all the same, as a policy's own mistakes do. None if there is no such
    value.
    """
    values, operators = tuple(sorted(task.values)), task.rule.allowed
    near = [
        numerator
        for numerator, denominator in reachable(values, operators)
        if denominator == 1 and 0 < abs(numerator - task.target) <= FLAW_RANGE
    ]
    if not near:
        return None
    formula = _first(values, sorted(near)[int(rng.integers(len(near)))], operators)
    return _json_answer(task, formula)


def oracle_formula(
    task: Task, style: OracleStyle = OracleStyle.first, rng: np.random.Generator | None = None
) -> str:
    """A solution as text, e.g. "(5-3)*10+4".

    first: the first that the solver finds. shortest: fewest characters, then alphabetically.
    random: uniform. Both choose from the first `MAX_CONSIDERED` solutions, which of four
    cards are all of them (24 has at most 33).
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


def _json_answer(task: Task, formula: str) -> str:
    cards, numbers = json.dumps(list(task.ranks)), json.dumps(list(task.values))
    return f'{{"cards": {cards}, "number": {numbers}, "formula": "{formula}={task.target}"}}'


@lru_cache(maxsize=1 << 15)
def _first(values: tuple[int, ...], target: int, operators: str) -> str:
    for node in solve(values, target, operators):
        return write(node, operators)
    for value in reachable(values, operators):  # out of reach: any formula over the hand
        return write(next(solve(values, value, operators)), operators)
    raise ValueError(f"values must allow a formula with {operators}; got {values}")


@lru_cache(maxsize=1 << 12)
def _formulas(values: tuple[int, ...], target: int, operators: str) -> tuple[str, ...]:
    nodes = islice(solve(values, target, operators), MAX_CONSIDERED)
    return tuple([write(node, operators) for node in nodes])
