"""Checks a thought step by step: is every equation true, are its numbers at hand, is every mark
right?

`read_trace` reads any text, in time linear in its length, and never raises on it. It follows the
search that the text tells (see `thought.py`): a step takes two numbers and leaves their result,
`no` takes the last step back, `back` one more. A step that the present path has made already is a
re-check and changes nothing. What is false is counted, and the reader goes on with what was said.
"""

import re
from dataclasses import dataclass, field

from ..parsing import between_tags
from .expression import Rational, apply, reduced
from .rules import MAX_DIGITS
from .task import Task
from .thought import ENGLISH, MARKS, Mark

MAX_ITEMS = 2_000  # read of one thought; a longer one is no use to anybody

_NUMBER = rf"(?<!\d)\d{{1,{MAX_DIGITS}}}(?!\d)"
_OPERAND = rf"{_NUMBER}|\(-?{_NUMBER}(?:/{_NUMBER})?\)"
_STEP = re.compile(
    rf"(?P<left>{_OPERAND})(?P<op>[-+*/])(?P<right>{_OPERAND})=(?P<result>-?{_NUMBER}(?:/{_NUMBER})?)"
)
_ITEM = re.compile(
    rf"(?P<step>{_STEP.pattern})|(?P<rank>10|[2-9AJQK])=(?P<worth>-?{_NUMBER})|(?P<word>[A-Za-z]+)"
)
_TAGGED = re.compile(r"\s*<think>(?:(?!</?think>|</?answer>).)*</think>\s*"
                     r"<answer>(?:(?!</?think>|</?answer>).)*</answer>\s*", re.DOTALL)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One equation as told; nothing says that it is true."""

    told: str
    left: Rational
    op: str
    right: Rational
    result: Rational

    @property
    def is_true(self) -> bool:
        if (self.op == "/" and self.right[0] == 0) or not (self.left[1] and self.right[1]):
            return False
        return reduced(*apply(self.op, self.left, self.right)) == self.result


@dataclass(slots=True, kw_only=True)
class Trace:
    """What a thought says, counted.

    steps: equations, re-checks included; true_steps: those that hold.
    usable_steps: those whose two numbers were at hand (a re-check's were).
    rechecks: equations that the present path had made before.
    dead_ends, backs, hits, checks: marks `no`, `back`, `yes` and `check`.
    right_marks: marks that are right: a `no` after a path that misses the target, a `yes` after one
        that hits it, a `back` or `check` where there is a step to speak of.
    worths, right_worths: statements of what a rank is worth.
    other_words: words of neither vocabulary. english: marks in English.
    path: the equations that were not taken back.
    """

    steps: int = 0
    true_steps: int = 0
    usable_steps: int = 0
    rechecks: int = 0
    dead_ends: int = 0
    backs: int = 0
    hits: int = 0
    checks: int = 0
    right_marks: int = 0
    worths: int = 0
    right_worths: int = 0
    other_words: int = 0
    english: int = 0
    path: list[str] = field(default_factory=list)

    @property
    def marks(self) -> int:
        return self.dead_ends + self.backs + self.hits + self.checks

    @property
    def is_sound(self) -> bool:
        """Whether there is a step, and all that is said is true."""
        return (
            0 < self.steps == self.true_steps == self.usable_steps
            and self.marks == self.right_marks
            and self.worths == self.right_worths
            and not self.other_words
        )


def thought_of(text: str) -> str | None:
    """What stands between <think> and </think> in an answer; None without such a pair."""
    return between_tags(text, "think")


def read_trace(thought: str, task: Task) -> Trace:
    """Follow a thought about a task and count what is true in it."""
    return _Reader(task).read(thought)


def read_step(equation: str) -> Step | None:
    """One equation; None for any other text."""
    match = _STEP.fullmatch(equation)
    return None if match is None else _step(match)


def thought_terms(text: str) -> dict[str, float]:
    """Reward terms of the thought alone, by name, each in [0, 1].

    tags: 1 when the text is one thought and then one answer, in their tags, and nothing else (the
    format reward of R1-Zero, arXiv 2501.12948, section 2.2.2). consistency: the share of marks in
    English, the prompt's language (the same, section 2.3.2); 0 without marks, so that a thought is
    not cut short for it.
    """
    thought = thought_of(text)
    words = [] if thought is None else re.findall(r"[A-Za-z]+", thought)
    marks = [word for word in words if word in MARKS]
    english = sum(word in ENGLISH_WORDS for word in marks)
    return {
        "tags": float(_TAGGED.fullmatch(text) is not None),
        "consistency": english / len(marks) if marks else 0.0,
    }


ENGLISH_WORDS = frozenset(ENGLISH.values())


class _Reader:
    """The state of one reading: the path, and the numbers at hand before each of its steps."""

    def __init__(self, task: Task) -> None:
        self._worth = dict(zip(task.ranks, task.values, strict=True))
        self._target: Rational = (task.target, 1)
        self._numbers: list[list[Rational]] = [[(value, 1) for value in task.values]]
        self._path: list[Step] = []
        self._found = Trace()

    def read(self, thought: str) -> Trace:
        for count, item in enumerate(_ITEM.finditer(thought)):
            if count == MAX_ITEMS:
                break
            if item["step"] is not None:
                self._follow(_step(item))
            elif item["rank"] is not None:
                self._found.worths += 1
                self._found.right_worths += self._worth.get(item["rank"]) == int(item["worth"])
            elif item["word"] in MARKS:
                self._judge(MARKS[item["word"]])
                self._found.english += item["word"] in ENGLISH_WORDS
            else:
                self._found.other_words += 1
        self._found.path = [step.told for step in self._path]
        return self._found

    def _follow(self, step: Step) -> None:
        found = self._found
        found.steps += 1
        found.true_steps += step.is_true
        if any(step.told == made.told for made in self._path) and not self._fits(step):
            found.rechecks += 1
            found.usable_steps += 1
            return
        found.usable_steps += self._fits(step)
        left = list(self._numbers[-1])
        for number in (step.left, step.right):
            if number in left:
                left.remove(number)
        self._numbers.append([*left, step.result])
        self._path.append(step)

    def _judge(self, mark: Mark) -> None:
        found, is_there = self._found, bool(self._path)
        hit = self._numbers[-1] == [self._target]
        ended = len(self._numbers[-1]) == 1
        if mark is Mark.yes:
            found.hits += 1
            found.right_marks += hit
        elif mark is Mark.no:
            found.dead_ends += 1
            found.right_marks += is_there and ended and not hit
            self._take_back()
        elif mark is Mark.back:
            found.backs += 1
            found.right_marks += is_there
            self._take_back()
        else:
            found.checks += 1
            found.right_marks += is_there

    def _take_back(self) -> None:
        if self._path:
            self._path.pop()
            self._numbers.pop()

    def _fits(self, step: Step) -> bool:
        """Whether both numbers are at hand, as two cards."""
        left = list(self._numbers[-1])
        if step.left not in left:
            return False
        left.remove(step.left)
        return step.right in left


def _step(match: re.Match[str]) -> Step:
    return Step(
        told=f"{match['left']}{match['op']}{match['right']}={match['result']}",
        left=_rational(match["left"]),
        op=match["op"],
        right=_rational(match["right"]),
        result=_rational(match["result"]),
    )


def _rational(told: str) -> Rational:
    """`7`, `(-3)`, `7/3`; a denominator of 0 stays as it is and equals nothing."""
    above, _, below = told.strip("()").partition("/")
    numerator, denominator = int(above), int(below or 1)
    return reduced(numerator, denominator) if denominator else (numerator, 0)
