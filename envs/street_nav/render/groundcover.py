"""Compiled colours of a place on the ground: near the camera, and from afar.

Arrays alone are handed over, because whole tuples of them are slow to pass.
"""

import math

import numpy as np

from .buffers import EDGE_STEPS_PER_M, EDGE_ZERO
from .compiled import kernel
from .sampling import blend

KERB_M = 0.16
FACE_M, FACE_LIGHT = 0.035, 0.62  # the upright face of the kerb, seen from above
_BYTE = np.uint32(255)


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
    cell: np.uint32,
    footprint: float,
    size: float,
    start: int,
    side: int,
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
        lawn = sharpened(((cell >> np.uint32(8)) & _BYTE) * (1.0 / 255.0), 1.0 + 0.25 / size)
        texel = _tile(tiles, 1 if lawn < 0.5 else 2, tx, ty, start, side)
        red, green, blue = parts_of(texel)
    if road > 0.0:
        texel = _tile(tiles, 0, tx, ty, start, side)
        r1, g1, b1 = parts_of(texel)
        red += road * (r1 - red)
        green += road * (g1 - green)
        blue += road * (b1 - blue)
        if by_kerb and metres < gutter_m + soft_m:
            place, fine = metres - gutter_m, per_m
            if soft_m > 0.0:  # grain decides where it ends
                place += soft_m * (1.6 - g1 / max(1.0, float((tiles[0, -1] >> 8) & 255)) * 1.6)
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
    low = int(edge[j, i]) * (256 - x) + int(edge[j, i + 1]) * x
    high = int(edge[j + 1, i]) * (256 - x) + int(edge[j + 1, i + 1]) * x
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
    tile = at[row, column]
    if tile < 0:
        return 0.0
    fx, fy = (tx - column) * side + 0.5, (ty - row) * side + 0.5  # the rim is 1 wide
    i, j = int(fx), int(fy)
    x, y = fx - i, fy - j
    here = start + j * (side + 2) + i
    above = here + side + 2
    low = marks[tile, here] + x * (float(marks[tile, here + 1]) - marks[tile, here])
    high = marks[tile, above] + x * (float(marks[tile, above + 1]) - marks[tile, above])
    return (low + y * (high - low)) * (1.0 / 255.0)


@kernel(inline="always")
def raster_at(texels: np.ndarray, fx: float, fy: float) -> np.uint32:
    """Bilinear from uint32 [h, w], the rim repeated; in texels, whose centres lie at halves."""
    fx = min(texels.shape[1] - 1.001, max(0.0, fx - 0.5))
    fy = min(texels.shape[0] - 1.001, max(0.0, fy - 0.5))
    i, j = int(fx), int(fy)
    share_x, share_y = np.uint32((fx - i) * 256.0), np.uint32((fy - j) * 256.0)
    low = blend(texels[j, i], texels[j, i + 1], share_x)
    high = blend(texels[j + 1, i], texels[j + 1, i + 1], share_x)
    return blend(low, high, share_y)


@kernel(inline="always")
def far_color(
    far: np.ndarray, offset: int, height: int, width: int, fx: float, fy: float
) -> np.uint32:
    """Bilinear from a level of the raster of colours."""
    fx = min(width - 1.001, max(0.0, fx))
    fy = min(height - 1.001, max(0.0, fy))
    i, j = int(fx), int(fy)
    share_x, share_y = np.uint32((fx - i) * 256.0), np.uint32((fy - j) * 256.0)
    here = offset + j * width + i
    low = blend(far[here], far[here + 1], share_x)
    high = blend(far[here + width], far[here + width + 1], share_x)
    return blend(low, high, share_y)


@kernel(inline="always")
def parts_of(texel: np.uint32) -> tuple[float, float, float]:
    red = float(texel & _BYTE)
    green = float((texel >> np.uint32(8)) & _BYTE)
    blue = float((texel >> np.uint32(16)) & _BYTE)
    return red, green, blue


@kernel(inline="always")
def sharpened(cover: float, sharpness: float) -> float:
    return min(1.0, max(0.0, (cover - 0.5) * max(1.0, sharpness) + 0.5))


@kernel(inline="always")
def _share(pixels: float) -> float:
    """How much of a pixel lies beyond an edge, by its distance in pixels."""
    return min(1.0, max(0.0, pixels + 0.5))


@kernel(inline="always")
def _tile(tiles: np.ndarray, which: int, fx: float, fy: float, start: int, side: int) -> np.uint32:
    """Bilinear from a level of a repeating tile."""
    i, j = math.floor(fx), math.floor(fy)
    share_x, share_y = np.uint32((fx - i) * 256.0), np.uint32((fy - j) * 256.0)
    mask = side - 1
    low, high = start + (j & mask) * side, start + ((j + 1) & mask) * side
    i0, i1 = i & mask, (i + 1) & mask
    first = blend(tiles[which, low + i0], tiles[which, low + i1], share_x)
    second = blend(tiles[which, high + i0], tiles[which, high + i1], share_x)
    return blend(first, second, share_y)
