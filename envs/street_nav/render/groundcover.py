"""Compiled colours of a place on the ground: near the camera, and from afar.

Arrays alone are handed over, because whole tuples of them are slow to pass.
"""

import math

import numpy as np

from .buffers import EDGE_STEPS_PER_M, EDGE_ZERO
from .compiled import kernel
from .sampling import BLUE, GREEN, RED, bilinear, channel, share_of

KERB_M = 0.16
FACE_M, FACE_LIGHT = 0.035, 0.62  # the upright face of the kerb, seen from above


@kernel(inline="always")
def near_color(
    tiles: np.ndarray,
    kerb: np.ndarray,
    gutter: np.ndarray,
    gutter_m: float,
    soft_m: float,
    tx: float,
    ty: float,
    metres: float,
    cell: np.uint64,
    footprint: float,
    size: float,
    start: int,
    side: int,
    road_green: float,
) -> tuple[float, float, float]:
    """Roadway, gutter, kerb, paving or lawn with their grain.

    tx, ty: place in texels of the tiles. metres: to the kerb, positive on the roadway; they change
    by `footprint` within a pixel, whose mean size is `size`. cell: of the coarse raster there.
    """  # fmt: skip
    road, per_m = 1.0, 0.0
    by_kerb = -KERB_M - footprint < metres < gutter_m + 2.0 * soft_m + footprint
    if by_kerb:
        per_m = 1.0 / footprint
        road = _share(metres * per_m)
    elif metres < 0.0:
        road = 0.0
    red, green, blue = 0.0, 0.0, 0.0
    if road < 1.0:
        lawn = sharpened(channel(cell, GREEN) * (1.0 / 255.0), 1.0 + 0.25 / size)
        texel = _tile(tiles, 1 if lawn < 0.5 else 2, tx, ty, start, side)
        red, green, blue = channel(texel, RED), channel(texel, GREEN), channel(texel, BLUE)
    if road > 0.0:
        texel = _tile(tiles, 0, tx, ty, start, side)
        r1, g1, b1 = channel(texel, RED), channel(texel, GREEN), channel(texel, BLUE)
        red += road * (r1 - red)
        green += road * (g1 - green)
        blue += road * (b1 - blue)
        if by_kerb and metres < gutter_m + soft_m:
            place, fine = metres - gutter_m, per_m
            if soft_m > 0.0:  # grain decides where it ends
                place += soft_m * (1.6 - g1 / road_green * 1.6)
                fine = min(per_m, 1.4 / soft_m)
            strip = max(0.0, road - _share(place * fine))
            red += strip * (gutter[0] - red)
            green += strip * (gutter[1] - green)
            blue += strip * (gutter[2] - blue)
    if by_kerb:
        band = _share((metres + KERB_M) * per_m) - road
        red += band * (kerb[0] - red)
        green += band * (kerb[1] - green)
        blue += band * (kerb[2] - blue)
        face = 1.0 - (1.0 - FACE_LIGHT) * max(0.0, road - _share((metres - FACE_M) * per_m))
        red, green, blue = red * face, green * face, blue * face
    return red, green, blue


@kernel(inline="always")
def kerb_metres(edge: np.ndarray, fx: float, fy: float) -> float:
    """Bilinear distance to the kerb; outside it is far from the roadway."""
    if fx < 0.0 or fy < 0.0 or fx >= edge.shape[1] - 1 or fy >= edge.shape[0] - 1:
        return -EDGE_ZERO / EDGE_STEPS_PER_M
    i, j = int(fx), int(fy)
    x, y = int((fx - i) * 256.0), int((fy - j) * 256.0)
    left, right, below, above = np.uint64(i), np.uint64(i + 1), np.uint64(j), np.uint64(j + 1)
    low = int(edge[below, left]) * (256 - x) + int(edge[below, right]) * x
    high = int(edge[above, left]) * (256 - x) + int(edge[above, right]) * x
    value = low * (256 - y) + high * y
    return (value * (1.0 / 65536.0) - EDGE_ZERO) * (1.0 / EDGE_STEPS_PER_M)


@kernel(inline="always")
def mark_at(
    at: np.ndarray, marks: np.ndarray, tx: float, ty: float, start: int, side: int
) -> float:
    """Coverage by paint, bilinear; tx, ty in tiles."""
    if tx < 0.0 or ty < 0.0 or tx >= at.shape[1] or ty >= at.shape[0]:
        return 0.0
    column, row = int(tx), int(ty)
    tile = at[np.uint64(row), np.uint64(column)]
    if tile < 0:
        return 0.0
    texels = marks[np.uint64(tile)]
    fx, fy = (tx - column) * side + 0.5, (ty - row) * side + 0.5  # the rim is 1 wide
    i, j = int(fx), int(fy)
    x, y = fx - i, fy - j
    here = start + j * (side + 2) + i
    above = here + side + 2
    first, second = float(texels[np.uint64(here)]), float(texels[np.uint64(here + 1)])
    third, fourth = float(texels[np.uint64(above)]), float(texels[np.uint64(above + 1)])
    low, high = first + x * (second - first), third + x * (fourth - third)
    return (low + y * (high - low)) * (1.0 / 255.0)


@kernel(inline="always")
def raster_at(
    texels: np.ndarray, offset: int, height: int, width: int, fx: float, fy: float
) -> np.uint64:
    """Bilinear from a raster in a flat buffer, the rim repeated: a spread texel.

    fx, fy: in texels, whose centres lie on whole numbers.
    """
    fx = min(width - 1.001, max(0.0, fx))
    fy = min(height - 1.001, max(0.0, fy))
    i, j = int(fx), int(fy)
    here = offset + j * width + i
    return bilinear(
        texels, here, here + 1, here + width, here + width + 1, share_of(fx - i), share_of(fy - j)
    )


@kernel(inline="always")
def sharpened(cover: float, sharpness: float) -> float:
    return min(1.0, max(0.0, (cover - 0.5) * max(1.0, sharpness) + 0.5))


@kernel(inline="always")
def _share(pixels: float) -> float:
    """How much of a pixel lies beyond an edge, by its distance in pixels."""
    return min(1.0, max(0.0, pixels + 0.5))


@kernel(inline="always")
def _tile(tiles: np.ndarray, which: int, fx: float, fy: float, start: int, side: int) -> np.uint64:
    """Bilinear from a level of a repeating tile: a spread texel."""
    i, j = math.floor(fx), math.floor(fy)
    mask = side - 1
    low, high = start + (j & mask) * side, start + ((j + 1) & mask) * side
    left, right = i & mask, (i + 1) & mask
    return bilinear(
        tiles[which], low + left, low + right, high + left, high + right,
        share_of(fx - i), share_of(fy - j),
    )  # fmt: skip
