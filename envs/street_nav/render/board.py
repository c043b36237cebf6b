"""Drawing textures in metres, and the noise and colours that they are made of."""

from collections.abc import Sequence

import cv2
import numpy as np

from .compiled import kernel
from .config import rgb

Color = tuple[float, float, float]
_SHIFT = 4  # fractional bits of OpenCV's coordinates


class Board:
    """An RGBA picture `width_m` wide and `height_m` high; y runs upwards from the lower edge.

    Alpha is `own`, the share of a texel that shines by itself, or coverage on a clear board.
    """

    def __init__(
        self, width_m: float, height_m: float, width_px: int, height_px: int, color: Color | None
    ) -> None:
        self.width_m, self.height_m = width_m, height_m
        self.pixels = np.zeros((height_px, width_px, 4), np.uint8)
        if color is not None:
            self.pixels[..., :3] = np.rint(color)

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels per metre across and upwards."""
        height_px, width_px = self.pixels.shape[:2]
        return width_px / self.width_m, height_px / self.height_m

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, color: Color, own: float = 0.0
    ) -> None:
        """A filled rectangle; edges on whole pixels, so that thin bars stay even."""
        left, top, right, bottom = self.box(x0, y0, x1, y1)
        if right > left and bottom > top:
            self.pixels[top:bottom, left:right] = _ink(color, own)

    def poly(self, points: Sequence[tuple[float, float]], color: Color, own: float = 0.0) -> None:
        cv2.fillPoly(self.pixels, [self._fixed(points)], _ink(color, own), cv2.LINE_AA, _SHIFT)

    def line(
        self, points: Sequence[tuple[float, float]], width: float, color: Color, own: float = 0.0
    ) -> None:
        thick = max(1, round(width * self.scale[0]))
        cv2.polylines(
            self.pixels, [self._fixed(points)], False, _ink(color, own), thick, cv2.LINE_AA, _SHIFT
        )

    def disc(
        self, x: float, y: float, rx: float, ry: float, color: Color, own: float = 0.0
    ) -> None:
        across, up = self.scale
        fine = 1 << _SHIFT
        centre = (
            round((x * across - 0.5) * fine),
            round((self.pixels.shape[0] - y * up - 0.5) * fine),
        )
        radii = max(1, round(rx * across * fine)), max(1, round(ry * up * fine))
        ink = _ink(color, own)
        cv2.ellipse(self.pixels, centre, radii, 0, 0, 360, ink, -1, cv2.LINE_AA, _SHIFT)

    def discs(
        self, x: np.ndarray, y: np.ndarray, radius: np.ndarray, flatness: float, colors: np.ndarray
    ) -> None:
        """Many ellipses with full coverage, in order: [N] places and radii, [N, 3] colours."""
        across, up = self.scale
        fine = 1 << _SHIFT
        left = np.rint((x * across - 0.5) * fine).astype(int).tolist()
        top = np.rint((self.pixels.shape[0] - y * up - 0.5) * fine).astype(int).tolist()
        wide = np.maximum(1, radius * across * fine).astype(int).tolist()
        tall = np.maximum(1, radius * flatness * up * fine).astype(int).tolist()
        inks = np.clip(np.rint(colors), 0, 255).astype(int).tolist()
        for k, (red, green, blue) in enumerate(inks):
            cv2.ellipse(
                self.pixels, (left[k], top[k]), (wide[k], tall[k]), 0, 0, 360,
                (red, green, blue, 255), -1, cv2.LINE_AA, _SHIFT,
            )  # fmt: skip

    def fade(
        self, x0: float, y0: float, x1: float, y1: float, low: Color, high: Color, own: float = 0.0
    ) -> None:
        """A rectangle from `low` at its lower edge to `high` at its upper edge."""
        left, top, right, bottom = self.box(x0, y0, x1, y1)
        if right <= left or bottom <= top:
            return
        share = np.linspace(1.0, 0.0, bottom - top)[:, None, None]
        self.pixels[top:bottom, left:right, :3] = np.rint(
            np.array(low) * (1 - share) + np.array(high) * share
        )
        self.pixels[top:bottom, left:right, 3] = round(255 * own)

    def tint(self, x0: float, y0: float, x1: float, y1: float, factor: float) -> None:
        """Darkens or lightens what is there."""
        left, top, right, bottom = self.box(x0, y0, x1, y1)
        part = self.pixels[top:bottom, left:right, :3]
        part[...] = np.clip(part * factor, 0, 255)

    def ink(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        mask: np.ndarray,
        color: Color,
        own: float = 0.0,
    ) -> None:
        """A coverage mask, stretched over a rectangle."""  # fmt: skip
        left, top, right, bottom = self.box(x0, y0, x1, y1)
        if right <= left or bottom <= top:
            return
        cover = cv2.resize(mask, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        share = cover.astype(np.float32)[..., None] / 255.0
        part = self.pixels[top:bottom, left:right]
        part[...] = np.rint(part * (1 - share) + np.array(_ink(color, own), np.float32) * share)

    def box(self, x0: float, y0: float, x1: float, y1: float) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in whole pixels, within the board."""
        across, up = self.scale
        height_px, width_px = self.pixels.shape[:2]
        left, right = round(x0 * across), round(x1 * across)
        top, bottom = height_px - round(y1 * up), height_px - round(y0 * up)
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        return max(0, left), max(0, top), min(width_px, right), min(height_px, bottom)

    def _fixed(self, points: Sequence[tuple[float, float]]) -> np.ndarray:
        across, up = self.scale
        place = np.array(points, np.float64) * (across, -up) + (0, self.pixels.shape[0])
        return np.rint((place - 0.5) * (1 << _SHIFT)).astype(np.int32)


