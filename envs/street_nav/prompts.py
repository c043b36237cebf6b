"""What street navigation says: the task, the observation, the history, the verifier's feedback.

`study` asks in sentences for the fields of the paper. `compact` says the same in at most about 120
words for tiny policies with a word-level vocabulary:

    rule absolute 1 turn left north 2 until Otter Bank left front 3 turn right east 4 until goal
    Lotus Cafe left did north forward now Otter Bank left front intersection

With a map the task says how often it may be asked (`rule absolute maps 2 ...`), and what it says:

    ... now nothing map heading east ways east west intersection 80 east Otter Bank 60 northeast

In image mode neither says what the picture shows: landmarks, intersections, and the ways on. Where
the wording is `other`, and in free movement, the observation states where the agent looks. In fog
it says that nothing is seen.
Departure from the study's code: the feedback never holds a part of the solution.
"""

from collections.abc import Sequence

from ..settings import Modality, PromptStyle
from .actions import TURN_RULES, Rule
from .answer import FIELDS, AnswerFormat
from .config import Mode, StreetNavConfig
from .judge import StreetNavOutcome
from .surroundings import HERE, Spot, Surroundings
from .task import Scene
from .wording import Voice

VIEWS = "four street views"
FOG = "Nothing can be seen in the fog"


class Script:
    """Speaks for one environment."""

    def __init__(self, config: StreetNavConfig) -> None:
        self.voice = Voice(TURN_RULES[config.rule], config.wording, config.prompt)
        self._is_compact = config.prompt is PromptStyle.compact
        self._is_image = config.modality is Modality.image
        self._is_foggy = config.fog
        self._states_heading = self.voice.states_heading or config.mode is Mode.free
        self._history = config.history
        self._task = self._compact_task(config) if self._is_compact else _study_task(config)
        self._request = "" if self._is_compact else _study_request(config)

    def opening(self, sentences: Sequence[str]) -> str:
        """What stays the same during an episode: the task, and the route description."""
        if self._is_compact:
            numbered = " ".join(f"{n} {said}" for n, said in enumerate(sentences, start=1))
            return f"{self._task} {numbered}"
        numbered = "\n".join(f"{n}. {said}" for n, said in enumerate(sentences, start=1))
        return f"{self._task}\n\nRoute description:\n{numbered}\n\n{self._request}"

    def seen(self, scene: Scene) -> str:
        """What there is to perceive, in the words of `current observation`."""
        if self._is_foggy:
            return "nothing" if self._is_compact else FOG
        voice, facing = self.voice, scene.facing
        if self._is_compact:
            words = [f"{each.name} {voice.side(facing, each)}" for each in scene.sights]
            words += ["intersection"] * scene.intersection
            return " ".join(words) or "nothing"
        sights = [f"{each.name} is {voice.side(facing, each)}" for each in scene.sights]
        said = ", ".join(sights) or "No landmarks nearby"
        return f"{said}; You observe an intersection" if scene.intersection else said

    def shown(self, scene: Scene, seen: str) -> str:
        """The observation at a place; in image mode without what the picture shows."""
        if self._is_foggy:
            return seen
        if self._is_compact:
            words = [] if self._is_image else [seen]
            words += [f"heading {scene.facing}"] * self._states_heading
            if scene.ways and not self._is_image:
                words.append("ways " + " ".join(map(str, scene.ways)))
            return " ".join(words)
        said = f"You see {VIEWS}" if self._is_image else seen
        if self._states_heading:
            said += f"; Your heading is {scene.facing} degrees"
        if scene.ways and not self._is_image:
            said += f"; Streets lead to {', '.join(map(str, scene.ways))} degrees"
        return said

    def quoted(self, number: int, sentences: Sequence[str]) -> str:
        """How `current instruction` names a sentence: compact by its number alone."""
        return str(number) if self._is_compact else f"{number}. {sentences[number - 1]}"

    def step(self, number: int, shown: str, action: str) -> str:
        """One line of the history: an answer that moved the agent, and what it answered to."""
        if self._is_compact:
            return f" {short_action(action)}"
        return f"O_{number}: {shown}\nA_{number}: {action}\n"

    def map_said(self, found: Surroundings | None) -> str:
        """What the map tells; None: it is shown in the picture."""
        if found is None:
            return "map" if self._is_compact else "The map is in the picture, on the right."
        if self._is_compact:
            spots = (
                *(("intersection", spot) for spot in found.intersections),
                *((spot.name, spot) for spot in found.landmarks),
            )
            said = [f"map heading {found.heading} ways", *found.ways]
            return " ".join([*said, *(f"{name} {_place(spot)}" for name, spot in spots)])
        said = [f"you look {found.heading}", f"streets lead {_listed(found.ways)}"]
        if found.intersections:
            places = [f"{spot.distance_m} m {spot.direction}" for spot in found.intersections]
            said.append(f"intersections: {', '.join(places)}")
        said += [f"{spot.name} is in sight {_distance(spot)}" for spot in found.landmarks]
        return f"Map: {'; '.join(said)}."

    def unread_call(self) -> str:
        """Of a map that was asked something else than `here`."""
        return "illegal" if self._is_compact else 'The map can only be asked about "here".'

    def with_calls_left(self, said: str, num_left: int) -> str:
        """What a tool said, as a turn's feedback."""
        return said if self._is_compact else f"{said} Calls left: {num_left}."

    def together(self, *remarks: str) -> str:
        """Remarks beside an observation, as one; those that are empty are left out."""
        return (" " if self._is_compact else "\n").join([each for each in remarks if each])

    def over_budget(self) -> str:
        """The feedback to a call when none is left."""
        if self._is_compact:
            return "missing maps 0"
        return "No calls of the map are left, and this is no action." + _AGAIN

    def text(self, opening: str, past: Sequence[str], shown: str, fault: str = "") -> str:
        """A self-contained observation.

        past: lines made by `step`. fault: the feedback to a wrong answer here, if there was one.
        """
        kept = past if self._history is None else past[max(0, len(past) - self._history) :]
        if self._is_compact:
            did = f" did{''.join(kept)}" if kept else ""
            now = f" now {shown}" if shown else ""
            return f"{opening}{did}{now} {fault}" if fault else f"{opening}{did}{now}"
        now = f"{opening}{''.join(kept)}O_{len(past) + 1}: {shown}"
        return f"{now}\n{fault}" if fault else now

    def update(self, feedback: str, number: int, shown: str) -> str:
        """What a running conversation gains after an answer that moved the agent."""
        if self._is_compact:
            return f"{feedback} now {shown}" if shown else feedback
        return f"{feedback}\nO_{number}: {shown}"

    def feedback(self, outcome: StreetNavOutcome, action: str | None) -> str:
        """The verifier's message; it never says what would have been right.

        action: the wrong action that was answered, None where there was none.
        """
        said = _SAID[outcome]
        if self._is_compact:
            return said[0] if action is None else f"{said[0]} {short_action(action)}"
        return said[1] if action is None else said[1].format(action=action)

    def _compact_task(self, config: StreetNavConfig) -> str:
        free = "free " if config.mode is Mode.free else ""
        maps = f" maps {config.tools.map.budget}" if config.tools.map.budget else ""
        return f"{free}rule {config.rule.value}{maps}"


