"""A chessboard of streets that implements `World`, small enough to reason about in tests."""

from collections.abc import Mapping

import numpy as np
from cardinal_gym.envs.street_nav.types import Route, Sight, Waypoint, WaypointKind

BLOCK = 4  # nodes from one intersection to the next
STEP_M = 12.0
AHEAD = {0: (0, 1), 90: (1, 0), 180: (0, -1), 270: (-1, 0)}
NAMES = ("Amber", "Blue", "Coral", "Dune", "Echo", "Fern", "Gull", "Hazel", "Iris", "Jade")
KINDS = ("Cafe", "Bank", "Hotel", "Books", "Museum", "Bakery")


class GridWorld:
    """`blocks` x `blocks` blocks; a landmark stands at the north-east corner of each crossing."""

    def __init__(self, blocks: int = 5, *, tint: int = 0, slant: float = 0.0) -> None:
        self.key = f"grid-{blocks}-{slant:g}"
        self.slant = slant
        self._side = blocks * BLOCK + 1
        self._blocks = blocks
        self._tint = tint

    def deal(self, rng: np.random.Generator, split: str) -> Route:
        while True:
            route = self._walk(rng)
            held_out = sum(map(ord, route.id)) % 2 == 1
            if split == "all" or held_out == (split == "eval"):
                return route

    def position(self, node: int) -> tuple[float, float]:
        column, row = divmod(node, self._side)
        angle = np.deg2rad(self.slant)
        east, north = column * STEP_M, row * STEP_M
        return (
            float(east * np.cos(angle) + north * np.sin(angle)),
            float(-east * np.sin(angle) + north * np.cos(angle)),
        )

    def exits(self, node: int) -> Mapping[int, float]:
        column, row = divmod(node, self._side)
        found = {}
        for heading, (dx, dy) in AHEAD.items():
            on_street = (row if dx else column) % BLOCK == 0
            x, y = column + dx, row + dy
            if on_street and 0 <= x < self._side and 0 <= y < self._side:
                found[x * self._side + y] = (heading + self.slant) % 360
        return found

    def sights(self, node: int) -> tuple[Sight, ...]:
        column, row = divmod(node, self._side)
        if column % BLOCK or row % BLOCK:
            return ()
        return (Sight(name=self.name_at(node), bearing=(45.0 + self.slant) % 360),)

    def name_at(self, node: int) -> str:
        column, row = divmod(node, self._side)
        index = column // BLOCK * (self._blocks + 1) + row // BLOCK
        return f"{NAMES[index % len(NAMES)]} {KINDS[index // len(NAMES) % len(KINDS)]}"

    def panorama(self, node: int) -> np.ndarray:
        """Columns coloured by their heading, rows by height; the node and tint set the blue."""
        heading = np.arange(256, dtype=np.uint8)[None, :].repeat(96, axis=0)
        height = np.arange(96, dtype=np.uint8)[:, None].repeat(256, axis=1)
        blue = np.full_like(heading, (node * 7 + self._tint) % 256)
        picture = np.stack([heading, height, blue], axis=-1)
        picture.setflags(write=False)
        return picture

    def _walk(self, rng: np.random.Generator) -> Route:
        """Start in the middle of a street, turn at every corner, end in the middle of a street."""
        column = int(rng.integers(1, self._blocks)) * BLOCK
        row = int(rng.integers(1, self._blocks)) * BLOCK + BLOCK // 2
        heading = 180 if row > self._side // 2 else 0
        x, y = column, row
        places: list[tuple[int, WaypointKind, int]] = [
            (x * self._side + y, WaypointKind.start, heading)
        ]
        for _ in range(int(rng.integers(2, 5))):
            while True:  # on to the next corner
                dx, dy = AHEAD[heading]
                x, y = x + dx, y + dy
                if x % BLOCK == 0 and y % BLOCK == 0:
                    break
                places.append((x * self._side + y, WaypointKind.passing, heading))
            turns = [h for h in ((heading + 90) % 360, (heading - 90) % 360) if self._fits(x, y, h)]
            heading = turns[int(rng.integers(len(turns)))]
            places.append((x * self._side + y, WaypointKind.turn, heading))
        dx, dy = AHEAD[heading]
        places.append(((x + dx) * self._side + y + dy, WaypointKind.passing, heading))
        goal = (x + 2 * dx) * self._side + y + 2 * dy
        places.append((goal, WaypointKind.goal, heading))
        return self._route(places, int(rng.integers(360)))

    def _fits(self, x: int, y: int, heading: int) -> bool:
        dx, dy = AHEAD[heading]
        x, y = x + dx * BLOCK, y + dy * BLOCK
        return 0 <= x < self._side and 0 <= y < self._side

    def _route(self, places: list[tuple[int, WaypointKind, int]], init_heading: int) -> Route:
        waypoints = []
        for node, kind, heading in places:
            sight = None
            if kind is WaypointKind.turn:
                (sight,) = self.sights(node)
            elif kind is WaypointKind.goal:
                bearing = (heading + 270 + self.slant) % 360
                sight = Sight(name="Station", bearing=bearing)
            waypoints.append(
                Waypoint(
                    node=node,
                    kind=kind,
                    heading=(heading + self.slant) % 360,
                    intersection=len(self.exits(node)) >= 3,
                    sight=sight,
                )
            )
        return Route(
            id="-".join(str(node) for node, _, _ in places),
            init_heading=float(init_heading),
            destination="Station",
            waypoints=tuple(waypoints),
        )
