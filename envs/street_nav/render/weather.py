"""Rain, snow and leaves in the air, drawn over a finished panorama."""

import cv2
import numpy as np

from .config import Weather

_SHIFT = 4
LEAF_COLORS = ((206, 110, 40), (224, 158, 56), (170, 70, 40))


def fall(picture: np.ndarray, weather: Weather, seed: int) -> None:
    """Draws what falls into uint8 [H, W, 3], in place; the seed says where."""
    if weather is Weather.clear:
        return
    rng = np.random.default_rng(seed)
    height, width = picture.shape[:2]
    if weather is Weather.rain:
        _streaks(picture, rng, count=420, scale=width / 1024)
    elif weather is Weather.snow:
        _flakes(picture, rng, count=900, scale=width / 1024)
    else:
        _leaves(picture, rng, count=46, scale=width / 1024)


def _streaks(picture: np.ndarray, rng: np.random.Generator, count: int, scale: float) -> None:
    height, width = picture.shape[:2]
    layer = np.zeros((height, width), np.uint8)
    x, y = rng.uniform(0, width, count), rng.uniform(-0.1, 1, count) * height
    length = rng.uniform(7, 20, count) * scale
    fine = 1 << _SHIFT
    starts = np.rint(np.stack([x, y], axis=1) * fine).astype(int)
    ends = np.rint(np.stack([x - 0.10 * length, y + length], axis=1) * fine).astype(int)
    power = rng.integers(24, 62, count)
    thick = max(1, round(0.7 * scale))
    for start, end, value in zip(starts.tolist(), ends.tolist(), power.tolist(), strict=True):
        cv2.line(layer, start, end, value, thick, cv2.LINE_AA, _SHIFT)
    cv2.add(picture, cv2.merge([layer] * 3), dst=picture)


def _flakes(picture: np.ndarray, rng: np.random.Generator, count: int, scale: float) -> None:
    height, width = picture.shape[:2]
    layer = np.zeros((height, width), np.uint8)
    fine = 1 << _SHIFT
    places = np.rint(rng.uniform(0, 1, (count, 2)) * (width, height) * fine).astype(int)
    radius = rng.uniform(0.45, 1.7, count) ** 1.5 * scale * fine
    power = rng.integers(70, 215, count)
    for place, r, value in zip(
        places.tolist(), radius.astype(int).tolist(), power.tolist(), strict=True
    ):
        cv2.circle(layer, place, max(r, fine // 2), value, -1, cv2.LINE_AA, _SHIFT)
    white = np.full_like(picture, 250)
    cover = cv2.merge([layer] * 3)
    keep = cv2.multiply(picture, cv2.bitwise_not(cover), scale=1 / 255.0)
    cv2.add(keep, cv2.multiply(white, cover, scale=1 / 255.0), dst=picture)


def _leaves(picture: np.ndarray, rng: np.random.Generator, count: int, scale: float) -> None:
    height, width = picture.shape[:2]
    fine = 1 << _SHIFT
    for _ in range(count):
        place = (rng.uniform(0, 1, 2) * (width, height) * fine).astype(int).tolist()
        size = rng.uniform(1.0, 2.6) * scale * fine
        color = LEAF_COLORS[int(rng.integers(3))]
        radii = max(fine // 2, int(size)), max(fine // 2, int(0.5 * size))
        angle = float(rng.uniform(0, 180))
        cv2.ellipse(picture, place, radii, angle, 0, 360, color, -1, cv2.LINE_AA, _SHIFT)
