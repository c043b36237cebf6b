"""Textures of landmark signs and street name plates."""

import cv2
import numpy as np

from .board import Board, Color, clouds, color_of, lit_by, mix, scaled
from .config import LookConfig, SignStyle
from .lettering import broken, fitted

PLATE_M = (1.9, 0.42)  # street name plates


def paint_sign(
    look: LookConfig, name: str, width_m: float, height_m: float, index: int, px_per_m: float
) -> np.ndarray:
    """A sign that reads `name`, as large as it can be: uint8 [h, w, 4], sides powers of two."""
    board_color, ink = (color_of(part) for part in look.signs[index % len(look.signs)].split("/"))
    rng = np.random.default_rng(7919 + index)
    font = look.fonts[0] if rng.random() < 0.5 else look.fonts[int(rng.integers(len(look.fonts)))]
    board = Board(width_m, height_m, *_pixels(width_m, height_m, px_per_m), board_color)
    _PAINTERS[look.sign_style](board, board_color, ink, rng)
    words = _words(name, font, width_m / height_m)
    _write(board, words, font, ink, look)
    return board.pixels


def paint_plate(name: str, px_per_m: float) -> np.ndarray:
    """A street name plate, white on green: uint8 [h, w, 4]."""
    board = Board(*PLATE_M, *_pixels(*PLATE_M, 1.4 * px_per_m), (18.0, 104.0, 72.0))
    w, h = PLATE_M
    for x0, y0, x1, y1 in (
        (0, 0, w, 0.03), (0, h - 0.03, w, h), (0, 0, 0.03, h), (w - 0.03, 0, w, h),
    ):  # fmt: skip
        board.rect(x0, y0, x1, y1, (240.0, 244.0, 240.0))
    left, top, right, bottom = board.box(0.1, 0.09, w - 0.1, h - 0.09)
    mask = fitted([name.upper()], "oswald", right - left, bottom - top)
    board.ink(0.1, 0.09, w - 0.1, h - 0.09, mask, (250.0, 252.0, 250.0))
    return board.pixels


def _pixels(width_m: float, height_m: float, px_per_m: float) -> tuple[int, int]:
    """Powers of two at or above the wanted resolution, so that letters stay sharp."""
    width = 2 ** int(np.ceil(np.log2(max(8.0, 0.8 * width_m * px_per_m))))
    height = 2 ** int(np.ceil(np.log2(max(8.0, 0.8 * height_m * px_per_m))))
    return width, height


def _words(name: str, font: str, aspect: float) -> list[str]:
    text = name if font in ("caveat-brush", "berkshire-swash", "almendra") else name.upper()
    lines = 1 if aspect > 4.6 else 2 if aspect > 1.9 else 3 if aspect > 0.9 else 4
    return broken(text, lines)


def _write(board: Board, words: list[str], font: str, ink: Color, look: LookConfig) -> None:
    w, h = board.width_m, board.height_m
    pad = 0.15 * min(w, h) if w < 2.2 * h else 0.19 * h
    box = (1.15 * pad, pad, w - 1.15 * pad, h - pad)
    left, top, right, bottom = board.box(*box)
    # Letters are fitted in metres (the texture may be stretched) and then scaled to its pixels.
    across, up = board.scale
    tall = bottom - top
    wide = max(8, round((right - left) / across * up))
    mask = fitted(words, font, wide, tall)
    if look.sign_style is SignStyle.tube:
        _glowing(board, box, mask, ink)
        return
    own = 0.30 if look.lit_windows > 0.15 else 0.0
    if look.sign_style in (SignStyle.carved, SignStyle.painted, SignStyle.hanging):
        shadow = np.roll(mask, (max(1, tall // 24), max(1, tall // 24)), (0, 1))
        board.ink(*box, shadow, scaled(_background(board), 0.45))
    board.ink(*box, mask, ink, own)


def _background(board: Board) -> Color:
    red, green, blue = np.median(board.pixels[..., :3].reshape(-1, 3), axis=0)
    return float(red), float(green), float(blue)


def _glowing(
    board: Board, box: tuple[float, float, float, float], mask: np.ndarray, ink: Color
) -> None:
    """Letters of light: a halo, the colour, and a core that is nearly white."""
    halo = cv2.GaussianBlur(mask, (0, 0), max(1.0, mask.shape[0] / 9))
    board.ink(*box, np.minimum(halo, 110), scaled(ink, 0.8), 0.75)
    board.ink(*box, mask, mix(ink, (255.0, 255.0, 255.0), 0.12), 1.0)
    core = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=max(1, mask.shape[0] // 40))
    board.ink(*box, core, mix(ink, (255.0, 255.0, 255.0), 0.6), 1.0)


def _border(board: Board, inset: float, width: float, color: Color, own: float = 0.0) -> None:
    w, h = board.width_m, board.height_m
    for x0, y0, x1, y1 in (
        (inset, inset, w - inset, inset + width), (inset, h - inset - width, w - inset, h - inset),
        (inset, inset, inset + width, h - inset), (w - inset - width, inset, w - inset, h - inset),
    ):  # fmt: skip
        board.rect(x0, y0, x1, y1, color, own)


def _painted(board: Board, color: Color, ink: Color, rng: np.random.Generator) -> None:
    w, h = board.width_m, board.height_m
    board.fade(0, 0, w, h, scaled(color, 0.86), scaled(color, 1.12))
    _border(board, 0.0, 0.06, scaled(color, 0.5))
    _border(board, 0.09, 0.035, mix(ink, color, 0.25))


def _tube(board: Board, color: Color, ink: Color, rng: np.random.Generator) -> None:
    _border(board, 0.0, 0.05, scaled(color, 0.6))
    _border(board, 0.08, 0.05, ink, 1.0)
    _border(board, 0.13, 0.03, scaled(ink, 0.4), 0.6)


def _carved(board: Board, color: Color, ink: Color, rng: np.random.Generator) -> None:
    height, width = board.pixels.shape[:2]
    grain = clouds(rng, height, 64, 12)
    light = 1 + 0.09 * cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)
    lit_by(board.pixels, light)
    for k in range(1, 3):
        y = k * board.height_m / 3
        board.tint(0, y, board.width_m, y + 0.025, 0.68)
    _border(board, 0.0, 0.08, scaled(color, 0.62))


def _enamel(board: Board, color: Color, ink: Color, rng: np.random.Generator) -> None:
    _border(board, 0.0, 0.05, mix(ink, color, 0.15))
    _border(board, 0.05, 0.03, scaled(color, 0.6))


def _marquee(board: Board, color: Color, ink: Color, rng: np.random.Generator) -> None:
    w, h = board.width_m, board.height_m
    band = 0.1 * min(h, 1.6)
    board.rect(0, 0, w, band, ink)
    board.rect(0, h - band, w, h, ink)
    board.rect(0, 1.35 * band, w, 1.6 * band, ink)
    board.rect(0, h - 1.6 * band, w, h - 1.35 * band, ink)


def _hanging(board: Board, color: Color, ink: Color, rng: np.random.Generator) -> None:
    _carved(board, color, ink, rng)
    _border(board, 0.0, 0.06, scaled(ink, 0.7))
    _border(board, 0.06, 0.03, scaled(color, 0.5))


_PAINTERS = {
    SignStyle.painted: _painted,
    SignStyle.tube: _tube,
    SignStyle.carved: _carved,
    SignStyle.enamel: _enamel,
    SignStyle.marquee: _marquee,
    SignStyle.hanging: _hanging,
}
