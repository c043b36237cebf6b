from itertools import product

import pytest
from cardinal_gym.envs.general_points.answer import Answer, read_answer
from cardinal_gym.envs.general_points.config import (
    AnswerFormat,
    FeedbackKind,
    Modality,
    PromptStyle,
)
from cardinal_gym.envs.general_points.expression import write
from cardinal_gym.envs.general_points.prompts import (
    MAX_WORDS,
    feedback_text,
    prompt_text,
    revision_text,
)
from cardinal_gym.envs.general_points.reward import assess
from cardinal_gym.envs.general_points.rules import RULES, Rule
from cardinal_gym.envs.general_points.solver import solve
from cardinal_gym.envs.general_points.task import make_task

TASK = make_task(("5", "J", "3", "A"), RULES["faces_as_ten"], 24)
NO_DIVISION = Rule(
    name="mine", face_values={"J": 11, "Q": 12, "K": 13, "A": 14}, operators=["*", "+", "-"]
)
COMPACT, STUDY = PromptStyle.compact, PromptStyle.study


def test_the_compact_prompt_is_stable() -> None:
    assert prompt_text(TASK, COMPACT) == "rule J = 10 Q = 10 K = 10 target 24 cards 5 J 3 A"
    assert prompt_text(TASK, COMPACT, Modality.image) == "rule J = 10 Q = 10 K = 10 target 24"
    other = make_task(("5", "J", "3", "A"), NO_DIVISION, -7)
    assert prompt_text(other, COMPACT) == (
        "rule J = 11 Q = 12 K = 13 A = 14 use + - * target -7 cards 5 J 3 A"
    )


@pytest.mark.parametrize("answer", AnswerFormat)
@pytest.mark.parametrize("rule", [*RULES.values(), NO_DIVISION], ids=lambda rule: rule.name)
def test_the_study_prompt_states_the_rule_the_target_and_the_fields(
    rule: Rule, answer: AnswerFormat
) -> None:
    text = prompt_text(make_task(("5", "J", "3", "A"), rule, 77), STUDY, Modality.text, answer)
    for rank in "JQK":
        assert f"{rank} = {rule.value_table['A23456789TJQK'.index(rank)]}" in text
    for part in ("77", "5, J, 3, A", '"cards"', '"number"', '"formula"', " ".join(rule.allowed)):
        assert part in text
    assert ("<answer>" in text) == (answer is AnswerFormat.tagged)
    assert ('"steps"' in text) == (answer is AnswerFormat.steps)


@pytest.mark.parametrize("style", PromptStyle)
def test_in_image_mode_the_text_does_not_tell_the_cards(style: PromptStyle) -> None:
    first = prompt_text(TASK, style, Modality.image)
    other = make_task(("9", "9", "K", "2"), TASK.rule, 24)
    assert prompt_text(other, style, Modality.image) == first


@pytest.mark.parametrize(
    ("formula", "detail"),
    [
        ("10*3-5+1", "wrong value 26"),
        ("3/5+10*1", "wrong value 53/5"),
        ("(5-3)*7", "wrong unused 10 1 invalid 7"),
        ("10*3-5", "wrong unused 1"),
        ("10*3-5-1-1", "wrong invalid 1"),
        ("10*3-", "wrong illegal"),
        (None, "wrong missing"),
    ],
)
def test_compact_feedback(formula: str | None, detail: str) -> None:
    found = assess(Answer(formula=formula), TASK)
    assert feedback_text(found, FeedbackKind.none, COMPACT) == "again"
    assert feedback_text(found, FeedbackKind.verdict, COMPACT) == "wrong"
    assert feedback_text(found, FeedbackKind.detail, COMPACT) == detail


def test_study_feedback() -> None:
    found = assess(Answer(formula="(5-3)*7"), TASK)
    assert feedback_text(found, FeedbackKind.none, STUDY) == "Answer again."
    verdict = feedback_text(found, FeedbackKind.verdict, STUDY)
    assert verdict == "The formula is incorrect. Answer again."
    assert feedback_text(found, FeedbackKind.detail, STUDY) == (
        "The formula is incorrect. Unused numbers: 10, 1. Invalid numbers: 7. Answer again."
    )


def test_a_later_observation_repeats_the_task_and_the_last_formula() -> None:
    prompt = prompt_text(TASK, COMPACT)
    found = assess(Answer(formula="(5-1)×3 = 24"), TASK)
    assert revision_text(prompt, found, "wrong", COMPACT) == (f"{prompt} last ( 5 - 1 ) * 3 wrong")
    assert revision_text("P", found, "Wrong.", STUDY) == (
        "P\n\nYour last formula was: ( 5 - 1 ) * 3\nWrong."
    )
    missing = assess(Answer(), TASK)
    assert revision_text(prompt, missing, "wrong", COMPACT) == f"{prompt} wrong"


def test_a_compact_observation_never_has_more_than_40_words() -> None:
    task = make_task(("5", "J", "3", "A", "Q", "K"), NO_DIVISION, 24)
    prompt = prompt_text(task, COMPACT)
    for formula in ("1+2", "((1+2)*(3-4)+5)*6", "1+" * 20 + "1", "7*8*9*2*2*2", None):
        found = assess(Answer(formula=formula), task)
        feedback = feedback_text(found, FeedbackKind.detail, COMPACT)
        assert len(revision_text(prompt, found, feedback, COMPACT).split()) <= MAX_WORDS == 40


def test_no_feedback_contains_a_solution() -> None:
    solutions = {write(node) for node in solve(TASK.values, 24)}
    wrong = ["10*3-5+1", "10*3-5", "5*3+10", "10*3-5-1-1", "10*3-5-1=99", "(", "24", "10*3-5-1)"]
    for formula, kind, style in product(wrong, FeedbackKind, PromptStyle):
        found = assess(read_answer(f'{{"formula": "{formula}"}}', AnswerFormat.json), TASK)
        assert not found.success
        said = feedback_text(found, kind, style).replace(" ", "")
        assert not any(solution in said for solution in solutions)
        assert not any(operator in said for operator in "+-*")
