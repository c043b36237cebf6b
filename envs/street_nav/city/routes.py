"""Walks through a city: where they may turn, what names each turn, how they are drawn.

A route follows stretches of street from junction to junction and meets no junction twice. At every
turn the description names a landmark that is clearly seen there, at the end the destination, which
is not seen from the last turn. A turn is told apart from every other way on by the compass name and
by the relative name of its direction.

A route's id is the sequence of its junctions, hashed with the city's key; a route and its reverse
belong to the same split. Departure from the study: there the same routes serve training and
evaluation, and a leg never crosses a street; here it may (`max_crossings`).
"""

import hashlib
import math
from collections.abc import Iterable
from itertools import compress

import numpy as np

from ..types import Route, Sight, Waypoint, WaypointKind
from .config import RouteConfig
from .network import StreetNetwork
from .scene import City
from .walks import Walk, Ways

SPLITS = ("train", "eval", "all")
_BEND_DEG = 20.0  # a street that has bent by this much since the last waypoint gets another
_MIN_FACING_OFF_DEG = 10  # at the start, from the first leg's direction, and from its opposite
_LEAST_SHARE = 0.4  # of the largest sign in view, for one that is asked about
_MAX_ROUNDS = 40
_WORTH_A_ROUND = 8  # new routes; with fewer, nearly all are found


class RouteBook:
    """All routes of a city under one configuration."""

    def __init__(self, city: City, network: StreetNetwork, config: RouteConfig) -> None:
        self.city, self.network, self.config = city, network, config
        self.key = f"{city.key}-routes-{_number(str(config)):016x}"
        self._places: list[list[float]] = city.node_xy.tolist()
        self._legs_made: dict[tuple[tuple[int, ...], int], list[tuple[Waypoint, bool]]] = {}
        self._seen = _seen_by_node(city)
        self._ways = Ways(network, _asked_by_node(city), self._seen, config)

    def draw(self, split: str) -> "RoutePool":
        """The pool of a split, the same in any process.

        Raises ValueError for an unknown split, and where the city holds no such route.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
        config = self.config
        counts = range(config.min_turns, config.max_turns + 1)
        found: dict[int, dict[tuple[int, ...], Walk]] = {count: {} for count in counts}
        rng = np.random.default_rng(_number(f"{self.city.key} {config} {split}"))
        for _ in range(_MAX_ROUNDS):
            open_ = [count for count, pool in found.items() if len(pool) < config.pool_size]
            if not open_:
                break
            before = sum(len(found[count]) for count in open_)
            for path, turned in self._ways.draw(rng, set(open_), config):
                pool = found[sum(turned) - 1]
                junctions = self.junctions(path)
                if junctions in pool or len(pool) >= config.pool_size:
                    continue
                if split == "all" or self.is_held_out(junctions) == (split == "eval"):
                    pool[junctions] = self._ways.finish(rng, path, turned)
            if sum(len(found[count]) for count in open_) - before < _WORTH_A_ROUND:
                break
        pools = [
            [(self.id_of(junctions), walk) for junctions, walk in pool.items()]
            for pool in found.values()
            if pool
        ]
        if not pools:
            raise ValueError(
                f"min_turns and max_turns must fit the city: no route of {config.min_turns} to "
                f"{config.max_turns} turns in split {split}"
            )
        return RoutePool(self, pools)

    def junctions(self, stretches: tuple[int, ...]) -> tuple[int, ...]:
        """The junctions of the streets walked, both ends included: what identifies a route."""
        walked = [self.network.stretches[index].nodes for index in stretches]
        return (walked[0][0], *[nodes[-1] for nodes in walked])

    def id_of(self, junctions: Iterable[int]) -> str:
        """Canonical, of the city and the way through it."""
        text = f"{self.city.key} {' '.join(map(str, junctions))}"
        return f"{self.city.key}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def is_held_out(self, junctions: tuple[int, ...]) -> bool:
        """Whether a route belongs to the evaluation split; its reverse then does too."""
        canonical = min(junctions, junctions[::-1])
        text = f"{self.config.salt} {self.city.key} {' '.join(map(str, canonical))}"
        return _number(text) / 2**64 < self.config.held_out_fraction

    def sights(self, node: int) -> dict[int, float]:
        """Landmarks seen from a node with their bearings, the most prominent first."""
        return self._seen[node]

    def waypoints(self, walk: Walk) -> list[tuple[Waypoint, bool]]:
        """All waypoints of a walk, and which of them may be left out."""
        legs = self._legs(walk)
        made: list[tuple[Waypoint, bool]] = []
        sight: int | None = None
        arrival: float | None = None
        for number, (leg, following) in enumerate(zip(legs, walk.sights, strict=True)):
            headings = self.network.headings(tuple(leg))
            kind = WaypointKind.turn if number else WaypointKind.start
            made.append((self._waypoint(leg[0], kind, headings[0], sight, arrival), False))
            made += self._passing(tuple(leg), headings, following)
            sight, arrival = following, headings[-1]
        goal = self._waypoint(legs[-1][-1], WaypointKind.goal, headings[-1], sight, arrival)
        return [*made, (goal, False)]

    def _legs(self, walk: Walk) -> list[list[int]]:
        """Nodes from the start or a turn to the next turn or the goal, ends included."""
        legs: list[list[int]] = []
        for index, turned in zip(walk.stretches, walk.turned, strict=True):
            nodes = list(self.network.stretches[index].nodes)
            if turned:
                legs.append(nodes)
            else:
                legs[-1] += nodes[1:]
        behind = len(self.network.stretches[walk.stretches[-1]].nodes) - walk.goal - 1
        legs[-1] = legs[-1][: len(legs[-1]) - behind]
        legs[0] = legs[0][walk.start :]
        return legs

    def _passing(
        self, leg: tuple[int, ...], headings: list[float], ahead: int
    ) -> list[tuple[Waypoint, bool]]:
        """Crossed junctions, bends, and places from which the leg's end is not yet in sight."""
        known = self._legs_made.get((leg, ahead))
        if known is not None:
            return known
        made: list[tuple[Waypoint, bool]] = []
        faced = headings[0]
        for node, arrival, heading in zip(leg[1:-1], headings, headings[1:], strict=False):
            waypoint = self._waypoint(node, WaypointKind.passing, heading, None, arrival)
            bent = abs(180.0 - (180.0 - heading + faced) % 360.0) > _BEND_DEG
            if bent or self.network.is_junction[node]:
                faced = heading
                made.append((waypoint, False))
            elif ahead not in self._seen[node] and self._is_amid(node, leg):
                made.append((waypoint, True))
        self._legs_made[leg, ahead] = made
        return made

    def _is_amid(self, node: int, leg: tuple[int, ...]) -> bool:
        """Whether a node keeps its distance from both ends of a leg."""
        places, clearance = self._places, self.config.clearance_m
        return all(math.dist(places[node], places[leg[end]]) > clearance for end in (0, -1))

    def _waypoint(
        self,
        node: int,
        kind: WaypointKind,
        heading: float,
        landmark: int | None,
        arrival: float | None,
    ) -> Waypoint:
        sight = None
        if landmark is not None:
            name = self.city.landmark_names[landmark]
            sight = Sight(name=name, bearing=self._seen[node][landmark])
        return Waypoint(
            node=node,
            kind=kind,
            heading=heading,
            intersection=self.network.is_junction[node],
            sight=sight,
            arrival=arrival,
        )


