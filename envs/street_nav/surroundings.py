"""What a map of the surroundings shows, in any world: streets, intersections, landmarks.

It is a map's knowledge, of the place and not of the route: where the agent is and looks, the
streets that lead on, intersections and landmarks within reach. It shows neither the route nor the
destination as such nor an action, and the same place gives the same map on every route. Whoever
knows from the description which landmark to look for learns where it is, as from any map.
"""

import math
from dataclasses import dataclass
from heapq import heappop, heappush

from .actions import COMPASS, whole_degrees
from .types import World
from .wording import octant

MAX_INTERSECTIONS, MAX_LANDMARKS = 3, 6  # told in words, the nearest
MIN_WAYS = 3  # of an intersection
HERE = "here"


@dataclass(frozen=True, slots=True)
class Spot:
    """Something on the map. name: of a landmark; an intersection has none.

    distance_m, direction: of the place, as the crow flies and as one of eight compass names; of a
    landmark the nearest place, on foot, from which it can be seen. `here` at a distance of 0.
    """

    name: str
    distance_m: int
    direction: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """heading: where the agent looks. ways: where streets lead on. Nearest first in all lists."""

    heading: str
    ways: tuple[str, ...]
    intersections: tuple[Spot, ...]
    landmarks: tuple[Spot, ...]


def surroundings(world: World, node: int, facing: int, reach_m: float) -> Surroundings:
    """The map of a place, in words."""
    crossings: list[Spot] = []
    seen: dict[str, Spot] = {}
    for place in nodes_within(world, node, reach_m):
        if place != node and len(world.exits(place)) >= MIN_WAYS:
            crossings.append(_spot(world, node, place, ""))
        for sight in world.sights(place):
            seen.setdefault(sight.name, _spot(world, node, place, sight.name))
    headings = sorted(whole_degrees(heading) for heading in world.exits(node).values())
    ways = dict.fromkeys(COMPASS[octant(heading)] for heading in headings)
    return Surroundings(
        heading=COMPASS[octant(facing)],
        ways=tuple(ways),
        intersections=tuple(crossings[:MAX_INTERSECTIONS]),
        landmarks=tuple(list(seen.values())[:MAX_LANDMARKS]),
    )


def nodes_within(world: World, start: int, reach_m: float) -> list[int]:
    """Nodes within reach as the crow flies, in the order in which one comes to them on foot."""
    origin = world.position(start)
    queue, done = [(0.0, start)], dict[int, None]()
    while queue:
        walked, node = heappop(queue)
        if node in done:
            continue
        done[node] = None
        here = world.position(node)
        for neighbour in world.exits(node):
            there = world.position(neighbour)
            if neighbour not in done and math.dist(origin, there) <= reach_m:
                heappush(queue, (walked + math.dist(here, there), neighbour))
    return list(done)


def _spot(world: World, origin: int, place: int, name: str) -> Spot:
    (x, y), (there_x, there_y) = world.position(origin), world.position(place)
    distance = round(math.dist((x, y), (there_x, there_y)))
    if not distance:
        return Spot(name, 0, HERE)
    bearing = math.degrees(math.atan2(there_x - x, there_y - y)) % 360.0
    return Spot(name, distance, COMPASS[octant(whole_degrees(bearing))])
