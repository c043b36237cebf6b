"""Textures of shop fronts and awnings."""

import numpy as np

from .board import Board, Color, color_of, lit_by, mix, scaled, tile_noise
from .config import LookConfig, SignStyle

SHOP_M = (8.0, 4.4)  # a front; it is stretched a little to fill a house
VARIANTS = 3
GOODS = (
    (196.0, 58.0, 52.0), (232.0, 178.0, 62.0), (64.0, 128.0, 84.0), (62.0, 104.0, 168.0),
    (236.0, 232.0, 220.0), (142.0, 72.0, 138.0), (222.0, 120.0, 60.0),
)  # fmt: skip


def paint_shop(look: LookConfig, wood: Color, variant: int, seed: int, size: int) -> np.ndarray:
    """A shop front with a door, windows full of goods and an empty fascia: uint8 [size/2, size, 4].

    Variants put the door left, in the middle and right.
    """
    rng = np.random.default_rng(seed)
    board = Board(*SHOP_M, size, size // 2, wood)
    height, width = board.pixels.shape[:2]
    lit_by(board.pixels, 1 + 0.03 * tile_noise(rng, height, width, 5))
    lights = look.lit_windows > 0.15
    board.rect(0, 3.15, 8, 4.4, scaled(wood, 1.12))
    board.rect(0, 4.22, 8, 4.4, mix(scaled(wood, 1.5), (230.0, 220.0, 200.0), 0.25))
    board.rect(0, 4.16, 8, 4.22, scaled(wood, 0.5))
    board.rect(0, 3.12, 8, 3.2, scaled(wood, 1.6))
    board.rect(0, 3.04, 8, 3.12, scaled(wood, 0.45))
    for x in (0.0, 7.62):
        board.rect(x, 0, x + 0.38, 4.22, scaled(wood, 0.92))
        board.rect(x + 0.08, 0.5, x + 0.3, 3.0, scaled(wood, 1.25))
        board.rect(x + 0.12, 0.56, x + 0.26, 2.94, scaled(wood, 0.98))
    slots = _slots(variant)
    for left, right, is_door in slots:
        if is_door:
            _glass_door(board, left, right, wood, lights)
        else:
            _shop_window(board, left, right, wood, lights, variant, rng)
    board.tint(0.38, 2.82, 7.62, 3.04, 0.7)
    if look.sign_style is SignStyle.tube:
        _tube_light(board, color_of(look.signs[seed % len(look.signs)].split("/")[1]))
    return board.pixels


def paint_awning(first: Color, second: Color, size: int) -> np.ndarray:
    """Ten stripes and a scalloped lower edge, coverage in alpha: uint8 [size / 4, size, 4]."""
    board = Board(8.0, 2.0, size, size // 4, None)
    for k in range(10):
        color = first if k % 2 == 0 else second
        left, right = 0.8 * k, 0.8 * (k + 1)
        board.fade(left, 0.45, right, 2.0, scaled(color, 0.86), color, 1.0)
        board.rect(left, 0.24, right, 0.45, scaled(color, 0.78), 1.0)
        board.disc(left + 0.4, 0.26, 0.4, 0.24, scaled(color, 0.78), 1.0)
    board.pixels[..., 3] = np.where(board.pixels[..., 3] > 96, 255, 0)
    return board.pixels


def _tube_light(board: Board, color: Color) -> None:
    """A tube of light above the fascia and its shine upon it."""
    board.fade(0, 3.7, 8, 4.22, scaled(color, 0.06), scaled(color, 0.45), 0.5)
    board.rect(0, 4.22, 8, 4.34, mix(color, (255.0, 255.0, 255.0), 0.25), 1.0)


def _slots(variant: int) -> list[tuple[float, float, bool]]:
    if variant == 0:
        return [(0.55, 2.2, True), (2.4, 4.9, False), (5.1, 7.45, False)]
    if variant == 1:
        return [(0.55, 3.0, False), (3.2, 4.8, True), (5.0, 7.45, False)]
    return [(0.55, 2.95, False), (3.15, 5.6, False), (5.8, 7.45, True)]


def _room(board: Board, x0: float, y0: float, x1: float, y1: float, lights: bool) -> None:
    if lights:
        board.fade(x0, y0, x1, y1, (222.0, 160.0, 84.0), (255.0, 226.0, 158.0), 0.9)
    else:
        board.fade(x0, y0, x1, y1, (108.0, 102.0, 94.0), (62.0, 66.0, 72.0))


def _shop_window(
    board: Board, x0: float, x1: float, wood: Color, lights: bool, variant: int,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    board.rect(x0 - 0.08, 0.0, x1 + 0.08, 3.0, scaled(wood, 0.75))
    for k in range(2):  # the panelled riser
        left = x0 + k * (x1 - x0) / 2
        board.rect(left + 0.08, 0.14, left + (x1 - x0) / 2 - 0.08, 0.6, scaled(wood, 1.3))
        board.rect(left + 0.13, 0.19, left + (x1 - x0) / 2 - 0.13, 0.55, scaled(wood, 0.95))
    _room(board, x0, 0.72, x1, 2.94, lights)
    own = 0.55 if lights else 0.0
    _goods(board, x0, x1, variant, own, rng)
    if lights or rng.random() < 0.6:
        for k in range(2):
            x = x0 + (0.28 + 0.44 * k) * (x1 - x0)
            board.rect(x - 0.012, 2.5, x + 0.012, 2.94, (40.0, 36.0, 34.0))
            board.disc(x, 2.46, 0.15, 0.09, (255.0, 240.0, 200.0), 1.0)
    if not lights:
        _glare(board, x0, x1, 0.72, 2.94)
    board.rect(x0, 2.42, x1, 2.47, scaled(wood, 1.2))
    board.rect((x0 + x1) / 2 - 0.025, 0.72, (x0 + x1) / 2 + 0.025, 2.94, scaled(wood, 1.2))
    for y in (0.68, 2.92):
        board.rect(x0 - 0.05, y, x1 + 0.05, y + 0.07, scaled(wood, 1.35))


def _goods(
    board: Board, x0: float, x1: float, variant: int, own: float, rng: np.random.Generator
) -> None:
    """Shelves of boxes, bottles or round things."""
    shade = 1.0 if own else 0.9
    x = x0 + 0.14
    while x < x1 - 0.2:
        color = scaled(GOODS[int(rng.integers(len(GOODS)))], shade)
        size = float(rng.uniform(0.13, 0.24))
        kind = (variant + int(rng.integers(2))) % 3
        if kind == 0:
            tall = float(rng.uniform(0.25, 0.62))
            board.rect(x, 0.74, x + size, 0.74 + tall, color, own)
            board.rect(x, 0.74 + 0.6 * tall, x + size, 0.74 + 0.75 * tall, scaled(color, 1.3), own)
        elif kind == 1:
            board.disc(x + 0.11, 0.86, 0.12, 0.12, color, own)
            board.disc(x + 0.09, 0.9, 0.04, 0.04, scaled(color, 1.4), own)
            size = 0.2
        else:
            board.rect(x + 0.03, 0.74, x + 0.13, 1.08, color, own)
            board.rect(x + 0.06, 1.08, x + 0.10, 1.26, scaled(color, 0.8), own)
            size = 0.14
        if rng.random() < 0.4:
            board.rect(
                x, 1.6, x + size, 1.6 + float(rng.uniform(0.15, 0.4)), scaled(color, 0.8), own
            )
        x += size + 0.05
    board.rect(x0, 1.55, x1, 1.6, scaled((120.0, 96.0, 70.0), shade), own * 0.6)


def _glass_door(board: Board, x0: float, x1: float, wood: Color, lights: bool) -> None:
    board.rect(x0 - 0.06, 0, x1 + 0.06, 3.0, scaled(wood, 0.7))
    middle = (x0 + x1) / 2
    for left, right in ((x0, middle - 0.02), (middle + 0.02, x1)):
        board.rect(left, 0.05, right, 2.4, scaled(wood, 1.2))
        _room(board, left + 0.12, 0.55, right - 0.12, 2.28, lights)
        if not lights:
            _glare(board, left + 0.12, right - 0.12, 0.55, 2.28)
        board.rect(left + 0.14, 0.15, right - 0.14, 0.45, scaled(wood, 0.85))
    for x in (middle - 0.12, middle + 0.08):
        board.rect(x, 1.0, x + 0.04, 1.5, (222.0, 188.0, 96.0))
    _room(board, x0 + 0.05, 2.5, x1 - 0.05, 2.92, lights)


def _glare(board: Board, x0: float, x1: float, y0: float, y1: float) -> None:
    """Two slanted streaks of sky on the glass."""
    left, top, right, bottom = board.box(x0, y0, x1, y1)
    part = board.pixels[top:bottom, left:right, :3]
    height, width = part.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    across = (x / width + 0.45 * y / height) % 1.0
    streak = ((across > 0.42) & (across < 0.58)) | ((across > 0.64) & (across < 0.68))
    part[streak] = np.clip(part[streak] * 0.8 + 46, 0, 255)
