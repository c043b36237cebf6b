"""Perspective views out of an equirectangular panorama, drawn or real.

A panorama is uint8 [H, W, 3] with square pixels (360 / W degrees each), its horizon at the middle
row; it may cover less than the full sphere. Column edges, not centres, lie on whole angles: column
k shows headings from 360 k / W to 360 (k + 1) / W.
"""

import math
from functools import lru_cache

import cv2
import numpy as np

CROSS_PX = 5
MIN_SIDE, MAX_SIDE = 16, 2048


def view(panorama: np.ndarray, heading: float, size: int, fov_deg: float = 90.0) -> np.ndarray:
    """What a camera sees at a heading (compass degrees): uint8 [size, size, 3].

    Raises ValueError for a size, an angle or a panorama that makes no sense.
    """
    _check(panorama, size, fov_deg)
    return _draw(panorama, heading, size, fov_deg, np.empty((size, size, 3), np.uint8))


def views(
    panorama: np.ndarray, heading: float, size: int, fov_deg: float = 90.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Front, right, back and left at a heading: four uint8 [size, size, 3].

    The right view at a heading is the front view at that heading + 90.
    """
    front, right, back, left = (
        view(panorama, (heading + turn) % 360.0, size, fov_deg)
        for turn in (0.0, 90.0, 180.0, 270.0)
    )
    return front, right, back, left


def view_grid(panorama: np.ndarray, heading: float, size: int, fov_deg: float = 90.0) -> np.ndarray:
    """Front and right above back and left, a black cross between: uint8 [2 size + 5, ..., 3]."""
    _check(panorama, size, fov_deg)
    side, far = 2 * size + CROSS_PX, size + CROSS_PX
    grid = np.zeros((side, side, 3), np.uint8)
    for turn, (top, left) in enumerate(((0, 0), (0, far), (far, 0), (far, far))):
        ahead = (heading + 90.0 * turn) % 360.0
        _draw(panorama, ahead, size, fov_deg, grid[top : top + size, left : left + size])
    return grid


def _draw(
    panorama: np.ndarray, heading: float, size: int, fov_deg: float, picture: np.ndarray
) -> np.ndarray:
    """One view, written into `picture`, which may be a part of another."""
    height, width = panorama.shape[:2]
    middle = heading % 360.0 / 360.0 * width
    whole = math.floor(middle)
    part = float(np.float32(middle - whole))
    map_x, map_y, first, last = _moved_maps(width, height, size, float(fov_deg), part)
    strip = cv2.cvtColor(_columns(panorama, whole + first, whole + last), cv2.COLOR_RGB2RGBA)
    drawn = cv2.remap(strip, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB, dst=picture)  # four channels: twice as fast


@lru_cache(maxsize=4)
def _moved_maps(
    width: int, height: int, size: int, fov_deg: float, part: float
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """`_maps` for a heading that lies a part of a column further; that of four views is one."""
    map_x, map_y, first, last = _maps(width, height, size, fov_deg)
    return map_x + np.float32(part), map_y, first, last


@lru_cache(maxsize=16)
def _maps(
    width: int, height: int, size: int, fov_deg: float
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Source coordinates [size, size] within a strip of columns, and which columns it needs.

    The strip runs from `first` to `last` (exclusive) relative to the column of the heading.
    """
    focal = 0.5 * size / math.tan(math.radians(fov_deg) / 2)
    axis = np.arange(size) + 0.5 - 0.5 * size
    azimuth = np.arctan2(axis, focal)[None, :]  # [1, size]
    elevation = np.arctan2(-axis[:, None], np.hypot(axis, focal)[None, :])  # [size, size]
    per_radian = width / (2 * math.pi)
    x = np.broadcast_to(azimuth * per_radian, (size, size)) - 0.5
    y = 0.5 * height - elevation * per_radian - 0.5
    first, last = math.floor(x.min()) - 1, math.ceil(x.max()) + 3
    maps = (x - first).astype(np.float32), y.astype(np.float32)
    for part in maps:
        part.setflags(write=False)
    return maps[0], maps[1], first, last


def _columns(panorama: np.ndarray, first: int, last: int) -> np.ndarray:
    """Columns of a panorama from `first` to `last` (exclusive), which may lie past its seam."""
    width = panorama.shape[1]
    first, last = first % width, last - first + first % width
    if last <= width:
        return panorama[:, first:last]
    parts = [panorama[:, first:]]
    last -= width
    while last > 0:
        parts.append(panorama[:, : min(last, width)])
        last -= width
    return np.concatenate(parts, axis=1)


def _check(panorama: np.ndarray, size: int, fov_deg: float) -> None:
    if panorama.ndim != 3 or panorama.shape[2] != 3 or panorama.dtype != np.uint8:
        raise ValueError(
            f"a panorama must be uint8 [H, W, 3]; got {panorama.dtype} {list(panorama.shape)}"
        )
    if not MIN_SIDE <= size <= MAX_SIDE:
        raise ValueError(f"size must be {MIN_SIDE} to {MAX_SIDE} pixels; got {size}")
    if not 20 <= fov_deg <= 140:
        raise ValueError(f"fov_deg must be 20 to 140; got {fov_deg:g}")
