"""Windows of houses, one painter per building stock."""

from dataclasses import dataclass

import numpy as np

from .board import Board, Color, mix, scaled

WARM, COOL = (255.0, 214.0, 140.0), (214.0, 230.0, 255.0)


@dataclass(frozen=True, slots=True)
class Pane:
    """One window to paint: its place, its colours and whether a light is on."""

    x: float
    y: float
    w: float
    h: float
    trim: Color
    frame: Color
    sky: Color
    lit: bool
    rng: np.random.Generator


def sash(board: Board, pane: Pane) -> None:
    x, y, w, h = pane.x, pane.y, pane.w, pane.h
    trim = pane.trim
    board.rect(x - 0.2, y - 0.02, x + w + 0.2, y + h + 0.02, scaled(trim, 0.92))
    board.rect(x - 0.28, y + h, x + w + 0.28, y + h + 0.3, trim)
    board.rect(x - 0.28, y + h + 0.26, x + w + 0.28, y + h + 0.3, scaled(trim, 1.12))
    board.rect(x - 0.28, y + h - 0.05, x + w + 0.28, y + h, scaled(trim, 0.6))
    _glass(board, pane, x, y, w, h)
    for at in (0.0, 0.5, 1.0):
        bar = 0.07 if at != 0.5 else 0.04
        centre = x + at * w
        left = min(max(centre - bar / 2, x), x + w - bar)
        board.rect(left, y, left + bar, y + h, pane.frame)
    for at in (0.0, 0.52, 1.0):
        bottom = min(max(y + at * h - 0.035, y), y + h - 0.07)
        board.rect(x, bottom, x + w, bottom + 0.07, pane.frame)
    board.rect(x - 0.3, y - 0.16, x + w + 0.3, y, scaled(trim, 1.05))
    board.rect(x - 0.3, y - 0.24, x + w + 0.3, y - 0.16, scaled(trim, 0.5))


def band(board: Board, pane: Pane) -> None:
    """Glass from edge to edge with thin posts; rooms light up as a whole."""
    x, y, w, h = pane.x, pane.y, pane.w, pane.h
    parts = 3
    for k in range(parts):
        left = x + k * w / parts
        _glass(board, pane, left, y, w / parts, h, cloth=False)
        if pane.lit:
            dim = float(pane.rng.uniform(0.8, 1.0))
            board.tint(left, y, left + w / parts, y + h, dim)
        board.rect(left - 0.035, y, left + 0.035, y + h, pane.frame)
    board.rect(x, y + h, x + w, y + h + 0.12, scaled(pane.frame, 1.25))
    board.rect(x, y - 0.08, x + w, y, scaled(pane.frame, 0.7))


def deep(board: Board, pane: Pane) -> None:
    """A small window deep in a thick wall, wooden lintel above, some with shutters."""
    x, y, w, h = pane.x, pane.y, pane.w, pane.h
    board.rect(x - 0.14, y - 0.08, x + w + 0.14, y + h + 0.14, pane.trim)
    board.rect(x - 0.06, y, x + w, y + h + 0.06, scaled(pane.trim, 0.55))
    _glass(board, pane, x, y, w, h - 0.05)
    board.rect(x + w / 2 - 0.04, y, x + w / 2 + 0.04, y + h, pane.frame)
    board.rect(x, y + 0.55 * h, x + w, y + 0.55 * h + 0.06, pane.frame)
    board.rect(x - 0.3, y + h + 0.06, x + w + 0.3, y + h + 0.26, scaled(pane.frame, 1.1))
    board.rect(x - 0.2, y - 0.2, x + w + 0.2, y - 0.06, scaled(pane.trim, 1.04))
    if pane.rng.random() < 0.3:
        for left in (x - 0.5, x + w + 0.08):
            board.rect(left, y - 0.02, left + 0.42, y + h, pane.frame)
            for k in range(6):
                board.rect(
                    left + 0.05, y + 0.1 + k * h / 6.4, left + 0.37, y + 0.14 + k * h / 6.4,
                    scaled(pane.frame, 0.7),
                )  # fmt: skip


def double(board: Board, pane: Pane) -> None:
    x, y, w, h = pane.x, pane.y, pane.w, pane.h
    board.rect(x - 0.16, y - 0.1, x + w + 0.16, y + h + 0.16, scaled(pane.trim, 0.98))
    board.rect(x - 0.16, y + h, x + w + 0.16, y + h + 0.05, scaled(pane.trim, 0.6))
    _glass(board, pane, x, y, w, h)
    for at in (0.0, 0.48, 1.0):
        left = min(max(x + at * w - 0.04, x), x + w - 0.08)
        board.rect(left, y, left + 0.09, y + h, pane.frame)
    for at in (0.0, 0.68, 1.0):
        bottom = min(max(y + at * h - 0.04, y), y + h - 0.08)
        board.rect(x, bottom, x + w, bottom + 0.08, pane.frame)
    board.rect(x - 0.22, y - 0.2, x + w + 0.22, y - 0.08, scaled(pane.trim, 1.08))


