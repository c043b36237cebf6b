"""Real streets to walk in: the routes and panoramas of a V-IRL data set, as a `World`.

Nodes are panoramas, in the order of their names. Streets are what the routes walk along: two
panoramas are neighbours where they follow each other on some route, so free movement knows the
crossings of routes and no other streets.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..city.config import RouteConfig
from ..types import Route, Sight, Waypoint, WaypointKind
from .dataset import VIEWS, Dataset, read_dataset
from .geodesy import Plane, bearing_deg, distance_m
from .pictures import read_panorama
from .routes import Leg, RailPlace, VirlRoute

_MEMORY_BYTES = 128 * 2**20  # of panoramas that are kept
_SPLITS = ("train", "eval", "all")


class VirlWorld:
    """The sound routes of a folder. Implements `types.World`; safe to share between threads.

    routes: drop_rate and clearance_m thin out the places along a leg; held_out_fraction and salt
    decide which routes are for evaluation.
    """

    def __init__(self, folder: Path, routes: RouteConfig | None = None) -> None:
        """Raises ValueError where there is no data set, or not one sound route in it."""
        self.dataset: Dataset = read_dataset(folder)
        self.config = routes or RouteConfig()
        self.key = self.dataset.key
        if not self.dataset.routes:
            raise ValueError(
                f"data_dir must hold a route without problems; got {self.dataset.num_routes} "
                f"routes in {folder}, each with some: `cardinal data check {folder}` names them"
            )
        self._names = list(self.dataset.panoramas)
        self._nodes = {name: node for node, name in enumerate(self._names)}
        plane = Plane()
        self._positions = [plane.place(place) for place in self.dataset.panoramas.values()]
        self._exits = self._connect()
        self._sights = self._find_sights()
        self._splits = {
            "all": list(self.dataset.routes),
            "eval": [route for route in self.dataset.routes if self._is_held_out(route)],
            "train": [route for route in self.dataset.routes if not self._is_held_out(route)],
        }
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def deal(self, rng: np.random.Generator, split: str) -> Route:
        if split not in _SPLITS:
            raise ValueError(f"split must be one of {', '.join(_SPLITS)}; got {split!r}")
        routes = self._splits[split]
        if not routes:
            raise ValueError(
                f"split {split} must hold a route; held_out_fraction "
                f"{self.config.held_out_fraction:g} leaves none of {len(self.dataset.routes)}"
            )
        chosen = routes[int(rng.integers(len(routes)))]
        drawn = int(rng.integers(360))
        heading = float(drawn) if chosen.init_heading is None else chosen.init_heading
        return Route(
            id=f"{self.key}/{chosen.id}",
            init_heading=heading,
            destination=chosen.destination,
            waypoints=tuple(self._waypoints(chosen, rng)),
        )

    def ids(self, split: str) -> list[str]:
        """Of every route of a split, sorted."""
        return sorted(f"{self.key}/{route.id}" for route in self._splits[split])

    def position(self, node: int) -> tuple[float, float]:
        return self._positions[node]

    def exits(self, node: int) -> Mapping[int, float]:
        return self._exits[node]

    def sights(self, node: int) -> tuple[Sight, ...]:
        return self._sights.get(node, ())

    def panorama(self, node: int) -> np.ndarray:
        """As `types.World` says. Raises ValueError with the file's name for a broken picture."""
        with self._lock:
            kept = self._kept.get(node)
            if kept is None:
                kept = read_panorama(self.dataset.folder / VIEWS, self._names[node])
                self._kept[node] = kept
                size = sum(picture.nbytes for picture in self._kept.values())
                while size > _MEMORY_BYTES and len(self._kept) > 1:
                    size -= self._kept.popitem(last=False)[1].nbytes
            self._kept.move_to_end(node)
            return kept

    def _waypoints(self, route: VirlRoute, rng: np.random.Generator) -> list[Waypoint]:
        made: list[Waypoint] = []
        start = route.start
        kind, sight = WaypointKind.start, None
        for leg in route.legs:
            made.append(self._waypoint(start, kind, leg.heading, sight))
            for place in leg.between:
                clear = min(distance_m(place.geocode, end.geocode) for end in (start, leg.end))
                is_dropped = rng.random() < self.config.drop_rate
                if clear > self.config.clearance_m and not is_dropped:
                    made.append(self._waypoint(place, WaypointKind.passing, leg.heading, None))
            start, kind, sight = leg.end, WaypointKind.turn, _sight(leg)
        made.append(self._waypoint(start, WaypointKind.goal, route.legs[-1].heading, sight))
        return made

    def _waypoint(
        self, place: RailPlace, kind: WaypointKind, heading: float, sight: Sight | None
    ) -> Waypoint:
        return Waypoint(
            node=self._nodes[place.panorama],
            kind=kind,
            heading=heading,
            intersection=kind is WaypointKind.turn,
            sight=sight,
        )

    def _connect(self) -> list[dict[int, float]]:
        exits: list[dict[int, float]] = [{} for _ in self._names]
        geocodes = self.dataset.panoramas
        for route in self.dataset.routes:
            names = [place.panorama for place in route.places]
            for one, other in pairwise(names):
                if one == other:
                    continue
                for here, there in ((one, other), (other, one)):
                    heading = bearing_deg(geocodes[here], geocodes[there])
                    exits[self._nodes[here]][self._nodes[there]] = heading
        return exits

    def _find_sights(self) -> dict[int, tuple[Sight, ...]]:
        found: dict[int, dict[str, Sight]] = {}
        for route in self.dataset.routes:
            for leg in route.legs:
                if (sight := _sight(leg)) is not None:
                    found.setdefault(self._nodes[leg.end.panorama], {})[sight.name] = sight
        return {node: tuple(sights.values()) for node, sights in found.items()}

    def _is_held_out(self, route: VirlRoute) -> bool:
        digest = hashlib.blake2b(f"{self.config.salt}:{route.id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64 < self.config.held_out_fraction


def _sight(leg: Leg) -> Sight | None:
    """The landmark at the end of a leg."""
    if leg.landmark is None:
        return None
    return Sight(name=leg.landmark, bearing=(leg.heading + leg.side) % 360.0)
