"""Street furniture: trees, lamps, benches, parked cars, traffic lights, and what stands in parks.

Whatever is tall enough to hide a sign keeps out of the view of clear sights.
"""

from dataclasses import dataclass

import numpy as np

from .blocks import Block
from .config import CityConfig
from .geometry import (
    Points,
    arc_lengths,
    at_lengths,
    distance_to_segments,
    heading_of,
    inside,
    offset_curve,
    tangents_at,
    unit_of,
)
from .scene import BlockKind, FurnitureKind, StreetClass
from .streets import StreetPlan

_FROM_CORNER_M = {True: 9.0, False: 5.5}  # cars, the rest: distance from the ends of a kerb
_SLOT_M = 6.2
_KERB_TO_TREE_M = 0.95
_KERB_TO_CAR_M = 1.15
_CAR_SHARE, _LEAFY_SHARE, _TREE_SHARE = 0.34, 0.65, 0.62
_SMALL = {
    FurnitureKind.bench: 0.1,
    FurnitureKind.bin: 0.12,
    FurnitureKind.hydrant: 0.07,
    FurnitureKind.mailbox: 0.05,
    FurnitureKind.planter: 0.08,
}
_PARK_TREE_M2 = 75.0  # of park for every tree
_CROSSING_GAP_M = 3.2  # from the corner of two kerbs to the middle of a zebra crossing


@dataclass(slots=True)
class Furniture:
    """kind, xy, heading: [F], [F, 2], [F]."""

    kind: np.ndarray
    xy: np.ndarray
    heading: np.ndarray

    def take(self, index: np.ndarray) -> "Furniture":
        return Furniture(self.kind[index], self.xy[index], self.heading[index])


class _Collector:
    def __init__(self) -> None:
        self.parts: list[Furniture] = []

    def add(self, kind: FurnitureKind, xy: np.ndarray, heading: np.ndarray) -> None:
        self.parts.append(Furniture(np.full(len(xy), int(kind)), xy, heading))

    def all(self) -> Furniture:
        return Furniture(
            np.concatenate([part.kind for part in self.parts]),
            np.concatenate([part.xy for part in self.parts]),
            np.concatenate([part.heading for part in self.parts]),
        )


def place_furniture(
    rng: np.random.Generator,
    config: CityConfig,
    plan: StreetPlan,
    blocks: list[Block],
    outer_kerb: list[Points],
    lots: dict[str, np.ndarray],
    crossings: np.ndarray,
) -> tuple[Furniture, list[Points]]:
    """All furniture, and the paths of the parks."""
    found, paths = _Collector(), []
    for kerbs in (*(block.kerb_sides for block in blocks), outer_kerb):
        for side in kerbs:
            _along_kerb(rng, config, side, found)
    for index, block in enumerate(blocks):
        if block.kind is BlockKind.park:
            paths += _park(rng, block, found)
        elif block.kind is BlockKind.plaza:
            _square(block, found)
        else:
            _yard(rng, block, lots["quads"][lots["block"] == index], found)
    _signals(plan, crossings, found)
    return found.all(), paths


def zebra_crossings(plan: StreetPlan) -> np.ndarray:
    """Centre x, y, heading of the street that is crossed, width: float64 [C, 4].

    The heading points away from the junction.
    """
    crossings = []
    for junction, ways in _ways(plan).items():
        headings = np.array([way[0] for way in ways])
        for k, (heading, street, curve) in enumerate(ways):
            own = plan.half_width(street)
            reach = 0.0
            for other in range(len(ways)):
                apart = np.radians((headings[other] - heading) % 360.0)
                if other != k and np.sin(apart) ** 2 > 0.1:
                    corner = plan.half_width(ways[other][1]) + own * np.cos(apart)
                    reach = max(reach, corner / abs(np.sin(apart)))
            at = np.array([reach + _CROSSING_GAP_M])
            if at[0] < 0.42 * arc_lengths(curve)[-1]:
                towards = float(heading_of(tangents_at(curve, at))[0])
                crossings.append([*at_lengths(curve, at)[0], towards, 2 * own, junction, street])
    return np.array(crossings).reshape(-1, 6)


def _ways(plan: StreetPlan) -> dict[int, list[tuple[float, int, Points]]]:
    """By junction: heading, street and curve of each way out of it."""
    ways: dict[int, list[tuple[float, int, Points]]] = {}
    for segment in plan.segments:
        for end, curve in ((segment.a, segment.curve), (segment.b, segment.curve[::-1])):
            heading = float(heading_of(curve[1] - curve[0]))
            ways.setdefault(end, []).append((heading, segment.street, curve))
    return ways


