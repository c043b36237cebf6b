"""Compiled drawing of what the quads leave free: the ground below the horizon, the sky above.

The ground is not a picture but coverage: where the roadway and the paint lie. Near the camera their
edges are sharpened to the pixel and the surfaces take grain from tiles, so markings stay crisp at
any distance; from afar the colours come from a raster with smaller and smaller versions. What
depends on the row alone (distance, sharpness, levels) is worked out once a panorama. A wet ground
mirrors the houses of its own column.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from .buffers import FOG_STEP_M, FOG_STEPS, Air, Canvas, Ground, Rays
from .projection import row_of
from .sampling import blend

EDGE_BLUR_TEXELS = 2.6  # how wide an edge of the fine raster was smoothed
SKY_DEPTH_M = 1e9
FRESNEL_BASE, FRESNEL_TOP = 0.10, 0.75
MIRROR_STEPS = 512
_BYTE = np.uint32(255)


class Rows(NamedTuple):
    """What the rows below the horizon have in common, [rows] each."""

    r: np.ndarray  # float64, distance of the ground in metres
    near: np.ndarray  # float64, share of the near surface; the rest is the far raster
    sharpness: np.ndarray  # float64, of edges
    far_level: np.ndarray  # int64
    tile_start: np.ndarray  # int64, of the tiles' level
    tile_side: np.ndarray  # int64
    fog: np.ndarray  # float64


@njit(cache=True, nogil=True)
def draw_ground(ground: Ground, air: Air, rays: Rays, eye: np.ndarray, canvas: Canvas) -> None:
    """Fills the rows below the horizon that no quad covers."""
    num_columns, num_rows = len(rays.columns), len(rays.slopes)
    horizon = num_rows // 2
    rows = _rows_of(ground, air, rays, eye)
    mirrored = _mirror_rows(rays)
    for column in range(num_columns):
        dx, dy = rays.columns[column, 0], rays.columns[column, 1]
        backdrop = canvas.depth[column, horizon - 1]
        for row in range(horizon, num_rows):
            k = row - horizon
            r = rows.r[k]
            if canvas.depth[column, row] <= r:
                continue
            x, y = eye[0] + r * dx - ground.origin[0], eye[1] + r * dy - ground.origin[1]
            cell = _raster(ground.coarse, x * ground.coarse_scale, y * ground.coarse_scale)
            near = rows.near[k]
            red, green, blue = 0.0, 0.0, 0.0
            if near < 1.0:
                level = rows.far_level[k]
                scale = ground.far_scale / (1 << level)
                far = _far_color(
                    ground.far, ground.far_offsets[level], ground.far_sizes[level, 0],
                    ground.far_sizes[level, 1], x * scale - 0.5, y * scale - 0.5,
                )  # fmt: skip
                red, green, blue = _parts(far)
            if near > 0.0:
                covers = _fine(
                    ground.fine, x * ground.fine_scale - 0.5, y * ground.fine_scale - 0.5
                )
                scale = ground.tile_scale * rows.tile_side[k] / ground.tile_px
                r1, g1, b1 = _near_color(
                    ground.tiles, ground.kerb, ground.paint, x * scale, y * scale, covers, cell,
                    rows.sharpness[k], rows.tile_start[k], rows.tile_side[k],
                )  # fmt: skip
                if near < 1.0:
                    red, green = red + near * (r1 - red), green + near * (g1 - green)
                    blue += near * (b1 - blue)
                else:
                    red, green, blue = r1, g1, b1
            shade = (cell & _BYTE) * (1.0 / 255.0)
            lamp = (cell >> np.uint32(24)) * (1.0 / 255.0)
            red *= air.sun[0] + shade * (air.shade[0] - air.sun[0]) + lamp * air.lamp[0]
            green *= air.sun[1] + shade * (air.shade[1] - air.sun[1]) + lamp * air.lamp[1]
            blue *= air.sun[2] + shade * (air.shade[2] - air.sun[2]) + lamp * air.lamp[2]
            if ground.wet > 0.0:
                red, green, blue = _mirror(
                    ground.wet, eye[2], canvas.color, column, r, -rays.slopes[row], backdrop,
                    rays.slopes[0], mirrored, red, green, blue,
                )  # fmt: skip
            fog = rows.fog[k]
            red, green = red + fog * (air.fog[0] - red), green + fog * (air.fog[1] - green)
            blue += fog * (air.fog[2] - blue)
            canvas.color[column, row, 0] = np.uint8(min(255.0, red + 0.5))
            canvas.color[column, row, 1] = np.uint8(min(255.0, green + 0.5))
            canvas.color[column, row, 2] = np.uint8(min(255.0, blue + 0.5))
            canvas.depth[column, row] = r


@njit(cache=True, nogil=True)
def draw_sky(sky: np.ndarray, canvas: Canvas) -> None:
    """Copies the sky, uint8 [W, rows above the horizon, 3], where nothing was drawn."""
    for column in range(sky.shape[0]):
        for row in range(sky.shape[1]):
            if canvas.depth[column, row] >= SKY_DEPTH_M:
                for k in range(3):
                    canvas.color[column, row, k] = sky[column, row, k]


@njit(cache=True, nogil=True)
def _rows_of(ground: Ground, air: Air, rays: Rays, eye: np.ndarray) -> Rows:
    horizon = len(rays.slopes) // 2
    count = len(rays.slopes) - horizon
    rows = Rows(
        np.empty(count), np.empty(count), np.empty(count), np.empty(count, np.int64),
        np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count),
    )  # fmt: skip
    for k in range(count):
        slope = -rays.slopes[horizon + k]
        r = eye[2] / slope
        across = r * rays.step
        away = across * math.sqrt(1.0 + slope * slope) / slope
        size = math.sqrt(across * away)  # of a pixel on the ground
        finer = math.sqrt(across * size)  # between its width and its mean: sharper from afar
        rows.r[k] = r
        rows.near[k] = min(1.0, max(0.0, 2.0 - 0.35 * size * ground.fine_scale))
        rows.sharpness[k] = max(1.0, EDGE_BLUR_TEXELS / max(0.12, size * ground.fine_scale))
        rows.far_level[k] = _level(finer * ground.far_scale, len(ground.far_offsets) - 1)
        texels, side, start = finer * ground.tile_scale, ground.tile_px, 0
        while texels > 1.4 and side > 1:
            start += side * side
            texels, side = 0.5 * texels, side >> 1
        rows.tile_start[k], rows.tile_side[k] = start, side
        rows.fog[k] = air.fog_share[min(FOG_STEPS - 1, int(r / FOG_STEP_M))]
    return rows


@njit(cache=True, nogil=True)
def _level(texels_per_pixel: float, most: int) -> int:
    level = 0
    while texels_per_pixel > 1.4 and level < most:
        texels_per_pixel *= 0.5
        level += 1
    return level


@njit(cache=True, nogil=True, inline="always")
def _near_color(
    tiles: np.ndarray,
    kerb_color: np.ndarray,
    paint: np.ndarray,
    tx: float,
    ty: float,
    covers: np.uint32,
    cell: np.uint32,
    sharpness: float,
    start: int,
    side: int,
) -> tuple[float, float, float]:
    """Roadway, kerb, paving or lawn with their grain, and paint over them.

    tx, ty: place in texels of the tiles. covers, cell: of the fine and the coarse raster there.
    """  # fmt: skip
    edge = (covers & _BYTE) * (1.0 / 255.0)
    road = _sharp(edge, sharpness)
    red, green, blue = 0.0, 0.0, 0.0
    if road < 1.0:
        lawn = _sharp(((cell >> np.uint32(8)) & _BYTE) * (1.0 / 255.0), 0.25 * sharpness)
        texel = _tile(tiles, 1 if lawn < 0.5 else 2, tx, ty, start, side)
        red, green, blue = _parts(texel)
    if road > 0.0:
        texel = _tile(tiles, 0, tx, ty, start, side)
        r1, g1, b1 = _parts(texel)
        red += road * (r1 - red)
        green += road * (g1 - green)
        blue += road * (b1 - blue)
    if 0.02 < edge < 0.98:
        kerb = _sharp(edge + 0.22, sharpness) - road
        red += kerb * (kerb_color[0] - red)
        green += kerb * (kerb_color[1] - green)
        blue += kerb * (kerb_color[2] - blue)
    mark = (covers >> np.uint32(16)) * (1.0 / 255.0)
    if mark > 0.02:
        cover = _sharp(mark, sharpness) * (0.75 + 0.25 * min(1.0, green / 90.0))
        hue = 1 if (cell >> np.uint32(16)) & _BYTE > 127 else 0
        red += cover * (paint[hue, 0] - red)
        green += cover * (paint[hue, 1] - green)
        blue += cover * (paint[hue, 2] - blue)
    return red, green, blue


@njit(cache=True, nogil=True, inline="always")
def _parts(texel: np.uint32) -> tuple[float, float, float]:
    red = float(texel & _BYTE)
    green = float((texel >> np.uint32(8)) & _BYTE)
    blue = float((texel >> np.uint32(16)) & _BYTE)
    return red, green, blue


@njit(cache=True, nogil=True, inline="always")
def _sharp(cover: float, sharpness: float) -> float:
    return min(1.0, max(0.0, (cover - 0.5) * max(1.0, sharpness) + 0.5))


@njit(cache=True, nogil=True, inline="always")
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


@njit(cache=True, nogil=True, inline="always")
def _fine(fine: np.ndarray, fx: float, fy: float) -> np.uint32:
    """Bilinear, 0 outside: roadway | paint << 16."""
    i, j = math.floor(fx), math.floor(fy)
    if i < 0 or j < 0 or i >= fine.shape[1] - 1 or j >= fine.shape[0] - 1:
        return np.uint32(0)
    share_x, share_y = np.uint32((fx - i) * 256.0), np.uint32((fy - j) * 256.0)
    low = blend(_spread(fine[j, i]), _spread(fine[j, i + 1]), share_x)
    high = blend(_spread(fine[j + 1, i]), _spread(fine[j + 1, i + 1]), share_x)
    return blend(low, high, share_y)


@njit(cache=True, nogil=True, inline="always")
def _spread(pair: np.uint16) -> np.uint32:
    return (np.uint32(pair) & _BYTE) | ((np.uint32(pair) >> np.uint32(8)) << np.uint32(16))


@njit(cache=True, nogil=True, inline="always")
def _raster(texels: np.ndarray, fx: float, fy: float) -> np.uint32:
    """Bilinear from uint32 [h, w], the rim repeated; in texels, whose centres lie at halves."""
    fx = min(texels.shape[1] - 1.001, max(0.0, fx - 0.5))
    fy = min(texels.shape[0] - 1.001, max(0.0, fy - 0.5))
    i, j = int(fx), int(fy)
    share_x, share_y = np.uint32((fx - i) * 256.0), np.uint32((fy - j) * 256.0)
    low = blend(texels[j, i], texels[j, i + 1], share_x)
    high = blend(texels[j + 1, i], texels[j + 1, i + 1], share_x)
    return blend(low, high, share_y)


@njit(cache=True, nogil=True, inline="always")
def _far_color(
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


@njit(cache=True, nogil=True)
def _mirror_rows(rays: Rays) -> np.ndarray:
    """Rows of upward slopes, by slope in steps of the steepest / MIRROR_STEPS."""
    steepest = rays.slopes[0]
    rows = np.empty(MIRROR_STEPS + 1, np.int64)
    for k in range(MIRROR_STEPS + 1):
        rows[k] = max(0, int(row_of(k * steepest / MIRROR_STEPS, rays)))
    return rows


@njit(cache=True, nogil=True, inline="always")
def _mirror(
    wet: float,
    height: float,
    color: np.ndarray,
    column: int,
    r: float,
    slope: float,
    backdrop: float,
    steepest: float,
    mirrored: np.ndarray,
    red: float,
    green: float,
    blue: float,
) -> tuple[float, float, float]:
    """Adds what a wet ground mirrors: its column from below, drawn out downwards."""  # fmt: skip
    horizon = color.shape[1] // 2
    rise = slope
    if backdrop < SKY_DEPTH_M:
        rise = max(0.02, ((backdrop - r) * slope - height) / backdrop)
    seen = mirrored[min(MIRROR_STEPS, int(rise / steepest * MIRROR_STEPS))]
    glance = (1.0 - slope / math.sqrt(1.0 + slope * slope)) ** 3
    share = wet * (FRESNEL_BASE + (FRESNEL_TOP - FRESNEL_BASE) * glance)
    reach = 3 + int(8.0 * slope)
    r1, g1, b1 = 0.0, 0.0, 0.0
    for step in range(-1, 2):
        source = min(horizon - 1, max(0, seen + step * reach))
        r1 += color[column, source, 0]
        g1 += color[column, source, 1]
        b1 += color[column, source, 2]
    keep, add = 1.0 - 0.5 * share, share / 3.0
    return red * keep + add * r1, green * keep + add * g1, blue * keep + add * b1
