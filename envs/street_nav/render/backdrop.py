"""Compiled drawing of what the quads leave free: the ground below the horizon, the sky above.

The ground is not a picture but coverage: where the roadway and the paint lie. Near the camera their
edges are sharpened to the pixel and the surfaces take grain from tiles, so markings stay crisp at
any distance; from afar the colours come from a raster with smaller and smaller versions. A wet
ground mirrors the houses of its own column.
"""

import math

import numpy as np
from numba import njit

from .buffers import FOG_STEP_M, FOG_STEPS, Air, Canvas, Ground, Rays
from .raycast import row_range

EDGE_BLUR_TEXELS = 2.6  # how wide an edge of the fine raster was smoothed
SKY_DEPTH_M = 1e9
FRESNEL_BASE, FRESNEL_TOP = 0.10, 0.75


@njit(cache=True, nogil=True)
def draw_ground(ground: Ground, air: Air, rays: Rays, eye: np.ndarray, canvas: Canvas) -> None:
    """Fills the rows below the horizon that no quad covers."""
    num_columns, num_rows = len(rays.columns), len(rays.slopes)
    horizon = num_rows // 2
    paint = np.empty(3, np.float64)
    for column in range(num_columns):
        dx, dy = rays.columns[column, 0], rays.columns[column, 1]
        backdrop = canvas.depth[column, horizon - 1]
        for row in range(horizon, num_rows):
            slope = -rays.slopes[row]
            r = eye[2] / slope
            if canvas.depth[column, row] <= r:
                continue
            x, y = eye[0] + r * dx - ground.origin[0], eye[1] + r * dy - ground.origin[1]
            across = r * rays.step
            away = across * math.sqrt(1.0 + slope * slope) / slope
            _ground_color(ground, air, x, y, across, away, paint)
            if ground.wet > 0.0:
                _mirror(ground, rays, eye, canvas, column, row, r, x, y, backdrop, paint)
            fog = air.fog_share[min(FOG_STEPS - 1, int(r / FOG_STEP_M))]
            for k in range(3):
                value = paint[k] * (1.0 - fog) + air.fog[k] * fog
                canvas.color[column, row, k] = np.uint8(min(255.0, value + 0.5))
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
def _ground_color(
    ground: Ground, air: Air, x: float, y: float, across: float, away: float, out: np.ndarray
) -> None:
    """Colour in its light at a place (metres from the origin); across, away: size of a pixel."""
    finest = 1.0 / ground.fine_scale
    size = math.sqrt(across * away)
    near = min(1.0, max(0.0, 2.0 - size / finest * 0.35))
    shade = _coarse(ground, x, y, 0)
    if near < 1.0:
        _far_color(ground, x, y, math.sqrt(across * math.sqrt(across * away)), out)
    if near > 0.0:
        red, green, blue = out[0], out[1], out[2]
        _near_color(ground, x, y, across, away, out)
        if near < 1.0:
            out[0] = red + near * (out[0] - red)
            out[1] = green + near * (out[1] - green)
            out[2] = blue + near * (out[2] - blue)
    lamp = _coarse(ground, x, y, 3)
    for k in range(3):
        out[k] *= air.sun[k] + shade * (air.shade[k] - air.sun[k]) + lamp * air.lamp[k]


@njit(cache=True, nogil=True)
def _near_color(
    ground: Ground, x: float, y: float, across: float, away: float, out: np.ndarray
) -> None:
    pixel = ground.fine_scale * math.sqrt(across * away)
    sharpness = max(1.0, EDGE_BLUR_TEXELS / max(pixel, 0.12))
    raw = _fine(ground, x, y, 0)
    road = _sharp(raw, sharpness)
    lawn = _sharp(_coarse(ground, x, y, 1), max(1.0, 0.25 * sharpness))
    kerb = 0.0
    if 0.02 < raw < 0.98:
        kerb = _sharp(raw + 0.22, sharpness) - road
    side = len(ground.road)
    scale = ground.tile_scale
    i0, j0 = int(x * scale) & (side - 1), int(y * scale) & (side - 1)
    level = across * scale
    for k in range(3):
        street = _tile(ground.road, i0, j0, x, y, scale, level, k)
        paving = _tile(ground.paving, i0, j0, x, y, scale, level, k)
        if lawn > 0.0:
            paving += lawn * (_tile(ground.lawn, i0, j0, x, y, scale, level, k) - paving)
        out[k] = paving + road * (street - paving)
        out[k] += kerb * (ground.kerb[k] - out[k])
    mark = _fine(ground, x, y, 1)
    if mark > 0.02:
        worn = 0.75 + 0.25 * min(1.0, out[1] / 90.0)
        cover = _sharp(mark, sharpness) * worn
        hue = 1 if _coarse(ground, x, y, 2) > 0.5 else 0
        for k in range(3):
            out[k] += cover * (ground.paint[hue, k] - out[k])


