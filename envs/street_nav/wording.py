"""The words of a route description: which action space they come from, and how they are joined.

    wording    under the rule `absolute`, facing east, the next street leading north at 350 degrees
    both       turn left to face north                   (the study's: the answer can be copied)
    matching   turn to face north                        (only words of the rule in force)
    other      turn left by 97 degrees                   (only words of another rule)

With `other` the observation states where the agent looks, in whole degrees, and the description
adds the angle or heading in whole degrees, so that the word asked for follows exactly. Where a
landmark stands is said in the words of the same rule ("on your left front", "to the northwest",
"at 10 o'clock", "at 315 degrees"); with `both` as in the study, from where the agent looks.

Source of the sentences' form: V-IRL (https://arxiv.org/abs/2402.03310) as the study uses it.
Departure: the study has `both` alone, which makes its test out of distribution a copying task.
"""

from enum import Enum

from ..settings import PromptStyle
from .actions import COMPASS, TURN_RULES, Frame, Rule, TurnRule, signed_turn
from .types import Sight

SIDES = (
    "front", "right front", "right", "right behind", "behind", "left behind", "left", "left front",
)  # fmt: skip
OTHER_RULE = {
    Rule.absolute: Rule.relative,
    Rule.relative: Rule.absolute,
    Rule.clock: Rule.absolute,
    Rule.degrees: Rule.relative,
}


class Wording(str, Enum):
    """Which action spaces the words of a route description come from."""

    both = "both"
    matching = "matching"
    other = "other"


def octant(degree: int) -> int:
    """Which of eight sectors a whole degree falls into; 0 is centred on 0 degrees."""
    return (2 * degree + 45) // 90 % 8


class Voice:
    """Says directions in the words that a rule and a wording prescribe.

    states_heading: whether an observation must say where the agent looks.
    """

    def __init__(self, turns: TurnRule, wording: Wording, style: PromptStyle) -> None:
        self.turns = turns
        self.style = style
        self.states_heading = wording is Wording.other
        self._is_compact = style is PromptStyle.compact
        self._spoken = _spoken(turns, wording)
        self._turns_said: dict[tuple[int, int], str] = {}  # by facing and heading, whole degrees
        self._sides = TURN_RULES[Rule.relative] if wording is Wording.both else self._spoken[0]

    def turn(self, facing: int, heading: int) -> str:
        """A turn from `facing` to `heading`, e.g. "left to face north"; compact "left north"."""
        said = self._turns_said.get((facing, heading))
        if said is None:
            phrases = [
                self._turn_in(rule, rule.word(facing, heading), facing, heading)
                for rule in self._spoken
            ]
            said = self._turns_said[facing, heading] = " ".join(phrases)
        return said

    def side(self, facing: int, sight: Sight) -> str:
        """Where a landmark is, e.g. "on your left front"; compact "left front"."""
        rule, bearing, is_compact = self._sides, round(sight.bearing), self._is_compact
        if rule.rule is Rule.relative:
            side = SIDES[octant((bearing - facing) % 360)]
            return side if is_compact else _BODY[side]
        if rule.rule is Rule.absolute:
            side = COMPASS[octant(bearing % 360)]
            return side if is_compact else f"to the {side}"
        word = rule.word(facing, bearing)
        if is_compact:
            return word
        return f"at {word} o'clock" if rule.rule is Rule.clock else f"at {word} degrees"

    def _turn_in(self, rule: TurnRule, word: str, facing: int, heading: int) -> str:
        """One rule's words for a turn; with `other` the exact angle or heading too."""
        is_exact = self.states_heading
        exact = abs(signed_turn(facing, heading)) if rule.frame is Frame.relative else heading
        if self._is_compact:
            return f"{word} {exact}" if is_exact else word
        if rule.rule is Rule.relative:
            return f"{word} by {exact} degrees" if is_exact else word
        if rule.rule is Rule.absolute:
            return f"to face {word} ({exact} degrees)" if is_exact else f"to face {word}"
        return f"to {word} o'clock" if rule.rule is Rule.clock else f"to face {word} degrees"


def _spoken(turns: TurnRule, wording: Wording) -> tuple[TurnRule, ...]:
    """The rules whose words are used; with two of them the relative one comes first."""
    other = TURN_RULES[OTHER_RULE[turns.rule]]
    if wording is Wording.matching:
        return (turns,)
    if wording is Wording.other:
        return (other,)
    is_relative = turns.frame is Frame.relative
    return (turns, other) if is_relative else (other, turns)


_BODY = {side: f"on your {side}" for side in SIDES} | {
    "front": "in front of you",
    "behind": "behind you",
}
