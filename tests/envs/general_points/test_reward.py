from fractions import Fraction
from itertools import permutations, product

import pytest
from cardinal_gym.envs.general_points.answer import read_answer
from cardinal_gym.envs.general_points.config import AnswerFormat, Modality, RewardConfig
from cardinal_gym.envs.general_points.reward import (
    STUDY_REWARD,
    Assessment,
    GeneralPointsOutcome,
    assess,
    reward_terms,
    total_reward,
)
from cardinal_gym.envs.general_points.rules import RULES, Rule
from cardinal_gym.envs.general_points.task import Task, make_task
from hypothesis import given, settings
from hypothesis import strategies as st

TASK = make_task(("5", "J", "3", "A"), RULES["faces_as_ten"], 24)
Outcome = GeneralPointsOutcome


def answered(formula: str, cards: str = '["5", "J", "3", "A"]', number: str = "[5,10,3,1]") -> str:
    return f'{{"cards": {cards}, "number": {number}, "formula": "{formula}"}}'


def judged(text: str, task: Task = TASK) -> Assessment:
    return assess(read_answer(text, AnswerFormat.json), task)


def paid(text: str, reward: RewardConfig, modality: Modality = Modality.text) -> float:
    return total_reward(reward_terms(judged(text), reward, modality), reward)


@pytest.mark.parametrize(
    ("text", "outcome", "study"),
    [
        (answered("10*3-5-1=24"), Outcome.correct, 5.0),
        (answered("10×3−5−1"), Outcome.correct, 5.0),
        (answered("10*3-5-1=99"), Outcome.wrong_value, -1.0),
        (answered("10*3-5+1"), Outcome.wrong_value, -1.0),
        (answered("10*3-5"), Outcome.wrong_numbers, -2.0),
        (answered("11*3-5-1"), Outcome.wrong_numbers, -2.0),
        (answered("24"), Outcome.wrong_numbers, -2.0),
        (answered("5*5-1"), Outcome.wrong_numbers, -2.0),
        (answered("10**3-5-1"), Outcome.illegal_formula, -3.0),
        (answered("(10*3-5-1"), Outcome.illegal_formula, -3.0),
        (answered("J*3-5-A"), Outcome.illegal_formula, -3.0),
        (answered("5/(3-3)"), Outcome.illegal_formula, -3.0),
        ("10*3-5-1=24", Outcome.no_answer, -3.0),
        ('{"formula": null}', Outcome.no_answer, -3.0),
        ("", Outcome.no_answer, -3.0),
    ],
)
def test_every_answer_has_one_outcome_and_the_study_pays_it(
    text: str, outcome: GeneralPointsOutcome, study: float
) -> None:
    assert judged(text).outcome is outcome
    assert paid(text, RewardConfig(kind="study")) == study
    assert paid(text, RewardConfig(kind="binary")) == float(outcome is Outcome.correct)


@pytest.mark.parametrize(
    ("cards", "misread"),
    [
        ('["5", "J", "3", "A"]', 0.0),
        ('["A", "3", "J", "5"]', 0.0),
        ('["5", "10", "3", "A"]', -1.5),
        ('["5", "J", "3"]', -1.5),
        ("null", -1.5),
    ],
)
def test_in_image_mode_misread_cards_cost_more(cards: str, misread: float) -> None:
    study = RewardConfig(kind="study")
    for formula, outcome in (("10*3-5-1", 5.0), ("10*3-5", -2.0), ("?", -3.0)):
        text = answered(formula, cards)
        assert paid(text, study, Modality.image) == outcome + misread
        assert paid(text, study, Modality.text) == outcome


def test_weighted_terms_are_separate() -> None:
    reward = RewardConfig(weights={"accuracy": 1.0, "format": 0.25, "recognition": 0.5})
    right = answered("10*3-5-1")
    assert reward_terms(judged(right), reward, Modality.text) == {
        "accuracy": 1.0,
        "format": 1.0,
        "recognition": 1.0,
    }
    assert paid(right, reward) == 1.75
    assert paid(answered("10*3-5+1"), reward) == 0.75
    assert paid(answered("10*3-5"), reward) == 0.5
    assert paid(answered("10*3-5-1", number="[5,11,3,1]"), reward) == 1.25
    assert paid("?", reward) == 0.0
    assert paid(right, RewardConfig(weights={"accuracy": 2.0})) == 2.0


def test_a_forbidden_operator_is_an_illegal_formula() -> None:
    rule = Rule(name="no_minus", face_values={"J": 10}, operators=["+", "*", "/"])
    task = make_task(("5", "J", "3", "A"), rule, 24)
    assert judged(answered("10*3-5-1"), task).outcome is Outcome.illegal_formula
    assert judged(answered("10*3+5+1"), task).outcome is Outcome.wrong_value


def test_unused_and_invalid_numbers_are_named_with_their_counts() -> None:
    found = judged(answered("5+5+7"))
    assert found.unused == (10, 3, 1)
    assert found.invalid == (5, 7)


def test_the_thirds_of_3_3_8_8_are_correct() -> None:
    task = make_task(("3", "3", "8", "8"), RULES["faces_as_ten"], 24)
    assert judged(answered("8/(3-8/3)"), task).outcome is Outcome.correct


_SHAPES = ("{a}{x}{b}{y}{c}", "({a}{x}{b}){y}{c}", "{a}{x}({b}{y}{c})")


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from("A23456789"), min_size=3, max_size=3),
    st.lists(st.integers(1, 9), min_size=3, max_size=3),
    st.integers(0, 30),
)
def test_outcomes_agree_with_brute_force(ranks: list[str], numbers: list[int], target: int) -> None:
    task = make_task(ranks, RULES["faces_as_ten"], target)
    a, b, c = numbers
    for shape, x, y in product(_SHAPES, "+-*/", "+-*/"):
        formula = shape.format(a=a, b=b, c=c, x=x, y=y)
        exact = shape.format(a=f"Fraction({a})", b=f"Fraction({b})", c=f"Fraction({c})", x=x, y=y)
        try:
            value = eval(exact, {"Fraction": Fraction})  # of our own text
        except ZeroDivisionError:
            expected = Outcome.illegal_formula
        else:
            same = tuple(numbers) in permutations(task.values)
            right = Outcome.correct if value == target else Outcome.wrong_value
            expected = right if same else Outcome.wrong_numbers
        assert judged(answered(formula), task).outcome is expected


@given(st.text(max_size=60) | st.text(alphabet='{}[]"formula:0123456789+-*/()= ', max_size=60))
def test_any_text_gives_an_outcome_that_is_paid(text: str) -> None:
    for spoken in (text, answered(text), f'{{"formula": {text}}}'):
        found = judged(spoken)
        assert found.outcome in STUDY_REWARD
        assert (found.outcome is Outcome.correct) == found.success