def _along_kerb(
    rng: np.random.Generator, config: CityConfig, side: Points, found: _Collector
) -> None:
    """Trees and lamps on the pavement, small things between them, cars beside it."""
    walk = offset_curve(side, np.full(len(side), _KERB_TO_TREE_M))
    slots, toward = _slots(walk, _FROM_CORNER_M[False])
    leafy = rng.random() < _LEAFY_SHARE
    draws, jitter = rng.random((3, len(slots))), rng.uniform(-1.2, 1.2, len(slots))
    lamp = np.arange(len(slots)) % 4 == 1
    tree = ~lamp & leafy & (draws[0] < _TREE_SHARE * config.trees)
    found.add(FurnitureKind.lamp, at_lengths(walk, slots[lamp]), toward[lamp])
    found.add(FurnitureKind.tree, at_lengths(walk, (slots + jitter)[tree]), 360.0 * draws[1, tree])
    free, low = ~lamp & ~tree, 0.0
    for kind, share in _SMALL.items():
        here = free & (draws[2] >= low) & (draws[2] < low + share)
        found.add(kind, at_lengths(walk, slots[here]), (toward[here] - 90.0) % 360.0)
        low += share
    lane = offset_curve(side, np.full(len(side), -_KERB_TO_CAR_M))
    slots, toward = _slots(lane, _FROM_CORNER_M[True])
    parked = rng.random(len(slots)) < _CAR_SHARE * config.traffic
    found.add(FurnitureKind.car, at_lengths(lane, slots[parked]), (toward[parked] + 180.0) % 360.0)


def _slots(curve: Points, from_ends: float) -> tuple[np.ndarray, np.ndarray]:
    """Distances along a curve, evenly spaced, and its headings there."""
    room = arc_lengths(curve)[-1] - 2 * from_ends
    count = max(0, int(room / _SLOT_M))
    slots = from_ends + (np.arange(count) + 0.5) * room / max(1, count)
    return slots, heading_of(tangents_at(curve, slots)) if count else slots


def _park(rng: np.random.Generator, block: Block, found: _Collector) -> list[Points]:
    """Paths from the corners to the middle, trees between, benches beside them, a fountain."""
    outline = block.building_line
    paths = [np.stack([side[0], block.centre]) for side in block.line_sides]
    spots = _scatter(rng, outline, int(np.ptp(outline[:, 0]) * np.ptp(outline[:, 1]) / 12.0))
    a, b = (np.array([path[end] for path in paths]) for end in (0, 1))
    spots = spots[distance_to_segments(spots, a, b) > 3.2]
    spots = spots[distance_to_segments(spots, outline, np.roll(outline, -1, axis=0)) > 1.5]
    spots = _apart(spots, np.sqrt(_PARK_TREE_M2) * 0.6)
    found.add(FurnitureKind.tree, spots, rng.uniform(0.0, 360.0, len(spots)))
    middle = (a + b) / 2.0
    along = heading_of(b - a)
    found.add(FurnitureKind.bench, middle + 1.9 * unit_of(along + 90.0), (along - 90.0) % 360.0)
    found.add(FurnitureKind.lamp, middle - 1.9 * unit_of(along + 90.0), along)
    found.add(FurnitureKind.fountain, block.centre[None], np.zeros(1))
    return paths


def _square(block: Block, found: _Collector) -> None:
    """Planters around the middle of a small paved block."""
    headings = np.arange(4) * 90.0 + 45.0
    ring = block.centre + 0.6 * block.room * unit_of(headings)
    if block.room > 3.0:
        found.add(FurnitureKind.planter, ring, headings)


def _yard(rng: np.random.Generator, block: Block, lots: np.ndarray, found: _Collector) -> None:
    """Trees in the courtyard of a block."""
    spots = _scatter(rng, block.building_line, 24)
    a = lots.reshape(-1, 2)
    b = np.roll(lots, -1, axis=1).reshape(-1, 2)
    spots = spots[distance_to_segments(spots, a, b) > 2.6]
    for quad in lots:
        spots = spots[~inside(spots, quad)]
    spots = _apart(spots, 6.5)
    found.add(FurnitureKind.tree, spots, rng.uniform(0.0, 360.0, len(spots)))


def _signals(plan: StreetPlan, crossings: np.ndarray, found: _Collector) -> None:
    """Traffic lights where at least four ways meet and one of them is an avenue or boulevard."""
    wide = (StreetClass.avenue, StreetClass.boulevard)
    for junction, ways in _ways(plan).items():
        if len(ways) < 4 or all(plan.classes[street] not in wide for _, street, _ in ways):
            continue
        here = crossings[crossings[:, 4] == junction]
        inbound = (here[:, 2] + 180.0) % 360.0
        kerb = (here[:, 3:4] / 2 + 0.7) * unit_of(inbound + 90.0)
        found.add(FurnitureKind.signal, here[:, :2] + kerb - 1.9 * unit_of(inbound), inbound)


def _scatter(rng: np.random.Generator, outline: Points, count: int) -> Points:
    low, high = outline.min(axis=0), outline.max(axis=0)
    points = rng.uniform(low, high, (count, 2))
    return points[inside(points, outline)]


def _apart(points: Points, distance: float) -> Points:
    """Drops points that are closer than a distance to an earlier one."""
    kept: list[np.ndarray] = []
    for point in points:
        if all(np.hypot(*(point - other)) >= distance for other in kept):
            kept.append(point)
    return np.array(kept).reshape(-1, 2)
