"""Parked cars as bodies: a profile drawn out to the car's width, with painted sides.

The flanks stand upright up to the waist and lean inwards above it. Everything is a parallelogram,
so a car is drawn by the same code as a house.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .board import Board, Color, mix, scaled

WAIST_M, SILL_M = 0.92, 0.24
HALF_WIDTH_M, LEAN_M = 0.88, 0.16
GLASS = (44.0, 56.0, 70.0)
NARROWING = 0.17  # share of a window's width that is lost from its lower to its upper edge


@dataclass(frozen=True, slots=True)
class Model:
    """A shape: (x, z) of the profile from the front bumper over the roof to the rear, metres.

    glass: the stretches of the profile that are windows. wheels: x of the axles.
    """

    length: float
    profile: tuple[tuple[float, float], ...]
    glass: tuple[int, ...]
    wheels: tuple[float, float]


SEDAN = Model(
    4.5,
    ((2.25, 0.30), (2.22, 0.62), (2.05, 0.78), (0.95, 0.92), (0.20, 1.40), (-0.85, 1.44),
     (-1.50, 0.99), (-2.10, 0.94), (-2.25, 0.70), (-2.23, 0.30)),
    (3, 5), (1.38, -1.36),
)  # fmt: skip
HATCH = Model(
    3.9,
    ((1.95, 0.30), (1.93, 0.64), (1.72, 0.84), (0.92, 0.96), (0.28, 1.48), (-1.25, 1.50),
     (-1.82, 0.98), (-1.95, 0.74), (-1.93, 0.30)),
    (3, 5), (1.22, -1.20),
)  # fmt: skip
VAN = Model(
    4.8,
    ((2.40, 0.32), (2.38, 0.80), (2.10, 1.02), (1.55, 1.16), (1.00, 1.88), (0.80, 1.96),
     (-2.25, 1.98), (-2.38, 1.85), (-2.40, 0.32)),
    (3,), (1.52, -1.45),
)  # fmt: skip
MODELS = (SEDAN, HATCH, SEDAN, VAN)


def paint_flank(model: Model, color: Color, size: int) -> np.ndarray:
    """A car's right side up to the roof, the front to the right: uint8 [size / 2, size, 4]."""
    tall = max(z for _, z in model.profile)
    board = Board(model.length, tall, size, size // 2, None)
    half = model.length / 2
    outline = [(x + half, z) for x, z in model.profile]
    board.poly([*outline, (outline[-1][0], 0.3), (outline[0][0], 0.3)], color, 1.0)
    board.tint(0, 0.0, model.length, 0.5, 0.74)
    board.rect(0.1, 0.84, model.length - 0.1, 0.88, scaled(color, 1.2), 1.0)
    board.rect(0.1, 0.5, model.length - 0.1, 0.53, scaled(color, 0.72), 1.0)
    _side_glass(board, model, half, color)
    for x in (0.42, -0.55):
        board.line([(half + x, 0.34), (half + x, 0.92)], 0.02, scaled(color, 0.55), 1.0)
        board.rect(half + x + 0.1, 0.76, half + x + 0.28, 0.8, (206.0, 208.0, 212.0), 1.0)
    front, rear = (255.0, 244.0, 214.0), (206.0, 40.0, 36.0)
    board.rect(model.length - 0.3, 0.62, model.length - 0.06, 0.76, front, 1.0)
    board.rect(0.04, 0.66, 0.26, 0.82, rear, 1.0)
    _inside_profile(board, outline)
    for axle in model.wheels:
        _wheel(board, half + axle)
    return board.pixels


def paint_panel(color: Color, kind: str, size: int) -> np.ndarray:
    """A strip across the car: body, window, front or rear: uint8 [size / 2, size, 4].

    Opaque but for the window, whose alpha is coverage.
    """
    board = Board(1.76, 0.6, size, size // 2, color)
    if kind == "window":  # narrower above; what is cut away has no coverage
        top = 1.76 * NARROWING / 2
        board.pixels[...] = 0
        board.poly([(0, 0), (1.76, 0), (1.76 - top, 0.6), (top, 0.6)], color, 1.0)
        inner = [(0.09, 0.03), (1.67, 0.03), (1.69 - top, 0.57), (0.07 + top, 0.57)]
        board.poly(inner, scaled(GLASS, 1.1), 1.0)
        board.poly([(0.3, 0.03), (0.55, 0.03), (0.9, 0.57), (0.65, 0.57)], scaled(GLASS, 2.0), 1.0)
    elif kind == "front":
        board.rect(0, 0, 1.76, 0.16, scaled(color, 0.6))
        board.rect(0.42, 0.24, 1.34, 0.52, (40.0, 42.0, 46.0))
        for k in range(4):
            board.rect(0.44, 0.27 + 0.06 * k, 1.32, 0.29 + 0.06 * k, (128.0, 132.0, 138.0))
        for x in (0.22, 1.54):
            board.disc(x, 0.4, 0.16, 0.13, (248.0, 244.0, 226.0))
        board.rect(0.62, 0.03, 1.14, 0.17, (236.0, 238.0, 236.0))
    elif kind == "rear":
        board.rect(0, 0, 1.76, 0.16, scaled(color, 0.6))
        for x in (0.04, 1.36):
            board.rect(x, 0.3, x + 0.36, 0.5, (196.0, 36.0, 34.0))
            board.rect(x + 0.04, 0.38, x + 0.32, 0.42, (240.0, 120.0, 100.0))
        board.rect(0.62, 0.24, 1.14, 0.38, (240.0, 236.0, 214.0))
    return board.pixels


def paint_shadow(size: int) -> np.ndarray:
    """The dark under a car, its alpha how dark: uint8 [size / 2, size, 4]."""
    y = (np.arange(size // 2) + 0.5) / (size // 2) * 2 - 1
    x = (np.arange(size) + 0.5) / size * 2 - 1
    edge = np.minimum((1 - np.abs(y))[:, None] * 1.4, (1 - np.abs(x))[None, :] * 3.0)
    pixels = np.zeros((size // 2, size, 4), np.uint8)
    pixels[..., 3] = np.rint(165 * np.clip(edge * 1.6, 0, 1) ** 1.2)
    return pixels


@dataclass(frozen=True, slots=True)
class Part:
    """A surface of a car: a parallelogram, the name of its texture, how much light it gets."""

    corner: np.ndarray
    u: np.ndarray
    v: np.ndarray
    texture: str
    light: float


def build_car(model: Model, xy: np.ndarray, heading_deg: float) -> list[Part]:
    """Every surface of a car.

    Textures: "flank_left_low", "flank_right_high" and so on, "body", "window", "rear_window"
    (upside down), "front", "rear" or "shadow".
    """
    turn = np.radians(heading_deg)
    ahead = np.array([np.sin(turn), np.cos(turn), 0.0])
    left = np.array([-ahead[1], ahead[0], 0.0])
    up = np.array([0.0, 0.0, 1.0])
    foot = np.array([xy[0], xy[1], 0.0])

    def at(x: float, side: float, z: float) -> np.ndarray:
        return foot + x * ahead + side * left + z * up

    def half(z: float) -> float:
        return HALF_WIDTH_M - LEAN_M * max(0.0, z - WAIST_M) / 0.5

    long, wide = model.length / 2 + 0.25, HALF_WIDTH_M + 0.25
    under = Part(at(-long, wide, 0.02), 2 * long * ahead, -2 * wide * left, "shadow", 1.0)
    parts = [under, *_flanks(model, at, half, ahead, left, up)]
    last = len(model.profile) - 2
    for k in range(last + 1):
        (x0, z0), (x1, z1) = model.profile[k], model.profile[k + 1]
        slope = np.arctan2(z1 - z0, x0 - x1)  # 0 level, +90 degrees the front
        light = 0.80 + 0.32 * float(np.cos(slope))
        kind = "front" if k <= 1 else "body"
        if k >= last - (0 if model is VAN else 1):
            kind = "rear"
        reach = half((z0 + z1) / 2)
        if k in model.glass:
            reach, kind = half(min(z0, z1)), "window" if z1 > z0 else "rear_window"
        corner = at(x0, -reach, z0)
        parts.append(Part(corner, 2 * reach * left, at(x1, -reach, z1) - corner, kind, light))
    return parts


def _flanks(
    model: Model,
    at: Callable[[float, float, float], np.ndarray],
    half: Callable[[float], float],
    ahead: np.ndarray,
    left: np.ndarray,
    up: np.ndarray,
) -> list[Part]:
    """Both sides: upright to the waist, leaning above; the textures are cut at the waist."""
    roof = max(z for _, z in model.profile)
    end = model.length / 2
    parts = []
    for side, name in ((1, "flank_left"), (-1, "flank_right")):
        rear = at(-side * -end, side * HALF_WIDTH_M, 0.0)  # the reader's left lower corner
        along = -side * model.length * ahead
        parts.append(Part(rear, along, WAIST_M * up, f"{name}_low", 0.86))
        lean = (roof - WAIST_M) * up + side * (half(roof) - HALF_WIDTH_M) * left
        parts.append(Part(rear + WAIST_M * up, along, lean, f"{name}_high", 0.98))
    return parts


def _side_glass(board: Board, model: Model, half: float, color: Color) -> None:
    """Windows follow the profile at a distance; a post between them."""
    upper = [(x, z) for x, z in model.profile if z > 1.1]
    if model is VAN:
        board.poly(
            [(half + 0.55, 1.12), (half + 1.42, 1.12), (half + 0.95, 1.76), (half + 0.55, 1.76)],
            GLASS, 1.0,
        )  # fmt: skip
        return
    (x_front, z_front), (x_rear, z_rear) = upper[0], upper[-1]
    base = 0.99
    shape = [
        (half + x_front + 0.52, base), (half + x_front - 0.02, z_front - 0.09),
        (half + x_rear + 0.02, z_rear - 0.09), (half + x_rear - 0.42, base),
    ]  # fmt: skip
    board.poly(shape, GLASS, 1.0)
    board.poly(
        [(half + 0.1, base), (half + 0.3, base), (half + 0.0, z_front - 0.1),
         (half - 0.2, z_front - 0.1)], scaled(GLASS, 1.5), 1.0,
    )  # fmt: skip
    post = half - 0.38
    board.poly([(post, base), (post + 0.09, base), (post + 0.07, 1.45), (post, 1.45)], color, 1.0)


def _inside_profile(board: Board, outline: list[tuple[float, float]]) -> None:
    """Clears what was painted outside the body."""
    mask = Board(board.width_m, board.height_m, *board.pixels.shape[1::-1], None)
    mask.poly([*outline, (outline[-1][0], 0.3), (outline[0][0], 0.3)], (0, 0, 0), 1.0)
    board.pixels[..., 3] = np.minimum(board.pixels[..., 3], mask.pixels[..., 3])


def _wheel(board: Board, x: float) -> None:
    board.disc(x, 0.36, 0.40, 0.40, (18.0, 19.0, 21.0), 1.0)
    board.disc(x, 0.33, 0.33, 0.33, (34.0, 35.0, 38.0), 1.0)
    board.disc(x, 0.33, 0.21, 0.21, (182.0, 186.0, 192.0), 1.0)
    board.disc(x, 0.33, 0.17, 0.17, (130.0, 134.0, 140.0), 1.0)
    for k in range(5):
        turn = 2 * np.pi * k / 5
        board.line(
            [(x, 0.33), (x + 0.17 * np.cos(turn), 0.33 + 0.17 * np.sin(turn))], 0.05,
            mix((182.0, 186.0, 192.0), (255.0, 255.0, 255.0), 0.3), 1.0,
        )  # fmt: skip
    board.disc(x, 0.33, 0.05, 0.05, (90.0, 92.0, 96.0), 1.0)
