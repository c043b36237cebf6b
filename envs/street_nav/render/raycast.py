"""Compiled drawing of quads: near to far, exact perspective with one division a pixel at most.

A column remembers up to which row it is covered down to the pavement, so that what stands behind
costs nothing.

No fastmath and no parallel loops: the same pixels in every process. The global interpreter lock is
released, and all state is in the arguments, so threads may draw at the same time. Helpers are put
in line by numba, because tuples of arrays are slow to pass on.
"""

import math

import numpy as np

from .buffers import (
    CUTOUT,
    FOG_STEP_M,
    FOG_STEPS,
    HEIGHT_STEPS,
    SHADOW_SAMPLES,
    SOFT,
    STEPS_PER_M,
    VERTICAL,
    Air,
    Canvas,
    Quads,
    Rays,
    Textures,
)
from .compiled import kernel
from .edges import mark_edges
from .projection import NEAR_M, column_range, row_of, rows_between, segment_in_plane
from .sampling import ALPHA, channel, clamped, fetch, fetch_row, level_of, limits, put

MAX_TAPS = 4
SHADOW_EDGE_M = 0.25


@kernel()
def draw_quads(
    order: np.ndarray,
    distance: np.ndarray,
    quads: Quads,
    textures: Textures,
    air: Air,
    rays: Rays,
    eye: np.ndarray,
    canvas: Canvas,
) -> None:
    """Draws quads given near to far with their distances; `SOFT` ones are left out."""
    num_columns = len(rays.columns)
    for k in range(len(order)):
        i, nearest = order[k], distance[k]
        if quads.flags[i] & SOFT:
            continue
        top = quads.corner[i, 2] + max(0.0, quads.u[i, 2]) + max(0.0, quads.v[i, 2]) - eye[2]
        highest = 0 if top > 0 and nearest < 0.1 else int(row_of(top / nearest, rays)) - 1
        if top < 0:
            highest = len(rays.slopes) // 2
        first, last = column_range(quads, i, eye, num_columns)
        for unwrapped in range(first, last + 1):
            column = unwrapped - num_columns if unwrapped >= num_columns else unwrapped
            if nearest >= canvas.skyline_r[column] and highest >= canvas.skyline[column]:
                continue
            if quads.flags[i] & VERTICAL:
                _draw_upright(i, column, quads, textures, air, rays, eye, canvas)
            else:
                _draw_tilted(i, column, quads, textures, air, rays, eye, canvas)


@kernel(inline="always")
def _shadow_height(shadow: np.ndarray, i: int, a: float) -> float:
    place = a * (SHADOW_SAMPLES - 1)
    k = min(int(place), SHADOW_SAMPLES - 2)
    share = place - k
    return shadow[i, k] * (1.0 - share) + shadow[i, k + 1] * share


@kernel(inline="always")
def _draw_upright(
    i: int,
    column: int,
    quads: Quads,
    textures: Textures,
    air: Air,
    rays: Rays,
    eye: np.ndarray,
    canvas: Canvas,
) -> None:
    """One column of a quad with a vertical side: one distance, one texture column."""  # fmt: skip
    dx, dy = rays.columns[column, 0], rays.columns[column, 1]
    px, py = quads.corner[i, 0] - eye[0], quads.corner[i, 1] - eye[1]
    ux, uy = quads.u[i, 0], quads.u[i, 1]
    slant = dx * uy - dy * ux
    if slant == 0.0:
        return
    a = (dy * px - dx * py) / slant
    if a < 0.0 or a > 1.0:
        return
    r = (px + a * ux) * dx + (py + a * uy) * dy
    if r < NEAR_M:
        return
    base, tall = quads.corner[i, 2] - eye[2], quads.v[i, 2]
    upper, lower = row_of((base + tall) / r, rays), row_of(base / r, rays)
    first = max(0, math.ceil(upper - 0.5))
    last = min(len(rays.slopes) - 1, math.floor(lower - 0.5))
    flags = quads.flags[i]
    hidden = canvas.skyline[column]
    if r >= canvas.skyline_r[column] and last >= hidden:
        last = hidden - 1
    if first > last:
        return
    mark_edges(canvas, column, first, last, upper, lower, r)
    if not flags & CUTOUT and first < hidden and (base <= 0.2 - eye[2] or last >= hidden - 1):
        canvas.skyline[column] = first
        canvas.skyline_r[column] = max(canvas.skyline_r[column], r)
    _fill_upright(i, column, r, a, slant, first, last, quads, textures, air, rays, eye, canvas)


