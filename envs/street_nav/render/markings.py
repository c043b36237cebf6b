"""Paint on the roadway: zebra crossings, stop lines, centre lines, as tiles of fine coverage.

Paint covers little of a city, so its fine raster is kept only where it is not empty.
"""

import math
from typing import Any

import cv2
import numpy as np

from ..city.scene import City, StreetClass

TILE_M, SIDE = 4.0, 64  # of a tile, and its texels at the first level
SCALE = SIDE / TILE_M
LEVELS = 4
BAR_M, GAP_M, ZEBRA_M = 0.5, 0.6, 2.8
STOP_M = 0.35  # a stop line; its middle lies this far beyond the zebra crossing:
STOP_AWAY_M = 1.1
FINER = 4  # OpenCV fills a polygon nearly a pixel too wide
_SHIFT = 4
_SOFTEN = np.array([0.25, 0.5, 0.25])  # an edge is as wide as linear sampling needs


class PaintTiles:
    """Coverage in square tiles counted from the southern and western edge; row 0 is southern."""

    def __init__(self, origin: np.ndarray) -> None:
        self._origin = origin
        self.tiles: dict[tuple[int, int], np.ndarray] = {}

    def fill(self, polygons: np.ndarray) -> None:
        """Adds small polygons in metres, which must not touch: [n, 2] or [m, n, 2]."""
        place = (polygons.reshape(-1, polygons.shape[-2], 2) - self._origin) * SCALE
        x, y = place[..., 0], place[..., 1]
        left, bottom = math.floor(x.min()) - 2, math.floor(y.min()) - 2
        wide, tall = math.ceil(x.max()) + 2 - left, math.ceil(y.max()) + 2 - bottom
        fine = np.zeros((FINER * tall, FINER * wide), np.uint8)
        fixed = np.rint(((place - (left, bottom)) * FINER - 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(fine, list(fixed), 255, cv2.LINE_AA, _SHIFT)
        part = cv2.resize(fine, (wide, tall), interpolation=cv2.INTER_AREA)
        part = cv2.sepFilter2D(part, -1, _SOFTEN, _SOFTEN)
        for row in range(bottom // SIDE, (bottom + tall - 1) // SIDE + 1):
            for column in range(left // SIDE, (left + wide - 1) // SIDE + 1):
                self._add(row, column, part, left, bottom)

    def ribbon(self, points: np.ndarray, side: np.ndarray) -> None:
        """What lies between points + side and points - side [n, 2], piece by piece."""
        for k in range(0, len(points) - 1, 4):
            piece = np.s_[k : k + 6]  # neighbours overlap, so that no seam shows
            self.fill(np.concatenate([(points + side)[piece], (points - side)[piece][::-1]]))

    def _add(self, row: int, column: int, part: np.ndarray, left: int, bottom: int) -> None:
        left, bottom = column * SIDE - left, row * SIDE - bottom
        source = part[max(0, bottom) : bottom + SIDE, max(0, left) : left + SIDE]
        if not source.any():
            return
        tile = self.tiles.get((row, column))
        if tile is None:
            tile = self.tiles[row, column] = np.zeros((SIDE, SIDE), np.uint8)
        top, right = max(0, -bottom), max(0, -left)
        target = tile[top : top + source.shape[0], right : right + source.shape[1]]
        np.maximum(target, source, out=target)

    def packed(self, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """Index of the tile at every place, int32 [rows, columns], -1 for none; texels [n, total].

        Each level of a tile carries a rim of its neighbours' texels, for linear sampling.
        """
        inside = {
            at: tile for at, tile in self.tiles.items()
            if 0 <= at[0] < rows and 0 <= at[1] < columns
        }  # fmt: skip
        at = np.full((rows + 2, columns + 2), -1, np.int32)
        for index, (row, column) in enumerate(inside):
            at[row + 1, column + 1] = index
        places = np.array(list(inside), np.int64).reshape(-1, 2)
        level = np.array([*inside.values(), np.zeros((SIDE, SIDE), np.uint8)])
        texels = []
        for k in range(LEVELS):
            if k > 0:
                side = SIDE >> k
                sums = level.reshape(-1, side, 2, side, 2).astype(np.uint16).sum(axis=(2, 4))
                level = ((sums + 2) >> 2).astype(np.uint8)
            texels.append(_with_rims(level, at, places).reshape(len(places), -1))
        return at[1:-1, 1:-1].copy(), np.ascontiguousarray(np.concatenate(texels, axis=1))


def paint_roads(city: City) -> PaintTiles:
    """All paint of a city."""
    tiles = PaintTiles(city.extent[:2].astype(np.float64))
    for line, street in zip(city.lines, city.line_street, strict=True):
        _center_line(tiles, city, line.astype(np.float64), StreetClass(city.street_class[street]))
    for x, y, heading, width in city.crossings.astype(np.float64):
        along, across = axes(float(heading))
        centre = np.array([x, y])
        count = int((width - 0.6) / (BAR_M + GAP_M))
        if count > 0:
            places = (np.arange(count)[:, None] - (count - 1) / 2) * (BAR_M + GAP_M)
            tiles.fill(rectangle(centre + across * places, along, across, ZEBRA_M, BAR_M))
        if width > 7.5:  # the line where traffic towards the junction stops
            lane = centre + along * (ZEBRA_M / 2 + STOP_AWAY_M) - across * width / 4
            tiles.fill(rectangle(lane, along, across, STOP_M, width / 2 - 0.7))
    return tiles


def coverage(tiles_at: np.ndarray, texels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Paint as a whole raster at the last level's scale: float32 [height, width], 0 to 1."""
    side = SIDE >> (LEVELS - 1)
    first = sum(((SIDE >> k) + 2) ** 2 for k in range(LEVELS - 1))
    coarse = texels[:, first:].reshape(-1, side + 2, side + 2)[:, 1:-1, 1:-1]
    rows, columns = tiles_at.shape
    raster = np.zeros((rows, side, columns, side), np.uint8)
    row, column = np.nonzero(tiles_at >= 0)
    raster[row, :, column] = coarse[tiles_at[row, column]]
    whole = raster.reshape(rows * side, columns * side)[:height, :width]
    return whole.astype(np.float32) / 255.0


def axes(heading: float) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along a heading and to its right."""
    turn = np.radians(heading)
    return np.array([np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), -np.sin(turn)])


def rectangle(
    middle: np.ndarray, along: np.ndarray, across: np.ndarray, long: float, wide: float
) -> np.ndarray:
    """Corners [..., 4, 2] of rectangles around [..., 2]."""
    a, b = along * long / 2, across * wide / 2
    return np.stack([middle - a - b, middle + a - b, middle + a + b, middle - a + b], axis=-2)


def _with_rims(level: np.ndarray, at: np.ndarray, places: np.ndarray) -> np.ndarray:
    """uint8 [n + 1, s, s], the last one empty -> [n, s + 2, s + 2]."""
    count, side = len(places), level.shape[1]
    padded = np.zeros((count, side + 2, side + 2), np.uint8)
    padded[:, 1:-1, 1:-1] = level[:count]
    row, column = places[:, 0] + 1, places[:, 1] + 1
    ends: dict[int, tuple[Any, Any]] = {
        -1: (0, -1),
        0: (np.s_[1:-1], np.s_[:]),
        1: (-1, 0),
    }  # where to, where from
    for down, right in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        source = level[at[row + down, column + right]]  # -1 is the empty one
        (to_row, from_row), (to_column, from_column) = ends[down], ends[right]
        padded[:, to_row, to_column] = source[:, from_row, from_column]
    return padded


def _center_line(tiles: PaintTiles, city: City, line: np.ndarray, kind: StreetClass) -> None:
    """Double where the street is wide, dashed where it is not, none in lanes."""
    if kind is StreetClass.lane:
        return
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    at = np.concatenate([[0.0], np.cumsum(steps)])
    low, high = between_crossings(city, line, at)
    if high - low < 3.0:
        return
    where = np.linspace(low, high, max(2, round((high - low) / 0.5)) + 1)
    points = np.stack([np.interp(where, at, line[:, k]) for k in (0, 1)], axis=1)
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    side = np.stack([-along[:, 1], along[:, 0]], axis=1)
    if kind is StreetClass.street:
        for start in range(0, len(points) - 4, 9):
            dash = np.s_[start : start + 5]
            tiles.ribbon(points[dash], 0.075 * side[dash])
        return
    for offset in (-0.16, 0.16):
        tiles.ribbon(points + offset * side, 0.06 * side)


def between_crossings(city: City, line: np.ndarray, at: np.ndarray) -> tuple[float, float]:
    """The stretch of a line between the stop lines at its ends, in metres along it."""
    total = float(at[-1])
    low, high = min(9.0, 0.3 * total), max(total - 9.0, 0.7 * total)
    clear = ZEBRA_M / 2 + STOP_AWAY_M + STOP_M / 2 + 0.3
    fine = np.linspace(0.0, total, max(2, round(total / 0.25)) + 1)
    points = np.stack([np.interp(fine, at, line[:, k]) for k in (0, 1)], axis=1)
    centres = city.crossings[:, :2].astype(np.float64)
    near = np.linalg.norm(centres - points[len(points) // 2], axis=1) < total / 2 + 5.0
    for centre in centres[near]:
        gaps = np.linalg.norm(points - centre, axis=1)
        k = int(gaps.argmin())
        if gaps[k] > 1.5:
            continue
        if fine[k] < total / 2:
            low = max(low, float(fine[k]) + clear)
        else:
            high = min(high, float(fine[k]) - clear)
    return low, high
