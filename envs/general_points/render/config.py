"""What a table of cards looks like: `VisualConfig`, and the named looks `VISUALS`.

A look never says which ranks are dealt and a rule never reaches the renderer, so the same hand can
be shown under every look and judged under every rule. Importing this file loads neither Pillow nor
OpenCV.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

RANKS = ("A", "2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K")
MIN_CARDS, MAX_CARDS = 2, 6
MIN_SIDE, MAX_SIDE = 56, 1200
AUTO_COLOR = "auto"


class SuitSet(str, Enum):
    """Which suits are dealt. `recolored` deals all four in inks other than red and black."""

    black = "black"
    red = "red"
    mixed = "mixed"
    recolored = "recolored"


class Deck(str, Enum):
    """Whose cards. `auto` is `court` where a card is wide enough to read it, else `big_index`."""

    auto = "auto"
    court = "court"
    drawn = "drawn"
    big_index = "big_index"


class Layout(str, Enum):
    """Where the cards lie. `auto` is `row` where it leaves readable cards, else `grid`."""

    auto = "auto"
    row = "row"
    grid = "grid"
    fan = "fan"
    scatter = "scatter"


class Table(str, Enum):
    """What the cards lie on."""

    felt = "felt"
    wood = "wood"
    marble = "marble"
    dark = "dark"
    plain = "plain"


class Font(str, Enum):
    """The lettering of the drawn and big-index decks; the court deck has its own."""

    sans = "sans"
    condensed = "condensed"
    slab = "slab"
    serif = "serif"
    typewriter = "typewriter"
    brush = "brush"


class Face(str, Enum):
    """The colour of the card stock; `night` is dark with light inks."""

    white = "white"
    ivory = "ivory"
    night = "night"


class Palette(str, Enum):
    """The ink of each suit. `auto` is `classic`, and `four_color` for recolored suits."""

    auto = "auto"
    classic = "classic"
    four_color = "four_color"
    swapped = "swapped"
    pastel = "pastel"
    neon = "neon"


@dataclass(kw_only=True, slots=True)
class VisualConfig:
    """One look.

    name: a label for logs and suites.
    width, height: canvas in pixels, 56 to 1200 each.
    table_color: "auto" or "#rrggbb"; tints every table (the study's green is "#35654d").

    What is too small to read is replaced by something larger, whatever was asked for: a card
    narrower than 56 px always shows a big index, and so on (`layout` holds the rules), so one
    look can be used from 56 to 1200 px.
    """

    name: str = "custom"
    width: int = 224
    height: int = 224
    suits: SuitSet = SuitSet.black
    deck: Deck = Deck.auto
    layout: Layout = Layout.auto
    table: Table = Table.felt
    table_color: str = AUTO_COLOR
    font: Font = Font.sans
    face: Face = Face.white
    palette: Palette = Palette.auto

    def __post_init__(self) -> None:
        """Raises ValueError for a value outside what the fields allow; accepts enums by name."""
        for field, kind in _ENUM_FIELDS.items():
            setattr(self, field, _member(kind, field, getattr(self, field)))
        for field in ("width", "height"):
            side = getattr(self, field)
            if isinstance(side, bool) or not isinstance(side, int):
                raise ValueError(f"{field} must be a whole number of pixels; got {side!r}")
            if not MIN_SIDE <= side <= MAX_SIDE:
                raise ValueError(f"{field} must be {MIN_SIDE} to {MAX_SIDE} pixels; got {side}")
        color = self.table_color
        if color != AUTO_COLOR and not re.fullmatch(r"#[0-9a-fA-F]{6}", str(color)):
            raise ValueError(f'table_color must be "auto" or like "#35654d"; got {color!r}')
        if self.suits is SuitSet.recolored and self.palette is Palette.classic:
            raise ValueError("palette must be other than classic for recolored suits; got classic")


_ENUM_FIELDS: dict[str, type[Enum]] = {
    "suits": SuitSet,
    "deck": Deck,
    "layout": Layout,
    "table": Table,
    "font": Font,
    "face": Face,
    "palette": Palette,
}


def as_visual(value: "str | Mapping[str, Any] | VisualConfig", **changes: Any) -> VisualConfig:
    """A look of one's own from a preset's name, a mapping of fields or another look.

    `changes` replace fields, e.g. `as_visual("red_suits", width=112, height=56)`.
    """
    if isinstance(value, VisualConfig):
        return replace(value, **changes)
    if isinstance(value, str):
        if value not in VISUALS:
            raise ValueError(f"visual must be one of {', '.join(VISUALS)}; got {value!r}")
        return replace(VISUALS[value], **changes)
    if not isinstance(value, Mapping):
        raise ValueError(f"visual must be a name, a mapping or a VisualConfig; got {value!r}")
    fields = {**value, **changes}
    unknown = set(fields) - set(VisualConfig.__dataclass_fields__)
    if unknown:
        known = ", ".join(VisualConfig.__dataclass_fields__)
        raise ValueError(f"visual fields must be among {known}; got {', '.join(sorted(unknown))}")
    return VisualConfig(**fields)


def _member(kind: type[Enum], field: str, value: object) -> Enum:
    """The enum's member for a member, its name or its value."""
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(member.name for member in kind)
        raise ValueError(f"{field} must be one of {names}; got {value!r}") from None


# The study trains on black suits (spades and clubs) in a row on green, and tests on red ones.
VISUALS: dict[str, VisualConfig] = {
    visual.name: visual
    for visual in (
        VisualConfig(name="black_suits"),
        VisualConfig(name="red_suits", suits=SuitSet.red),
        VisualConfig(name="mixed_suits", suits=SuitSet.mixed),
        VisualConfig(
            name="four_color_marble",
            suits=SuitSet.recolored,
            deck=Deck.court,
            layout=Layout.grid,
            table=Table.marble,
        ),
        VisualConfig(
            name="wood_scatter",
            suits=SuitSet.mixed,
            deck=Deck.court,
            layout=Layout.scatter,
            table=Table.wood,
        ),
        VisualConfig(
            name="ivory_fan",
            suits=SuitSet.mixed,
            deck=Deck.drawn,
            layout=Layout.fan,
            table_color="#1f3f7a",
            font=Font.serif,
            face=Face.ivory,
            palette=Palette.four_color,
        ),
        VisualConfig(
            name="swapped_slab",
            suits=SuitSet.mixed,
            deck=Deck.drawn,
            layout=Layout.grid,
            table=Table.plain,
            font=Font.slab,
            face=Face.ivory,
            palette=Palette.swapped,
        ),
        VisualConfig(
            name="neon_night",
            suits=SuitSet.recolored,
            deck=Deck.big_index,
            layout=Layout.grid,
            table=Table.dark,
            font=Font.condensed,
            face=Face.night,
            palette=Palette.neon,
        ),
        VisualConfig(
            name="brush_scatter",
            suits=SuitSet.recolored,
            deck=Deck.big_index,
            layout=Layout.scatter,
            table=Table.dark,
            table_color="#7a4a2b",
            font=Font.brush,
            palette=Palette.pastel,
        ),
    )
}
