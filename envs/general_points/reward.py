"""Judging an answer: what it is (`assess`), and what it pays (`reward_terms`).

Outcomes, the worst fault first: no answer, an illegal formula, wrong numbers, a wrong value,
correct. An answer has exactly one. The formula alone decides; `cards` and `number` decide
recognition.

    kind       terms and what they pay
    study      outcome +5 correct, -1 wrong value, -2 wrong numbers, -3 illegal or no formula
               misread -1.5 in image mode when `cards` is not the hand (order does not matter)
    binary     accuracy 1 when correct
    weighted   accuracy 1 when correct; format 1 for a legal formula that uses exactly the hand's
               numbers; recognition 1 when `cards` and `number` are both right; times the weights
               (and `tags` and `consistency` of a thought, see `trace.py`, where they have weights)

Source of `study`: https://arxiv.org/abs/2501.17161, appendix A. Departures: values are compared as
rationals; an answer without `cards` counts as misread (else saying nothing would pay more than a
wrong reading); the last answer gets its own reward and no further -1 for the turn limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from .answer import Answer
from .config import EpisodeReturn, GeneralPointsConfig, Modality, RewardConfig, RewardKind
from .expression import Formula, read_formula
from .task import Task


class GeneralPointsOutcome(str, Enum):
    correct = "correct"
    wrong_value = "wrong_value"  # all numbers used once, another value or another number after =
    wrong_numbers = "wrong_numbers"  # a legal formula over other numbers than the hand's
    illegal_formula = "illegal_formula"  # not a formula, a forbidden operator, division by zero
    no_answer = "no_answer"  # no object with the answer's fields, or no formula in it


STUDY_REWARD = {
    GeneralPointsOutcome.correct: 5.0,
    GeneralPointsOutcome.wrong_value: -1.0,
    GeneralPointsOutcome.wrong_numbers: -2.0,
    GeneralPointsOutcome.illegal_formula: -3.0,
    GeneralPointsOutcome.no_answer: -3.0,
}
STUDY_MISREAD = -1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What an answer is.

    formula: as read; without numbers when there is none.
    recognized: `cards` names the hand, in any order.
    numbers_right: `number` gives the values of the hand, in any order.
    unused, invalid: numbers of the hand that the formula leaves out, and others that it uses; empty
        unless the formula is legal.
    """

    outcome: GeneralPointsOutcome
    formula: Formula
    recognized: bool
    numbers_right: bool
    unused: tuple[int, ...] = ()
    invalid: tuple[int, ...] = ()

    @property
    def success(self) -> bool:
        return self.outcome is GeneralPointsOutcome.correct


def assess(answer: Answer, task: Task) -> Assessment:
    """Judge an answer against a task."""
    cards, numbers = answer.cards, answer.numbers
    formula = _NO_FORMULA if answer.formula is None else read_formula(answer.formula)
    unused, invalid = _difference(task.values, formula.numbers) if not formula.error else ((), ())
    if answer.formula is None:
        outcome = GeneralPointsOutcome.no_answer
    elif formula.error or not formula.operators.issubset(task.rule.operators):
        outcome = GeneralPointsOutcome.illegal_formula
    elif unused or invalid:
        outcome = GeneralPointsOutcome.wrong_numbers
    elif not formula.equals(task.target):
        outcome = GeneralPointsOutcome.wrong_value
    else:
        outcome = GeneralPointsOutcome.correct
    return Assessment(
        outcome=outcome,
        formula=formula,
        recognized=cards is not None and _same(cards, task.ranks),
        numbers_right=numbers is not None and _same(numbers, task.values),
        unused=unused,
        invalid=invalid,
    )


def reward_terms(
    assessment: Assessment, reward: RewardConfig, modality: Modality
) -> dict[str, float]:
    """The terms of the reward by name, before weighting."""
    accuracy = float(assessment.success)
    if reward.kind is RewardKind.binary:
        return {"accuracy": accuracy}
    if reward.kind is RewardKind.weighted:
        well_formed = assessment.outcome in _WELL_FORMED
        read = assessment.recognized and assessment.numbers_right
        return {"accuracy": accuracy, "format": float(well_formed), "recognition": float(read)}
    terms = {"outcome": STUDY_REWARD[assessment.outcome]}
    if modality is Modality.image:
        terms["misread"] = 0.0 if assessment.recognized else STUDY_MISREAD
    return terms


def total_reward(terms: Mapping[str, float], reward: RewardConfig) -> float:
    """The weighted sum of the terms; weights are 1 except for the kind `weighted`."""
    weights = reward.weights if reward.kind is RewardKind.weighted else None
    total = 0.0
    for name, value in terms.items():
        total += value if weights is None else weights.get(name, 0.0) * value
    return total


def episode_return(rewards: Sequence[float], config: GeneralPointsConfig) -> float:
    """What answers of these rewards are worth, as `config.episode_return` says; 0 without any."""
    if config.episode_return is EpisodeReturn.last:
        return rewards[-1] if rewards else 0.0
    discount = config.discount if config.episode_return is EpisodeReturn.discounted else 1.0
    return sum(discount**turn * reward for turn, reward in enumerate(rewards))


_Item = TypeVar("_Item", str, int)
_WELL_FORMED = (GeneralPointsOutcome.correct, GeneralPointsOutcome.wrong_value)
_NO_FORMULA = Formula(error="no formula")


def _same(stated: tuple[_Item, ...], held: tuple[_Item, ...]) -> bool:
    """Whether both hold the same items, in any order (most answers keep the order)."""
    return stated == held or sorted(stated) == sorted(held)


def _difference(
    hand: tuple[int, ...], used: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    unused, invalid = list(hand), []
    for number in used:
        if number in unused:
            unused.remove(number)
        else:
            invalid.append(number)
    return tuple(unused), tuple(invalid)
