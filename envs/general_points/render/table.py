"""What the cards lie on: felt, wood, marble, a dark cloth or a plain colour.

Made from fixed random streams, so a table is the same in every process; cached per size and colour.
"""

from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from .config import AUTO_COLOR, Table

# The study's background, https://arxiv.org/abs/2501.17161: a plain green.
STUDY_GREEN = "#35654d"
MARBLE_PX = 640
_COLORS = {
    Table.felt: STUDY_GREEN,
    Table.wood: "#8a5a34",
    Table.marble: "#e4e4e8",
    Table.dark: "#2b1d52",
    Table.plain: "#eceef0",
}


@lru_cache(maxsize=8)
def table_pixels(table: Table, color: str, width: int, height: int) -> np.ndarray:
    """The empty table, read-only uint8 [height, width, 3]."""
    tint = _rgb(_COLORS[table] if color == AUTO_COLOR else color)
    rng = np.random.default_rng(20501)
    image = _PAINTERS[table](np.array(tint, np.float32), width, height, rng)
    if table is not Table.plain:  # half a grey level of noise, so that gradients do not band
        image = image + rng.uniform(-0.5, 0.5, size=(height, width, 1)).astype(np.float32)
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    pixels.setflags(write=False)
    return pixels


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _plain(tint: np.ndarray, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    return np.broadcast_to(tint, (height, width, 3))


def _felt(tint: np.ndarray, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Short fibres in two directions, a soft cloudiness and a slight fall of light."""
    side = min(width, height)
    grain = rng.normal(size=(height, width)).astype(np.float32)
    fibres = cv2.GaussianBlur(grain, (0, 0), sigmaX=1.6, sigmaY=0.5)
    fibres += cv2.GaussianBlur(grain[::-1], (0, 0), sigmaX=0.5, sigmaY=1.6)
    clouds = _smooth_noise(rng, width, height, side / 6)
    strength = min(1.0, 0.4 + side / 700)  # coarse canvases would show grain as speckle
    light = 1 + strength * (0.055 * fibres + 0.02 * clouds)
    return tint * (light * _spot(width, height, 1.06, 0.80))[..., None]


def _dark(tint: np.ndarray, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    return tint * _spot(width, height, 1.25, 0.45)[..., None]


def _wood(tint: np.ndarray, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Five planks, each with its own shade, growth rings, fibres and pores drawn out along it."""
    edges = np.rint(np.linspace(0, height, 6)).astype(int)
    image = np.empty((height, width, 3), np.float32)
    side = max(width, height)
    for top, bottom in pairwise(edges.tolist()):
        tall = bottom - top
        shade = float(rng.uniform(-1, 1))
        bend = _streaks(rng, width, tall, side / 2.2, side / 9)
        y = np.arange(tall, dtype=np.float32)[:, None] / (0.030 * side)
        ring = np.mod(y + 1.3 * bend + shade, 1.0)  # 0 to 1 within each growth ring
        fibres = _streaks(rng, width, tall, side / 3, max(1.2, side / 340))
        pores = np.maximum(_streaks(rng, width, tall, side / 28, max(1.0, side / 600)) - 1.7, 0)
        broad = _streaks(rng, width, tall, side / 1.6, side / 14)
        light = 1 + 0.09 * shade + 0.03 * broad + 0.035 * fibres - 0.16 * pores
        light -= 0.10 * np.minimum(ring**3, 12 * (1 - ring))
        image[top:bottom] = tint * light[..., None] ** (0.9, 1.0, 1.12)
    seam = max(1, round(side / 250))
    dark = 0.62 if side < 160 else 0.35
    for edge in edges[1:-1]:
        image[edge : edge + seam] *= dark
        image[edge + seam : edge + seam + (seam + 1) // 2] *= 1.12
    return image * _spot(width, height, 1.08, 0.78)[..., None]


def _marble(tint: np.ndarray, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Crooked veins, a few broad and many fine, that come and go over faint clouds."""
    if max(width, height) > MARBLE_PX:  # soft enough to be enlarged
        shrink = MARBLE_PX / max(width, height)
        slab = _marble(tint, max(2, round(width * shrink)), max(2, round(height * shrink)), rng)
        return cv2.resize(slab, (width, height), interpolation=cv2.INTER_CUBIC)
    side = max(width, height)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    stone = 1 + 0.022 * _octaves(rng, width, height, side / 3)
    for count, thick, depth in ((2.5, 0.030, 0.26), (4.0, 0.035, 0.16), (7.0, 0.05, 0.08)):
        # A vein is where a ramp across the slab, bent by noise of every size, passes a half.
        turn = float(rng.uniform(0.5, 1.2))
        ramp = count * (np.cos(turn) * x + np.sin(turn) * y) / side
        bent = ramp + 0.42 * _octaves(rng, width, height, side / 3.5, octaves=6)
        distance = np.abs(np.mod(bent, 1.0) - 0.5)
        strength = np.clip(0.35 + 0.75 * _octaves(rng, width, height, side / 5), 0, 1.2)
        stone -= depth * strength * np.exp(-distance / thick)
        stone -= 0.28 * depth * strength * np.exp(-distance / (5 * thick))
    return np.minimum(tint * stone[..., None] + (0, 0, 1), 255)


def _smooth_noise(rng: np.random.Generator, width: int, height: int, cell: float) -> np.ndarray:
    """Unit-variance noise [height, width] with features about `cell` pixels wide."""
    return _streaks(rng, width, height, cell, cell)


def _streaks(
    rng: np.random.Generator, width: int, height: int, cell_x: float, cell_y: float
) -> np.ndarray:
    """Noise [height, width] with features cell_x by cell_y pixels."""
    columns = max(2, round(width / max(1.0, cell_x)) + 2)
    rows = max(2, round(height / max(1.0, cell_y)) + 2)
    coarse = rng.normal(size=(rows, columns)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def _octaves(
    rng: np.random.Generator, width: int, height: int, cell: float, octaves: int = 4
) -> np.ndarray:
    """Noise with features of `cell` pixels and, ever fainter, of halves of it."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        total += _smooth_noise(rng, width, height, cell / 2**octave) * 0.5**octave
    return total


def _spot(width: int, height: int, middle: float, rim: float) -> np.ndarray:
    """Light [height, width] that falls from `middle` to `rim` in the corners."""
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    distance = (x * x + y * y) / 2
    return middle + (rim - middle) * distance


_PAINTERS = {
    Table.felt: _felt,
    Table.wood: _wood,
    Table.marble: _marble,
    Table.dark: _dark,
    Table.plain: _plain,
}