def legend_text(config: StreetNavConfig) -> str:
    """For a person who plays, whatever the prompt's style: the rule, and what may be typed."""
    words = TURN_RULES[config.rule].words
    walked = (
        "Only the right action moves you on."
        if config.mode is Mode.rail
        else "Every action is carried out; stop at the destination."
    )
    return "\n".join(
        [
            f"Rule {config.rule.value}: x of a turn is {_X[config.rule]}.",
            f"Type forward(), stop() or turn_direction(x), as in turn_direction({words[0]}),",
            f"or in short forward, stop or x alone: {', '.join(words)}.",
            walked,
        ]
    )


def _place(spot: Spot) -> str:
    return f"{spot.distance_m} {spot.direction}" if spot.distance_m else HERE


def _distance(spot: Spot) -> str:
    return f"from {spot.distance_m} m {spot.direction}" if spot.distance_m else "from here"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) or "nowhere"


def short_action(action: str) -> str:
    """`turn_direction(north)` as `north`, `forward()` as `forward`."""
    if action.startswith("turn_direction("):
        return action[len("turn_direction(") : -1]
    return action[:-2]


def _study_task(config: StreetNavConfig) -> str:
    lines = ["You walk through a city and follow a route description, one action at a time."]
    turns_on = " and go that way" if config.mode is Mode.rail else ""
    lines += [
        "",
        "Actions:",
        "forward(): walk on to the next place ahead.",
        f"turn_direction(x): turn in direction x{turns_on}; x is {_X[config.rule]}.",
        "stop(): end the walk, at the destination.",
    ]
    if config.modality is Modality.image:
        lines += ["", _VIEWS]
        if config.views.frames > 1:
            lines.append(
                f"The views of the last {config.views.frames} places stand side by side, the "
                "present ones on the right."
            )
        if config.tools.map.budget:
            lines.append("On the far right there is room for a map, black until you ask for it.")
    return "\n".join(lines)