def color_of(text: str) -> Color:
    red, green, blue = rgb(text)
    return float(red), float(green), float(blue)


def mix(first: Color, second: Color, share: float) -> Color:
    """share of the second."""
    red, green, blue = (a + share * (b - a) for a, b in zip(first, second, strict=True))
    return red, green, blue


def scaled(color: Color, factor: float) -> Color:
    red, green, blue = (min(255.0, part * factor) for part in color)
    return red, green, blue


def tile_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> np.ndarray:
    """Smooth noise that repeats, mean 0 and deviation about 1: float32 [height, width]."""
    rows, columns = max(2, round(height / cell)), max(2, round(width / cell))
    knots = rng.normal(size=(rows, columns)).astype(np.float32)
    return _stretched(_stretched(knots.T, width).T, height)


def _stretched(knots: np.ndarray, length: int) -> np.ndarray:
    """Rows between rows that repeat, by OpenCV's cubic: float32 [n, m] -> [length, m]."""
    at = (np.arange(length) + 0.5) * len(knots) / length - 0.5
    first = np.floor(at).astype(np.int64)
    gaps = np.abs((at - first)[:, None] - np.arange(-1, 3))
    near = (1.25 * gaps - 2.25) * gaps * gaps + 1.0
    far = ((-0.75 * gaps + 3.75) * gaps - 6.0) * gaps + 3.0
    weights = np.where(gaps <= 1.0, near, far).astype(np.float32)
    return _mixed_rows(np.ascontiguousarray(knots), first, weights)


@kernel(allocates=True)
def _mixed_rows(knots: np.ndarray, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums of the rows first - 1 to first + 2, which repeat, by weights [length, 4]."""
    count, width = knots.shape
    mixed = np.empty((len(first), width), np.float32)
    for i in range(len(first)):
        a, b = knots[(first[i] - 1) % count], knots[first[i] % count]
        c, d = knots[(first[i] + 1) % count], knots[(first[i] + 2) % count]
        wa, wb, wc, wd = weights[i, 0], weights[i, 1], weights[i, 2], weights[i, 3]
        for k in range(width):
            mixed[i, k] = wa * a[k] + wb * b[k] + wc * c[k] + wd * d[k]
    return mixed


def clouds(rng: np.random.Generator, height: int, width: int, cell: float) -> np.ndarray:
    """Noise of several sizes that repeats, deviation about 1: float32 [height, width]."""
    total = np.zeros((height, width), np.float32)
    weight, sum_of_squares = 1.0, 0.0
    while cell >= 2:
        total += weight * tile_noise(rng, height, width, cell)
        sum_of_squares += weight * weight
        weight *= 0.55
        cell /= 2.0
    return total / np.float32(np.sqrt(sum_of_squares))


def lit_by(pixels: np.ndarray, factor: np.ndarray) -> None:
    """Multiplies the colours of uint8 [h, w, 4] by a float [h, w] in place."""
    pixels[..., :3] = np.clip(pixels[..., :3] * factor[..., None] + 0.5, 0, 255)


def _ink(color: Color, own: float) -> tuple[int, int, int, int]:
    return round(color[0]), round(color[1]), round(color[2]), round(255 * own)
