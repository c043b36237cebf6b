"""Compiled access to texels: four channels at once in one integer, in whole numbers.

Arrays alone are handed over, because whole tuples of them are slow to pass.
"""

import math

import numpy as np

from .compiled import kernel

_LOW, _HIGH = np.uint32(0x00FF00FF), np.uint32(0xFF00FF00)


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
def blend(first: np.uint32, second: np.uint32, share: np.uint32) -> np.uint32:
    """Two texels mixed, all four channels at once; share of the second, 0 to 256."""
    rest = np.uint32(256) - share
    even = ((first & _LOW) * rest + (second & _LOW) * share) >> np.uint32(8)
    first, second = (first >> np.uint32(8)) & _LOW, (second >> np.uint32(8)) & _LOW
    odd = first * rest + second * share
    return (even & _LOW) | (odd & _HIGH)


@kernel(inline="always")
def fetch(
    texels: np.ndarray, offset: int, log_h: int, mask_w: int, mask_h: int, x: float, y: float
) -> np.uint32:
    """Bilinear, repeating; x and y in texels."""
    x0, y0 = math.floor(x), math.floor(y)
    share_x, share_y = np.uint32((x - x0) * 256.0), np.uint32((y - y0) * 256.0)
    column0 = offset + ((x0 & mask_w) << log_h)
    column1 = offset + (((x0 + 1) & mask_w) << log_h)
    row0, row1 = y0 & mask_h, (y0 + 1) & mask_h
    low = blend(texels[column0 + row0], texels[column1 + row0], share_x)
    high = blend(texels[column0 + row1], texels[column1 + row1], share_x)
    return blend(low, high, share_y)


@kernel(inline="always")
def fetch_row(
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
    row0, row1 = y0 & mask_h, (y0 + 1) & mask_h
    even, odd = np.uint32(0), np.uint32(0)
    x += 0.5 - 0.5 * spread + 0.5 * spread / taps
    for _ in range(taps):
        column = offset + ((math.floor(x) & mask_w) << log_h)
        texel = blend(texels[column + row0], texels[column + row1], share)
        even += texel & _LOW
        odd += (texel >> np.uint32(8)) & _LOW
        x += spread / taps
    if taps == 2:
        return ((even >> np.uint32(1)) & _LOW) | (((odd >> np.uint32(1)) & _LOW) << np.uint32(8))
    return ((even >> np.uint32(2)) & _LOW) | (((odd >> np.uint32(2)) & _LOW) << np.uint32(8))


@kernel(inline="always")
def put(
    color: np.ndarray,
    column: int,
    row: int,
    texel: np.uint32,
    red: float,
    green: float,
    blue: float,
    haze: np.ndarray,
    fog: float,
) -> None:
    """Writes a texel in a light, behind its share of haze."""  # fmt: skip
    clear = 1.0 - fog
    r = (texel & np.uint32(255)) * red * clear + haze[0] * fog
    g = ((texel >> np.uint32(8)) & np.uint32(255)) * green * clear + haze[1] * fog
    b = ((texel >> np.uint32(16)) & np.uint32(255)) * blue * clear + haze[2] * fog
    color[column, row, 0] = np.uint8(min(255.0, r + 0.5))
    color[column, row, 1] = np.uint8(min(255.0, g + 0.5))
    color[column, row, 2] = np.uint8(min(255.0, b + 0.5))
