"""An answer as its three fields: what is observed, which instruction is carried out, the action."""

from enum import Enum
from json.encoder import encode_basestring as _quoted  # what json.dumps writes, without its set-up
from typing import NamedTuple

from ..parsing import Value, between_tags, find_object

OBSERVATION, INSTRUCTION, ACTION = FIELDS = ("current observation", "current instruction", "action")
KEYS = frozenset((*FIELDS, "current_observation", "current_instruction"))


class AnswerFormat(str, Enum):
    json = "json"  # the study's object with its three fields
    tagged = "tagged"  # reasoning first, then the same object inside <answer> tags


class Answer(NamedTuple):
    """What was answered; a field is None when it is absent or not text.

    error: why there is no answer at all, None when one was found.
    """

    observation: str | None = None
    instruction: str | None = None
    action: str | None = None
    error: str | None = None


def read_answer(text: str, answer_format: AnswerFormat) -> Answer:
    """The answer in a model's text; any text gives an `Answer`."""
    if answer_format is AnswerFormat.tagged:
        inside = between_tags(text, "answer")
        if inside is None:
            return Answer(error="no <answer>...</answer>")
        text = inside
    found = find_object(text, KEYS)
    if found is None:
        return Answer(error="no object with the fields " + ", ".join(FIELDS))
    observation, instruction = found.get(OBSERVATION), found.get(INSTRUCTION)
    if observation is None:
        observation = found.get("current_observation")
    if instruction is None:
        instruction = found.get("current_instruction")
    return Answer(_text(observation), _text(instruction), _text(found.get(ACTION)))


def write_answer(
    observation: str, instruction: str, action: str, answer_format: AnswerFormat
) -> str:
    """An answer in the asked format, as `read_answer` reads it."""
    fields = zip(FIELDS, (observation, instruction, action), strict=True)
    found = "{" + ", ".join([f'"{name}": {_quoted(value)}' for name, value in fields]) + "}"
    if answer_format is AnswerFormat.json:
        return found
    return f"<think>{observation}; {instruction}</think>\n<answer>{found}</answer>"


def _text(value: Value) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None
