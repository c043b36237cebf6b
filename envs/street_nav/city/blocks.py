"""Blocks: what stands between the streets, and in the ring around the city.

Each face of the street plan becomes a block with a kerb; most have a building line and lots along
it, the rest are parks and squares. The middle of the city is high, its rim low.
"""

from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from .config import CityConfig
from .faces import Face, polygon_of
from .geometry import Points, area, inradius, rounded
from .lots import CORNER_FRONTS, Lots, divide, shrink
from .scene import GROUND_FLOOR_M, STOREY_M, BlockKind, LotKind

_Name = TypeVar("_Name")

KERB_RADIUS_M = 4.5
PARAPET_M = 0.6
_MIN_BUILT_M = 4.5  # least radius of the largest circle inside a building line
_PARK_M2 = (900.0, 4500.0)
_RING_DEPTH_M = 13.0


# What a block is known for, and the buildings that it then holds.
_MIX: dict[str, dict[LotKind, float]] = {
    "core": {LotKind.tower: 3, LotKind.office: 4, LotKind.shop: 2, LotKind.civic: 0.5},
    "market": {LotKind.shop: 6, LotKind.office: 1.5, LotKind.house: 1.5, LotKind.civic: 0.5},
    "homes": {LotKind.house: 7, LotKind.shop: 2, LotKind.civic: 0.4},
    "works": {LotKind.warehouse: 5, LotKind.shop: 2, LotKind.office: 1},
    "campus": {LotKind.civic: 4, LotKind.shop: 2, LotKind.office: 1},
}
_STOREYS = {
    LotKind.shop: (2, 5),
    LotKind.house: (2, 3),
    LotKind.office: (4, 8),
    LotKind.tower: (9, 16),
    LotKind.civic: (2, 3),
    LotKind.warehouse: (1, 2),
}


@dataclass(frozen=True, slots=True)
class Block:
    """One block.

    kerb_sides, line_sides: kerb and building line by side, float64 [n, 2] each; `line_sides` is
    empty where the block is too small for a building line.
    centre: of the largest circle inside; room: the radius of the one inside the building line.
    """

    kind: BlockKind
    kerb_sides: list[Points]
    line_sides: list[Points]
    centre: Points
    room: float

    @property
    def kerb(self) -> Points:
        """The outline at the road, rounded at the corners, float64 [n, 2]."""
        return rounded(polygon_of(self.kerb_sides), KERB_RADIUS_M)

    @property
    def building_line(self) -> Points:
        return polygon_of(self.line_sides) if self.line_sides else np.zeros((0, 2))


@dataclass(slots=True)
class Buildings:
    """Lots of all blocks as parallel lists, joined by `arrays`."""

    quads: list[np.ndarray] = field(default_factory=list)
    street_sides: list[np.ndarray] = field(default_factory=list)
    block: list[np.ndarray] = field(default_factory=list)
    kind: list[np.ndarray] = field(default_factory=list)
    storeys: list[np.ndarray] = field(default_factory=list)

    def add(self, rng: np.random.Generator, lots: Lots, block: int, character: str) -> None:
        count = len(lots.quads)
        kinds = _draw_kinds(rng, lots, character)
        low, high = (np.array([_STOREYS[LotKind(k)][end] for k in kinds], int) for end in (0, 1))
        storeys = rng.integers(low, high + 1) if count else low
        detached = (kinds == LotKind.house) & (lots.street_sides != CORNER_FRONTS) & (block >= 0)
        self.quads.append(_set_back(rng, lots.quads, detached))
        self.street_sides.append(lots.street_sides)
        self.block.append(np.full(count, block))
        self.kind.append(kinds)
        self.storeys.append(storeys)

    def arrays(self) -> dict[str, np.ndarray]:
        """quads float64 [L, 4, 2]; street_sides, block, kind, storeys int [L]."""
        names = ("quads", "street_sides", "block", "kind", "storeys")
        return {name: np.concatenate(getattr(self, name)) for name in names}


def lay_blocks(rng: np.random.Generator, faces: list[Face], config: CityConfig) -> list[Block]:
    """A block per face, with the parks chosen."""
    blocks = [_block(face) for face in faces]
    roomy = [
        k
        for k, block in enumerate(blocks)
        if block.line_sides and _PARK_M2[0] <= area(block.building_line) <= _PARK_M2[1]
    ]
    for k in _spread(rng, [blocks[k].centre for k in roomy], config.num_parks):
        blocks[roomy[k]] = replace(blocks[roomy[k]], kind=BlockKind.park)
    return blocks


