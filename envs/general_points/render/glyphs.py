"""Ink shapes: rank lettering, suit pips and court portraits, larger than they are printed.

A mask is uint8 [h, w], 255 where there is ink, cropped to its ink. Faces scale masks to whole pixel
boxes with area averaging, so that straight edges stay crisp at any size. The drawn decks take their
lettering from fonts (with Pillow's basic layout, which needs no optional library) and their pips
from curves; the court deck's shapes are pictures (`assets/README.md` says whence).
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .config import Font

Points = list[tuple[float, float]]

SUITS = ("spades", "hearts", "clubs", "diamonds")
FONT_PX = 320
PIP_PX = 480
_ASSETS = Path(__file__).parent / "assets"
_FONT_FILES = {
    Font.sans: "inter-800.woff2",
    Font.condensed: "oswald-600.woff2",
    Font.slab: "zilla-slab-700.woff2",
    Font.serif: "dm-serif-display-400.woff2",
    Font.typewriter: "courier-prime-700.woff2",
    Font.brush: "caveat-brush-400.woff2",
}


@lru_cache(maxsize=128)
def rank_mask(font: Font, rank: str) -> np.ndarray:
    """The rank's lettering [h, w]; the digits of 10 are set close together."""
    letters = [_letter(font, letter) for letter in rank]
    if len(letters) == 1:
        return letters[0]
    gap = round(0.055 * FONT_PX)
    height = max(letter.shape[0] for letter in letters)
    width = sum(letter.shape[1] for letter in letters) + gap * (len(letters) - 1)
    word = np.zeros((height, width), np.uint8)
    left = 0
    for letter in letters:
        h, w = letter.shape
        word[height - h :, left : left + w] = letter
        left += w + gap
    return word


@lru_cache(maxsize=8)
def pip_mask(suit: str) -> np.ndarray:
    """The suit's symbol [h, w]."""
    return _drawing(_PIPS[suit]())


@lru_cache(maxsize=4)
def crown_mask(rank: str) -> np.ndarray:
    """What a king, a queen or a jack of the drawn deck wears [h, w]."""
    return _drawing(_CROWNS[rank]())


@lru_cache(maxsize=64)
def court_rank_mask(rank: str) -> np.ndarray:
    """The court deck's lettering of a rank [h, w]."""
    return _picture(f"rank_{rank}", "L")


@lru_cache(maxsize=8)
def court_pip_mask(suit: str) -> np.ndarray:
    """The court deck's suit symbol [h, w]."""
    return _picture(f"pip_{suit}", "L")


@lru_cache(maxsize=16)
def portrait(rank: str, suit: str) -> np.ndarray:
    """A king, queen or jack within its frame, on white: uint8 [h, w, 3]."""
    return _picture(f"{rank}_{suit}", "RGB")


def font_path(font: Font) -> str:
    """The file of a font, which Pillow can read."""
    return str(_ASSETS / "fonts" / _FONT_FILES[font])


def _picture(name: str, mode: str) -> np.ndarray:
    with Image.open(_ASSETS / "court" / f"{name}.png") as file:
        return np.asarray(file.convert(mode))


