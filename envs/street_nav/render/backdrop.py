"""Compiled drawing of what the quads leave free: the ground below the horizon, the sky above.

The ground is not a picture but the distance to the kerb and the coverage by paint. Near the camera
their edges are sharpened to the pixel and the surfaces take grain from tiles, so markings stay
crisp at any distance; from afar the colours come from a raster with smaller and smaller versions.
What depends on the row alone (distance, sharpness, levels) is worked out once a panorama. A wet
ground mirrors the houses of its own column.
"""

import math
from typing import NamedTuple

import numpy as np

from .buffers import (
    FOG_STEP_M,
    FOG_STEPS,
    Air,
    Canvas,
    Ground,
    Rays,
)
from .compiled import kernel
from .groundcover import kerb_metres, mark_at, near_color, raster_at, sharpened
from .projection import row_of
from .sampling import ALPHA, BLUE, GREEN, RED, channel, spread

PAINT_BLUR_TEXELS = 1.6  # how wide an edge of paint was smoothed
SAME_LIGHT_M = 0.06
NEAR_LOSS_PER_M = 2.6  # how fast the near surface gives way, by the size of a pixel
SKY_DEPTH_M = 1e9
FRESNEL_BASE, FRESNEL_TOP = 0.10, 0.75
MIRROR_STEPS = 512


class Rows(NamedTuple):
    """What the rows below the horizon have in common in every panorama, [rows] each."""

    r: np.ndarray  # float64, distance of the ground in metres
    near: np.ndarray  # float64, share of the near surface; the rest is the far raster
    across: np.ndarray  # float64, width of a pixel on the ground in metres
    size: np.ndarray  # float64, the mean of its width and its length
    marks_sharpness: np.ndarray  # float64, of edges of paint
    marks_start: np.ndarray  # int64, of the level of paint
    marks_side: np.ndarray  # int64, without the rim
    far_level: np.ndarray  # int64
    tile_start: np.ndarray  # int64, of the tiles' level
    tile_side: np.ndarray  # int64
    tile_scale: np.ndarray  # float64, texels per metre of that level
    fog: np.ndarray  # float64
    gloss: np.ndarray  # float64, how much a wet ground mirrors
    reach: np.ndarray  # int64, rows over which it draws out what it mirrors
    mirrored: np.ndarray  # int64 [MIRROR_STEPS + 1]: rows of slopes upwards, to the steepest


@kernel(allocates=True)
def ground_rows(ground: Ground, air: Air, rays: Rays, height: float) -> Rows:
    """What `draw_ground` needs for every row, seen from a height in metres."""
    horizon = len(rays.slopes) // 2
    count = len(rays.slopes) - horizon
    rows = Rows(
        np.empty(count), np.empty(count), np.empty(count), np.empty(count), np.empty(count),
        np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64),
        np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count), np.empty(count),
        np.empty(count), np.empty(count, np.int64), np.empty(MIRROR_STEPS + 1, np.int64),
    )  # fmt: skip
    for k in range(MIRROR_STEPS + 1):
        rows.mirrored[k] = max(0, int(row_of(k * rays.slopes[0] / MIRROR_STEPS, rays)))
    for k in range(count):
        _measure_row(k, -rays.slopes[horizon + k], height, ground, air, rays.step, rows)
    return rows


