"""Compiled access to texels: four channels at once in one integer, in whole numbers.

Arrays alone are handed over, because whole tuples of them are slow to pass. Places in arrays are
unsigned, because numba asks of every other one whether it counts from the end.
"""

import math

import numpy as np

from .compiled import kernel

_LOWER, _UPPER = np.uint64(0x00FF00FF), np.uint64(0xFF00FF00)
_LANES, _BYTE = np.uint64(0x00FF00FF00FF00FF), np.uint64(255)
RED, BLUE, GREEN, ALPHA = (np.uint64(shift) for shift in (0, 16, 32, 48))  # lanes of a spread texel


@kernel()
def level_of(texels_per_pixel: float, num_levels: int) -> int:
    """The texture level whose texels are about as large as pixels."""
    level = 0
    while texels_per_pixel > 1.42 and level < num_levels - 1:
        texels_per_pixel *= 0.5
        level += 1
    return level


@kernel()
def limits(start: float, span: float, last: int) -> tuple[float, float]:
    """Between which texels a quad that shows start to start + span of a texture stays.

    What is shown once must not mix with its other end; what repeats must.
    """
    if min(start, start + span) >= 0.0 and max(start, start + span) <= 1.0:
        return 0.0, float(last)
    return -1e12, 1e12


@kernel()
def clamped(place: float, start: float, span: float, last: int) -> float:
    """A place in texels within `limits`."""
    low, high = limits(start, span, last)
    return min(high, max(low, place))


@kernel(inline="always")
def spread(texel: np.uint32) -> np.uint64:
    """A texel with 16 bits for each channel, so that all four can be weighed by one product."""
    wide = np.uint64(texel)
    return (wide & _LOWER) | ((wide & _UPPER) << np.uint64(24))


@kernel(inline="always")
def blend(first: np.uint64, second: np.uint64, share: np.uint64) -> np.uint64:
    """Two spread texels mixed; share of the second, 0 to 256."""
    return ((first * (np.uint64(256) - share) + second * share) >> np.uint64(8)) & _LANES


@kernel(inline="always")
def share_of(part: float) -> np.uint64:
    """A fraction as `blend` wants it."""
    return np.uint64(np.int64(part * 256.0))


@kernel(inline="always")
def channel(texel: np.uint64, lane: np.uint64) -> float:
    """One channel of a spread texel, 0 to 255."""
    return float(np.int64((texel >> lane) & _BYTE))


@kernel(inline="always")
def bilinear(
    texels: np.ndarray, low0: int, low1: int, high0: int, high1: int, x: np.uint64, y: np.uint64
) -> np.uint64:
    """Four neighbours, given by their places, mixed by the shares x and y: a spread texel."""
    low = blend(spread(texels[np.uint64(low0)]), spread(texels[np.uint64(low1)]), x)
    high = blend(spread(texels[np.uint64(high0)]), spread(texels[np.uint64(high1)]), x)
    return blend(low, high, y)


@kernel(inline="always")
def fetch(
    texels: np.ndarray, offset: int, log_h: int, mask_w: int, mask_h: int, x: float, y: float
) -> np.uint64:
    """Bilinear, repeating; x and y in texels. A spread texel."""
    x0, y0 = math.floor(x), math.floor(y)
    column0 = offset + ((x0 & mask_w) << log_h)
    column1 = offset + (((x0 + 1) & mask_w) << log_h)
    row0, row1 = y0 & mask_h, (y0 + 1) & mask_h
    return bilinear(
        texels, column0 + row0, column1 + row0, column0 + row1, column1 + row1,
        share_of(x - x0), share_of(y - y0),
    )  # fmt: skip


@kernel(inline="always")
def fetch_row(
    texels: np.ndarray,
    offset: int,
    log_h: int,
    mask_w: int,
    mask_h: int,
    x: float,
    y: float,
    width: float,
    taps: int,
) -> np.uint64:
    """The mean of places side by side, for walls seen at a slant: a spread texel."""  # fmt: skip
    y0 = math.floor(y)
    share = share_of(y - y0)
    row0, row1 = y0 & mask_h, (y0 + 1) & mask_h
    total = np.uint64(0)
    x += 0.5 - 0.5 * width + 0.5 * width / taps
    for _ in range(taps):
        column = offset + ((math.floor(x) & mask_w) << log_h)
        low, high = texels[np.uint64(column + row0)], texels[np.uint64(column + row1)]
        total += blend(spread(low), spread(high), share)
        x += width / taps
    return (total >> np.uint64(taps >> 1)) & _LANES  # of 2 or 4


@kernel(inline="always")
def put(
    color: np.ndarray,
    column: int,
    row: int,
    texel: np.uint64,
    red: float,
    green: float,
    blue: float,
    haze: np.ndarray,
    fog: float,
) -> None:
    """Writes a spread texel in a light, behind its share of haze."""  # fmt: skip
    clear = 1.0 - fog
    r = channel(texel, RED) * red * clear + haze[0] * fog
    g = channel(texel, GREEN) * green * clear + haze[1] * fog
    b = channel(texel, BLUE) * blue * clear + haze[2] * fog
    color[column, row, 0] = np.uint8(min(255.0, r + 0.5))
    color[column, row, 1] = np.uint8(min(255.0, g + 0.5))
    color[column, row, 2] = np.uint8(min(255.0, b + 0.5))
