"""How thinking aloud is told: settings, and the words of its two vocabularies.

A thought is a search in words. What the ranks are worth comes first, where a rank does not say it;
then steps, each an equation over two of the numbers at hand, and marks that judge them:

    J=10; 10+5=15, 15+3=18 no, 15-3=12 no back, 10-5=5, 5*3=15 yes

    no      the last step ends the search elsewhere than at the target, and is taken back
    back    one more step is taken back
    yes     every number is used, and the target is reached
    check   the steps that follow were made before; they are worked out once more

The second vocabulary says the same in French (`non retour oui verifie`). *DeepSeek-R1* (arXiv
2501.12948, section 2.3.2) pays for thoughts in one language; `mixed` thoughts give that something
to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..settings import as_list, member, require_number


class Mark(str, Enum):
    no = "no"
    back = "back"
    yes = "yes"
    check = "check"


class ThoughtWords(str, Enum):
    """Which vocabulary the oracle's marks come from."""

    english = "english"
    french = "french"
    mixed = "mixed"  # each mark from either, drawn


ENGLISH = {Mark.no: "no", Mark.back: "back", Mark.yes: "yes", Mark.check: "check"}
FRENCH = {Mark.no: "non", Mark.back: "retour", Mark.yes: "oui", Mark.check: "verifie"}
MARKS = {word: mark for words in (ENGLISH, FRENCH) for mark, word in words.items()}


ONCE = (1, 1)  # check_times of thoughts that check themselves once


@dataclass(kw_only=True, slots=True)
class ThoughtConfig:
    """How long and in which words the oracle thinks (`answer=tagged`).

    dead_ends: [fewest, most] combinations that miss the target before the one that hits it, drawn
        for every answer; fewer where a hand has no more.
    words: the vocabulary of the marks.
    check: how often the steps are worked out once more before the answer, in [0, 1].
    check_times: [fewest, most] times in a row that this is then done, drawn for every answer.
    """

    dead_ends: list[int] = field(default_factory=lambda: [0, 2])
    words: ThoughtWords = ThoughtWords.english
    check: float = 0.0
    check_times: list[int] = field(default_factory=lambda: list(ONCE))

    def __post_init__(self) -> None:
        self.words = member(ThoughtWords, "thought.words", self.words)
        self.dead_ends = _whole_range("dead_ends", self.dead_ends, 0)
        self.check_times = _whole_range("check_times", self.check_times, 1)
        require_number("thought.check", self.check, "in [0, 1]", 0.0, 1.0)


def forget_once(told: dict[str, Any] | None) -> None:
    """Take `check_times` out of a thought's settings, as plain data, where it is the default.

    For names that are made of settings: they stay what they were before there was this one.
    """
    if told is not None and tuple(told.get("check_times", ())) == ONCE:
        del told["check_times"]


def _whole_range(name: str, value: Any, least: int) -> list[int]:
    """[fewest, most], or ValueError."""
    found = as_list(f"thought.{name}", value, "[fewest, most]")
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in found)
    if len(found) != 2 or not whole or not least <= found[0] <= found[1]:
        raise ValueError(
            f"thought.{name} must be [fewest, most], whole numbers from {least} on; got {found}"
        )
    return found


def as_thought(value: ThoughtConfig | Mapping[str, Any] | None) -> ThoughtConfig | None:
    """A thought's settings from a mapping of its fields; None stays None; else ValueError."""
    if value is None or isinstance(value, ThoughtConfig):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"thought must be null or a mapping of its fields; got {value!r}")
    known = ThoughtConfig.__dataclass_fields__
    unknown = [name for name in value if name not in known]
    if unknown:
        raise ValueError(f"thought must have fields among {', '.join(known)}; got {unknown}")
    return ThoughtConfig(**value)