@kernel()
def draw_ground(
    ground: Ground, rows: Rows, air: Air, rays: Rays, eye: np.ndarray, canvas: Canvas
) -> None:
    """Fills the rows below the horizon that no quad covers."""
    num_columns, num_rows = len(rays.columns), len(rays.slopes)
    horizon = num_rows // 2
    tiles_per_m = ground.marks_scale / ground.marks_side
    road_green = max(1.0, channel(spread(ground.tiles[0, -1]), GREEN))  # mean of the roadway
    coarse, edge, tiles, paint = ground.coarse.reshape(-1), ground.edge, ground.tiles, ground.paint
    coarse_height, coarse_width = ground.coarse.shape
    kerb, gutter, marks_at, marks = ground.kerb, ground.gutter, ground.marks_at, ground.marks
    far, far_offsets, far_sizes = ground.far, ground.far_offsets, ground.far_sizes
    color, depth = canvas.color, canvas.depth
    mirror_steps = MIRROR_STEPS / rays.slopes[0]
    eye_x, eye_y = eye[0] - ground.origin[0], eye[1] - ground.origin[1]
    for column in range(num_columns):
        dx, dy = rays.columns[column, 0], rays.columns[column, 1]
        backdrop = depth[column, horizon - 1]
        last_row, last_metres = -9, 0.0  # what was drawn above in this column
        cell, cell_r = np.uint64(0), 1e9  # rows come nearer, and light changes slowly
        metres, free_r = 0.0, 1e9  # where the next kerb may be
        light_r, light_g, light_b = 1.0, 1.0, 1.0
        for row in range(horizon, num_rows):
            k = row - horizon
            r = rows.r[k]
            if depth[column, row] <= r:
                continue
            x, y = eye_x + r * dx, eye_y + r * dy
            if r < cell_r - SAME_LIGHT_M:
                cell = raster_at(
                    coarse, 0, coarse_height, coarse_width,
                    x * ground.coarse_scale - 0.5, y * ground.coarse_scale - 0.5,
                )  # fmt: skip
                cell_r = r
                shade = channel(cell, RED) * (1.0 / 255.0)
                lamp = channel(cell, ALPHA) * (1.0 / 255.0)
                light_r = air.sun[0] + shade * (air.shade[0] - air.sun[0]) + lamp * air.lamp[0]
                light_g = air.sun[1] + shade * (air.shade[1] - air.sun[1]) + lamp * air.lamp[1]
                light_b = air.sun[2] + shade * (air.shade[2] - air.sun[2]) + lamp * air.lamp[2]
            near = rows.near[k]
            red, green, blue = 0.0, 0.0, 0.0
            if near < 1.0:
                level = rows.far_level[k]
                scale = ground.far_scale / (1 << level)
                distant = raster_at(
                    far, far_offsets[level], far_sizes[level, 0],
                    far_sizes[level, 1], x * scale - 0.5, y * scale - 0.5,
                )  # fmt: skip
                red, green = channel(distant, RED), channel(distant, GREEN)
                blue = channel(distant, BLUE)
            if near > 0.0:
                footprint = rows.size[k]
                if r <= free_r:
                    metres = kerb_metres(
                        edge, x * ground.edge_scale - 0.5, y * ground.edge_scale - 0.5
                    )
                    if last_row == row - 1:  # an edge is as wide as a pixel is across it
                        footprint = abs(metres - last_metres) + 0.6 * rows.across[k]
                    last_row, last_metres = row, metres
                    free_r = r - (abs(metres) - ground.gutter_m - 2.0 * ground.gutter_soft_m)
                else:
                    last_row = -9
                scale = rows.tile_scale[k]
                r1, g1, b1 = near_color(
                    tiles, kerb, gutter, ground.gutter_m,
                    ground.gutter_soft_m, x * scale, y * scale, metres, cell,
                    footprint, rows.size[k], rows.tile_start[k], rows.tile_side[k], road_green,
                )  # fmt: skip
                mark = 0.0
                if metres > 0.0:
                    mark = mark_at(
                        marks_at, marks, x * tiles_per_m, y * tiles_per_m,
                        rows.marks_start[k], rows.marks_side[k],
                    )  # fmt: skip
                if mark > 0.02:
                    wear = min(1.0, 0.62 + 0.34 * g1 / road_green)
                    mark = sharpened(mark, rows.marks_sharpness[k]) * wear
                    hue = 1 if channel(cell, BLUE) > 127.0 else 0
                    r1 += mark * (paint[hue, 0] - r1)
                    g1 += mark * (paint[hue, 1] - g1)
                    b1 += mark * (paint[hue, 2] - b1)
                if near < 1.0:
                    red, green = red + near * (r1 - red), green + near * (g1 - green)
                    blue += near * (b1 - blue)
                else:
                    red, green, blue = r1, g1, b1
            red, green, blue = red * light_r, green * light_g, blue * light_b
            if ground.wet > 0.0:
                rise = -rays.slopes[row]
                if backdrop < SKY_DEPTH_M:
                    rise = max(0.02, ((backdrop - r) * rise - eye[2]) / backdrop)
                seen = rows.mirrored[min(MIRROR_STEPS, int(rise * mirror_steps))]
                red, green, blue = _mirror(
                    color, column, seen, rows.gloss[k], rows.reach[k], red, green, blue
                )
            fog = rows.fog[k]
            red, green = red + fog * (air.fog[0] - red), green + fog * (air.fog[1] - green)
            blue += fog * (air.fog[2] - blue)
            color[column, row, 0] = np.uint8(min(255.0, red + 0.5))
            color[column, row, 1] = np.uint8(min(255.0, green + 0.5))
            color[column, row, 2] = np.uint8(min(255.0, blue + 0.5))
            depth[column, row] = r


