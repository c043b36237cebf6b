"""Pictures of street furniture: lamps, traffic lights, benches, boxes, a fountain, and halos."""

import numpy as np

from .board import Board, Color, scaled

IRON = (52.0, 56.0, 62.0)
LAMP_M, SIGNAL_M, BENCH_M, BOX_M = (1.6, 5.2), (1.2, 4.2), (2.0, 1.0), (0.9, 1.4)
FOUNTAIN_M = (5.0, 2.6)


def paint_lamp(size: int, on: bool) -> np.ndarray:
    """A lantern on a post: uint8 [size, size / 2, 4], coverage."""
    board = Board(*LAMP_M, size // 2, size, None)
    x = LAMP_M[0] / 2
    board.rect(x - 0.05, 0.5, x + 0.05, 4.2, IRON, 1.0)
    board.rect(x - 0.05, 0.5, x - 0.015, 4.2, scaled(IRON, 1.5), 1.0)
    board.poly([(x - 0.17, 0), (x - 0.1, 0.6), (x + 0.1, 0.6), (x + 0.17, 0)], IRON, 1.0)
    for y in (0.6, 2.9, 4.1):
        board.rect(x - 0.12, y, x + 0.12, y + 0.08, scaled(IRON, 1.2), 1.0)
    pane = (255.0, 236.0, 176.0) if on else (214.0, 222.0, 226.0)
    board.poly([(x - 0.17, 4.2), (x - 0.29, 4.78), (x + 0.29, 4.78), (x + 0.17, 4.2)], pane, 1.0)
    board.poly(
        [(x - 0.17, 4.2), (x - 0.29, 4.78), (x - 0.12, 4.78), (x - 0.06, 4.2)],
        scaled(pane, 0.86), 1.0,
    )  # fmt: skip
    board.line([(x, 4.2), (x, 4.78)], 0.03, IRON, 1.0)
    for side in (-1, 1):
        board.line([(x + side * 0.17, 4.2), (x + side * 0.29, 4.78)], 0.03, IRON, 1.0)
    board.poly([(x - 0.36, 4.76), (x, 5.04), (x + 0.36, 4.76)], IRON, 1.0)
    board.disc(x, 5.08, 0.05, 0.06, IRON, 1.0)
    return board.pixels


def paint_signal(size: int, go: bool) -> np.ndarray:
    """A traffic light on a post: uint8 [size, size / 4, 4], coverage."""
    board = Board(*SIGNAL_M, size // 4, size, None)
    x = SIGNAL_M[0] / 2
    board.rect(x - 0.06, 0, x + 0.06, 3.0, (72.0, 76.0, 80.0), 1.0)
    board.rect(x - 0.06, 0, x - 0.02, 3.0, (108.0, 112.0, 116.0), 1.0)
    board.rect(x - 0.26, 2.85, x + 0.26, 4.15, (30.0, 34.0, 32.0), 1.0)
    board.rect(x - 0.21, 2.9, x + 0.21, 4.1, (44.0, 48.0, 44.0), 1.0)
    lights: list[tuple[float, Color, bool]] = [
        (3.9, (238.0, 58.0, 48.0), not go),
        (3.5, (240.0, 184.0, 60.0), False),
        (3.1, (84.0, 240.0, 130.0), go),
    ]
    for y, color, on in lights:
        board.disc(x, y, 0.16, 0.16, color if on else scaled(color, 0.28), 1.0)
        if on:
            board.disc(x - 0.04, y + 0.04, 0.06, 0.06, scaled(color, 1.5), 1.0)
    return board.pixels


def paint_bench(size: int) -> np.ndarray:
    """A bench: uint8 [size / 2, size, 4], coverage."""
    board = Board(*BENCH_M, size, size // 2, None)
    wood = (146.0, 98.0, 60.0)
    for x in (0.25, 1.68):
        board.rect(x, 0, x + 0.07, 0.95, IRON, 1.0)
    for y in (0.42, 0.62, 0.78):
        board.rect(0.08, y, 1.92, y + 0.12, wood, 1.0)
        board.rect(0.08, y + 0.08, 1.92, y + 0.12, scaled(wood, 1.25), 1.0)
    return board.pixels


def paint_box(size: int, kind: str) -> np.ndarray:
    """A mail box, a hydrant or a bin: uint8 [size, size / 2, 4], coverage."""
    board = Board(*BOX_M, size // 2, size, None)
    if kind == "mailbox":
        _mailbox(board)
    elif kind == "hydrant":
        red = (196.0, 52.0, 40.0)
        board.rect(0.32, 0, 0.58, 0.62, red, 1.0)
        board.rect(0.32, 0, 0.4, 0.62, scaled(red, 1.3), 1.0)
        board.disc(0.45, 0.62, 0.15, 0.12, scaled(red, 1.1), 1.0)
        board.rect(0.22, 0.38, 0.68, 0.5, scaled(red, 0.85), 1.0)
        board.rect(0.28, 0, 0.62, 0.08, scaled(red, 0.7), 1.0)
    else:
        board.poly([(0.2, 0), (0.16, 0.92), (0.74, 0.92), (0.7, 0)], (62.0, 84.0, 74.0), 1.0)
        for k in range(5):
            board.rect(0.22 + 0.1 * k, 0.1, 0.25 + 0.1 * k, 0.85, (44.0, 62.0, 54.0), 1.0)
        board.rect(0.12, 0.9, 0.78, 1.0, (86.0, 108.0, 98.0), 1.0)
    return board.pixels


def paint_fountain(size: int) -> np.ndarray:
    """A basin with a jet: uint8 [size / 2, size, 4], coverage."""
    board = Board(*FOUNTAIN_M, size, size // 2, None)
    stone = (176.0, 170.0, 158.0)
    board.poly([(0.2, 0.62), (4.8, 0.62), (4.5, 0.0), (0.5, 0.0)], scaled(stone, 0.8), 1.0)
    board.rect(0.1, 0.56, 4.9, 0.74, stone, 1.0)
    board.disc(2.5, 0.72, 2.2, 0.1, (112.0, 160.0, 182.0), 1.0)
    board.rect(2.34, 0.7, 2.66, 1.3, stone, 1.0)
    board.disc(2.5, 1.34, 0.8, 0.14, scaled(stone, 1.08), 1.0)
    for k in range(-4, 5):
        side = k / 4
        path = [(2.5 + side * 0.7 * t, 1.4 + 1.0 * t * (1.9 - 1.9 * t) - 0.3 * t) for t in
                np.linspace(0, 1, 9)]  # fmt: skip
        board.line(path, 0.05, (214.0, 232.0, 240.0), 0.7)
    return board.pixels


def paint_halo(color: Color, size: int) -> np.ndarray:
    """Light around a lamp, to be added: uint8 [size, size, 4], coverage falls to 0 at the rim."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    distance = np.hypot(axis[:, None], axis[None, :])
    power = np.clip(1 - distance, 0, 1) ** 2.6
    pixels = np.empty((size, size, 4), np.uint8)
    pixels[..., :3] = np.rint(color)
    pixels[..., 3] = np.rint(255 * power)
    return pixels


def _mailbox(board: Board) -> None:
    blue = (38.0, 78.0, 150.0)
    board.rect(0.18, 0, 0.26, 0.2, IRON, 1.0)
    board.rect(0.64, 0, 0.72, 0.2, IRON, 1.0)
    board.rect(0.12, 0.15, 0.78, 0.95, blue, 1.0)
    board.disc(0.45, 0.95, 0.33, 0.24, blue, 1.0)
    board.rect(0.12, 0.15, 0.22, 0.95, scaled(blue, 1.3), 1.0)
    board.rect(0.24, 0.84, 0.66, 0.9, scaled(blue, 0.4), 1.0)
    board.rect(0.28, 0.5, 0.62, 0.66, (236.0, 238.0, 240.0), 1.0)
