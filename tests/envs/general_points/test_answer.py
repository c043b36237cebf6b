import pytest
from cardinal_gym.envs.general_points.answer import Answer, read_answer
from cardinal_gym.envs.general_points.config import AnswerFormat

EXPECTED = Answer(cards=("5", "J", "3", "A"), numbers=(5, 10, 3, 1), formula="(5-3)*10+4=24")


@pytest.mark.parametrize(
    "fields",
    [
        '"cards": ["5", "J", "3", "A"], "number": [5, 10, 3, 1]',
        '"cards": [5, "j", 3, "a"], "number": ["5", "10", "3", "1"]',
        '"cards": ["5 of spades", "J♠", "3h", "Ace"], "number": "5, 10, 3, 1"',
        '"cards": "5, J, 3, A", "numbers": [5, 10, 3, 1]',
        '"cards": ["5", "Jack of Hearts", "3 ♦", 1], "number": [5, 10, 3, 1]',
    ],
)
def test_lists_of_strings_or_numbers_are_read(fields: str) -> None:
    text = f'{{{fields}, "formula": "(5-3)*10+4=24"}}'
    assert read_answer(text, AnswerFormat.json) == EXPECTED


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ('"formula": null', Answer()),
        ('"formula": 24', Answer(formula="24")),
        ('"formula": true', Answer()),
        ('"formula": {"a": 1}', Answer()),
        ('"formula": ["1+1"]', Answer()),
        ('"cards": null, "formula": "1"', Answer(formula="1")),
        ('"cards": ["5", null], "formula": "1"', Answer(formula="1")),
        ('"cards": ["5", ["J"]], "formula": "1"', Answer(formula="1")),
        ('"cards": ["14", "Z"], "formula": "1"', Answer(formula="1")),
        ('"cards": 5, "number": {}, "formula": "1"', Answer(formula="1")),
        ('"number": [1.5], "formula": "1"', Answer(formula="1")),
        ('"number": [true], "formula": "1"', Answer(formula="1")),
        ('"number": ["٣"], "formula": "1"', Answer(formula="1")),
        ('"cards": [], "formula": "1"', Answer(cards=(), formula="1")),
    ],
)
def test_odd_types_are_absent_fields(fields: str, answer: Answer) -> None:
    assert read_answer(f"{{{fields}}}", AnswerFormat.json) == answer
    assert read_answer(f"I say {{{fields},}}", AnswerFormat.json) == answer


def test_the_tagged_format_reads_between_its_tags_only() -> None:
    said = '{"formula": "1+1"}'
    reasoned = f'<think>{{"formula": "0"}}</think>\n<answer>{said}</answer>'
    assert read_answer(reasoned, AnswerFormat.tagged) == Answer(formula="1+1")
    assert read_answer(said, AnswerFormat.tagged).error == "no <answer>...</answer>"
    assert read_answer(f"<answer>{said}", AnswerFormat.tagged).error


def test_no_object_is_an_error() -> None:
    assert read_answer("(5-3)*10+4", AnswerFormat.json).error
