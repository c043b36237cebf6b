"""Repeating pictures of what one walks and drives on: asphalt, setts, slabs, grass, snow."""

import cv2
import numpy as np

from .board import Color, clouds, color_of
from .config import LookConfig, Stock

TILE_PX, TILE_M = 512, 4.0  # of every tile


def road_tile(look: LookConfig) -> np.ndarray:
    rng, size = np.random.default_rng(11), TILE_PX
    light = 1 + 0.030 * clouds(rng, size, size, 90)
    light += 0.050 * clouds(rng, size, size, 4) + 0.055 * rng.normal(size=(size, size))
    if look.snow:
        light += 0.06 * clouds(rng, size, size, 160)
    if look.stock is Stock.timber:
        return _setts(color_of(look.asphalt), rng)
    return _tinted(color_of(look.asphalt), light)


def paving_tile(look: LookConfig) -> np.ndarray:
    rng, size = np.random.default_rng(12), TILE_PX
    base = color_of(look.paving)
    grain = 1 + 0.03 * clouds(rng, size, size, 60) + 0.03 * rng.normal(size=(size, size))
    if look.snow:
        return _tinted(base, 1 + 0.035 * clouds(rng, size, size, 70) - 0.01)
    count = 5
    cell = size / count
    y, x = np.mgrid[0:size, 0:size]
    row, column = (y / cell).astype(int), (x / cell).astype(int)
    tone = 1 + 0.045 * rng.normal(size=(count, count))
    grain *= tone[row, column]
    joint = (y % cell < 5) | (x % cell < 5)
    grain[joint] *= 0.80
    return _tinted(base, grain)


def lawn_tile(look: LookConfig) -> np.ndarray:
    rng, size = np.random.default_rng(13), TILE_PX
    if look.snow:
        return _tinted(color_of(look.lawn), 1 + 0.03 * clouds(rng, size, size, 60))
    blades = cv2.GaussianBlur(rng.normal(size=(size, size)), (0, 0), sigmaX=0.8, sigmaY=2.5)
    light = 1 + 0.22 * blades + 0.1 * clouds(rng, size, size, 60)
    return _tinted(color_of(look.lawn), light)


def _setts(color: Color, rng: np.random.Generator) -> np.ndarray:
    """Cobbled roadway: rows of small stones."""
    size, rows, columns = TILE_PX, 20, 16
    y, x = np.mgrid[0:size, 0:size]
    row = (y * rows // size).astype(int)
    across = (x / size * columns + 0.5 * (row % 2)) % columns
    column = across.astype(int)
    tone = 1 + 0.10 * rng.normal(size=(rows, columns)).clip(-1.6, 1.6)
    light = tone[row, column] + 0.03 * rng.normal(size=(size, size))
    dx, dy = across % 1.0 - 0.5, y * rows / size % 1.0 - 0.5
    edge = np.maximum(np.abs(dx), np.abs(dy))
    light *= 1 - 0.42 * np.clip((edge - 0.38) / 0.1, 0, 1)
    return _tinted(color, light + 0.05)


def _tinted(color: Color, light: np.ndarray) -> np.ndarray:
    pixels = np.array(color, np.float32) * light[..., None].astype(np.float32)
    return np.ascontiguousarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