@njit(cache=True, nogil=True)
def _tile(
    tile: np.ndarray, i: int, j: int, x: float, y: float, scale: float, level: float, k: int
) -> float:
    """A repeating tile; bilinear where it is enlarged."""
    mask = len(tile) - 1
    if level > 0.8:
        return float(tile[j, i, k])
    fx, fy = x * scale, y * scale
    sx, sy = fx - math.floor(fx), fy - math.floor(fy)
    i1, j1 = (i + 1) & mask, (j + 1) & mask
    low = tile[j, i, k] * (1.0 - sx) + tile[j, i1, k] * sx
    high = tile[j1, i, k] * (1.0 - sx) + tile[j1, i1, k] * sx
    return low * (1.0 - sy) + high * sy


@njit(cache=True, nogil=True)
def _sharp(cover: float, sharpness: float) -> float:
    return min(1.0, max(0.0, (cover - 0.5) * sharpness + 0.5))


@njit(cache=True, nogil=True)
def _fine(ground: Ground, x: float, y: float, channel: int) -> float:
    fx, fy = x * ground.fine_scale - 0.5, y * ground.fine_scale - 0.5
    i, j = int(math.floor(fx)), int(math.floor(fy))
    height, width = ground.fine.shape[0], ground.fine.shape[1]
    if i < 0 or j < 0 or i >= width - 1 or j >= height - 1:
        return 0.0
    sx, sy = fx - i, fy - j
    low = ground.fine[j, i, channel] * (1.0 - sx) + ground.fine[j, i + 1, channel] * sx
    high = ground.fine[j + 1, i, channel] * (1.0 - sx) + ground.fine[j + 1, i + 1, channel] * sx
    return (low * (1.0 - sy) + high * sy) * (1.0 / 255.0)


@njit(cache=True, nogil=True)
def _coarse(ground: Ground, x: float, y: float, channel: int) -> float:
    fx, fy = x * ground.coarse_scale - 0.5, y * ground.coarse_scale - 0.5
    height, width = ground.coarse.shape[0], ground.coarse.shape[1]
    fx, fy = min(width - 1.001, max(0.0, fx)), min(height - 1.001, max(0.0, fy))
    i, j = int(fx), int(fy)
    sx, sy = fx - i, fy - j
    low = ground.coarse[j, i, channel] * (1.0 - sx) + ground.coarse[j, i + 1, channel] * sx
    high = ground.coarse[j + 1, i, channel] * (1.0 - sx)
    high += ground.coarse[j + 1, i + 1, channel] * sx
    return (low * (1.0 - sy) + high * sy) * (1.0 / 255.0)


@njit(cache=True, nogil=True)
def _far_color(ground: Ground, x: float, y: float, size: float, out: np.ndarray) -> None:
    """From the raster of colours, at the level whose texels are about `size` metres."""
    level, scale = 0, ground.far_scale
    while size * scale > 1.4 and level < len(ground.far_offsets) - 1:
        scale *= 0.5
        level += 1
    height, width = ground.far_sizes[level, 0], ground.far_sizes[level, 1]
    fx = min(width - 1.001, max(0.0, x * scale - 0.5))
    fy = min(height - 1.001, max(0.0, y * scale - 0.5))
    i, j = int(fx), int(fy)
    sx, sy = fx - i, fy - j
    here = ground.far_offsets[level] + j * width + i
    for k in range(3):
        low = ground.far[here, k] * (1.0 - sx) + ground.far[here + 1, k] * sx
        high = ground.far[here + width, k] * (1.0 - sx) + ground.far[here + width + 1, k] * sx
        out[k] = low * (1.0 - sy) + high * sy


@njit(cache=True, nogil=True)
def _mirror(
    ground: Ground,
    rays: Rays,
    eye: np.ndarray,
    canvas: Canvas,
    column: int,
    row: int,
    r: float,
    x: float,
    y: float,
    backdrop: float,
    out: np.ndarray,
) -> None:
    """Adds what a wet ground mirrors: the same column, from below, drawn out downwards."""  # fmt: skip
    slope = -rays.slopes[row]
    rise = slope
    if backdrop < SKY_DEPTH_M:
        rise = max(0.02, ((backdrop - r) * slope - eye[2]) / backdrop)
    seen, _ = row_range(0.0, rise, rays)
    steep = slope / math.sqrt(1.0 + slope * slope)
    glance = (1.0 - steep) ** 3
    road = _fine(ground, x, y, 0)
    puddle = _coarse(ground, x * 0.37 + 11.0, y * 0.37 + 5.0, 0)
    share = ground.wet * (FRESNEL_BASE + (FRESNEL_TOP - FRESNEL_BASE) * glance)
    share *= 0.55 + 0.35 * road + 0.1 * puddle
    reach = 2 + (len(rays.slopes) - row) // 24
    horizon = len(rays.slopes) // 2
    for k in range(3):
        total = 0.0
        for step in range(-2, 3):
            source = min(horizon - 1, max(0, seen + step * reach))
            total += canvas.color[column, source, k]
        out[k] = out[k] * (1.0 - 0.5 * share) + share * total * 0.2