def balcony(board: Board, pane: Pane) -> None:
    """A wide window, an eyebrow above it, a railing before every other one."""
    x, y, w, h = pane.x, pane.y, pane.w, pane.h
    _glass(board, pane, x, y, w, h)
    for at in (0.0, 1 / 3, 2 / 3, 1.0):
        left = min(max(x + at * w - 0.035, x), x + w - 0.07)
        board.rect(left, y, left + 0.07, y + h, pane.frame)
    for k in range(1, 4):
        board.rect(x, y + k * h / 4, x + w, y + k * h / 4 + 0.035, pane.frame)
    board.rect(x - 0.3, y + h + 0.08, x + w + 0.3, y + h + 0.3, pane.trim)
    board.rect(x - 0.3, y + h - 0.06, x + w + 0.3, y + h + 0.08, (112.0, 118.0, 128.0))
    board.rect(x - 0.12, y - 0.14, x + w + 0.12, y, scaled(pane.trim, 0.96))
    if pane.rng.random() < 0.5:
        low = y - 0.3
        for k in range(15):
            at = x - 0.25 + k * (w + 0.5) / 14
            board.rect(at - 0.018, low, at + 0.018, low + 0.85, scaled(pane.frame, 0.92))
        board.rect(x - 0.3, low + 0.82, x + w + 0.3, low + 0.9, pane.frame)
        board.rect(x - 0.36, low - 0.2, x + w + 0.36, low, pane.trim)
        board.rect(x - 0.36, low - 0.28, x + w + 0.36, low - 0.2, scaled(pane.trim, 0.62))


def leaded(board: Board, pane: Pane) -> None:
    """Small panes in a wooden frame, flower boxes under some."""
    x, y, w, h = pane.x, pane.y, pane.w, pane.h
    board.rect(x - 0.16, y - 0.14, x + w + 0.16, y + h + 0.16, pane.trim)
    _glass(board, pane, x, y, w, h)
    for k in range(1, 6):
        board.rect(x + k * w / 6 - 0.015, y, x + k * w / 6 + 0.015, y + h, pane.frame)
        board.rect(x, y + k * h / 6 - 0.015, x + w, y + k * h / 6 + 0.015, pane.frame)
    board.rect(x + w / 2 - 0.05, y, x + w / 2 + 0.05, y + h, pane.frame)
    if pane.rng.random() < 0.45:
        board.rect(x - 0.2, y - 0.42, x + w + 0.2, y - 0.14, (96.0, 62.0, 40.0))
        for _ in range(26):
            at, up = pane.rng.uniform(-0.2, w + 0.2), pane.rng.uniform(-0.2, 0.12)
            hue = ((70.0, 110.0, 52.0), (200.0, 60.0, 62.0), (232.0, 140.0, 150.0))
            board.disc(x + at, y + up, 0.09, 0.08, hue[int(pane.rng.integers(3))])


def _glass(
    board: Board, pane: Pane, x: float, y: float, w: float, h: float, cloth: bool = True
) -> None:
    """Glass with what it mirrors, or a lit room; a curtain now and then."""
    rng = pane.rng
    if pane.lit:
        warm = WARM if rng.random() < 0.75 else COOL
        power = float(rng.uniform(0.75, 1.0))
        board.fade(x, y, x + w, y + h, scaled(warm, 0.78 * power), scaled(warm, power), 0.92)
        if rng.random() < 0.5:
            board.rect(x, y + 0.62 * h, x + w, y + h, scaled(warm, 0.66 * power), 0.85)
        at, wide = (float(rng.uniform(low, high)) * w for low, high in ((0.0, 0.6), (0.2, 0.4)))
        tall = float(rng.uniform(0.14, 0.34)) * h  # furniture against the light
        board.rect(x + at, y, x + at + wide, y + tall, scaled(warm, 0.42 * power), 0.6)
        return
    dark = mix(pane.sky, (24.0, 30.0, 40.0), 0.72)
    board.fade(x, y, x + w, y + h, scaled(dark, 0.9), mix(pane.sky, dark, float(rng.random())))
    if cloth and rng.random() < 0.6:
        stuff = ((222.0, 214.0, 196.0), (170.0, 92.0, 84.0), (196.0, 190.0, 160.0))[
            int(rng.integers(3))
        ]
        stuff = mix(stuff, dark, 0.45)
        drawn = float(rng.uniform(0.16, 0.3)) * w
        board.rect(x, y, x + drawn, y + h, stuff)
        board.rect(x + w - drawn, y, x + w, y + h, stuff)
        board.rect(x + 0.4 * drawn, y, x + 0.6 * drawn, y + h, scaled(stuff, 0.85))
    if rng.random() < 0.7:
        shine = mix(pane.sky, dark, 0.35)
        at = x + float(rng.uniform(0.15, 0.5)) * w
        board.poly(
            [(at, y), (at + 0.16 * w, y), (min(x + w, at + 0.42 * w), y + h),
             (min(x + w, at + 0.26 * w), y + h)], shine,
        )  # fmt: skip
    board.rect(x, y + h - 0.12, x + w, y + h, scaled(dark, 0.55))
    board.rect(x, y, x + 0.06, y + h, scaled(dark, 0.65))
