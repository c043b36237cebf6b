"""The oracle thinks aloud: a search told in words that ends at a right formula.

The way to a solution is the order in which its formula is computed. Before each of its steps the
search may run into dead ends: other last steps that miss the target, or a detour, another step
whose last steps all miss it before it is taken back. Where, and which, is drawn; what a thought
says is true, and `trace.py` checks it. See `thought.py` for how it is told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .expression import Rational, apply, reduced, show_rational, trace, write
from .solver import solve
from .task import Task
from .thought import ENGLISH, FRENCH, Mark, ThoughtConfig, ThoughtWords
from .trace import read_step

MAX_CONSIDERED = 200  # solutions of one hand that one is drawn from
MAX_NUMBER = 99  # in a dead end: larger numbers are longer to tell
MAX_DETOURS = 20  # tries at telling one more dead end of a hand that has few

Numbers = tuple[Rational, ...]  # those that are left to combine


@dataclass(frozen=True, slots=True)
class Move:
    """One equation, as told, and the numbers that are left after it."""

    told: str
    left: Numbers


def think(task: Task, config: ThoughtConfig, rng: np.random.Generator) -> tuple[str, str] | None:
    """A thought about a task, and the formula that it finds; None where no formula is right."""
    ways = _ways(tuple(sorted(task.values)), task.target, task.rule.allowed)
    if not ways:
        return None
    formula, steps = ways[int(rng.integers(len(ways)))]
    search = _Search(task, config, rng)
    fewest, most = config.dead_ends
    search.tell(steps, num_dead_ends=int(rng.integers(fewest, most + 1)))
    if rng.random() < config.check:
        search.check(steps, _drawn(config.check_times, rng))
    return worths(task) + "".join(search.told), formula


def _drawn(bounds: Sequence[int], rng: np.random.Generator) -> int:
    """Uniform, both ends included; nothing is drawn where they are one."""
    fewest, most = bounds
    return fewest if fewest == most else int(rng.integers(fewest, most + 1))


def worths(task: Task) -> str:
    """What the ranks are worth that are no numbers or another one: `J=10, A=1; `."""
    worth = dict(zip(task.ranks, task.values, strict=True))
    told = ", ".join(f"{rank}={value}" for rank, value in worth.items() if rank != str(value))
    return f"{told}; " if told else ""


class _Search:
    """Tells one search; `told` grows by pieces of text."""

    def __init__(self, task: Task, config: ThoughtConfig, rng: np.random.Generator) -> None:
        self.told: list[str] = []
        self._start: Numbers = tuple((value, 1) for value in task.values)
        self._target: Rational = (task.target, 1)
        self._operators = task.rule.allowed
        self._words = config.words
        self._rng = rng

    def step(self, equation: str) -> None:
        self.told.append(f", {equation}" if self.told else equation)

    def mark(self, mark: Mark) -> None:
        words = FRENCH if self._words is ThoughtWords.french else ENGLISH
        if self._words is ThoughtWords.mixed and self._rng.random() < 0.5:
            words = FRENCH
        self.told.append(f" {words[mark]}")

    def tell(self, steps: Sequence[str], num_dead_ends: int) -> None:
        """The steps of a solution, with dead ends before some of them."""
        before = self._rng.multinomial(num_dead_ends, [1 / len(steps)] * len(steps))
        numbers = self._start
        for equation, count in zip(steps, before, strict=True):
            self._dead_ends(numbers, int(count), tried={equation})
            self.step(equation)
            numbers = _after(numbers, equation)
        self.mark(Mark.yes)

    def check(self, steps: Sequence[str], times: int) -> None:
        """The steps of a solution once more, so many times."""
        for _ in range(times):
            self.mark(Mark.check)
            for equation in steps:
                self.step(equation)
            self.mark(Mark.yes)

    def _dead_ends(self, numbers: Numbers, wanted: int, tried: set[str]) -> None:
        """Up to `wanted` last steps that miss the target, from these numbers on.

        tried: first steps that are not to be told here.
        """
        for _ in range(MAX_DETOURS):
            if wanted <= 0:
                return
            path: list[Move] = []
            left = numbers
            while len(left) > 2:
                move = self._choose(left, tried if not path else set())
                if move is None:
                    break
                path.append(move)
                left = move.left
            if not path and len(left) > 2:  # every first step has been told
                return
            if path:
                tried.add(path[0].told)
            if len(left) > 2:
                continue
            leaves = self._misses(left, tried if not path else set(), wanted)
            if not leaves:
                continue
            for move in path:
                self.step(move.told)
            for move in leaves:
                self.step(move.told)
                self.mark(Mark.no)
                tried.add(move.told)
            for _ in path:
                self.mark(Mark.back)
            wanted -= len(leaves)

    def _choose(self, numbers: Numbers, tried: set[str]) -> Move | None:
        moves = [move for move in _moves(numbers, self._operators) if move.told not in tried]
        return moves[int(self._rng.integers(len(moves)))] if moves else None

    def _misses(self, numbers: Numbers, tried: set[str], most: int) -> list[Move]:
        """Some last steps that end elsewhere than at the target, in an order drawn."""
        found = [
            move
            for move in _moves(numbers, self._operators)
            if move.left != (self._target,) and move.told not in tried
        ]
        return [found[i] for i in self._rng.permutation(len(found))[:most]]


def _moves(numbers: Numbers, operators: str) -> Iterator[Move]:
    """Every way to combine two of the numbers into a natural one of at most two digits."""
    seen = set[str]()
    for i, a in enumerate(numbers):
        for j, b in enumerate(numbers):
            if i == j:
                continue
            rest = tuple(n for k, n in enumerate(numbers) if k not in (i, j))
            for op in operators:
                if (op in "+*" and i > j) or (op == "/" and b[0] == 0):
                    continue
                n, d = reduced(*apply(op, a, b))
                told = f"{_operand(a)}{op}{_operand(b)}={show_rational((n, d))}"
                if d == 1 and 0 <= n <= MAX_NUMBER and told not in seen:
                    seen.add(told)
                    yield Move(told, (*rest, (n, d)))


def _after(numbers: Numbers, equation: str) -> Numbers:
    """What is left after a step that uses two of the numbers."""
    step = read_step(equation)
    assert step is not None
    left = list(numbers)
    left.remove(step.left)
    left.remove(step.right)
    return (*left, step.result)


def _operand(value: Rational) -> str:
    told = show_rational(value)
    return told if told.isdigit() else f"({told})"


@lru_cache(maxsize=1 << 13)
def _ways(
    values: tuple[int, ...], target: int, operators: str
) -> tuple[tuple[str, list[str]], ...]:
    """Formulas that are right and their steps; those in natural numbers alone, where there are."""
    found = []
    for node in solve(values, target, operators):
        formula = write(node, operators)
        found.append((formula, trace(formula)))
        if len(found) == MAX_CONSIDERED:
            break
    natural = [way for way in found if all("(" not in step for step in way[1])]
    return tuple(natural or found)