def _letter(font: Font, letter: str) -> np.ndarray:
    face = ImageFont.truetype(font_path(font), FONT_PX, layout_engine=ImageFont.Layout.BASIC)
    page = Image.new("L", (FONT_PX * 2, FONT_PX * 2))
    ImageDraw.Draw(page).text((FONT_PX // 2, FONT_PX // 4), letter, fill=255, font=face)
    return _cropped(np.asarray(page))


def _drawing(polygons: list[Points]) -> np.ndarray:
    """Polygons with coordinates in -1..1, as a mask."""
    big = Image.new("L", (PIP_PX * 2, PIP_PX * 2))
    pen = ImageDraw.Draw(big)
    for polygon in polygons:
        pen.polygon([(PIP_PX * (1 + x), PIP_PX * (1 + y)) for x, y in polygon], fill=255)
    return _cropped(np.asarray(big))


def _cropped(page: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(page.any(axis=1)), np.flatnonzero(page.any(axis=0))
    return np.ascontiguousarray(page[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _curve(*knots: tuple[float, float]) -> Points:
    """Points of a chain of cubic Bezier curves: a start, then (control, control, end) triples."""
    points: Points = []
    t = np.linspace(0.0, 1.0, 48)[:, None]  # [48, 1]
    for first in range(0, len(knots) - 1, 3):
        a, b, c, d = (np.array(knot) for knot in knots[first : first + 4])
        path = (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
        points.extend(map(tuple, path.tolist()))
    return points


def _both_sides(right: Points) -> Points:
    return right + [(-x, y) for x, y in reversed(right)]


def _circle(x: float, y: float, radius: float) -> Points:
    turns = np.linspace(0.0, 2 * np.pi, 120)
    return [(x + radius * float(np.cos(t)), y + radius * float(np.sin(t))) for t in turns]


def _heart() -> list[Points]:
    right = _curve(
        (0.0, 0.86), (0.1, 0.6), (0.8, 0.16), (0.8, -0.32),
        (0.8, -0.62), (0.6, -0.8), (0.4, -0.8), (0.2, -0.8), (0.04, -0.66), (0.0, -0.44),
    )  # fmt: skip
    return [_both_sides(right)]


def _stem(top: float) -> Points:
    right = _curve((0.05, top), (0.06, 0.5), (0.14, 0.74), (0.36, 0.86))
    return _both_sides(right)


def _spade() -> list[Points]:
    right = _curve(
        (0.0, -0.88), (0.1, -0.6), (0.78, -0.22), (0.78, 0.24),
        (0.78, 0.5), (0.58, 0.64), (0.4, 0.64), (0.22, 0.64), (0.08, 0.54), (0.03, 0.36),
    )  # fmt: skip
    return [_both_sides(right), _stem(0.2)]


def _club() -> list[Points]:
    leaves = [_circle(0.0, -0.44, 0.38), _circle(-0.43, 0.2, 0.38), _circle(0.43, 0.2, 0.38)]
    heart = [(0.0, -0.3), (0.3, 0.16), (0.0, 0.4), (-0.3, 0.16)]
    return [*leaves, heart, _stem(0.1)]


def _diamond() -> list[Points]:
    right = _curve((0.0, -0.9), (0.16, -0.56), (0.4, -0.22), (0.66, 0.0))
    right += _curve((0.66, 0.0), (0.4, 0.22), (0.16, 0.56), (0.0, 0.9))
    return [_both_sides(right)]


_PIPS = {"spades": _spade, "hearts": _heart, "clubs": _club, "diamonds": _diamond}


def _king() -> list[Points]:
    """Five points, the middle one with a cross."""
    right = [(0.0, -0.42), (0.16, 0.1), (0.44, -0.34), (0.52, 0.14), (0.86, -0.2), (0.68, 0.46)]
    band = [(-0.68, 0.54), (0.68, 0.54), (0.68, 0.7), (-0.68, 0.7)]
    upright = [(-0.05, -0.74), (0.05, -0.74), (0.05, -0.3), (-0.05, -0.3)]
    across = [(-0.15, -0.63), (0.15, -0.63), (0.15, -0.53), (-0.15, -0.53)]
    return [_both_sides([*right, (0.0, 0.46)]), band, upright, across]


def _queen() -> list[Points]:
    """A coronet of three points with pearls."""
    right = [(0.0, -0.34), (0.3, 0.18), (0.78, -0.2), (0.62, 0.46), (0.0, 0.46)]
    band = [(-0.62, 0.54), (0.62, 0.54), (0.62, 0.7), (-0.62, 0.7)]
    pearls = [_circle(0.0, -0.46, 0.13), _circle(-0.8, -0.3, 0.12), _circle(0.8, -0.3, 0.12)]
    return [_both_sides(right), band, *pearls]


def _jack() -> list[Points]:
    """A cap with a feather."""
    cap = _curve((-0.62, 0.46), (-0.66, -0.1), (-0.3, -0.3), (0.0, -0.3))
    cap += _curve((0.0, -0.3), (0.34, -0.3), (0.62, 0.0), (0.62, 0.46))
    band = [(-0.7, 0.54), (0.7, 0.54), (0.7, 0.7), (-0.7, 0.7)]
    feather = _curve((0.18, -0.12), (0.3, -0.7), (0.7, -0.86), (0.98, -0.62))
    feather += _curve((0.98, -0.62), (0.78, -0.6), (0.5, -0.4), (0.34, -0.02))
    return [cap, band, feather]


_CROWNS = {"K": _king, "Q": _queen, "J": _jack}
