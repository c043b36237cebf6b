"""Textures of houses: storeys with windows, ground floors and blank walls, by building stock."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .board import Board, Color, color_of, lit_by, mix, scaled, tile_noise
from .config import LookConfig, Stock
from .masonry import ashlar, brick, render
from .windows import Pane, balcony, band, deep, double, leaded, sash

BAYS = STOREYS = 4  # of one storeys texture
STOREY_M, BASE_M = 3.2, 4.4


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
    Stock.sash: Style(2.7, (0.7, 0.8, 1.3, 1.85), _brick_wall, sash, 0.7),
    Stock.curtain: Style(3.4, (0.1, 0.75, 3.2, 2.2), _glass_wall, band, 0.5),
    Stock.adobe: Style(2.9, (0.78, 0.85, 1.34, 1.6), _rendered, deep, 0.45),
    Stock.panel: Style(2.6, (0.62, 0.82, 1.36, 1.75), _panels, double, 0.5),
    Stock.deco: Style(3.4, (0.7, 0.75, 2.0, 1.65), _streamlined, balcony, 0.6),
    Stock.timber: Style(2.8, (0.72, 1.1, 1.36, 1.45), _framed, leaded, 0.35),
}
