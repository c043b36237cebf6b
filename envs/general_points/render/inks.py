"""Colours: five suit palettes on light and dark card stock."""

from dataclasses import dataclass

from .config import Face, Palette, SuitSet, VisualConfig

Rgb = tuple[int, int, int]

# Order of suits in every table: spades, hearts, clubs, diamonds.
_BLACK, _RED = (24, 24, 28), (206, 22, 38)
_LIGHT_STOCK: dict[Palette, tuple[Rgb, Rgb, Rgb, Rgb]] = {
    Palette.classic: (_BLACK, _RED, _BLACK, _RED),
    Palette.swapped: (_RED, _BLACK, _RED, _BLACK),
    Palette.four_color: (_BLACK, _RED, (12, 124, 58), (20, 84, 190)),
    Palette.pastel: ((88, 80, 150), (196, 92, 120), (40, 128, 124), (190, 120, 36)),
    Palette.neon: ((0, 140, 190), (224, 20, 120), (40, 150, 40), (226, 110, 0)),
}
_WHITE, _ROSE = (236, 238, 244), (255, 86, 96)
_DARK_STOCK: dict[Palette, tuple[Rgb, Rgb, Rgb, Rgb]] = {
    Palette.classic: (_WHITE, _ROSE, _WHITE, _ROSE),
    Palette.swapped: (_ROSE, _WHITE, _ROSE, _WHITE),
    Palette.four_color: (_WHITE, _ROSE, (96, 214, 120), (110, 166, 255)),
    Palette.pastel: ((190, 182, 246), (246, 166, 190), (150, 224, 214), (250, 208, 140)),
    Palette.neon: ((112, 228, 255), (255, 84, 148), (128, 246, 140), (255, 188, 66)),
}
_STOCK: dict[Face, Rgb] = {
    Face.white: (255, 255, 255),
    Face.ivory: (252, 244, 224),
    Face.night: (24, 25, 38),
}
_EDGE: dict[Face, Rgb] = {
    Face.white: (168, 168, 172),
    Face.ivory: (176, 160, 128),
    Face.night: (74, 76, 104),
}
SUITS_OF: dict[SuitSet, tuple[int, ...]] = {
    SuitSet.black: (0, 2),
    SuitSet.red: (1, 3),
    SuitSet.mixed: (0, 1, 2, 3),
    SuitSet.recolored: (0, 1, 2, 3),
}


@dataclass(frozen=True, slots=True)
class Inks:
    """The colours of a deck; `suits` in the order spades, hearts, clubs, diamonds.

    panel: the paper under court portraits, light even on dark stock.
    """

    stock: Rgb
    panel: Rgb
    edge: Rgb
    suits: tuple[Rgb, Rgb, Rgb, Rgb]


def inks_of(visual: VisualConfig) -> Inks:
    """The colours that a look prints with."""
    palette = visual.palette
    if palette is Palette.auto:
        recolored = visual.suits is SuitSet.recolored
        palette = Palette.four_color if recolored else Palette.classic
    dark = visual.face is Face.night
    return Inks(
        stock=_STOCK[visual.face],
        panel=_STOCK[Face.ivory] if dark else _STOCK[visual.face],
        edge=_EDGE[visual.face],
        suits=(_DARK_STOCK if dark else _LIGHT_STOCK)[palette],
    )
