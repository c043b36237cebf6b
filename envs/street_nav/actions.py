"""What an agent may do: `forward()`, `stop()`, `turn_direction(x)`, with x in four sets of words.

    rule       x                                                    measured from
    absolute   north, northeast, east, ... (8)                      north
    relative   left, slightly left, slightly right, right           where the agent looks
    clock      1 to 12: 12 is straight ahead, 3 to the right        where the agent looks
    degrees    0, 15, 30, ... 345: 90 is east                       north

The study trains on `absolute` and measures out of distribution on `relative`
(https://arxiv.org/abs/2501.17161, section 4); the other two are this project's. Departure from the
study's code: the angle of a relative turn wraps at 360 degrees (there a quarter of all pairs of
headings got the wrong word). Headings are whole degrees in [0, 360) here, so that a heading which a
text states gives exactly the word that is judged.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

COMPASS = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
FORWARD, STOP = "forward()", "stop()"
_MAX_ACTION_CHARS = 100


class Rule(str, Enum):
    """The action space in force."""

    absolute = "absolute"
    relative = "relative"
    clock = "clock"
    degrees = "degrees"


class Frame(str, Enum):
    """From where a direction is measured."""

    absolute = "absolute"  # from north
    relative = "relative"  # from where the agent looks


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRule:
    """A way of naming directions.

    words: all of them, in the order in which a prompt lists them.
    table: the word for each whole degree of the frame. [360]
    aims: for each word the degree of the frame that it points to.
    spelt: words by their letters alone; numbers are not among them.
    """

    rule: Rule
    frame: Frame
    words: tuple[str, ...]
    table: tuple[str, ...]
    aims: Mapping[str, int]
    spelt: Mapping[str, str]

    @property
    def actions(self) -> tuple[str, ...]:
        """Everything that may be done, as it is best written."""
        return (FORWARD, STOP, *[turn(word) for word in self.words])

    def word(self, facing: int, heading: int) -> str:
        """How one who looks towards `facing` names a turn to `heading`."""
        origin = facing if self.frame is Frame.relative else 0
        return self.table[(heading - origin) % 360]

    def aim(self, word: str, facing: int) -> int:
        """The compass heading that a word points to."""
        origin = facing if self.frame is Frame.relative else 0
        return (origin + self.aims[word]) % 360


@dataclass(frozen=True, slots=True)
class Action:
    """canonical: as the agent would best have written it. word: of a turn, else None."""

    canonical: str
    word: str | None = None


class NotAnAction(ValueError):
    """The text is no action at all."""


class NotAllowed(ValueError):
    """The text is an action, but not one of the rule in force."""


def turn(word: str) -> str:
    """The action that turns in the direction of a word."""
    return f"turn_direction({word})"


def whole_degrees(heading: float) -> int:
    """The nearest whole degree in [0, 360)."""
    return round(heading) % 360


def signed_turn(facing: int, heading: int) -> int:
    """The angle from `facing` to `heading` in (-180, 180], clockwise positive."""
    angle = (heading - facing) % 360
    return angle if angle <= 180 else angle - 360


def read_action(text: str, rule: TurnRule) -> Action:
    """The action that a text names: its case, spaces and quotes do not matter.

    Under `degrees` any whole number from -360 to 360 is taken to the nearest word.
    Raises NotAnAction, or NotAllowed for an action of another rule.
    """
    known = _CANONICAL[rule.rule].get(text)
    if known is not None:
        return known
    if len(text) > _MAX_ACTION_CHARS:
        raise NotAnAction(f"an action must have at most {_MAX_ACTION_CHARS} characters")
    match = _CALL.fullmatch(text.strip().casefold())
    if match is None:
        raise NotAnAction("an action must be forward(), stop() or turn_direction(x)")
    name, argument = match["name"], (match["argument"] or "").rpartition("=")[2].strip(" \t\"'`")
    if name in ("forward", "stop") and not argument:
        return Action(f"{name}()")
    if name not in ("turn_direction", "turndirection", "turn") or not argument:
        raise NotAnAction("an action must be forward(), stop() or turn_direction(x)")
    word = _word(argument, rule)
    if word is None:
        raise NotAllowed(f"x must be one of {', '.join(rule.words)}")
    return _CANONICAL[rule.rule][turn(word)]


def spelt_action(typed: str, rule: TurnRule) -> str:
    """The action that a person's shorthand means (`forward`, `north`), else the text itself.

    A direction of another rule becomes that rule's action, to be judged as such.
    """
    for each in (rule, *TURN_RULES.values()):
        for tried in (typed, turn(typed)):
            with suppress(NotAnAction, NotAllowed):
                return read_action(tried, each).canonical
    return typed


_CALL = re.compile(r"(?P<name>[a-z_]+)\s*(?:\((?P<argument>[^()]*)\))?\s*[.;]?")
_NOT_A_LETTER = re.compile(r"[^a-z]+")
_NUMBER = re.compile(r"([+-]?[0-9]{1,3})\s*(?:(?P<degrees>°|degrees|deg)|(?P<clock>o'?clock))?")


def _word(argument: str, rule: TurnRule) -> str | None:
    """The word of the rule that an argument names, None if there is none."""
    number = _NUMBER.fullmatch(argument)
    if number is None:
        return rule.spelt.get(_NOT_A_LETTER.sub("", argument))
    if number.lastgroup not in (None, rule.rule.value):  # "3 o'clock" is no heading of 3 degrees
        return None
    value = int(number[1])
    if rule.rule is Rule.clock:
        return str(value) if 1 <= value <= 12 else None
    if rule.rule is Rule.degrees:
        return rule.table[value % 360] if abs(value) <= 360 else None
    return None


def _turn_rule(
    rule: Rule, frame: Frame, words: tuple[str, ...], table: list[str], aims: list[int]
) -> TurnRule:
    return TurnRule(
        rule=rule,
        frame=frame,
        words=words,
        table=tuple(table),
        aims=dict(zip(words, aims, strict=True)),
        spelt={word.replace(" ", ""): word for word in words if not word.isdigit()},
    )


def _relative_word(turned: int) -> str:
    """The study's sectors of the angle, after wrapping: [-45, 0] is slightly left."""
    angle = signed_turn(0, turned)
    if angle < -45:
        return "left"
    if angle > 45:
        return "right"
    return "slightly left" if angle <= 0 else "slightly right"


