"""Rain, snow and leaves in the air, drawn over a finished panorama.

What falls is drawn in a few variants, which panoramas take in turn: drawing hundreds of drops costs
more than laying a finished layer over a picture.
"""

from functools import lru_cache

import cv2
import numpy as np

from .config import Weather

VARIANTS = 6
_SHIFT = 4
_FINE = 1 << _SHIFT
LEAF_COLORS = ((206, 110, 40), (224, 158, 56), (170, 70, 40))


def fall(picture: np.ndarray, weather: Weather, seed: int) -> None:
    """Draws what falls into uint8 [H, W, 3], in place; the seed says where."""
    height, width = picture.shape[:2]
    if weather is Weather.rain:
        cv2.add(picture, _streaks(height, width, seed % VARIANTS), dst=picture)
    elif weather is Weather.snow:
        clear, white = _flakes(height, width, seed % VARIANTS)
        cv2.add(cv2.multiply(picture, clear, scale=1 / 255.0), white, dst=picture)
    elif weather is Weather.leaves:
        _draw_leaves(picture, np.random.default_rng(seed), width / 1024)


@lru_cache(maxsize=VARIANTS)
def _streaks(height: int, width: int, variant: int) -> np.ndarray:
    """Rain to be added: uint8 [H, W, 3]."""
    rng, scale, count = np.random.default_rng([1, variant]), width / 1024, 420
    layer = np.zeros((height, width), np.uint8)
    x, y = rng.uniform(0, width, count), rng.uniform(-0.1, 1, count) * height
    length = rng.uniform(7, 20, count) * scale
    starts = np.rint(np.stack([x, y], axis=1) * _FINE).astype(int).tolist()
    ends = np.stack([x - 0.10 * length, y + length], axis=1)
    power = rng.integers(24, 62, count).tolist()
    thick = max(1, round(0.7 * scale))
    for k, end in enumerate(np.rint(ends * _FINE).astype(int).tolist()):
        cv2.line(layer, starts[k], end, power[k], thick, cv2.LINE_AA, _SHIFT)
    return cv2.merge([layer] * 3)


@lru_cache(maxsize=VARIANTS)
def _flakes(height: int, width: int, variant: int) -> tuple[np.ndarray, np.ndarray]:
    """Snow: what shines through it and what it adds, uint8 [H, W, 3] each."""
    rng, scale, count = np.random.default_rng([2, variant]), width / 1024, 800
    layer = np.zeros((height, width), np.uint8)
    places = np.rint(rng.uniform(0, 1, (count, 2)) * (width, height) * _FINE).astype(int).tolist()
    radius = 0.38 + 0.85 * rng.uniform(0, 1, count) ** 4
    radius = np.maximum(_FINE // 3, radius * scale * _FINE).astype(int).tolist()
    power = rng.integers(70, 200, count).tolist()
    for k, place in enumerate(places):
        cv2.circle(layer, place, radius[k], power[k], -1, cv2.LINE_AA, _SHIFT)
    cover = cv2.merge([layer] * 3)
    return cv2.bitwise_not(cover), cv2.multiply(cover, 0.98)


def _draw_leaves(picture: np.ndarray, rng: np.random.Generator, scale: float) -> None:
    height, width = picture.shape[:2]
    for _ in range(46):
        place = (rng.uniform(0, 1, 2) * (width, height) * _FINE).astype(int).tolist()
        size = rng.uniform(0.9, 2.2) * scale * _FINE
        color = LEAF_COLORS[int(rng.integers(3))]
        radii = max(_FINE // 2, int(size)), max(_FINE // 2, int(0.5 * size))
        angle = float(rng.uniform(0, 180))
        cv2.ellipse(picture, place, radii, angle, 0, 360, color, -1, cv2.LINE_AA, _SHIFT)
