"""Compiled geometry: which quads are seen, and which columns and rows they cover.

Along one column of an equirectangular panorama the camera looks into a vertical half-plane. Every
parallelogram meets that plane in a line segment, which projects to a run of rows.
"""

import math

import numpy as np

from .buffers import SOFT, TWO_SIDED, Quads, Rays
from .compiled import kernel

NEAR_M = 0.3
SOFT_FAR_M = 45.0  # what lies on the ground is left out beyond


def visible_quads(quads: Quads, eye: np.ndarray, far_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the quads that face the eye, near to far, and their distances [M]."""
    distance = np.empty(len(quads.texture), np.float64)
    chosen = np.empty(len(quads.texture), np.int64)
    count = _choose(quads, eye, far_m, chosen, distance)
    order = np.argsort(distance[:count], kind="stable")
    return chosen[:count][order], distance[:count][order]


@kernel()
def _choose(
    quads: Quads, eye: np.ndarray, far_m: float, chosen: np.ndarray, distance: np.ndarray
) -> int:
    """Fills in the quads that face the eye and their distances; returns how many there are."""
    num = 0
    for i in range(len(quads.texture)):
        near = quads.anchor[i, 2]
        if near > 0.0 and _length(quads.anchor[i, 0] - eye[0], quads.anchor[i, 1] - eye[1]) < near:
            continue
        px, py = quads.corner[i, 0] - eye[0], quads.corner[i, 1] - eye[1]
        pz = quads.corner[i, 2] - eye[2]
        ux, uy, uz = quads.u[i, 0], quads.u[i, 1], quads.u[i, 2]
        vx, vy, vz = quads.v[i, 0], quads.v[i, 1], quads.v[i, 2]
        mx, my = px + 0.5 * (ux + vx), py + 0.5 * (uy + vy)
        reach = 0.5 * (_length(ux, uy) + _length(vx, vy))
        most = SOFT_FAR_M if quads.flags[i] & SOFT else far_m
        if _length(mx, my) - reach > most:
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
    return num


@kernel()
def column_range(quads: Quads, i: int, eye: np.ndarray, num_columns: int) -> tuple[int, int]:
    """First and last column that a quad may touch; the last may pass the seam of the panorama."""
    px, py = quads.corner[i, 0] - eye[0], quads.corner[i, 1] - eye[1]
    ux, uy, vx, vy = quads.u[i, 0], quads.u[i, 1], quads.v[i, 0], quads.v[i, 1]
    middle = math.atan2(px + 0.5 * (ux + vx), py + 0.5 * (uy + vy))
    low, high = 0.0, 0.0
    for k in range(2 if vx == 0.0 and vy == 0.0 else 4):
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


@kernel(inline="always")
def row_of(slope: float, rays: Rays) -> float:
    """Where a slope lies, in rows from the upper edge; at the edge beyond which it lies."""
    place = (rays.steepest - slope) * rays.per_slope
    place = min(len(rays.rows) - 1.001, max(0.0, place))
    k = int(place)
    return rays.rows[k] + (place - k) * (rays.rows[k + 1] - rays.rows[k])


@kernel(inline="always")
def rows_between(one: float, other: float, rays: Rays) -> tuple[float, float, float]:
    """Upper and lower row of two slopes as `row_of`, and their distance, edges or none."""
    high, low = max(one, other), min(one, other)
    upper, lower = row_of(high, rays), row_of(low, rays)
    if high < rays.steepest and low > -rays.steepest:
        return upper, lower, lower - upper
    return upper, lower, (math.atan(high) - math.atan(low)) / rays.step


@kernel()
def row_range(low: float, high: float, rays: Rays) -> tuple[int, int]:
    """Rows whose centres lie between two slopes, low < high."""
    num_rows = len(rays.slopes)
    first = math.ceil((rays.top - math.atan(high)) / rays.step - 0.5)
    last = math.floor((rays.top - math.atan(low)) / rays.step - 0.5)
    return max(0, first), min(num_rows - 1, last)


@kernel(inline="always")
def segment_in_plane(
    i: int, quads: Quads, eye: np.ndarray, dx: float, dy: float
) -> tuple[bool, float, float, float, float, float, float, float, float]:
    """Whether a quad meets a column's plane, and where: (r, z, a, b) of both ends."""
    px, py = quads.corner[i, 0] - eye[0], quads.corner[i, 1] - eye[1]
    pz = quads.corner[i, 2] - eye[2]
    ux, uy, uz = quads.u[i, 0], quads.u[i, 1], quads.u[i, 2]
    vx, vy, vz = quads.v[i, 0], quads.v[i, 1], quads.v[i, 2]
    q = dx * py - dy * px
    s, t = dx * uy - dy * ux, dx * vy - dy * vx
    found = 0
    r0, z0, a0, b0, r1, z1, a1, b1 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
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
        if found == 0:
            r0, z0, a0, b0 = r, pz + a * uz + b * vz, a, b
            found = 1
        elif found == 1 and abs(a - a0) + abs(b - b0) >= 1e-7:
            r1, z1, a1, b1 = r, pz + a * uz + b * vz, a, b
            found = 2
    return found == 2 and r0 > NEAR_M and r1 > NEAR_M, r0, z0, a0, b0, r1, z1, a1, b1


@kernel()
def _distance_to_segment(px: float, py: float, ux: float, uy: float) -> float:
    """Of the origin to the segment from (px, py) along (ux, uy)."""
    length = ux * ux + uy * uy
    t = 0.0
    if length > 0.0:
        t = min(1.0, max(0.0, -(px * ux + py * uy) / length))
    return _length(px + t * ux, py + t * uy)


@kernel(inline="always")
def _length(x: float, y: float) -> float:
    """As `math.hypot`, for lengths that cannot overflow."""
    return math.sqrt(x * x + y * y)
