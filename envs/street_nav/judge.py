"""Judging an answer: what it is (an outcome), and which of its fields are right.

On the rail an answer is right when its action is the one that the route asks for; every other has
one fault. In free movement every allowed action is carried out, and only stopping is judged.
"""

import re
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from .actions import FORWARD, STOP, Action, NotAllowed, NotAnAction, TurnRule, read_action
from .answer import Answer
from .task import Place
from .types import Sight

MAX_REMARK_CHARS = 1_000  # of a field; what is longer is cut before it is compared


class StreetNavOutcome(str, Enum):
    """What an answer was."""

    correct = "correct"  # the right action on the rail; at the goal: the end of the walk
    arrived = "arrived"  # free: stopped within reach of the destination
    moved = "moved"  # free
    turned = "turned"  # free
    wrong_turn = "wrong_turn"  # a turn was due, in another direction
    missed_intersection = "missed_intersection"  # a turn was due; the answer walks on
    needless_turn = "needless_turn"  # the way leads straight on, or is over; the answer turns
    premature_stop = "premature_stop"  # the destination is not reached yet
    overshoot = "overshoot"  # walked past the destination; free: and stopped out of its reach
    blocked = "blocked"  # free: no street leads on in the direction that the agent faces
    illegal_action = "illegal_action"  # an action of another rule
    unparsable = "unparsable"  # no object with an action in it


_RIGHT = (StreetNavOutcome.correct, StreetNavOutcome.arrived)
_UNREADABLE = (StreetNavOutcome.illegal_action, StreetNavOutcome.unparsable)
_FREE_FAULTS = (
    *_UNREADABLE,
    StreetNavOutcome.blocked,
    StreetNavOutcome.premature_stop,
    StreetNavOutcome.overshoot,
)


class Assessment(NamedTuple):
    """What an answer is.

    action: as read; None when there is none, or none of this rule.
    intersection_right: `current observation` is there and right about being at an intersection.
    recognized: it also names the landmark that the description names here, and none of the route's
        that cannot be seen.
    instruction_right: `current instruction` names the sentence in force, by number or by its words.
    is_well_formed: all three fields are there, and the action is allowed.
    """

    outcome: StreetNavOutcome
    action: Action | None
    intersection_right: bool
    recognized: bool
    instruction_right: bool
    is_well_formed: bool

    @property
    def is_right(self) -> bool:
        return self.outcome in _RIGHT

    @property
    def is_arrival(self) -> bool:
        return self.outcome is StreetNavOutcome.arrived

    @property
    def is_fault(self) -> bool:
        """In free movement: an answer that is punished."""
        return self.outcome in _FREE_FAULTS


class Perception:
    """Judges `current observation` against what there is to perceive.

    landmarks: all names that could be mixed up, those of the route.
    """

    def __init__(self, landmarks: Sequence[str]) -> None:
        self._landmarks = landmarks

    def judge(
        self,
        said: str | None,
        exact: str,
        intersection: bool,
        asked: Sequence[Sight],
        visible: Sequence[Sight],
    ) -> tuple[bool, bool]:
        """(right about the intersection, right about everything).

        exact: the observation in the environment's own words. asked: landmarks of which one must be
        named. visible: all that can be seen, which may be named too, but no others.
        """
        if said is None:
            return False, False
        if said == exact:
            return True, True
        said = said[:MAX_REMARK_CHARS]
        claim = claims_intersection(said) == intersection
        text = plain(said)
        named = any(_plain_name(sight.name) in text for sight in asked) if asked else True
        present = "|".join(_plain_name(sight.name) for sight in (*asked, *visible))
        others = (name for name in map(_plain_name, self._landmarks) if name not in present)
        return claim, claim and named and not any(name in text for name in others)


def judge_rail(
    answer: Answer,
    place: Place,
    turns: TurnRule,
    exact: tuple[str, str],
    eyes: Perception,
    visible: Sequence[Sight],
) -> Assessment:
    """Judge an answer at a place of the rail.

    exact: the observation there and the sentence in force, in the environment's own words.
    visible: every landmark that can be seen there; the description may name one of them or none.
    """
    action, fault = _read(answer, turns)
    outcome = fault or _rail_outcome(action, place.action)
    scene = place.scene
    claim, seen = eyes.judge(
        answer.observation, exact[0], scene.intersection, scene.sights, visible
    )
    return Assessment(
        outcome,
        action,
        claim,
        seen,
        names_sentence(answer.instruction, place.instruction, exact[1]),
        fault is None and answer.observation is not None and answer.instruction is not None,
    )


def read_move(answer: Answer, turns: TurnRule) -> tuple[Action | None, StreetNavOutcome | None]:
    """The action of an answer in free movement, or the fault that keeps it from being one."""
    return _read(answer, turns)


def claims_intersection(said: str) -> bool:
    """Whether a remark says that one is at an intersection ("no intersection" does not)."""
    text = said.casefold()
    return "intersection" in text and _DENIAL.search(text) is None


def names_sentence(said: str | None, number: int, sentence: str) -> bool:
    """Whether a text means the sentence: by its number ("3", "3. Turn left") or by its words."""
    if said is None:
        return False
    if said == sentence:
        return True
    said = said[:MAX_REMARK_CHARS]
    stated = _NUMBER.match(said)
    if stated is not None:
        return int(stated[1]) == number
    return plain(said) == plain(sentence)


def plain(text: str) -> str:
    """Letters and digits alone, in lower case: how names and sentences are compared."""
    return "".join(character for character in text.casefold() if character.isalnum())


@lru_cache(maxsize=4096)
def _plain_name(name: str) -> str:
    return plain(name)


def _read(answer: Answer, turns: TurnRule) -> tuple[Action | None, StreetNavOutcome | None]:
    if answer.action is None:
        return None, StreetNavOutcome.unparsable
    try:
        return read_action(answer.action, turns), None
    except NotAllowed:
        return None, StreetNavOutcome.illegal_action
    except NotAnAction:
        return None, StreetNavOutcome.unparsable


def _rail_outcome(action: Action | None, right: str) -> StreetNavOutcome:
    assert action is not None
    done = action.canonical
    if done == right:
        return StreetNavOutcome.correct
    if done == STOP:
        return StreetNavOutcome.premature_stop
    if done == FORWARD:
        return StreetNavOutcome.overshoot if right == STOP else StreetNavOutcome.missed_intersection
    is_turn_due = right not in (FORWARD, STOP)
    return StreetNavOutcome.wrong_turn if is_turn_due else StreetNavOutcome.needless_turn


_DENIAL = re.compile(r"(?:\b(?:no|not|without)\b|n't)[^.;,]*\bintersection")
_NUMBER = re.compile(r"\s*([0-9]{1,2})\s*(?:[.:)]|$)")
