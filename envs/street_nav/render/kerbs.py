"""How far every place is from the kerb: what the edge of the roadway is drawn from."""

import cv2
import numpy as np

from ..city.scene import City
from .buffers import EDGE_STEPS_PER_M, EDGE_ZERO
from .compiled import kernel

EDGE_SCALE = 4.0  # texels per metre
REACH_M = 1.3  # nothing is farther than this
_SHIFT = 4


def kerb_distance(city: City) -> np.ndarray:
    """Metres to the kerb, positive on the roadway, as bytes (see `Ground.edge`): uint8 [H, W]."""
    west, south, east, north = city.extent.tolist()
    origin = np.array([west, south])
    shape = tuple(int(np.ceil(span * EDGE_SCALE)) for span in (north - south, east - west))
    lines = [city.outer_kerb, *city.kerbs]
    inside = np.zeros(shape, np.uint8)
    for k, line in enumerate(lines):
        place = (line - origin) * EDGE_SCALE - 0.5
        fixed = np.rint(place * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(inside, [fixed], 255 if k == 0 else 0, cv2.LINE_8, _SHIFT)
    metres = np.where(inside > 0, np.float32(REACH_M), np.float32(-REACH_M))
    perpendicular = np.zeros(shape, np.float32)
    for k, line in enumerate(lines):
        points = line.astype(np.float64) - origin
        way_round = 1.0 if _area(points) > 0 else -1.0  # counter-clockwise: inside is on the left
        _measure(points, way_round if k == 0 else -way_round, EDGE_SCALE, metres, perpendicular)
    steps = np.rint(EDGE_ZERO + EDGE_STEPS_PER_M * metres)
    return np.clip(steps, 0, 255).astype(np.uint8)


def _area(points: np.ndarray) -> float:
    x, y = points[:, 0], points[:, 1]
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


@kernel()
def _measure(
    points: np.ndarray, left: float, scale: float, metres: np.ndarray, perpendicular: np.ndarray
) -> None:
    """Distances to a closed line, signed by the side; `left` is the sign of its left side.

    At a corner two segments are equally near; the one that is seen more from the front decides.
    """
    height, width = metres.shape
    for k in range(len(points)):
        ax, ay = points[k]
        bx, by = points[(k + 1) % len(points)]
        ux, uy = bx - ax, by - ay
        length = np.sqrt(ux * ux + uy * uy)
        if length < 1e-9:
            continue
        ux, uy = ux / length, uy / length
        first_row = max(0, int(np.floor((min(ay, by) - REACH_M) * scale)))
        last_row = min(height - 1, int(np.ceil((max(ay, by) + REACH_M) * scale)))
        first = max(0, int(np.floor((min(ax, bx) - REACH_M) * scale)))
        last = min(width - 1, int(np.ceil((max(ax, bx) + REACH_M) * scale)))
        for row in range(first_row, last_row + 1):
            for column in range(first, last + 1):
                px, py = (column + 0.5) / scale - ax, (row + 0.5) / scale - ay
                along, across = px * ux + py * uy, ux * py - uy * px
                beyond = max(0.0, -along, along - length)
                distance = np.sqrt(across * across + beyond * beyond)
                gap = abs(metres[row, column]) - distance
                if gap < -1e-5 or distance >= REACH_M:
                    continue
                if gap > 1e-5 or abs(across) > perpendicular[row, column]:
                    metres[row, column] = distance * left if across > 0 else -distance * left
                    perpendicular[row, column] = abs(across)
