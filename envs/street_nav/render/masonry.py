"""Wall surfaces that repeat: bricks, blocks of stone, render."""

import numpy as np

from .board import Board, Color, clouds, lit_by, tile_noise

BRICK_M = (0.46, 0.16)  # larger than life, so that they are seen from across the street


def brick(board: Board, color: Color, rng: np.random.Generator) -> None:
    """Covers the board with a running bond."""
    _bond(board, color, rng, *BRICK_M, joint=0.035, contrast=0.09, mortar=1.12)


def ashlar(board: Board, color: Color, rng: np.random.Generator, courses_per_4m: int = 8) -> None:
    """Covers the board with dressed stone."""
    tall = 4.0 / courses_per_4m
    _bond(board, color, rng, 1.9 * tall, tall, joint=0.03, contrast=0.04, mortar=0.82)


def render(board: Board, color: Color, rng: np.random.Generator) -> None:
    """Covers the board with plaster: blotches and fine grain."""
    height, width = board.pixels.shape[:2]
    board.pixels[..., :3] = np.rint(color)
    light = 1 + 0.030 * clouds(rng, height, width, height / 3)
    light += 0.010 * tile_noise(rng, height, width, 5)
    light += 0.012 * rng.normal(size=(height, width)).astype(np.float32)
    lit_by(board.pixels, light)


def _bond(
    board: Board, color: Color, rng: np.random.Generator, wide: float, tall: float, joint: float,
    contrast: float, mortar: float,
) -> None:  # fmt: skip
    height, width = board.pixels.shape[:2]
    rows = max(2, 2 * round(board.height_m / tall / 2))
    columns = max(2, round(board.width_m / wide))
    y = np.arange(height) / height * rows
    x = np.arange(width) / width * columns
    row = y.astype(int)
    shifted = np.stack([x, x + 0.5]) % columns  # [2, width]: of even and of odd rows
    stone = np.arange(rows)[:, None], shifted.astype(int)[np.arange(rows) % 2]  # [rows, width]
    tone = rng.normal(size=(rows, columns)).astype(np.float32).clip(-1.8, 1.8)
    warm = rng.normal(size=(rows, columns)).astype(np.float32).clip(-1.8, 1.8)
    light = (1 + contrast * tone[stone])[row]
    light += 0.025 * clouds(rng, height, width, height / 4)
    pixels = np.array(color, np.float32) * light[..., None]
    pixels[..., 0] *= (1 + 0.4 * contrast * warm[stone])[row]
    thick_y, thick_x = joint * rows / board.height_m, joint * columns / board.width_m
    thick_y = max(thick_y, 1.01 * rows / height)
    thick_x = max(thick_x, 1.01 * columns / width)
    gap = ((y % 1.0) < thick_y)[:, None] | ((shifted % 1.0) < thick_x)[row % 2]
    pixels[gap] = np.array(color, np.float32) * mortar
    board.pixels[..., :3] = np.clip(pixels, 0, 255)
