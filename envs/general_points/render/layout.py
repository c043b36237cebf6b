"""Where the cards lie and how large they are.

`resolve` turns what a look asks for into what can be read on its canvas. The rules:

- A row or a grid is taken as asked, but a row of cards under 12 px becomes a grid; `auto` takes the
  row (as in the study) where its cards are at least 44 px wide, else whichever of row and grid has
  the larger cards.
- A fan overlaps its cards where they then are at least 64 px wide; else it opens up, so that no
  card hides another; under 24 px it gives way to a scatter, which has room for larger cards.
- Cards keep the poker card's 5:7, but cards under 40 px may be as tall as 1.7 or as short as 1.2
  times their width, to leave the index every pixel there is.
- `court` and `drawn` need cards 56 px wide; narrower ones are `big_index`. `auto` asks for 96 px
  before it takes the court cards. In an overlapping fan, where only corners are seen, `big_index`
  cards are `drawn` ones.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .config import Deck, Layout, VisualConfig

ASPECT = 1.4  # height / width of a poker card
TINY_WIDTH = 40.0
TINY_ASPECTS = (1.2, 1.7)
ROW_MIN_WIDTH, ROW_FLOOR = 44.0, 12.0
CORNER_MIN_WIDTH, COURT_AUTO_WIDTH = 56.0, 96.0
FAN_MIN_WIDTH, FAN_OPEN_MIN_WIDTH = 64.0, 24.0
FAN_STEP = 0.54  # of a card's width, between overlapping neighbours
SCATTER_DEG, TINY_SCATTER_DEG = 16.0, 7.0


@dataclass(frozen=True, slots=True)
class Slot:
    """A card's place: its centre in pixels from the top left, and its turn (clockwise)."""

    x_px: float
    y_px: float
    angle_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What is drawn on a canvas for a number of cards.

    width_px, height_px: of one card. slots: one per card, before the hand's own jitter.
    upright: cards lie on whole pixels and do not turn. overlap: only corners can be seen.
    jitter_px, jitter_deg: how far a card may leave its slot, either way (x, y).
    """

    layout: Layout
    deck: Deck
    width_px: int
    height_px: int
    slots: tuple[Slot, ...]
    upright: bool
    overlap: bool = False
    jitter_px: tuple[float, float] = (0.0, 0.0)
    jitter_deg: float = 0.0

    def deal(self, rng: np.random.Generator) -> tuple[Slot, ...]:
        """This hand's slots; draws from `rng` in every layout, so that suits never depend on it."""
        noise = rng.uniform(-1.0, 1.0, size=(len(self.slots), 3))  # [N, (x, y, angle)]
        if self.upright:
            return self.slots
        scale = (*self.jitter_px, self.jitter_deg)
        return tuple(
            Slot(
                x_px=slot.x_px + scale[0] * dx,
                y_px=slot.y_px + scale[1] * dy,
                angle_deg=slot.angle_deg + scale[2] * turn,
            )
            for slot, (dx, dy, turn) in zip(self.slots, noise.tolist(), strict=True)
        )


def resolve(visual: VisualConfig, num_cards: int) -> Arrangement:
    """The arrangement of `num_cards` under a look, by the rules at the top of this file."""
    return _arrange(visual.width, visual.height, num_cards, visual.layout, visual.deck)


@lru_cache(maxsize=256)
def _arrange(width: int, height: int, num_cards: int, layout: Layout, deck: Deck) -> Arrangement:
    if layout is Layout.auto:
        layout = _row_or_grid(width, height, num_cards)
    if layout is Layout.fan:
        fan = _fan(width, height, num_cards, deck)
        if fan.width_px >= FAN_OPEN_MIN_WIDTH:
            return fan
        return max(fan, _scatter(width, height, num_cards, deck), key=lambda plan: plan.width_px)
    if layout is Layout.scatter:
        return _scatter(width, height, num_cards, deck)
    if layout is Layout.row and _cell_card(width, height, num_cards, num_cards)[0] < ROW_FLOOR:
        layout = Layout.grid
    columns = num_cards if layout is Layout.row else _best_columns(width, height, num_cards)
    card = _cell_card(width, height, num_cards, columns)
    slots = _cell_slots(width, height, num_cards, columns, card)
    return Arrangement(
        layout=layout,
        deck=_readable(deck, card[0]),
        width_px=card[0],
        height_px=card[1],
        slots=slots,
        upright=True,
    )


