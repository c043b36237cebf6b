"""What a city is made of, as plain arrays: the part that no look may change.

Positions are metres, x to the east, y to the north, z up from the pavement; headings are compass
degrees (0 north, 90 east). Polygons run counter-clockwise and do not repeat their first point. A
look chooses palettes, textures and the heights of buildings; streets, footprints, signs and
furniture stay where they are, so that one route is the same task under every look.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np

EYE_HEIGHT_M = 2.5  # of the camera; visibility is computed from here
GROUND_FLOOR_M, STOREY_M = 4.4, 3.2
MAX_SIGN_TOP_M = 8.0


class StreetClass(IntEnum):
    lane = 0
    street = 1
    avenue = 2
    boulevard = 3  # diagonal


class BlockKind(IntEnum):
    built = 0  # lots along the building line, a courtyard inside
    park = 1
    plaza = 2  # paved


class LotKind(IntEnum):
    shop = 0
    house = 1
    office = 2
    tower = 3
    civic = 4
    warehouse = 5


class SignKind(IntEnum):
    fascia = 0  # a board along the facade, above the shop window
    blade = 1  # sticks out from the facade, legible from both sides
    awning = 2  # the upright front of an awning
    rooftop = 3  # letters that stand on the front of a low roof
    monument = 4  # a free-standing board or gate, legible from both sides


class FurnitureKind(IntEnum):
    tree = 0
    lamp = 1
    bench = 2
    mailbox = 3
    car = 4
    hydrant = 5
    bin = 6
    signal = 7  # traffic light; heading: of the traffic that it stops
    planter = 8
    fountain = 9


# Radius (m) of what may hide a sign; everything else is lower than the line of sight.
OCCLUDER_RADIUS_M = {FurnitureKind.tree: 2.4, FurnitureKind.lamp: 0.25, FurnitureKind.signal: 0.45}


@dataclass(frozen=True, slots=True)
class Ragged:
    """A list of point lists: item i is points[starts[i]:starts[i + 1]], float32 [n_i, 2]."""

    points: np.ndarray  # float32 [P, 2]
    starts: np.ndarray  # int32 [items + 1]

    @classmethod
    def of(cls, items: "list[np.ndarray]") -> "Ragged":
        starts = np.cumsum([0, *(len(item) for item in items)], dtype=np.int32)
        points = np.concatenate(
            [np.asarray(i, np.float32).reshape(-1, 2) for i in items]
            or [np.zeros((0, 2), np.float32)]
        )
        return cls(points, starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.points[self.starts[index] : self.starts[index + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """One city. All arrays are read-only; N, E, ... are counts.

    key: canonical, of the configuration and the generator's version.
    extent: float32 [4], west, south, east, north; holds everything that is drawn.
    outer_kerb: float32 [K, 2], counter-clockwise; the roads lie inside, paving outside. What is
        inside `outer_kerb` and in no polygon of `kerbs` is roadway.

    node_*: places to stand, every 9 to 14 m along the streets. `node_arms` counts the ways on; an
        intersection has at least 3.
    edge_*: neighbouring nodes; `edge_street` indexes the streets.
    line_*: centre lines from intersection to intersection, finely sampled, for drawing.
    kerbs: outline of a block at the road, corners rounded; the pavement lies between it and the
        same block's `building_lines` (empty where the block is too small).
    crossings: zebra crossings: centre x, y, heading of the street that is crossed, width of the
        roadway in metres.
    paths: foot paths of parks, about 2.5 m wide.

    lot_corners: footprints of buildings, convex, counter-clockwise; side k runs from corner k to
        corner k + 1. Side 0 is the front. A triangle repeats its last corner (a side of length 0).
    lot_street_sides: bit k is set where side k faces a street.
    lot_block: index of the block, -1 in the ring around the city.
    lot_height: metres; `lot_fixed` lots carry a rooftop sign and keep this height in every look.

    furniture_heading: a parked car points there; for trees and lamps a mere rotation.

    sign_p0, sign_u, sign_v: lower left corner, width and height vectors of a sign as its reader
        sees it; u x v points to the reader. Blades and monuments are legible from behind too
        (there the reader's lower left corner is p0 + u, and u runs the other way).
    landmark_lot: -1 for monuments. The names are unique in a city.

    sight_*: which landmarks can be seen from which nodes (see `visibility`), sorted by node, the
        most prominent first. Angles in degrees, `sight_clear` where it is large and free enough to
        be asked about.
    """

    key: str
    extent: np.ndarray
    outer_kerb: np.ndarray

    node_xy: np.ndarray  # float32 [N, 2]
    node_arms: np.ndarray  # int32 [N]
    edge_nodes: np.ndarray  # int32 [E, 2]
    edge_street: np.ndarray  # int32 [E]

    street_names: tuple[str, ...]  # [S]
    street_class: np.ndarray  # int32 [S], StreetClass
    street_width: np.ndarray  # float32 [S], kerb to kerb
    lines: Ragged  # [L]
    line_street: np.ndarray  # int32 [L]
    crossings: np.ndarray  # float32 [C, 4]

    block_kind: np.ndarray  # int32 [B], BlockKind
    kerbs: Ragged  # [B]
    building_lines: Ragged  # [B]
    paths: Ragged

    lot_corners: np.ndarray  # float32 [L, 4, 2]
    lot_street_sides: np.ndarray  # int32 [L], bits
    lot_block: np.ndarray  # int32 [L]
    lot_kind: np.ndarray  # int32 [L], LotKind
    lot_storeys: np.ndarray  # int32 [L]
    lot_height: np.ndarray  # float32 [L]
    lot_fixed: np.ndarray  # bool [L]
    lot_seed: np.ndarray  # uint32 [L]

    furniture_kind: np.ndarray  # int32 [F], FurnitureKind
    furniture_xy: np.ndarray  # float32 [F, 2]
    furniture_heading: np.ndarray  # float32 [F]
    furniture_seed: np.ndarray  # uint32 [F]

    landmark_names: tuple[str, ...]  # [M]
    landmark_categories: tuple[str, ...]  # [M]
    landmark_lot: np.ndarray  # int32 [M]
    sign_kind: np.ndarray  # int32 [M], SignKind
    sign_p0: np.ndarray  # float32 [M, 3]
    sign_u: np.ndarray  # float32 [M, 3]
    sign_v: np.ndarray  # float32 [M, 3]

    sight_node: np.ndarray  # int32 [V]
    sight_landmark: np.ndarray  # int32 [V]
    sight_bearing: np.ndarray  # float32 [V]
    sight_distance: np.ndarray  # float32 [V], metres in the plane
    sight_width: np.ndarray  # float32 [V], degrees
    sight_height: np.ndarray  # float32 [V], degrees
    sight_clear: np.ndarray  # bool [V]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            arrays = (value.points, value.starts) if isinstance(value, Ragged) else (value,)
            for array in arrays:
                if isinstance(array, np.ndarray):
                    array.setflags(write=False)

    @property
    def num_nodes(self) -> int:
        return len(self.node_xy)

    @property
    def num_lots(self) -> int:
        return len(self.lot_corners)

    @property
    def num_landmarks(self) -> int:
        return len(self.landmark_names)
