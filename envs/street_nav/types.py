"""What a street world is made of, for everything that walks in it: routes, waypoints, worlds.

Positions are metres in a plane, x to the east and y to the north. Headings and bearings are compass
degrees in [0, 360): 0 north, 90 east. Nodes are integers that a world gives to its panoramas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np


class WaypointKind(str, Enum):
    start = "start"
    passing = "passing"  # on the way along a leg
    turn = "turn"  # a leg ends and the next begins
    goal = "goal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A landmark that can be seen from a node.

    bearing: compass direction from the node to the landmark's sign.
    """

    name: str
    bearing: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waypoint:
    """One place of a route.

    heading: of the way on to the next waypoint; at the goal, the heading of arrival.
    arrival: heading of arrival here where streets bend on the way from the waypoint before; None
        where it is that waypoint's heading (straight legs, the start).
    intersection: at least three streets meet here.
    sight: the landmark that the route description names here, or None.
    """

    node: int
    kind: WaypointKind
    heading: float
    intersection: bool
    sight: Sight | None = None
    arrival: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A walk with a fixed end, before any rule or wording.

    id: canonical, of the world and the path: equal for equal paths, in any process.
    init_heading: where the agent looks at the start.
    waypoints: at least two; the first is the start, the last the goal; turns in between end legs.
    """

    id: str
    init_heading: float
    destination: str
    waypoints: tuple[Waypoint, ...]

    @property
    def num_turns(self) -> int:
        return sum(waypoint.kind is WaypointKind.turn for waypoint in self.waypoints)


class World(Protocol):
    """A place to walk in: a procedural city or real data. Safe to share between environments."""

    key: str  # canonical: equal keys mean equal nodes, routes and (per look) pixels

    def deal(self, rng: np.random.Generator, split: str) -> Route:
        """A route of split "train", "eval" or "all"; the same generator state, the same route."""
        ...

    def position(self, node: int) -> tuple[float, float]:
        """(x, y) in metres."""
        ...

    def exits(self, node: int) -> Mapping[int, float]:
        """Neighbouring nodes that can be walked to, with the heading to each."""
        ...

    def sights(self, node: int) -> tuple[Sight, ...]:
        """Every landmark that can be seen from a node."""
        ...

    def panorama(self, node: int) -> np.ndarray:
        """Equirectangular uint8 [H, W, 3], read-only; column 0 looks north, columns run clockwise.

        The horizon is at the middle row; H may cover less than the full sphere (square pixels:
        360 / W degrees each).
        """
        ...
