"""A route as a task: the sentences of its description, and on the rail the right action anywhere.

On the rail every waypoint asks for one action, and the right one leads on to the next waypoint: at
the start and at turn points a turn, which goes on in the new direction; at passing points
`forward()`; at the goal `stop()`.
"""

from dataclasses import dataclass
from itertools import pairwise

from ..settings import PromptStyle
from .actions import FORWARD, STOP, turn, whole_degrees
from .types import Route, Sight, WaypointKind
from .wording import Voice

ORDINALS = ("next", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to perceive at a place; the observation says it, or the picture shows it.

    facing: whole degrees. sights: landmarks, the one that the description names first.
    ways: headings of the streets that lead on, in free movement; else empty.
    """

    node: int
    facing: int
    intersection: bool
    sights: tuple[Sight, ...] = ()
    ways: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """One place of the rail: what is seen, the right action, the sentence in force (from 1)."""

    scene: Scene
    action: str
    instruction: int


def describe(route: Route, voice: Voice) -> list[str]:
    """The sentences of a route description, two for each leg, without their numbers."""
    sentences: list[str] = []
    kinds = [waypoint.kind for waypoint in route.waypoints]
    ends = [index for index, kind in enumerate(kinds) if kind is not WaypointKind.passing]
    for first, last in pairwise(ends):
        sentences.append(_turn_sentence(voice, route, first))
        sentences.append(_forward_sentence(voice, route, first, last))
    return sentences


def rail(route: Route, voice: Voice) -> tuple[Place, ...]:
    """The places of a route in order, with the only right action at each."""
    places: list[Place] = []
    leg = 0
    waypoints = route.waypoints
    for index, waypoint in enumerate(waypoints):
        facing = facing_at(route, index)
        if waypoint.kind is WaypointKind.passing:
            action, instruction = FORWARD, 2 * leg
        elif waypoint.kind is WaypointKind.goal:
            action, instruction = STOP, 2 * leg
        else:
            word = voice.turns.word(facing, whole_degrees(waypoint.heading))
            action, instruction = turn(word), 2 * leg + 1
            leg += 1
        sights = () if waypoint.sight is None else (waypoint.sight,)
        scene = Scene(waypoint.node, facing, waypoint.intersection, sights)
        places.append(Place(scene, action, instruction))
    return tuple(places)


def facing_at(route: Route, index: int) -> int:
    """Where one looks who has just come to a waypoint, in whole degrees.

    At passing points along the way on, at turn points and the goal in the direction of arrival.
    """
    if index == 0:
        return whole_degrees(route.init_heading)
    waypoint = route.waypoints[index]
    if waypoint.kind is WaypointKind.passing:
        return whole_degrees(waypoint.heading)
    if waypoint.arrival is not None:
        return whole_degrees(waypoint.arrival)
    return whole_degrees(route.waypoints[index - 1].heading)


def _turn_sentence(voice: Voice, route: Route, index: int) -> str:
    """At the beginning of a leg."""
    heading = whole_degrees(route.waypoints[index].heading)
    said = voice.turn(facing_at(route, index), heading)
    if voice.style is PromptStyle.compact:
        return f"turn {said}"
    return f"Turn {said}." if index else f"First, turn {said}."


def _forward_sentence(voice: Voice, route: Route, first: int, last: int) -> str:
    """Along a leg between two waypoints, to its end."""
    end = route.waypoints[last]
    crossed = sum(waypoint.intersection for waypoint in route.waypoints[first + 1 : last])
    is_goal = end.kind is WaypointKind.goal
    side = None if end.sight is None else voice.side(facing_at(route, last), end.sight)
    if voice.style is PromptStyle.compact:
        words = ["goal"] if is_goal else [str(crossed + 1)] if crossed else []
        if end.sight is not None:
            words.append(f"{end.sight.name} {side}")
        return " ".join(["until", *words])
    where = "" if end.sight is None else f" where {end.sight.name} is {side}"
    if not is_goal:
        which = ORDINALS[min(crossed, len(ORDINALS) - 1)]
        return f"Move forward until you reach the {which} intersection{where}."
    named = "" if where else f", {route.destination}"
    return f"Move forward until you reach the destination{where}{named}."
