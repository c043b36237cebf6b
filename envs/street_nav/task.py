"""A route as a task: the sentences of its description, and on the rail the right action anywhere.

On the rail every waypoint asks for one action, and the right one leads on to the next waypoint: at
the start and at turn points a turn, which goes on in the new direction; at passing points
`forward()`; at the goal `stop()`.
"""

from bisect import bisect_right
from itertools import pairwise
from typing import NamedTuple

from ..settings import PromptStyle
from .actions import FORWARD, STOP, turn, whole_degrees
from .types import Route, Sight, WaypointKind
from .wording import Voice

ORDINALS = ("next", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


class Scene(NamedTuple):  # and not a dataclass: dozens are made at every reset
    """What there is to perceive at a place; the observation says it, or the picture shows it.

    facing: whole degrees. sights: landmarks, the one that the description names first.
    ways: headings of the streets that lead on, in free movement; else empty.
    """

    node: int
    facing: int
    intersection: bool
    sights: tuple[Sight, ...] = ()
    ways: tuple[int, ...] = ()


class Place(NamedTuple):
    """One place of the rail: what is seen, the right action, the sentence in force (from 1)."""

    scene: Scene
    action: str
    instruction: int


class Description:
    """A route in words, and on the rail the only right action at each of its places.

    sentences: two for each leg, without their numbers.
    """

    def __init__(self, route: Route, voice: Voice) -> None:
        self._route, self._voice = route, voice
        self._facings = facings(route)
        kinds = [waypoint.kind for waypoint in route.waypoints]
        self._ends = [i for i, kind in enumerate(kinds) if kind is not WaypointKind.passing]
        self.sentences: list[str] = []
        for first, last in pairwise(self._ends):
            self.sentences.append(self._turn_sentence(first))
            self.sentences.append(self._forward_sentence(first, last))

    def place(self, index: int) -> Place:
        """What is seen and right at a waypoint of the rail."""
        waypoint, facing = self._route.waypoints[index], self._facings[index]
        kind, sight = waypoint.kind, waypoint.sight
        sights = () if sight is None else (sight,)
        scene = Scene(waypoint.node, facing, waypoint.intersection, sights)
        leg = bisect_right(self._ends, index)  # that begins here or goes on; counted from 1
        if kind is WaypointKind.passing:
            return Place(scene, FORWARD, 2 * leg)
        if kind is WaypointKind.goal:
            return Place(scene, STOP, 2 * (leg - 1))
        action = turn(self._voice.turns.word(facing, whole_degrees(waypoint.heading)))
        return Place(scene, action, 2 * leg - 1)

    def _turn_sentence(self, index: int) -> str:
        """At the beginning of a leg."""
        heading = whole_degrees(self._route.waypoints[index].heading)
        said = self._voice.turn(self._facings[index], heading)
        if self._voice.style is PromptStyle.compact:
            return f"turn {said}"
        return f"Turn {said}." if index else f"First, turn {said}."

    def _forward_sentence(self, first: int, last: int) -> str:
        """Along a leg between two waypoints, to its end."""
        route, voice = self._route, self._voice
        end = route.waypoints[last]
        crossed = sum([waypoint.intersection for waypoint in route.waypoints[first + 1 : last]])
        is_goal = end.kind is WaypointKind.goal
        side = None if end.sight is None else voice.side(self._facings[last], end.sight)
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


def facings(route: Route) -> list[int]:
    """Where one looks who has just come to each waypoint, in whole degrees.

    At passing points along the way on, at turn points and the goal in the direction of arrival.
    """
    found = [whole_degrees(route.init_heading)]
    before = route.waypoints[0]
    for waypoint in route.waypoints[1:]:
        looks = before.heading if waypoint.arrival is None else waypoint.arrival
        if waypoint.kind is WaypointKind.passing:
            looks = waypoint.heading
        found.append(whole_degrees(looks))
        before = waypoint
    return found
