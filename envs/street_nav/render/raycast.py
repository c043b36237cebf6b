"""Compiled drawing of a panorama: opaque quads, then ground and sky, then sprites.

Along one column of an equirectangular panorama the camera looks into a vertical half-plane. Every
parallelogram meets that plane in a line segment, which projects to a run of rows: exact perspective
with one division a pixel. Walls go near to far; a column remembers up to which row it is covered
down to the pavement, so that what stands behind costs nothing.

No fastmath and no parallel loops: the same pixels in every process. The global interpreter lock is
released, and all state is in the arguments, so threads may draw at the same time.
"""

import math

import numpy as np
from numba import njit

from .buffers import (
    CUTOUT,
    FOG_STEP_M,
    FOG_STEPS,
    HEIGHT_STEPS,
    SHADOW_SAMPLES,
    SOFT,
    STEPS_PER_M,
    TWO_SIDED,
    VERTICAL,
    Air,
    Canvas,
    Quads,
    Rays,
    Textures,
)

NEAR_M = 0.3
MAX_TAPS = 4
SHADOW_EDGE_M = 0.25
_LOW, _HIGH = np.uint32(0x00FF00FF), np.uint32(0xFF00FF00)


@njit(cache=True, nogil=True)
def visible_quads(quads: Quads, eye: np.ndarray, far_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the quads that face the eye, near to far, and their distances [M]."""
    count = len(quads.texture)
    distance = np.empty(count, np.float64)
    chosen = np.empty(count, np.int64)
    num = 0
    for i in range(count):
        away = math.hypot(quads.anchor[i, 0] - eye[0], quads.anchor[i, 1] - eye[1])
        if away < quads.anchor[i, 2]:
            continue
        px, py = quads.corner[i, 0] - eye[0], quads.corner[i, 1] - eye[1]
        pz = quads.corner[i, 2] - eye[2]
        ux, uy, uz = quads.u[i, 0], quads.u[i, 1], quads.u[i, 2]
        vx, vy, vz = quads.v[i, 0], quads.v[i, 1], quads.v[i, 2]
        mx, my = px + 0.5 * (ux + vx), py + 0.5 * (uy + vy)
        reach = 0.5 * (math.hypot(ux, uy) + math.hypot(vx, vy))
        if math.hypot(mx, my) - reach > far_m:
            continue
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        faces = nx * px + ny * py + nz * pz < 0.0
        if not faces and not quads.flags[i] & TWO_SIDED:
            continue
        distance[num] = _distance_to_segment(px, py, ux, uy)
        if vx != 0.0 or vy != 0.0:
            across = _distance_to_segment(px + vx, py + vy, ux, uy)
            distance[num] = min(distance[num], across)
        chosen[num] = i
        num += 1
    order = np.argsort(distance[:num], kind="mergesort")
    return chosen[:num][order], distance[:num][order]


@njit(cache=True, nogil=True)
def draw_quads(
    order: np.ndarray,
    quads: Quads,
    textures: Textures,
    air: Air,
    rays: Rays,
    eye: np.ndarray,
    canvas: Canvas,
) -> None:
    """Draws quads given near to far; `soft` ones are left out."""
    num_columns = len(rays.columns)
    ends = np.empty((2, 4), np.float64)
    for i in order:
        if quads.flags[i] & SOFT:
            continue
        first, last = column_range(quads, i, eye, num_columns)
        for unwrapped in range(first, last + 1):
            column = unwrapped % num_columns
            if quads.flags[i] & VERTICAL:
                _draw_upright(i, column, quads, textures, air, rays, eye, canvas)
            else:
                _draw_tilted(i, column, quads, textures, air, rays, eye, canvas, ends)


@njit(cache=True, nogil=True)
def column_range(quads: Quads, i: int, eye: np.ndarray, num_columns: int) -> tuple[int, int]:
    """First and last column that a quad may touch; the last may pass the seam of the panorama."""
    px, py = quads.corner[i, 0] - eye[0], quads.corner[i, 1] - eye[1]
    ux, uy, vx, vy = quads.u[i, 0], quads.u[i, 1], quads.v[i, 0], quads.v[i, 1]
    middle = math.atan2(px + 0.5 * (ux + vx), py + 0.5 * (uy + vy))
    low, high = 0.0, 0.0
    for k in range(4):
        a, b = float(k & 1), float(k >> 1)
        turn = math.atan2(px + a * ux + b * vx, py + a * uy + b * vy) - middle
        turn -= 2 * math.pi * math.floor(turn / (2 * math.pi) + 0.5)
        low, high = min(low, turn), max(high, turn)
    scale = num_columns / (2 * math.pi)
    first = math.ceil((middle + low) * scale - 0.5)
    last = math.floor((middle + high) * scale - 0.5)
    if first < 0:
        first, last = first + num_columns, last + num_columns
    return first, last


@njit(cache=True, nogil=True)
def row_range(low: float, high: float, rays: Rays) -> tuple[int, int]:
    """Rows whose centres lie between two slopes, low < high."""
    num_rows = len(rays.slopes)
    first = math.ceil((rays.top - math.atan(high)) / rays.step - 0.5)
    last = math.floor((rays.top - math.atan(low)) / rays.step - 0.5)
    return max(0, first), min(num_rows - 1, last)


@njit(cache=True, nogil=True)
def _distance_to_segment(px: float, py: float, ux: float, uy: float) -> float:
    """Of the origin to the segment from (px, py) along (ux, uy)."""
    length = ux * ux + uy * uy
    t = 0.0
    if length > 0.0:
        t = min(1.0, max(0.0, -(px * ux + py * uy) / length))
    return math.hypot(px + t * ux, py + t * uy)


@njit(cache=True, nogil=True)
def level_of(texels_per_pixel: float, num_levels: int) -> int:
    """The texture level whose texels are about as large as pixels."""
    level = 0
    while texels_per_pixel > 1.42 and level < num_levels - 1:
        texels_per_pixel *= 0.5
        level += 1
    return level


@njit(cache=True, nogil=True)
def _blend(first: np.uint32, second: np.uint32, share: np.uint32) -> np.uint32:
    """Two texels mixed, all four channels at once; share of the second, 0 to 256."""
    rest = np.uint32(256) - share
    even = ((first & _LOW) * rest + (second & _LOW) * share) >> np.uint32(8)
    first, second = (first >> np.uint32(8)) & _LOW, (second >> np.uint32(8)) & _LOW
    odd = first * rest + second * share
    return (even & _LOW) | (odd & _HIGH)


@njit(cache=True, nogil=True)
def fetch(
    texels: np.ndarray, offset: int, log_h: int, mask_w: int, mask_h: int, x: float, y: float
) -> np.uint32:
    """Bilinear, repeating; x and y in texels."""
    x0, y0 = math.floor(x), math.floor(y)
    share_x, share_y = np.uint32((x - x0) * 256.0), np.uint32((y - y0) * 256.0)
    column0 = offset + ((int(x0) & mask_w) << log_h)
    column1 = offset + (((int(x0) + 1) & mask_w) << log_h)
    row0, row1 = int(y0) & mask_h, (int(y0) + 1) & mask_h
    low = _blend(texels[column0 + row0], texels[column1 + row0], share_x)
    high = _blend(texels[column0 + row1], texels[column1 + row1], share_x)
    return _blend(low, high, share_y)


@njit(cache=True, nogil=True)
def _fetch_row(
    texels: np.ndarray,
    offset: int,
    log_h: int,
    mask_w: int,
    mask_h: int,
    x: float,
    y: float,
    spread: float,
    taps: int,
) -> np.uint32:
    """The mean of several places side by side, for walls seen at a slant."""  # fmt: skip
    y0 = math.floor(y)
    share = np.uint32((y - y0) * 256.0)
    row0, row1 = int(y0) & mask_h, (int(y0) + 1) & mask_h
    even, odd = np.uint32(0), np.uint32(0)
    x += 0.5 - 0.5 * spread + 0.5 * spread / taps
    for _ in range(taps):
        column = offset + ((int(math.floor(x)) & mask_w) << log_h)
        texel = _blend(texels[column + row0], texels[column + row1], share)
        even += texel & _LOW
        odd += (texel >> np.uint32(8)) & _LOW
        x += spread / taps
    if taps == 2:
        return ((even >> np.uint32(1)) & _LOW) | (((odd >> np.uint32(1)) & _LOW) << np.uint32(8))
    return ((even >> np.uint32(2)) & _LOW) | (((odd >> np.uint32(2)) & _LOW) << np.uint32(8))


@njit(cache=True, nogil=True)
def _shadow_height(quads: Quads, i: int, a: float) -> float:
    place = a * (SHADOW_SAMPLES - 1)
    k = min(int(place), SHADOW_SAMPLES - 2)
    share = place - k
    return quads.shadow[i, k] * (1.0 - share) + quads.shadow[i, k + 1] * share


@njit(cache=True, nogil=True)
def put(
    canvas: Canvas,
    column: int,
    row: int,
    texel: np.uint32,
    own: float,
    red: float,
    green: float,
    blue: float,
    shine: float,
    air: Air,
    fog: float,
) -> None:
    """Writes a texel in a light; `own` is the share that shines by itself."""  # fmt: skip
    clear = 1.0 - fog
    r = (texel & np.uint32(255)) * (red * (1.0 - own) + shine * own)
    g = ((texel >> np.uint32(8)) & np.uint32(255)) * (green * (1.0 - own) + shine * own)
    b = ((texel >> np.uint32(16)) & np.uint32(255)) * (blue * (1.0 - own) + shine * own)
    canvas.color[column, row, 0] = np.uint8(min(255.0, r * clear + air.fog[0] * fog + 0.5))
    canvas.color[column, row, 1] = np.uint8(min(255.0, g * clear + air.fog[1] * fog + 0.5))
    canvas.color[column, row, 2] = np.uint8(min(255.0, b * clear + air.fog[2] * fog + 0.5))


@njit(cache=True, nogil=True)
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
    first, last = row_range(base / r, (base + tall) / r, rays)
    flags = quads.flags[i]
    hidden = canvas.skyline[column]
    if r >= canvas.skyline_r[column]:
        if last >= hidden:
            last = hidden - 1
    if first > last:
        return
    if not flags & CUTOUT and first < hidden:
        if base <= 0.2 - eye[2] or last >= hidden - 1:
            canvas.skyline[column] = first
            canvas.skyline_r[column] = max(canvas.skyline_r[column], r)
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
    fog = air.fog_share[min(FOG_STEPS - 1, int(r / FOG_STEP_M))]
    shaded_to = _shadow_height(quads, i, a) - eye[2]
    shine, owner = quads.shine[i], quads.owner[i]
    dim_r, dim_g, dim_b = quads.dim[i, 0], quads.dim[i, 1], quads.dim[i, 2]
    sun_r, sun_g, sun_b = quads.lit[i, 0] - dim_r, quads.lit[i, 1] - dim_g, quads.lit[i, 2] - dim_b
    for row in range(first, last + 1):
        if canvas.depth[column, row] <= r:
            continue
        z = rays.slopes[row] * r
        y = y_start + z * y_scale
        if taps == 1:
            texel = fetch(textures.texels, offset, log_h, mask_w, mask_h, x, y)
        else:
            texel = _fetch_row(
                textures.texels, offset, log_h, mask_w, mask_h, x, y, per_column, taps
            )
        own = (texel >> np.uint32(24)) * (1.0 / 255.0)
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
        put(canvas, column, row, texel, own, red, green, blue, shine, air, fog)
        canvas.depth[column, row] = r
        canvas.owner[column, row] = owner
        canvas.shine[column, row] = np.uint8(own * 255.0 * (1.0 - fog))


@njit(cache=True, nogil=True)
def segment_in_plane(
    i: int, quads: Quads, eye: np.ndarray, dx: float, dy: float, ends: np.ndarray
) -> bool:
    """Where a quad meets a column's plane: `ends` [2, 4] becomes (r, z, a, b) of both ends."""
    px, py = quads.corner[i, 0] - eye[0], quads.corner[i, 1] - eye[1]
    pz = quads.corner[i, 2] - eye[2]
    ux, uy, uz = quads.u[i, 0], quads.u[i, 1], quads.u[i, 2]
    vx, vy, vz = quads.v[i, 0], quads.v[i, 1], quads.v[i, 2]
    q = dx * py - dy * px
    s, t = dx * uy - dy * ux, dx * vy - dy * vx
    found = 0
    for k in range(4):
        if k < 2:  # the sides a = 0 and a = 1
            if t == 0.0:
                continue
            a = float(k)
            b = -(q + a * s) / t
        else:
            if s == 0.0:
                continue
            b = float(k - 2)
            a = -(q + b * t) / s
        if a < -1e-9 or a > 1.0 + 1e-9 or b < -1e-9 or b > 1.0 + 1e-9:
            continue
        r = (px + a * ux + b * vx) * dx + (py + a * uy + b * vy) * dy
        if found == 1 and abs(a - ends[0, 2]) + abs(b - ends[0, 3]) < 1e-7:
            continue
        if found < 2:
            ends[found, 0], ends[found, 1] = r, pz + a * uz + b * vz
            ends[found, 2], ends[found, 3] = a, b
            found += 1
    return found == 2 and ends[0, 0] > NEAR_M and ends[1, 0] > NEAR_M


@njit(cache=True, nogil=True)
def _draw_tilted(
    i: int,
    column: int,
    quads: Quads,
    textures: Textures,
    air: Air,
    rays: Rays,
    eye: np.ndarray,
    canvas: Canvas,
    ends: np.ndarray,
) -> None:
    """One column of a quad in any position: roofs, awnings, bodies of cars."""  # fmt: skip
    dx, dy = rays.columns[column, 0], rays.columns[column, 1]
    if not segment_in_plane(i, quads, eye, dx, dy, ends):
        return
    r0, z0, a0, b0 = ends[0, 0], ends[0, 1], ends[0, 2], ends[0, 3]
    dr, dz, da, db = ends[1, 0] - r0, ends[1, 1] - z0, ends[1, 2] - a0, ends[1, 3] - b0
    slope0, slope1 = z0 / r0, (z0 + dz) / (r0 + dr)
    first, last = row_range(min(slope0, slope1), max(slope0, slope1), rays)
    if min(r0, r0 + dr) >= canvas.skyline_r[column] and last >= canvas.skyline[column]:
        last = canvas.skyline[column] - 1
    if first > last:
        return
    tex = quads.texture[i]
    log_w, log_h = textures.sizes[tex, 0], textures.sizes[tex, 1]
    span = max(1.0, abs(math.atan(slope1) - math.atan(slope0)) / rays.step)
    ahead = abs(db * quads.uv[i, 3]) * (1 << log_h) / span
    aside = abs(da * quads.uv[i, 1]) * (1 << log_w) / span
    level = level_of(max(ahead, aside), textures.sizes[tex, 2])
    offset = textures.offsets[tex, level]
    log_w, log_h = max(0, log_w - level), max(0, log_h - level)
    mask_w, mask_h = (1 << log_w) - 1, (1 << log_h) - 1
    fog = air.fog_share[min(FOG_STEPS - 1, int(r0 / FOG_STEP_M))]
    in_shade = quads.shadow[i, 0] > z0 + eye[2]
    light_r = quads.dim[i, 0] if in_shade else quads.lit[i, 0]
    light_g = quads.dim[i, 1] if in_shade else quads.lit[i, 1]
    light_b = quads.dim[i, 2] if in_shade else quads.lit[i, 2]
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
        texel = fetch(textures.texels, offset, log_h, mask_w, mask_h, x, y)
        own = (texel >> np.uint32(24)) * (1.0 / 255.0)
        if quads.flags[i] & CUTOUT:
            if own < 0.5:
                continue
            own = 0.0
        k = min(HEIGHT_STEPS - 1, max(0, int((z0 + share * dz + eye[2]) * STEPS_PER_M)))
        near = air.by_height[k, 0]
        red = light_r * near + air.by_height[k, 1]
        green = light_g * near + air.by_height[k, 2]
        blue = light_b * near + air.by_height[k, 3]
        put(canvas, column, row, texel, own, red, green, blue, quads.shine[i], air, fog)
        canvas.depth[column, row] = r
        canvas.owner[column, row] = quads.owner[i]
        canvas.shine[column, row] = np.uint8(own * 255.0 * (1.0 - fog))