@kernel(inline="always")
def _fill_upright(
    i: int,
    column: int,
    r: float,
    a: float,
    slant: float,
    first: int,
    last: int,
    quads: Quads,
    textures: Textures,
    air: Air,
    rays: Rays,
    eye: np.ndarray,
    canvas: Canvas,
) -> None:
    """Rows of a column at the distance r, at the share a of the quad's width."""  # fmt: skip
    base, tall, flags = quads.corner[i, 2] - eye[2], quads.v[i, 2], quads.flags[i]
    tex = quads.texture[i]
    log_w, log_h = textures.sizes[tex, 0], textures.sizes[tex, 1]
    repeats_u, repeats_v = abs(quads.uv[i, 1]), abs(quads.uv[i, 3])
    along = r * rays.step / abs(slant)  # of the quad's width, a column
    per_row = r * rays.step / tall * repeats_v * (1 << log_h)
    per_column = along * repeats_u * (1 << log_w)
    level = level_of(max(per_row, per_column / MAX_TAPS), textures.sizes[tex, 2])
    offset = textures.offsets[tex, level]
    per_column /= 1 << level
    log_w, log_h = max(0, log_w - level), max(0, log_h - level)
    taps = 1
    if per_column > 1.5:
        taps = 2 if per_column < 3.0 else 4
    x = (quads.uv[i, 0] + a * quads.uv[i, 1]) * (1 << log_w) - 0.5
    y_scale = quads.uv[i, 3] / tall * (1 << log_h)
    y_start = quads.uv[i, 2] * (1 << log_h) - base * y_scale - 0.5
    mask_w, mask_h = (1 << log_w) - 1, (1 << log_h) - 1
    x = clamped(x, quads.uv[i, 0], quads.uv[i, 1], mask_w)
    low, high = limits(quads.uv[i, 2], quads.uv[i, 3], mask_h)
    fog = air.fog_share[min(FOG_STEPS - 1, int(r / FOG_STEP_M))]
    shaded_to = _shadow_height(quads.shadow, i, a) - eye[2]
    shine, owner, haze, color = quads.shine[i], quads.owner[i], air.fog, canvas.color
    dim_r, dim_g, dim_b = quads.dim[i, 0], quads.dim[i, 1], quads.dim[i, 2]
    sun_r, sun_g, sun_b = quads.lit[i, 0] - dim_r, quads.lit[i, 1] - dim_g, quads.lit[i, 2] - dim_b
    for row in range(first, last + 1):
        if canvas.depth[column, row] <= r:
            continue
        z = rays.slopes[row] * r
        y = min(high, max(low, y_start + z * y_scale))
        if taps == 1:
            texel = fetch(textures.texels, offset, log_h, mask_w, mask_h, x, y)
        else:
            texel = fetch_row(
                textures.texels, offset, log_h, mask_w, mask_h, x, y, per_column, taps
            )
        own = channel(texel, ALPHA) * (1.0 / 255.0)
        if flags & CUTOUT:
            if own < 0.5:
                continue
            own = 0.0
        sunny = min(1.0, max(0.0, (z - shaded_to) * (1.0 / SHADOW_EDGE_M)))
        k = min(HEIGHT_STEPS - 1, max(0, int((z + eye[2]) * STEPS_PER_M)))
        near = air.by_height[k, 0]
        red = (dim_r + sunny * sun_r) * near + air.by_height[k, 1]
        green = (dim_g + sunny * sun_g) * near + air.by_height[k, 2]
        blue = (dim_b + sunny * sun_b) * near + air.by_height[k, 3]
        if own > 0.0:
            red += own * (shine - red)
            green += own * (shine - green)
            blue += own * (shine - blue)
        put(color, column, row, texel, red, green, blue, haze, fog)
        canvas.depth[column, row] = r
        canvas.owner[column, row] = owner
        canvas.shine[column, row] = np.uint8(own * 255.0 * (1.0 - fog))


