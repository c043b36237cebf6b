"""Calls of the calculator in one episode, and those that the oracle and the random agent make."""

import numpy as np

from ..core import Verdict
from ..settings import PromptStyle
from ..tools import CALLED, TOOL_ERROR, Call, read_call, write_call
from .answer import KEYS, read_answer
from .calculator import Calculation, calculate
from .config import AnswerFormat, GeneralPointsConfig
from .expression import trace
from .oracle import flawed_answer, random_answer
from .prompts import call_text, with_calls
from .task import Task
from .tools import CALCULATOR, CalculatorConfig, OracleCalls

MAX_TRIES = 2  # wrong formulas of the oracle's search, at most


class CalculatorCalls:
    """What was asked and told in one episode. told: oldest first."""

    def __init__(self, config: GeneralPointsConfig) -> None:
        self.told: list[Calculation] = []
        self._config = config.tools.calculator
        self._style: PromptStyle = config.prompt
        self._format: AnswerFormat = config.answer
        self._before = 0  # calls made before the last answer

    @property
    def num_left(self) -> int:
        return self._config.budget - len(self.told)

    @property
    def spent(self) -> float:
        """What the calls have cost."""
        return len(self.told) * self._config.cost

    def read(self, text: str) -> Call | None:
        """The call in a text; None where there is none, or an answer."""
        return read_call(text, [CALCULATOR], KEYS, is_tagged=self._format is AnswerFormat.tagged)

    def ask(self, call: Call) -> Verdict:
        """What the calculator says."""
        found = calculate(call.argument)
        self.told.append(found)
        return Verdict(
            outcome=CALLED if found.value is not None else TOOL_ERROR,
            success=False,
            reward=0.0 - self._config.cost,  # never -0.0
            terms={CALCULATOR: 0.0 - self._config.cost},
            feedback=call_text(found, self.num_left, self._style),
            details={"tool": CALCULATOR},
        )

    def answered(self) -> None:
        """Take note that an answer was given: the oracle's calls before the next begin anew."""
        self._before = len(self.told)

    def added_to(self, text: str) -> str:
        """A self-contained observation with all that was told."""
        return with_calls(text, self.told, self._style)

    def oracle_call(self, answer: str, task: Task, rng: np.random.Generator) -> str | None:
        """The oracle's next call before this answer of its own; None: now it answers.

        rng: the same between two answers.
        """
        made = len(self.told) - self._before
        budget = self._config.budget - self._before
        plan = oracle_calls(answer, task, self._config, self._format, budget, rng)
        return plan[made] if made < len(plan) else None


def oracle_calls(
    answer: str,
    task: Task,
    config: CalculatorConfig,
    answer_format: AnswerFormat,
    budget: int,
    rng: np.random.Generator,
) -> list[str]:
    """The calls that the oracle makes before an answer of its own, at most `budget` of them.

    With a probability of `oracle_share`, drawn from `rng`; else none.
    """
    if rng.random() >= config.oracle_share or budget < 1:
        return []
    formula = _formula(answer, answer_format)
    if config.oracle_calls is OracleCalls.steps:
        asked = [step.partition("=")[0] for step in trace(formula)]
    else:
        asked = [formula]
    if config.oracle_calls is OracleCalls.search:
        asked = [*_misses(task, rng, min(MAX_TRIES, budget - 1)), formula]
    return [write_call(CALCULATOR, expression) for expression in asked[:budget]]


def random_call(task: Task, rng: np.random.Generator) -> str:
    """Asks for a legal formula over the hand's values, drawn from `rng`."""
    drawn = random_answer(task, rng, AnswerFormat.json)
    return write_call(CALCULATOR, _formula(drawn, AnswerFormat.json))


def _misses(task: Task, rng: np.random.Generator, most: int) -> list[str]:
    """0 to `most` different formulas over the hand that miss the target, near it."""
    wanted = int(rng.integers(most + 1))
    found = (flawed_answer(task, rng, AnswerFormat.json) for _ in range(wanted))
    formulas = [_formula(answer, AnswerFormat.json) for answer in found if answer is not None]
    return list(dict.fromkeys(formulas))


def _formula(answer: str, answer_format: AnswerFormat) -> str:
    """The formula of an answer that the environment wrote, without its claim."""
    formula = read_answer(answer, answer_format).formula
    assert formula is not None
    return formula.partition("=")[0]