def raise_buildings(
    rng: np.random.Generator, blocks: list[Block], outer: Face
) -> dict[str, np.ndarray]:
    """The lots of all built blocks and of the ring around the city; see `Buildings.arrays`."""
    buildings = Buildings()
    reach = max(float(np.linalg.norm(block.centre)) for block in blocks)
    for k, block in enumerate(blocks):
        if block.kind is not BlockKind.built:
            continue
        depth = rng.uniform(11.0, 14.0)
        depth = block.room * 0.98 if block.room - depth < 3.5 else depth
        character = _draw_character(rng, float(np.linalg.norm(block.centre)) / reach)
        lots = divide(rng, block.line_sides, depth, rng.uniform(10.0, 13.0))
        buildings.add(rng, lots, k, character)
    ring = outer.outline(1.0, 1.0)
    assert ring is not None
    lots = divide(rng, ring, _RING_DEPTH_M, 13.0, closed=outer.closed)
    buildings.add(rng, lots, -1, "market")
    return buildings.arrays()


def height_of(storeys: np.ndarray) -> np.ndarray:
    """Metres from the pavement to the top of the parapet."""
    return GROUND_FLOOR_M + (storeys - 1) * STOREY_M + PARAPET_M


def _block(face: Face) -> Block:
    kerb_sides = face.outline(1.0, 0.0)
    assert kerb_sides is not None, "a block without a kerb: streets closer than their width"
    line_sides = face.outline(1.0, 1.0) or []
    if line_sides:
        room, centre = inradius(polygon_of(line_sides))
    if not line_sides or room < _MIN_BUILT_M:
        line_sides, (room, centre) = [], inradius(polygon_of(kerb_sides))
    kind = BlockKind.built if line_sides else BlockKind.plaza
    return Block(kind, kerb_sides, line_sides, centre, room)


def _spread(rng: np.random.Generator, places: list[Points], count: int) -> list[int]:
    """Indices of places far from each other, the first near the middle of the city."""
    if not places or count == 0:
        return []
    points = np.array(places)
    central = np.argsort(np.linalg.norm(points, axis=1), kind="stable")[: max(1, len(points) // 4)]
    chosen = [int(rng.choice(central))]
    while len(chosen) < min(count, len(points)):
        gaps = np.linalg.norm(points[:, None] - points[chosen], axis=2).min(axis=1)
        apart = np.argsort(-gaps, kind="stable")[: max(1, len(points) // 5)]
        chosen.append(int(rng.choice(apart)))
    return sorted(set(chosen))


def _draw_character(rng: np.random.Generator, remoteness: float) -> str:
    """remoteness: 0 in the middle of the city, 1 at its rim."""
    if remoteness < 0.4:
        weights = {"core": 5.0, "market": 3.0, "campus": 1.0}
    elif remoteness < 0.72:
        weights = {"core": 0.7, "market": 5.0, "homes": 2.0, "campus": 1.0, "works": 0.5}
    else:
        weights = {"market": 2.5, "homes": 4.0, "works": 2.0, "campus": 0.7}
    return _pick(rng, weights)


def _draw_kinds(rng: np.random.Generator, lots: Lots, character: str) -> np.ndarray:
    """A LotKind per lot; corners hold what draws customers."""
    mix = _MIX[character]
    kinds = np.array([_pick(rng, mix) for _ in lots.quads], int)
    corner = (lots.street_sides == CORNER_FRONTS) & (kinds == LotKind.house)
    return np.where(corner, int(LotKind.shop), kinds)


def _set_back(rng: np.random.Generator, quads: np.ndarray, detached: np.ndarray) -> np.ndarray:
    """Detached houses stand a little apart and behind a front garden; the rest wall to wall."""
    draws = rng.uniform(0.0, 1.0, (2, len(quads)))
    roomy = np.linalg.norm(quads[:, 1:3] - quads[:, 0:2], axis=2).min(axis=1) > 7.0
    detached = detached & roomy
    front = np.where(detached, 0.5 + 1.5 * draws[0], 0.0)
    sides = np.where(detached & (draws[1] < 0.6), 0.9, 0.0)
    return shrink(quads, front, sides)


def _pick(rng: np.random.Generator, weights: dict[_Name, float]) -> _Name:
    names = list(weights)
    at = rng.random() * sum(weights.values())
    for name in names:
        at -= weights[name]
        if at < 0:
            return name
    return names[-1]