def _readable(deck: Deck, card_width: float, overlap: bool = False) -> Deck:
    if deck is Deck.auto:
        deck = Deck.court if card_width >= COURT_AUTO_WIDTH else Deck.big_index
    if card_width < CORNER_MIN_WIDTH:
        deck = Deck.big_index
    if overlap and deck is Deck.big_index:
        deck = Deck.drawn
    return deck


def _row_or_grid(width: int, height: int, num_cards: int) -> Layout:
    row = _cell_card(width, height, num_cards, num_cards)[0]
    grid = _cell_card(width, height, num_cards, _best_columns(width, height, num_cards))[0]
    return Layout.row if row >= ROW_MIN_WIDTH or row >= grid else Layout.grid


def _best_columns(width: int, height: int, num_cards: int) -> int:
    """The number of columns of the balanced grid with the largest cards."""

    def area(columns: int) -> int:
        card = _cell_card(width, height, num_cards, columns)
        return card[0] * card[1]

    inner = [columns for columns in _balanced(num_cards) if 1 < columns < num_cards]
    return max(inner or [1], key=lambda columns: (area(columns), columns))


def _balanced(num_cards: int) -> list[int]:
    """Numbers of columns that leave no row shorter than need be: 4 cards are 2 + 2, never 3 + 1."""
    return [
        columns
        for columns in range(1, num_cards + 1)
        if columns == math.ceil(num_cards / math.ceil(num_cards / columns))
    ]


def _cell_card(width: int, height: int, num_cards: int, columns: int) -> tuple[int, int]:
    """Card size (width, height) in whole pixels when cards lie in `columns` columns."""
    rows = math.ceil(num_cards / columns)
    margin = _margin(width, height)
    across = (width - 2 * margin - (columns - 1) * margin) / columns
    down = (height - 2 * margin - (rows - 1) * margin) / rows
    card_width = min(across, down / ASPECT)
    if card_width >= TINY_WIDTH:
        return int(card_width), round(int(card_width) * ASPECT)
    low, high = TINY_ASPECTS
    card_width = max(1, int(min(across, down / low, TINY_WIDTH)))
    return card_width, int(min(down, high * card_width))


def _margin(width: int, height: int) -> int:
    """Space between cards and around them: one pixel on tiny canvases, about 3 % on large ones."""
    side = min(width, height)
    return max(1, round(0.03 * side)) if side >= 96 else 1


def _cell_slots(
    width: int, height: int, num_cards: int, columns: int, card: tuple[int, int]
) -> tuple[Slot, ...]:
    """Centres of cards spread evenly over the canvas, on whole pixels; a short row is centred."""
    rows = math.ceil(num_cards / columns)
    slots = []
    for index in range(num_cards):
        row, column = divmod(index, columns)
        in_row = min(columns, num_cards - row * columns)
        gap_x = _gap(width, card[0], columns)
        gap_y = _gap(height, card[1], rows)
        left = (width - in_row * card[0] - (in_row - 1) * gap_x) // 2 + column * (card[0] + gap_x)
        top = (height - rows * card[1] - (rows - 1) * gap_y) // 2 + row * (card[1] + gap_y)
        slots.append(Slot(x_px=left + card[0] / 2, y_px=top + card[1] / 2))
    return tuple(slots)


