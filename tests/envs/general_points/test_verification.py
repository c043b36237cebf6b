"""Verdicts reasoned aloud: right about every kind of answer, and readable whatever is said."""

import json

import pytest
from cardinal_gym.envs.general_points.config import AnswerFormat
from cardinal_gym.envs.general_points.rules import preset_rule
from cardinal_gym.envs.general_points.task import make_task
from cardinal_gym.envs.general_points.verification import read_verdict, reasoned_verdict

TASK = make_task(("J", "5", "3"), preset_rule("faces_as_ten"), 18)


def verdict(formula: str | None) -> str:
    fields = {"cards": ["J", "5", "3"], "number": [10, 5, 3], "formula": formula}
    return reasoned_verdict(json.dumps(fields), AnswerFormat.json, TASK)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("10+5+3=18", "J=10; 10, 5, 3; 10+5=15, 15+3=18 yes"),
        ("10+5-3=18", "J=10; 10, 5, 3; 10+5=15, 15-3=12 no"),
        ("(10-5)*3", "J=10; 10, 5, 3; 10-5=5, 5*3=15 no"),
        ("10+5+3=24", "J=10; 10, 5, 3; 10+5=15, 15+3=18 no"),  # it claims another number
        ("10+5+5=18", "J=10; 10, 5, 3; unused 3, invalid 5 no"),
        ("10+8=18", "J=10; 10, 5, 3; unused 5, 3, invalid 8 no"),
        ("10+5+", "illegal no"),
        (None, "missing no"),
    ],
)
def test_every_kind_of_answer_has_its_reasons(formula: str | None, said: str) -> None:
    assert verdict(formula) == said
    assert read_verdict(said) == said.endswith("yes")


def test_text_without_an_answer_is_missing() -> None:
    assert reasoned_verdict("eighteen", AnswerFormat.tagged, TASK) == "missing no"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10+5=15 yes", True),
        ("It is. YES.", True),
        ("yes, at first, but then no", False),
        ("15yes", True),
        ("noon, eyes, yesterday", None),
        ("", None),
    ],
)
def test_the_last_word_of_the_two_is_the_verdict(text: str, found: bool | None) -> None:
    assert read_verdict(text) is found
