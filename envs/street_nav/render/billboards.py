"""Compiled drawing of what is blended: what lies on the ground, then sprites from far to near."""

import math

import numpy as np

from .buffers import (
    ADDED,
    FOG_STEP_M,
    FOG_STEPS,
    HEIGHT_STEPS,
    SOFT,
    STEPS_PER_M,
    Air,
    Canvas,
    Quads,
    Rays,
    Sprites,
    Textures,
)
from .compiled import kernel
from .projection import column_range, row_range, rows_between, segment_in_plane
from .sampling import ALPHA, BLUE, GREEN, RED, channel, fetch, level_of

LIFT_M = 0.4  # soft quads lie on the ground: how far behind it they may seem to be
HIDES = 0.5  # coverage from which a sprite hides the sign behind it


@kernel()
def draw_soft_quads(
    order: np.ndarray,
    quads: Quads,
    textures: Textures,
    rays: Rays,
    eye: np.ndarray,
    canvas: Canvas,
) -> None:
    """Multiplies the ground by the soft quads (see `decals`)."""  # fmt: skip
    num_columns = len(rays.columns)
    for i in order:
        if not quads.flags[i] & SOFT:
            continue
        first, last = column_range(quads, i, eye, num_columns)
        for unwrapped in range(first, last + 1):
            column = unwrapped % num_columns
            dx, dy = rays.columns[column, 0], rays.columns[column, 1]
            met, r0, z0, a0, b0, r1, z1, a1, b1 = segment_in_plane(i, quads, eye, dx, dy)
            if met:
                _tint_column(
                    i, column, quads, textures, rays, canvas, r0, z0, a0, b0, r1 - r0, z1 - z0,
                    a1 - a0, b1 - b0,
                )  # fmt: skip


@kernel(inline="always")
def _tint_column(
    i: int, column: int, quads: Quads, textures: Textures, rays: Rays, canvas: Canvas, r0: float,
    z0: float, a0: float, b0: float, dr: float, dz: float, da: float, db: float,
) -> None:  # fmt: skip
    upper, lower, span = rows_between(z0 / r0, (z0 + dz) / (r0 + dr), rays)
    first, last = max(0, math.ceil(upper - 0.5)), math.floor(lower - 0.5)
    last = min(len(rays.slopes) - 1, last)
    if first > last:
        return
    tex = quads.texture[i]
    log_w, log_h = textures.sizes[tex, 0], textures.sizes[tex, 1]
    steps = max(abs(da) * (1 << log_w), abs(db) * (1 << log_h)) / max(1.0, span)
    level = level_of(steps, textures.sizes[tex, 2])
    offset = textures.offsets[tex, level]
    log_w, log_h = max(0, log_w - level), max(0, log_h - level)
    mask_w, mask_h = (1 << log_w) - 1, (1 << log_h) - 1
    for row in range(first, last + 1):
        bend = dz - rays.slopes[row] * dr
        if bend == 0.0:
            continue
        share = min(1.0, max(0.0, (rays.slopes[row] * r0 - z0) / bend))
        if canvas.depth[column, row] < r0 + share * dr - LIFT_M:
            continue
        x = min(max((a0 + share * da) * (1 << log_w) - 0.5, 0.0), mask_w - 0.001)
        y = min(max((b0 + share * db) * (1 << log_h) - 0.5, 0.0), mask_h - 0.001)
        texel = fetch(textures.texels, offset, log_h, mask_w, mask_h, x, y)
        cover = channel(texel, ALPHA) * (1.0 / 255.0)
        if cover <= 0.0:
            continue
        parts = channel(texel, RED), channel(texel, GREEN), channel(texel, BLUE)
        for k in range(3):
            factor = parts[k] * (1.0 / 128.0)
            value = canvas.color[column, row, k] * (1.0 + cover * (factor - 1.0))
            canvas.color[column, row, k] = np.uint8(min(255.0, value + 0.5))


def visible_sprites(sprites: Sprites, eye: np.ndarray, far_m: float) -> np.ndarray:
    """Indices of the sprites within `far_m` of the eye, far to near."""
    r = np.hypot(sprites.base[:, 0] - eye[0], sprites.base[:, 1] - eye[1])
    near = np.flatnonzero((r > np.maximum(1.0, sprites.hide_within)) & (r < far_m))
    return near[np.argsort(-r[near], kind="stable")]