def _gap(length: int, card: int, count: int) -> int:
    """Free space shared evenly, but never more than a third of a card between neighbours."""
    return min((length - count * card) // (count + 1), card // 3)


def _fan(width: int, height: int, num_cards: int, deck: Deck) -> Arrangement:
    """Cards on an arc, turned about a point below the canvas; the last card lies on top."""
    best = None
    for step in (FAN_STEP, 1.06):
        spread_deg = min(9.0, 34.0 / (num_cards - 1)) if step < 1 else min(5.0, 18.0 / num_cards)
        radius = step / math.tan(math.radians(spread_deg))  # in card widths
        turns = [spread_deg * (i - (num_cards - 1) / 2) for i in range(num_cards)]
        unit = [
            (radius * math.sin(math.radians(t)), -radius * math.cos(math.radians(t)), t)
            for t in turns
        ]
        corners = np.concatenate([_corners(*place) for place in unit])  # [4 N, 2]
        low, high = corners.min(axis=0), corners.max(axis=0)
        margin = 1.5 * _margin(width, height)
        across, down = high - low + (0.0, 0.06)  # room for the jitter
        scale = min((width - 2 * margin) / across, (height - 2 * margin) / down)
        middle = (low + high) / 2
        slots = tuple(
            Slot(
                x_px=width / 2 + scale * (x - middle[0]),
                y_px=height / 2 + scale * (y - middle[1]),
                angle_deg=turn,
            )
            for x, y, turn in unit
        )
        best = (int(scale), slots, step < 1)
        if scale >= FAN_MIN_WIDTH:
            break
    assert best is not None
    card_width, slots, overlap = best
    return Arrangement(
        layout=Layout.fan,
        deck=_readable(deck, card_width, overlap),
        width_px=card_width,
        height_px=round(card_width * ASPECT),
        slots=slots,
        upright=False,
        overlap=overlap,
        jitter_px=(0.012 * card_width, 0.03 * card_width),
        jitter_deg=1.5 if card_width >= TINY_WIDTH else 0.5,
    )


def _scatter(width: int, height: int, num_cards: int, deck: Deck) -> Arrangement:
    """One card in each cell of a grid, turned and moved as far as it stays inside the cell."""
    plans = []
    for columns in _balanced(num_cards):
        rows = math.ceil(num_cards / columns)
        cell_w, cell_h = width / columns, height / rows
        for turn_deg, tiny in ((SCATTER_DEG, False), (TINY_SCATTER_DEG, True)):
            margin = 0.8 * _margin(width, height)
            box = _turned_box(turn_deg)
            room = 1.0 if tiny else 0.94  # the rest is for moving about
            size = room * min((cell_w - margin) / box[0], (cell_h - margin) / box[1])
            if tiny or size >= TINY_WIDTH:
                plans.append((size, -columns, turn_deg))
                break
    size, negative_columns, turn_deg = max(plans)
    columns, card_width = -negative_columns, int(size)
    rows = math.ceil(num_cards / columns)
    cell_w, cell_h = width / columns, height / rows
    slots = []
    for index in range(num_cards):
        row, column = divmod(index, columns)
        in_row = min(columns, num_cards - row * columns)
        left = (width - in_row * cell_w) / 2
        slots.append(Slot(x_px=left + (column + 0.5) * cell_w, y_px=(row + 0.5) * cell_h))
    box_w, box_h = _turned_box(turn_deg)
    free = max(0.0, cell_w - card_width * box_w) / 2, max(0.0, cell_h - card_width * box_h) / 2
    return Arrangement(
        layout=Layout.scatter,
        deck=_readable(deck, card_width),
        width_px=card_width,
        height_px=round(card_width * ASPECT),
        slots=tuple(slots),
        upright=False,
        jitter_px=(min(free[0], 0.35 * card_width), min(free[1], 0.35 * card_width)),
        jitter_deg=turn_deg,
    )


def _turned_box(turn_deg: float) -> tuple[float, float]:
    """Width and height, in card widths, of the box around a card turned by at most `turn_deg`."""
    cos, sin = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    return cos + ASPECT * sin, sin + ASPECT * cos


def _corners(x: float, y: float, turn_deg: float) -> np.ndarray:
    """Corners [4, 2] of a card one unit wide, centred at (x, y) and turned."""
    cos, sin = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    half = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * (1.0, ASPECT)
    return half @ np.array([(cos, sin), (-sin, cos)]) + (x, y)