_HOURS = tuple(str(hour) for hour in range(1, 13))
_FIFTEENS = tuple(str(degree) for degree in range(0, 360, 15))

TURN_RULES: dict[Rule, TurnRule] = {
    rule.rule: rule
    for rule in (
        _turn_rule(
            Rule.absolute,
            Frame.absolute,
            COMPASS,
            [COMPASS[(2 * degree + 45) // 90 % 8] for degree in range(360)],
            list(range(0, 360, 45)),
        ),
        _turn_rule(
            Rule.relative,
            Frame.relative,
            ("left", "slightly left", "slightly right", "right"),
            [_relative_word(degree) for degree in range(360)],
            [270, 338, 22, 90],
        ),
        _turn_rule(
            Rule.clock,
            Frame.relative,
            _HOURS,
            [_HOURS[((degree + 15) // 30 - 1) % 12] for degree in range(360)],
            [30 * hour % 360 for hour in range(1, 13)],
        ),
        _turn_rule(
            Rule.degrees,
            Frame.absolute,
            _FIFTEENS,
            [_FIFTEENS[(2 * degree + 15) // 30 % 24] for degree in range(360)],
            list(range(0, 360, 15)),
        ),
    )
}

_CANONICAL: dict[Rule, dict[str, Action]] = {
    rule: {
        FORWARD: Action(FORWARD),
        STOP: Action(STOP),
        **{turn(word): Action(turn(word), word) for word in turns.words},
    }
    for rule, turns in TURN_RULES.items()
}
