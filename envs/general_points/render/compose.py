"""`CardRenderer`: a hand of ranks -> a picture.

The renderer sees ranks, a look and a random stream, never a rule. From the stream it draws the
suits and, in a fan or a scatter, how the cards lie; the same numbers are drawn whatever the ranks,
so one seed under two looks of the same kind deals the same suits.

Speed: tables, shadows and painted cards are cached. In a row or a grid the cached table already
carries blank cards and their shadows, and a card is one masked copy; a turned card is one warp and
one premultiplied blend of its own box.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from .config import MAX_CARDS, MIN_CARDS, RANKS, Table, VisualConfig, as_visual
from .faces import FaceStyle
from .inks import SUITS_OF, Inks, inks_of
from .layout import Arrangement, Slot, resolve
from .sprites import SPRITES, body, outline, shadow, shadow_pad
from .table import table_pixels

OVERSAMPLE_BELOW_PX = 220  # turned cards narrower than this are painted twice as large, then warped


class _Canvas(NamedTuple):
    table: Table
    color: str
    width: int
    height: int


class CardRenderer:
    """Draws hands under one look; cheap to make, caches are shared within the process."""

    def __init__(self, visual: VisualConfig) -> None:
        self._visual = as_visual(visual)  # a copy: later changes to `visual` do not reach here
        self._inks = inks_of(self._visual)

    @property
    def visual(self) -> VisualConfig:
        """A copy of the look."""
        return as_visual(self._visual)

    def render(self, ranks: Sequence[str], rng: np.random.Generator) -> np.ndarray:
        """The hand as a new uint8 array [height, width, 3].

        Raises ValueError for fewer than 2 or more than 6 cards or an unknown rank.
        """
        _check(ranks)
        visual = self._visual
        plan = resolve(visual, len(ranks))
        suits = deal_suits(ranks, SUITS_OF[visual.suits], rng)
        slots = plan.deal(rng)
        if plan.upright:
            return self._lay_upright(plan, ranks, suits)
        return self._lay_turned(plan, slots, ranks, suits)

    def _lay_upright(
        self, plan: Arrangement, ranks: Sequence[str], suits: Sequence[int]
    ) -> np.ndarray:
        visual = self._visual
        style = _style(visual, self._inks, plan, scale=1)
        canvas = _Canvas(visual.table, visual.table_color, visual.width, visual.height)
        image = _table_with_blanks(canvas, plan, style).copy()
        inside = _inside(style)
        for slot, rank, suit in zip(plan.slots, ranks, suits, strict=True):
            box = _box(slot, plan)
            cv2.copyTo(SPRITES.upright(style, rank, suit), inside, image[box])
        return image

    def _lay_turned(
        self, plan: Arrangement, slots: Sequence[Slot], ranks: Sequence[str], suits: Sequence[int]
    ) -> np.ndarray:
        visual = self._visual
        scale = 2 if plan.width_px < OVERSAMPLE_BELOW_PX else 1
        style = _style(visual, self._inks, plan, scale)
        image = table_pixels(visual.table, visual.table_color, visual.width, visual.height).copy()
        for slot, rank, suit in zip(slots, ranks, suits, strict=True):
            _blend_turned(image, SPRITES.shadowed(style, rank, suit), slot, scale)
        return image


def deal_suits(
    ranks: Sequence[str], suits: Sequence[int], rng: np.random.Generator
) -> tuple[int, ...]:
    """A suit for every card: random, and different among equal ranks while the set allows.

    Each card draws an order of preference and takes its first suit that the cards of its rank
    before it used least. Three or more equal ranks from two suits must repeat a suit: such hands
    come from a pack of several decks.
    """
    orders = rng.permuted(np.tile(np.array(suits), (len(ranks), 1)), axis=1).tolist()  # [N, S]
    used: dict[str, list[int]] = {}
    for rank, order in zip(ranks, orders, strict=True):
        taken = used.setdefault(rank, [])
        taken.append(min(order, key=taken.count) if taken else order[0])
    turn = dict.fromkeys(used, 0)
    dealt = []
    for rank in ranks:
        dealt.append(used[rank][turn[rank]])
        turn[rank] += 1
    return tuple(dealt)


def clear_caches() -> None:
    """Forget painted cards and tables, for tests and for timing a first picture."""
    SPRITES.clear()
    table_pixels.cache_clear()
    _table_with_blanks.cache_clear()


def _check(ranks: Sequence[str]) -> None:
    if not MIN_CARDS <= len(ranks) <= MAX_CARDS:
        raise ValueError(f"a hand must be {MIN_CARDS} to {MAX_CARDS} cards; got {len(ranks)}")
    for rank in ranks:
        if rank not in RANKS:
            raise ValueError(f"ranks must be among {' '.join(RANKS)}; got {rank!r}")


def _style(visual: VisualConfig, inks: Inks, plan: Arrangement, scale: int) -> FaceStyle:
    return FaceStyle(
        deck=plan.deck,
        font=visual.font,
        inks=inks,
        width_px=plan.width_px * scale,
        height_px=plan.height_px * scale,
        shown_px=plan.width_px,
    )


def _box(slot: Slot, plan: Arrangement) -> tuple[slice, slice]:
    left, top = int(slot.x_px - plan.width_px / 2), int(slot.y_px - plan.height_px / 2)
    return slice(top, top + plan.height_px), slice(left, left + plan.width_px)


@lru_cache(maxsize=32)
def _inside(style: FaceStyle) -> np.ndarray:
    """Where a card shows its face and nothing else, uint8 [h, w] of 0 and 255."""
    inner = outline(style.width_px, style.height_px, style.shown_px)[1]
    return np.where(inner == 255, 255, 0).astype(np.uint8)


@lru_cache(maxsize=16)
def _table_with_blanks(canvas: _Canvas, plan: Arrangement, style: FaceStyle) -> np.ndarray:
    """The table with an unprinted card and its shadow in every slot, uint8 [H, W, 3]."""
    image = table_pixels(*canvas).copy()
    dark, pad = shadow(plan.width_px, plan.height_px), shadow_pad(plan.width_px)
    sprite = np.zeros((*dark.shape, 4), np.uint8)
    sprite[..., 3] = dark
    stock = np.empty((plan.height_px, plan.width_px, 3), np.uint8)
    stock[:] = style.inks.stock
    blank = body(stock, style)
    for slot in plan.slots:
        rows, columns = _box(slot, plan)
        _blend(image, sprite, columns.start - pad, rows.start - pad)
    for slot in plan.slots:
        rows, columns = _box(slot, plan)
        _blend(image, blank, columns.start, rows.start)
    image.setflags(write=False)
    return image


def _blend_turned(image: np.ndarray, sprite: np.ndarray, slot: Slot, scale: int) -> None:
    """Warp a sprite about its centre into `slot` and blend it over its box, in place."""
    high, wide = sprite.shape[:2]
    angle = math.radians(slot.angle_deg)
    cos, sin = math.cos(angle), math.sin(angle)
    half_w = (abs(cos) * wide + abs(sin) * high) / (2 * scale)
    half_h = (abs(sin) * wide + abs(cos) * high) / (2 * scale)
    x0, y0 = max(0, int(slot.x_px - half_w)), max(0, int(slot.y_px - half_h))
    x1 = min(image.shape[1], math.ceil(slot.x_px + half_w))
    y1 = min(image.shape[0], math.ceil(slot.y_px + half_h))
    # From a box pixel (its centre) back to a sprite pixel: turn back, enlarge, recentre.
    dx, dy = x0 + 0.5 - slot.x_px, y0 + 0.5 - slot.y_px
    back = np.array(
        [
            [scale * cos, scale * sin, scale * (cos * dx + sin * dy) + wide / 2 - 0.5],
            [-scale * sin, scale * cos, scale * (cos * dy - sin * dx) + high / 2 - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    _blend(image, cv2.warpAffine(sprite, back, (x1 - x0, y1 - y0), flags=flags), x0, y0)


def _blend(image: np.ndarray, sprite: np.ndarray, left: int, top: int) -> None:
    """Premultiplied `sprite` over `image` at (left, top), in place, clipped to the canvas."""
    x0, y0 = max(0, left), max(0, top)
    sprite = sprite[y0 - top : image.shape[0] - top, x0 - left : image.shape[1] - left]
    region = image[y0 : y0 + sprite.shape[0], x0 : x0 + sprite.shape[1]]
    through = cv2.bitwise_not(sprite[..., 3])
    under = cv2.multiply(region, cv2.merge([through, through, through]), scale=1 / 255)
    cv2.add(under, cv2.cvtColor(sprite, cv2.COLOR_RGBA2RGB), dst=region)