@kernel()
def draw_sky(sky: np.ndarray, canvas: Canvas) -> None:
    """Copies the sky, uint8 [W, rows above the horizon, 3], where nothing was drawn."""
    for column in range(sky.shape[0]):
        for row in range(sky.shape[1]):
            if canvas.depth[column, row] >= SKY_DEPTH_M:
                for k in range(3):
                    canvas.color[column, row, k] = sky[column, row, k]


@kernel(inline="always")
def _measure_row(
    k: int, slope: float, height: float, ground: Ground, air: Air, step: float, rows: Rows
) -> None:
    r = height / slope
    across = r * step
    away = across * math.sqrt(1.0 + slope * slope) / slope
    size = math.sqrt(across * away)  # of a pixel on the ground
    finer = math.sqrt(across * size)  # between its width and its mean: sharper from afar
    rows.r[k] = r
    rows.near[k] = min(1.0, max(0.0, 2.0 - NEAR_LOSS_PER_M * size))
    rows.across[k], rows.size[k] = across, size
    texels, side, start = size * ground.marks_scale, ground.marks_side, 0
    for _ in range(ground.marks_levels - 1):
        if texels > 1.4:
            start += (side + 2) * (side + 2)
            texels, side = 0.5 * texels, side >> 1
    rows.marks_start[k], rows.marks_side[k] = start, side
    rows.marks_sharpness[k] = max(1.0, PAINT_BLUR_TEXELS / max(0.1, texels))
    rows.far_level[k] = _level(finer * ground.far_scale, len(ground.far_offsets) - 1)
    texels, side, start = finer * ground.tile_scale, ground.tile_px, 0
    while texels > 1.4 and side > 1:
        start += side * side
        texels, side = 0.5 * texels, side >> 1
    rows.tile_start[k], rows.tile_side[k] = start, side
    rows.tile_scale[k] = ground.tile_scale * side / ground.tile_px
    glance = (1.0 - slope / math.sqrt(1.0 + slope * slope)) ** 3
    rows.gloss[k] = ground.wet * (FRESNEL_BASE + (FRESNEL_TOP - FRESNEL_BASE) * glance)
    rows.reach[k] = 3 + int(8.0 * slope)
    rows.fog[k] = air.fog_share[min(FOG_STEPS - 1, int(r / FOG_STEP_M))]


@kernel()
def _level(texels_per_pixel: float, most: int) -> int:
    level = 0
    while texels_per_pixel > 1.4 and level < most:
        texels_per_pixel *= 0.5
        level += 1
    return level


@kernel(inline="always")
def _mirror(
    color: np.ndarray,
    column: int,
    seen: int,
    share: float,
    reach: int,
    red: float,
    green: float,
    blue: float,
) -> tuple[float, float, float]:
    """Adds what a wet ground mirrors: its column from below, drawn out downwards."""  # fmt: skip
    horizon = color.shape[1] // 2
    r1, g1, b1 = 0, 0, 0
    for step in range(-1, 2):
        source = min(horizon - 1, max(0, seen + step * reach))
        r1 += int(color[column, source, 0])
        g1 += int(color[column, source, 1])
        b1 += int(color[column, source, 2])
    keep, add = 1.0 - 0.5 * share, share / 3.0
    return red * keep + add * r1, green * keep + add * g1, blue * keep + add * b1
