"""A verdict on an answer, reasoned aloud: what a judge that thinks is to write.

    J=10; 10, 5, 3; 10+5=15, 15+3=18 yes

First what the faces are worth, then the numbers that the hand has, then the formula worked out
step by step; `yes` says that every number is used once and the target is reached, `no` anything
else, after the numbers that are left out or are not the hand's. The marks are those of thoughts
(`thought.py`), so that a policy that has learnt to think knows them.
"""

import re

from .answer import read_answer
from .config import AnswerFormat
from .expression import trace
from .reward import Assessment, GeneralPointsOutcome, assess
from .task import Task

YES, NO = "yes", "no"
_SAID = re.compile(rf"(?<![A-Za-z])(?:{YES}|{NO})(?![A-Za-z])", re.IGNORECASE)
MAX_LISTED = 6  # numbers that are left out, or are not the hand's


def reasoned_verdict(text: str, answer_format: AnswerFormat, task: Task) -> str:
    """The verdict on an answer's text, with reasons; it ends with `yes` or `no`."""
    read = read_answer(text, answer_format)
    found = assess(read, task)
    if found.outcome is GeneralPointsOutcome.no_answer:
        return f"missing {NO}"
    if found.outcome is GeneralPointsOutcome.illegal_formula:
        return f"illegal {NO}"
    said = [_hand(task), _complaint(found)]
    if found.outcome is not GeneralPointsOutcome.wrong_numbers:
        assert read.formula is not None
        said = [_hand(task), ", ".join(trace(read.formula))]
    return f"{'; '.join(said)} {YES if found.success else NO}"


def read_verdict(text: str) -> bool | None:
    """What a judge says at last; None where it says neither."""
    said = _SAID.findall(text)
    return None if not said else said[-1].lower() == YES


def _hand(task: Task) -> str:
    faces = dict.fromkeys(
        f"{rank}={value}"
        for rank, value in zip(task.ranks, task.values, strict=True)
        if rank != str(value)
    )
    numbers = ", ".join(str(value) for value in task.values)
    return f"{', '.join(faces)}; {numbers}" if faces else numbers


def _complaint(found: Assessment) -> str:
    parts = (("unused", found.unused), ("invalid", found.invalid))
    return ", ".join(
        f"{name} {', '.join(map(str, numbers[:MAX_LISTED]))}" for name, numbers in parts if numbers
    )