@kernel()
def draw_sprites(
    order: np.ndarray,
    sprites: Sprites,
    textures: Textures,
    air: Air,
    rays: Rays,
    eye: np.ndarray,
    canvas: Canvas,
) -> None:
    """Draws sprites in the given order."""
    for i in order:
        r = math.hypot(sprites.base[i, 0] - eye[0], sprites.base[i, 1] - eye[1])
        _draw_sprite(i, r, sprites, textures, air, rays, eye, canvas)


@kernel(inline="always")
def _draw_sprite(
    i: int, r: float, sprites: Sprites, textures: Textures, air: Air, rays: Rays,
    eye: np.ndarray, canvas: Canvas,
) -> None:  # fmt: skip
    num_columns = len(rays.columns)
    middle = math.atan2(sprites.base[i, 0] - eye[0], sprites.base[i, 1] - eye[1])
    width, tall = sprites.size[i, 0], sprites.size[i, 1]
    reach = math.atan(0.5 * width / r)
    base = sprites.base[i, 2] - eye[2]
    first_row, last_row = row_range(base / r, (base + tall) / r, rays)
    first = math.ceil((middle - reach) / rays.step - 0.5)
    last = math.floor((middle + reach) / rays.step - 0.5)
    tex = sprites.texture[i]
    log_w, log_h = textures.sizes[tex, 0], textures.sizes[tex, 1]
    wide = r * rays.step / width * (1 << log_w)
    high = r * rays.step / tall * (1 << log_h)
    level = level_of(max(wide, high), textures.sizes[tex, 2])
    offset = textures.offsets[tex, level]
    log_w, log_h = max(0, log_w - level), max(0, log_h - level)
    mask_w, mask_h = (1 << log_w) - 1, (1 << log_h) - 1
    fog = air.fog_share[min(FOG_STEPS - 1, int(r / FOG_STEP_M))]
    added = sprites.flags[i] & ADDED != 0
    light, haze = sprites.light[i], air.fog
    for unwrapped in range(first, last + 1):
        column = unwrapped % num_columns
        turn = (unwrapped + 0.5) * rays.step - middle
        u = min(0.9999, max(0.0, 0.5 + math.tan(turn) * r / width))
        x = min(max(u * (1 << log_w) - 0.5, 0.0), mask_w - 0.001)
        for row in range(first_row, last_row + 1):
            if canvas.depth[column, row] <= r:
                continue
            z = rays.slopes[row] * r
            v = (z - base) / tall
            y = min(max(v * (1 << log_h) - 0.5, 0.0), mask_h - 0.001)
            texel = fetch(textures.texels, offset, log_h, mask_w, mask_h, x, y)
            cover = channel(texel, ALPHA) * (1.0 / 255.0)
            if cover <= 0.0:
                continue
            k = min(HEIGHT_STEPS - 1, max(0, int((z + eye[2]) * STEPS_PER_M)))
            if added:
                _add(canvas.color, column, row, texel, cover * (1.0 - fog), light)
            else:
                near = air.by_height[k]
                _cover(canvas.color, column, row, texel, cover, fog, light, near, haze)
                if cover > HIDES:
                    canvas.owner[column, row] = 0
                    canvas.shine[column, row] = 0


@kernel(inline="always")
def _add(
    color: np.ndarray, column: int, row: int, texel: np.uint64, share: float, light: np.ndarray
) -> None:
    parts = channel(texel, RED), channel(texel, GREEN), channel(texel, BLUE)
    for k in range(3):
        value = parts[k] * light[k] * share
        value += color[column, row, k]
        color[column, row, k] = np.uint8(min(255.0, value + 0.5))


@kernel(inline="always")
def _cover(
    color: np.ndarray, column: int, row: int, texel: np.uint64, cover: float, fog: float,
    light: np.ndarray, near: np.ndarray, haze: np.ndarray,
) -> None:  # fmt: skip
    parts = channel(texel, RED), channel(texel, GREEN), channel(texel, BLUE)
    for k in range(3):
        value = parts[k]
        value *= light[k] * near[0] + near[1 + k]
        value = value * (1.0 - fog) + haze[k] * fog
        value = value * cover + color[column, row, k] * (1.0 - cover)
        color[column, row, k] = np.uint8(min(255.0, value + 0.5))
