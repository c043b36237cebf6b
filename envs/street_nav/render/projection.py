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


@kernel()
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
        most = SOFT_FAR_M if quads.flags[i] & SOFT else far_m
        if math.hypot(mx, my) - reach > most:
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


@kernel()
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


@kernel(inline="always")
def row_of(slope: float, rays: Rays) -> float:
    """Where a slope lies, in rows from the upper edge."""
    return (rays.top - math.atan(slope)) / rays.step


@kernel()
def row_range(low: float, high: float, rays: Rays) -> tuple[int, int]:
    """Rows whose centres lie between two slopes, low < high."""
    num_rows = len(rays.slopes)
    first = math.ceil((rays.top - math.atan(high)) / rays.step - 0.5)
    last = math.floor((rays.top - math.atan(low)) / rays.step - 0.5)
    return max(0, first), min(num_rows - 1, last)


@kernel(inline="always")
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


@kernel()
def _distance_to_segment(px: float, py: float, ux: float, uy: float) -> float:
    """Of the origin to the segment from (px, py) along (ux, uy)."""
    length = ux * ux + uy * uy
    t = 0.0
    if length > 0.0:
        t = min(1.0, max(0.0, -(px * ux + py * uy) / length))
    return math.hypot(px + t * ux, py + t * uy)