@kernel(inline="always")
def _draw_tilted(
    i: int,
    column: int,
    quads: Quads,
    textures: Textures,
    air: Air,
    rays: Rays,
    eye: np.ndarray,
    canvas: Canvas,
) -> None:
    """One column of a quad in any position: roofs, awnings, bodies of cars."""  # fmt: skip
    dx, dy = rays.columns[column, 0], rays.columns[column, 1]
    met, r0, z0, a0, b0, r1, z1, a1, b1 = segment_in_plane(i, quads, eye, dx, dy)
    if not met:
        return
    dr, dz, da, db = r1 - r0, z1 - z0, a1 - a0, b1 - b0
    upper, lower, span = rows_between(z0 / r0, z1 / r1, rays)
    first = max(0, math.ceil(upper - 0.5))
    last = min(len(rays.slopes) - 1, math.floor(lower - 0.5))
    if min(r0, r0 + dr) >= canvas.skyline_r[column] and last >= canvas.skyline[column]:
        last = canvas.skyline[column] - 1
    if first > last:
        return
    if not quads.flags[i] & CUTOUT:
        mark_edges(canvas, column, first, last, upper, lower, max(r0, r0 + dr))
    tex = quads.texture[i]
    log_w, log_h = textures.sizes[tex, 0], textures.sizes[tex, 1]
    span = max(1.0, span)
    ahead = abs(db * quads.uv[i, 3]) * (1 << log_h) / span
    aside = abs(da * quads.uv[i, 1]) * (1 << log_w) / span
    level = level_of(max(ahead, aside), textures.sizes[tex, 2])
    offset = textures.offsets[tex, level]
    log_w, log_h = max(0, log_w - level), max(0, log_h - level)
    mask_w, mask_h = (1 << log_w) - 1, (1 << log_h) - 1
    left, right = limits(quads.uv[i, 0], quads.uv[i, 1], mask_w)
    low, high = limits(quads.uv[i, 2], quads.uv[i, 3], mask_h)
    fog = air.fog_share[min(FOG_STEPS - 1, int(r0 / FOG_STEP_M))]
    in_shade = quads.shadow[i, 0] > z0 + eye[2]
    light_r = quads.dim[i, 0] if in_shade else quads.lit[i, 0]
    light_g = quads.dim[i, 1] if in_shade else quads.lit[i, 1]
    light_b = quads.dim[i, 2] if in_shade else quads.lit[i, 2]
    shine, haze, color = quads.shine[i], air.fog, canvas.color
    for row in range(first, last + 1):
        bend = dz - rays.slopes[row] * dr
        if bend == 0.0:
            continue
        share = min(1.0, max(0.0, (rays.slopes[row] * r0 - z0) / bend))
        r = r0 + share * dr
        if canvas.depth[column, row] <= r:
            continue
        x = (quads.uv[i, 0] + (a0 + share * da) * quads.uv[i, 1]) * (1 << log_w) - 0.5
        y = (quads.uv[i, 2] + (b0 + share * db) * quads.uv[i, 3]) * (1 << log_h) - 0.5
        x, y = min(right, max(left, x)), min(high, max(low, y))
        texel = fetch(textures.texels, offset, log_h, mask_w, mask_h, x, y)
        own = channel(texel, ALPHA) * (1.0 / 255.0)
        if quads.flags[i] & CUTOUT:
            if own < 0.5:
                continue
            own = 0.0
        k = min(HEIGHT_STEPS - 1, max(0, int((z0 + share * dz + eye[2]) * STEPS_PER_M)))
        near = air.by_height[k, 0]
        red = light_r * near + air.by_height[k, 1]
        green = light_g * near + air.by_height[k, 2]
        blue = light_b * near + air.by_height[k, 3]
        if own > 0.0:
            red += own * (shine - red)
            green += own * (shine - green)
            blue += own * (shine - blue)
        put(color, column, row, texel, red, green, blue, haze, fog)
        canvas.depth[column, row] = r
        canvas.owner[column, row] = quads.owner[i]
        canvas.shine[column, row] = np.uint8(own * 255.0 * (1.0 - fog))
