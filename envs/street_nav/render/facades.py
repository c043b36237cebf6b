"""Textures of houses: storeys with windows, ground floors and blank walls, by building stock."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .board import Board, Color, color_of, lit_by, mix, scaled, tile_noise
from .config import LookConfig, Stock
from .masonry import ashlar, brick, render

BAYS = STOREYS = 4  # of one storeys texture
STOREY_M, BASE_M = 3.2, 4.4
WARM, COOL = (255.0, 214.0, 140.0), (214.0, 230.0, 255.0)


@dataclass(frozen=True, slots=True)
class Style:
    """A stock's measures (metres) and how it is painted.

    bay_m: width of a window axis. window: left, bottom, width, height within bay and storey.
    """

    bay_m: float
    window: tuple[float, float, float, float]
    wall: Callable[[Board, Color, np.random.Generator, int], None]
    pane: Callable[[Board, "Pane"], None]
    cornice_m: float


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


def style_of(stock: Stock) -> Style:
    return _STYLES[stock]


def paint_storeys(look: LookConfig, wall: Color, seed: int, size: int) -> np.ndarray:
    """`BAYS` x `STOREYS` of upper floors: uint8 [size, size, 4], repeating both ways."""
    style, rng = style_of(look.stock), np.random.default_rng(seed)
    board = Board(BAYS * style.bay_m, STOREYS * STOREY_M, size, size, wall)
    style.wall(board, wall, rng, STOREYS)
    frame = color_of(look.frames[int(rng.integers(len(look.frames)))])
    for storey in range(STOREYS):
        for bay in range(BAYS):
            x, y, w, h = style.window
            lit = bool(rng.random() < look.lit_windows)
            style.pane(
                board,
                Pane(
                    bay * style.bay_m + x, storey * STOREY_M + y, w, h, _trim(look, wall), frame,
                    _reflection(look), lit, rng,
                ),
            )  # fmt: skip
    return board.pixels


def paint_base(look: LookConfig, wall: Color, seed: int, size: int) -> np.ndarray:
    """A ground floor without shops: `BAYS` axes, one of them a door: uint8 [size / 2, size, 4]."""
    style, rng = style_of(look.stock), np.random.default_rng(seed)
    lower = mix(wall, color_of(look.trim), 0.25) if look.stock is not Stock.timber else wall
    board = Board(BAYS * style.bay_m, BASE_M, size, size // 2, lower)
    ashlar(board, scaled(lower, 0.93), rng, 5 if look.stock is not Stock.adobe else 2)
    board.rect(0, 0, board.width_m, 0.55, scaled(lower, 0.62))
    board.rect(0, BASE_M - 0.3, board.width_m, BASE_M, scaled(_trim(look, wall), 0.95))
    board.rect(0, BASE_M - 0.36, board.width_m, BASE_M - 0.3, scaled(lower, 0.55))
    frame = color_of(look.frames[int(rng.integers(len(look.frames)))])
    for bay in range(BAYS):
        x, _, w, _ = style.window
        left = bay * style.bay_m + x
        if bay == 1:
            _door(board, left + 0.5 * w - 0.6, color_of(look.fronts[0]), _trim(look, wall), rng)
            continue
        lit = bool(rng.random() < look.lit_windows)
        pane = Pane(
            left, 1.3, w, 2.0, _trim(look, wall), frame, _reflection(look), lit, rng
        )  # fmt: skip
        style.pane(board, pane)
    return board.pixels


def paint_blank(look: LookConfig, wall: Color, seed: int, size: int) -> np.ndarray:
    """A wall without windows, 8 m x 8 m: uint8 [size, size, 4], repeating."""
    rng = np.random.default_rng(seed)
    board = Board(8.0, 8.0, size, size, wall)
    if look.stock is Stock.sash:
        brick(board, wall, rng)
    else:
        render(board, wall, rng)
    return board.pixels


def _trim(look: LookConfig, wall: Color) -> Color:
    return mix(color_of(look.trim), wall, 0.25)


def _reflection(look: LookConfig) -> Color:
    return mix(color_of(look.middle), (70.0, 84.0, 104.0), 0.45)


def _glass(board: Board, pane: Pane, x: float, y: float, w: float, h: float) -> None:
    """Glass with what it mirrors, or a lit room; a curtain now and then."""
    rng = pane.rng
    if pane.lit:
        warm = WARM if rng.random() < 0.75 else COOL
        power = float(rng.uniform(0.75, 1.0))
        board.fade(x, y, x + w, y + h, scaled(warm, 0.78 * power), scaled(warm, power), 0.92)
        if rng.random() < 0.5:
            board.rect(x, y + 0.62 * h, x + w, y + h, scaled(warm, 0.66 * power), 0.85)
        return
    dark = mix(pane.sky, (24.0, 30.0, 40.0), 0.72)
    board.fade(x, y, x + w, y + h, scaled(dark, 0.9), mix(pane.sky, dark, float(rng.random())))
    if rng.random() < 0.6:
        cloth = ((222.0, 214.0, 196.0), (170.0, 92.0, 84.0), (196.0, 190.0, 160.0))[
            int(rng.integers(3))
        ]
        cloth = mix(cloth, dark, 0.45)
        drawn = float(rng.uniform(0.16, 0.3)) * w
        board.rect(x, y, x + drawn, y + h, cloth)
        board.rect(x + w - drawn, y, x + w, y + h, cloth)
        board.rect(x + 0.4 * drawn, y, x + 0.6 * drawn, y + h, scaled(cloth, 0.85))
    if rng.random() < 0.7:
        shine = mix(pane.sky, dark, 0.35)
        at = x + float(rng.uniform(0.15, 0.5)) * w
        board.poly(
            [(at, y), (at + 0.16 * w, y), (min(x + w, at + 0.42 * w), y + h),
             (min(x + w, at + 0.26 * w), y + h)], shine,
        )  # fmt: skip
    board.rect(x, y + h - 0.12, x + w, y + h, scaled(dark, 0.55))
    board.rect(x, y, x + 0.06, y + h, scaled(dark, 0.65))


def _sash(board: Board, pane: Pane) -> None:
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


def _band(board: Board, pane: Pane) -> None:
    """Glass from edge to edge with thin posts; rooms light up as a whole."""
    x, y, w, h = pane.x, pane.y, pane.w, pane.h
    parts = 3
    for k in range(parts):
        left = x + k * w / parts
        _glass(board, pane, left, y, w / parts, h)
        if pane.lit:
            dim = float(pane.rng.uniform(0.8, 1.0))
            board.tint(left, y, left + w / parts, y + h, dim)
        board.rect(left - 0.035, y, left + 0.035, y + h, pane.frame)
    board.rect(x, y + h, x + w, y + h + 0.12, scaled(pane.frame, 1.25))
    board.rect(x, y - 0.08, x + w, y, scaled(pane.frame, 0.7))


def _deep(board: Board, pane: Pane) -> None:
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


def _double(board: Board, pane: Pane) -> None:
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


def _balcony(board: Board, pane: Pane) -> None:
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


def _leaded(board: Board, pane: Pane) -> None:
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


def _door(board: Board, x: float, color: Color, trim: Color, rng: np.random.Generator) -> None:
    board.rect(x - 0.22, 0, x + 1.42, 3.15, trim)
    board.rect(x, 0, x + 1.2, 2.95, scaled(color, 0.5))
    board.rect(x + 0.05, 0.08, x + 1.15, 2.35, mix(color, (120.0, 60.0, 40.0), 0.25))
    for bottom, top in ((0.3, 1.0), (1.2, 2.15)):
        board.rect(x + 0.2, bottom, x + 1.0, top, scaled(color, 0.8))
        board.rect(x + 0.26, bottom + 0.06, x + 0.94, top - 0.06, scaled(color, 1.2))
    board.rect(x + 0.08, 2.45, x + 1.12, 2.88, (146.0, 160.0, 170.0))
    board.disc(x + 1.05, 1.1, 0.05, 0.05, (214.0, 178.0, 84.0))


def _brick_wall(board: Board, color: Color, rng: np.random.Generator, storeys: int) -> None:
    lightness = sum(color) / 3
    (brick if lightness < 150 else ashlar)(board, color, rng)


def _glass_wall(board: Board, color: Color, rng: np.random.Generator, storeys: int) -> None:
    step = board.height_m / storeys
    for k in range(storeys):
        board.fade(
            0, k * step, board.width_m, (k + 1) * step, scaled(color, 0.85), scaled(color, 1.1)
        )
        board.rect(0, k * step + 0.02, board.width_m, k * step + 0.1, scaled(color, 1.35))
    height, width = board.pixels.shape[:2]
    lit_by(board.pixels, 1 + 0.03 * tile_noise(rng, height, width, 3))


def _rendered(board: Board, color: Color, rng: np.random.Generator, storeys: int) -> None:
    render(board, color, rng)


def _panels(board: Board, color: Color, rng: np.random.Generator, storeys: int) -> None:
    render(board, color, rng)
    for k in range(storeys):
        at = k * board.height_m / storeys
        board.rect(0, at, board.width_m, at + 0.22, scaled(color, 1.1))
        board.rect(0, at - 0.04, board.width_m, at + 0.02, scaled(color, 0.7))


def _streamlined(board: Board, color: Color, rng: np.random.Generator, storeys: int) -> None:
    render(board, color, rng)
    for k in range(storeys):
        at = k * board.height_m / storeys
        board.rect(0, at + 0.02, board.width_m, at + 0.2, (252.0, 250.0, 244.0))
        board.rect(0, at - 0.05, board.width_m, at + 0.02, scaled(color, 0.74))


def _framed(board: Board, color: Color, rng: np.random.Generator, storeys: int) -> None:
    """Plaster between dark beams: posts at the bays, rails at the storeys, some braces."""
    render(board, color, rng)
    beam = (74.0, 48.0, 34.0)
    storey_m, bay_m = board.height_m / storeys, board.width_m / BAYS
    for k in range(storeys):
        y = k * storey_m
        for bay in range(BAYS):
            x = bay * bay_m
            kind = int(rng.integers(3))
            low, high = (x, y + 0.3), (x + bay_m, y + storey_m)
            if kind == 0:
                board.line([low, (x + 0.24 * bay_m, y + storey_m)], 0.17, beam)
                board.line([(x + bay_m, y + 0.3), (x + 0.76 * bay_m, high[1])], 0.17, beam)
            elif kind == 1:
                board.line([(x, y + 1.0), (x + 0.2 * bay_m, y + 0.2)], 0.16, beam)
                board.line([(x + bay_m, y + 1.0), (x + 0.8 * bay_m, y + 0.2)], 0.16, beam)
            board.rect(x - 0.11, y, x + 0.11, y + storey_m, beam)
            board.rect(x, y + 0.82, x + bay_m, y + 0.98, beam)
        board.rect(board.width_m - 0.11, y, board.width_m, y + storey_m, beam)
        board.rect(0, y, board.width_m, y + 0.3, scaled(beam, 1.1))
        board.rect(0, y - 0.06, board.width_m, y, scaled(beam, 0.5))


_STYLES = {
    Stock.sash: Style(2.7, (0.78, 0.85, 1.14, 1.75), _brick_wall, _sash, 0.7),
    Stock.curtain: Style(3.4, (0.1, 0.75, 3.2, 2.2), _glass_wall, _band, 0.5),
    Stock.adobe: Style(3.0, (0.98, 0.95, 1.0, 1.3), _rendered, _deep, 0.45),
    Stock.panel: Style(2.6, (0.7, 0.9, 1.2, 1.6), _panels, _double, 0.5),
    Stock.deco: Style(3.4, (0.7, 0.75, 2.0, 1.65), _streamlined, _balcony, 0.6),
    Stock.timber: Style(2.8, (0.8, 1.12, 1.2, 1.3), _framed, _leaded, 0.35),
}
