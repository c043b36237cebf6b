"""What is printed on a card: the court, the drawn and the big-index faces.

A face is painted at the size it is shown at: every mask is scaled to a whole pixel box, so that an
index is as crisp at 20 px as at 200 px. Small cards get a jumbo index, as casino cards have.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .config import Deck, Font
from .glyphs import (
    SUITS,
    court_pip_mask,
    court_rank_mask,
    crown_mask,
    pip_mask,
    portrait,
    rank_mask,
)
from .inks import Inks, Rgb

BIG_CORNER_MIN_WIDTH = 88  # narrower big-index cards have no corners: one large rank only
INDEX_SHARE = 0.105  # of the card's height: the corner rank
INDEX_MIN_PX, INDEX_MAX_SHARE = 15, 0.17  # small cards get a jumbo index
COLUMN_SHARES = {Deck.court: 0.76, Deck.drawn: 0.95, Deck.big_index: 0.95}  # of its height
MAX_SQUEEZE = 0.72  # how much narrower lettering may get to fit, before it gets smaller

TINY_ASPECT = 0.66  # condensed lettering is widened to this where it is tiny: 6 and 8 need the room

# Pip centres per rank: x in -1 (left), 0, 1; y from -1 (top) to 1.
_LEFT_RIGHT = (-1.0, 1.0)
_CORNER_PIPS = [(x, y) for y in (-1.0, 1.0) for x in _LEFT_RIGHT]
_SIX = _CORNER_PIPS + [(x, 0.0) for x in _LEFT_RIGHT]
_EIGHT = _CORNER_PIPS + [(x, y) for y in (-1 / 3, 1 / 3) for x in _LEFT_RIGHT]
PIPS: dict[str, list[tuple[float, float]]] = {
    "A": [(0.0, 0.0)],
    "2": [(0.0, -1.0), (0.0, 1.0)],
    "3": [(0.0, -1.0), (0.0, 0.0), (0.0, 1.0)],
    "4": _CORNER_PIPS,
    "5": [*_CORNER_PIPS, (0.0, 0.0)],
    "6": _SIX,
    "7": [*_SIX, (0.0, -0.5)],
    "8": [*_SIX, (0.0, -0.5), (0.0, 0.5)],
    "9": [*_EIGHT, (0.0, 0.0)],
    "10": [*_EIGHT, (0.0, -2 / 3), (0.0, 2 / 3)],
}
# Which court portraits, besides the kings, leave their top left corner free for the pip.
_FREE_LEFT = {("Q", "hearts"), ("J", "spades")}


@dataclass(frozen=True, slots=True)
class FaceStyle:
    """All that a face depends on besides its rank and suit; hashable, the key of sprite caches."""

    deck: Deck
    font: Font
    inks: Inks
    width_px: int
    height_px: int
    shown_px: int  # the width on the canvas, where the face is painted larger to be turned


def paint_face(style: FaceStyle, rank: str, suit: int) -> np.ndarray:
    """The printed card without its rounded outline, uint8 [height, width, 3]."""
    face = np.empty((style.height_px, style.width_px, 3), np.uint8)
    face[:] = style.inks.stock
    if style.deck is Deck.big_index:
        _paint_big_index(face, style, rank, suit)
    elif style.deck is Deck.court:
        _paint_court(face, style, rank, suit)
    else:
        _paint_drawn(face, style, rank, suit)
    return face


def stamp(
    face: np.ndarray,
    mask: np.ndarray,
    center: tuple[float, float],
    size: tuple[int, int],
    color: Rgb,
    flip: bool = False,
) -> None:
    """Print `mask` in `color` into the box of `size` (width, height) about `center`, in place."""
    width, height = max(1, size[0]), max(1, size[1])
    left, top = round(center[0] - width / 2), round(center[1] - height / 2)
    ink = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    ink = ink[::-1, ::-1] if flip else ink
    x0, y0 = max(0, left), max(0, top)
    region = face[y0 : top + height, x0 : left + width]
    ink = ink[y0 - top :, x0 - left :][: region.shape[0], : region.shape[1], None]
    weight = ink.astype(np.uint16)  # [h, w, 1]
    paint = np.array(color, np.uint16)
    region[:] = (region * (255 - weight) + paint * weight + 127) // 255


def fit(mask: np.ndarray, max_width: float, max_height: float) -> tuple[int, int]:
    """The largest whole-pixel (width, height) for a mask, squeezing it where that helps."""
    aspect = mask.shape[1] / mask.shape[0]
    height = max_height
    if aspect * height > max_width:
        height = min(max_height, max_width / (aspect * MAX_SQUEEZE))
    width = min(max_width, aspect * height)
    return max(1, round(width)), max(1, round(height))


def paint_corners(
    face: np.ndarray, style: FaceStyle, glyph: np.ndarray, pip: np.ndarray, color: Rgb
) -> float:
    """Rank and suit in the top left and, turned, the bottom right; returns where they end in x."""
    width, height = style.width_px, style.height_px
    share = index_share(style)
    box = fit(glyph, max(0.95, COLUMN_SHARES[style.deck]) * share * height, share * height)
    left, top = 0.035 * width + 0.5, 0.032 * height + 0.5
    column = COLUMN_SHARES[style.deck] * share * height
    center = (left + column / 2, top + box[1] / 2)
    small = fit(pip, 0.9 * column, 0.78 * share * height)
    below = (center[0], top + box[1] + 0.16 * share * height + small[1] / 2)
    stamp(face, glyph, center, box, color)
    stamp(face, pip, below, small, color)
    stamp(face, glyph, (width - center[0], height - center[1]), box, color, flip=True)
    stamp(face, pip, (width - below[0], height - below[1]), small, color, flip=True)
    return left + column


def index_share(style: FaceStyle) -> float:
    """The corner rank's share of the card's height: larger on small cards."""
    shown_height = style.height_px * style.shown_px / style.width_px
    return max(INDEX_SHARE, min(INDEX_MIN_PX / shown_height, INDEX_MAX_SHARE))


def _paint_big_index(face: np.ndarray, style: FaceStyle, rank: str, suit: int) -> None:
    width, height = style.width_px, style.height_px
    glyph, pip, color = rank_mask(style.font, rank), pip_mask(SUITS[suit]), style.inks.suits[suit]
    if style.shown_px < BIG_CORNER_MIN_WIDTH:
        edge = max(1.0, 0.06 * width) + 1.0
        box = fit(glyph, width - 2 * edge, 0.52 * height)
        box = max(box[0], min(round(width - 2 * edge), round(TINY_ASPECT * box[1]))), box[1]
        small = fit(pip, 0.62 * width, 0.30 * height)
        space = (height - box[1] - small[1]) / 3
        stamp(face, glyph, (width / 2, space + box[1] / 2), box, color)
        stamp(face, pip, (width / 2, height - space - small[1] / 2), small, color)
        return
    paint_corners(face, style, glyph, pip, color)
    box = fit(glyph, 0.57 * width, 0.35 * height)
    small = fit(pip, 0.34 * width, 0.19 * height)
    stamp(face, glyph, (width / 2, 0.425 * height), box, color)
    stamp(face, pip, (width / 2, 0.735 * height), small, color)


def _paint_drawn(face: np.ndarray, style: FaceStyle, rank: str, suit: int) -> None:
    width, height = style.width_px, style.height_px
    glyph, pip, color = rank_mask(style.font, rank), pip_mask(SUITS[suit]), style.inks.suits[suit]
    column = paint_corners(face, style, glyph, pip, color)
    if rank in PIPS:
        paint_pips(face, pip, rank, (column + 0.02 * width, 0.1 * height), color)
        return
    inset = column + 0.03 * width
    _paint_frame(face, style, (inset, 0.09 * height), color)
    room = 0.84 * (width - 2 * inset)
    crown = crown_mask(rank)
    top = fit(crown, room, 0.145 * height)
    box = fit(glyph, room, 0.27 * height)
    small = fit(pip, 0.7 * room, 0.14 * height)
    stamp(face, crown, (width / 2, 0.235 * height), top, color)
    stamp(face, glyph, (width / 2, 0.485 * height), box, color)
    stamp(face, pip, (width / 2, 0.76 * height), small, color)


def _paint_court(face: np.ndarray, style: FaceStyle, rank: str, suit: int) -> None:
    width, height = style.width_px, style.height_px
    glyph, pip, color = court_rank_mask(rank), court_pip_mask(SUITS[suit]), style.inks.suits[suit]
    column = paint_corners(face, style, glyph, pip, color)
    if rank in PIPS:
        paint_pips(face, pip, rank, (column + 0.02 * width, 0.1 * height), color)
        return
    picture = portrait(rank, SUITS[suit])
    inset = max(0.155 * width, column + 0.015 * width)
    left = round(inset)
    box_w = width - 2 * left
    tall = box_w * picture.shape[0] / picture.shape[1]  # drawn out a little on small cards
    box_h = round(min(0.86 * height, max(tall, min(0.776 * height, 1.2 * tall))))
    box_h -= (height - box_h) % 2  # equal margins above and below
    top = (height - box_h) // 2
    printed = cv2.resize(picture, (box_w, box_h), interpolation=cv2.INTER_AREA)
    paper = np.array(style.inks.panel, np.uint16)
    face[top : top + box_h, left : left + box_w] = (printed * paper + 127) // 255
    small = fit(pip, 0.30 * box_w, 0.19 * box_h)
    side = -1 if rank == "K" or (rank, SUITS[suit]) in _FREE_LEFT else 1
    across, down = side * (0.475 * box_w - small[0] / 2), 0.478 * box_h - small[1] / 2
    stamp(face, pip, (width / 2 + across, height / 2 - down), small, color)
    stamp(face, pip, (width / 2 - across, height / 2 + down), small, color, flip=True)


def paint_pips(
    face: np.ndarray, pip: np.ndarray, rank: str, inset: tuple[float, float], color: Rgb
) -> None:
    """The rank's pips in the field `inset` pixels from each side; those below the middle turned."""
    height, width = face.shape[:2]
    field_w, field_h = width - 2 * inset[0], height - 2 * inset[1]
    share_w, share_h = (0.9, 0.46) if rank == "A" else (0.40, 0.235 - 0.011 * max(0, int(rank) - 6))
    size = fit(pip, share_w * field_w, share_h * field_h)
    reach_x, reach_y = (field_w - size[0]) / 2, (field_h - size[1]) / 2
    for x, y in PIPS[rank]:
        center = (width / 2 + x * reach_x, height / 2 + y * reach_y)
        stamp(face, pip, center, size, color, flip=y > 0)


def _paint_frame(
    face: np.ndarray, style: FaceStyle, inset: tuple[float, float], color: Rgb
) -> None:
    """A line around the letter of a court card, and a finer one inside where there is room."""
    height, width = face.shape[:2]
    shown_pixel = width / style.shown_px
    step = 0.022 * width
    for extra, share in ((0.0, 0.009), (step, 0.005)):
        line = max(1, round(max(shown_pixel, share * width)))
        if extra and extra < 3 * line:
            continue
        x, y = round(inset[0] + extra), round(inset[1] + extra)
        corners = (x, y), (width - 1 - x, height - 1 - y)
        for grown in range(line):
            low = corners[0][0] + grown, corners[0][1] + grown
            high = corners[1][0] - grown, corners[1][1] - grown
            cv2.rectangle(face, low, high, color, thickness=1)