def _study_request(config: StreetNavConfig) -> str:
    observation, instruction, action = FIELDS
    said = (
        f'{{"{observation}": "the landmark you see, and whether you observe an intersection", '
        f'"{instruction}": "the instruction you are carrying out", '
        f'"{action}": "one of the actions"}}'
    )
    if config.answer is AnswerFormat.tagged:
        ask = "Reason inside <think> and </think>, then answer with a JSON object of this form:"
        said = f"<answer>{said}</answer>"
    else:
        ask = "Answer with a JSON object of this form:"
    calls = config.tools.map.budget
    offered = _MAP.format(times=f"{calls} time{'s' * (calls != 1)}") if calls else ""
    return f"{ask}\n{said}\n{offered}\nYour walk so far:\n"


_WORDS = {rule: ", ".join(turns.words) for rule, turns in TURN_RULES.items()}
_X = {
    Rule.absolute: f"a compass direction, one of {_WORDS[Rule.absolute]}",
    Rule.relative: f"seen from where you look, one of {_WORDS[Rule.relative]}",
    Rule.clock: (
        "an hour from 1 to 12 on a clock face around you: 12 is straight ahead, 3 to your right, "
        "9 to your left"
    ),
    Rule.degrees: (
        "a compass heading in steps of 15 from 0 to 345: 0 is north, 90 east, 180 south, 270 west"
    ),
}
_VIEWS = (
    f"The picture shows {VIEWS} from where you stand: front (top left), right (top right), "
    "back (bottom left), left (bottom right)."
)

_MAP = (
    "\nBefore an answer you may ask for a map of where you are, up to {times} on this walk. To "
    'ask, reply with nothing but {{"map": "here"}}.\n'
)
_AGAIN = " Answer again."
_WRONG = "wrong", "{action} is not the right action here." + _AGAIN
_SAID: dict[StreetNavOutcome, tuple[str, str]] = {
    StreetNavOutcome.correct: ("right", "Correct."),
    StreetNavOutcome.arrived: ("right", "You stopped at the destination."),
    StreetNavOutcome.moved: ("moved", "You walked on."),
    StreetNavOutcome.turned: ("turned", "You turned."),
    StreetNavOutcome.wrong_turn: _WRONG,
    StreetNavOutcome.missed_intersection: _WRONG,
    StreetNavOutcome.needless_turn: _WRONG,
    StreetNavOutcome.premature_stop: _WRONG,
    StreetNavOutcome.overshoot: _WRONG,
    StreetNavOutcome.blocked: ("blocked", "No street leads straight ahead."),
    StreetNavOutcome.illegal_action: ("illegal", "That is not one of the actions." + _AGAIN),
    StreetNavOutcome.unparsable: ("missing", "No action was found in your answer." + _AGAIN),
}