class RoutePool:
    """Routes of one split by their number of turns, ready to be dealt.

    Their waypoints are made when they are first dealt, and kept.
    """

    def __init__(self, book: RouteBook, pools: list[list[tuple[str, Walk]]]) -> None:
        self._book, self._pools = book, pools
        self._made: dict[tuple[int, int], tuple[list[Waypoint], np.ndarray]] = {}

    def __len__(self) -> int:
        return sum(len(pool) for pool in self._pools)

    def ids(self) -> list[str]:
        """Of every route, sorted."""
        return sorted(route_id for pool in self._pools for route_id, _ in pool)

    def walks(self) -> list[Walk]:
        return [walk for pool in self._pools for _, walk in pool]

    def deal(self, rng: np.random.Generator) -> Route:
        """A route: its number of turns uniform, then one of that number uniform."""
        draws = rng.random(4).tolist()
        group = int(draws[0] * len(self._pools))
        index = int(draws[1] * len(self._pools[group]))
        route_id, walk = self._pools[group][index]
        kept = self._made.get((group, index))
        if kept is None:
            made = self._book.waypoints(walk)
            kept = [waypoint for waypoint, _ in made], np.array([not free for _, free in made])
            self._made[group, index] = kept
        waypoints, fixed = kept
        stays = fixed | (rng.random(len(fixed)) >= self._book.config.drop_rate)
        off = _MIN_FACING_OFF_DEG + int(draws[2] * (181 - 2 * _MIN_FACING_OFF_DEG))
        off = off if draws[3] < 0.5 else -off
        return Route(
            id=route_id,
            init_heading=(round(waypoints[0].heading) + off) % 360.0,
            destination=self._book.city.landmark_names[walk.sights[-1]],
            waypoints=tuple(compress(waypoints, stays.tolist())),
        )


def _seen_by_node(city: City) -> list[dict[int, float]]:
    """By node, the bearing of every landmark that is seen, the most prominent first."""
    seen: list[dict[int, float]] = [{} for _ in range(city.num_nodes)]
    for node, landmark, bearing in zip(
        city.sight_node.tolist(),
        city.sight_landmark.tolist(),
        city.sight_bearing.tolist(),
        strict=True,
    ):
        seen[node][landmark] = bearing
    return seen


def _asked_by_node(city: City) -> list[dict[int, float]]:
    """By node, the size (square degrees) of every sign that may be asked about there.

    It is clearly seen, and not much smaller than the largest one that is.
    """
    asked: list[dict[int, float]] = [{} for _ in range(city.num_nodes)]
    area = city.sight_width * city.sight_height
    largest = np.zeros(city.num_nodes)
    np.maximum.at(largest, city.sight_node, np.where(city.sight_clear, area, 0.0))
    fit = city.sight_clear & (area >= _LEAST_SHARE * largest[city.sight_node])
    for row in np.flatnonzero(fit):
        node, landmark = int(city.sight_node[row]), int(city.sight_landmark[row])
        asked[node][landmark] = float(area[row])
    return asked


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
