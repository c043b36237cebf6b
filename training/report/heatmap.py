"""Heat maps of success: cells by arms, and rule by look. Every square holds its rate, its interval
and its n; colour only helps the eye (`style.COLOURS`, heat)."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ..statistics import Interval
from .analysis import TableRow
from .cells import Cross, part_words
from .figures import Frame
from .results import Run
from .style import FIRST_ON_PAPER, HEAT_STEPS, arm_style, light
from .words import grouped, percent, percent_interval

TOPS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)  # ends of the colour scale
MAX_COLUMNS = 4  # cells beside each other; more of them stand below each other
SQUARE_HEIGHT = 0.86  # inches
HEAD, FOOT = 0.62, 0.5  # inches above and below the squares
SCALE_WIDTH = 2.9  # inches: the steps of colour with "0%" before and "100%" behind them
GAP = 0.03  # between squares, as a share of their side


@dataclass(frozen=True, slots=True)
class HeatMap:
    """rows, columns: names; colours: of the names, where they are of arms. rates: [rows, columns],
    None where nothing was measured."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    rates: tuple[tuple[Interval | None, ...], ...]
    colours: Mapping[str, str]

    @property
    def known(self) -> list[Interval]:
        return [rate for row in self.rates for rate in row if rate is not None]


def grid_map(run: Run, rows: Sequence[TableRow]) -> HeatMap | None:
    """Arms by cells of one metric; None if there is no more than one square."""
    arms = [arm for arm in run.arms if any(arm in row.rates for row in rows)]
    names = tuple(run.arm_words(arm) for arm in arms)
    colours = {
        name: arm_style(arm, run.policies).colour for name, arm in zip(names, arms, strict=True)
    }
    titles = tuple(row.words.title for row in rows)
    by_cell = tuple(tuple(row.rates.get(arm) for arm in arms) for row in rows)
    if len(rows) * len(arms) < 2:
        return None
    if len(rows) > MAX_COLUMNS or len(arms) == 1:
        return HeatMap(titles, names, by_cell, colours)
    return HeatMap(names, titles, tuple(zip(*by_cell, strict=True)), colours)


def cross_map(cross: Cross, rows: Sequence[TableRow], arm: str) -> HeatMap | None:
    """Rules by looks of one arm and metric; None if the arm played none of them."""
    rates = {row.cell: row.rates.get(arm) for row in rows}
    table = tuple(
        tuple(rates.get(cross.cells[rule, look]) for look in cross.looks) for rule in cross.rules
    )
    found = HeatMap(
        tuple(part_words(rule, "Trained rule") for rule in cross.rules),
        tuple(part_words(look, "Trained look") for look in cross.looks),
        table,
        {},
    )
    return found if found.known else None


def frame_of(shown: HeatMap, width: float = 9.0) -> Frame:
    """Room for the squares, the names around them, and the scale."""
    longest = max(map(len, shown.rows))
    left = 1.9 if longest > 16 else 1.5 if longest > 8 else 0.85
    height = HEAD + FOOT + SQUARE_HEIGHT * len(shown.rows)
    return Frame(min(width, left + 2.3 * len(shown.columns)), height, left, 0.05, HEAD, FOOT)


def scale_top(rates: Sequence[Interval]) -> float:
    """The end of the colour scale: the least round share that no rate exceeds."""
    most = max((rate.estimate for rate in rates), default=1.0)
    return next(top for top in TOPS if most <= top)


def draw_heat_map(
    axes: Axes, shown: HeatMap, frame: Frame, top: float | None = None, title: str = ""
) -> None:
    """top: end of the colour scale, the same for maps that are to be compared."""
    top = scale_top(shown.known) if top is None else top
    width = (frame.width - frame.left - frame.right) / len(shown.columns)  # inches, of a square
    chars = max(8, int(width / 0.095))
    for across, name in enumerate(shown.columns):
        axes.text(
            across + 0.5, -0.08, textwrap.fill(name, chars), ha="center", va="bottom",
            fontweight="bold", color=shown.colours.get(name, light("ink")), linespacing=1.15,
        )  # fmt: skip
    for down, name in enumerate(shown.rows):
        axes.text(
            -0.1 / width, down + 0.5, textwrap.fill(name, int(frame.left / 0.1)), ha="right",
            va="center", fontweight="bold", color=shown.colours.get(name, light("ink")),
        )  # fmt: skip
        for across, rate in enumerate(shown.rates[down]):
            _square(axes, across, down, rate, top, width)
    if title:
        corner = (-frame.left / width + 0.05, -0.08)
        axes.text(*corner, title, va="bottom", fontsize=14, fontweight="bold")
    axes.set_xlim(0, len(shown.columns))
    axes.set_ylim(len(shown.rows), 0)
    axes.set_axis_off()
    _scale(axes, len(shown.columns), len(shown.rows), top, frame)


def spoken(shown: HeatMap) -> str:
    """Every square in words, for a reader who cannot see them."""
    told = [
        f"{row}, {column}: {percent(rate.estimate)} {percent_interval(rate)}, n = {rate.n}"
        for row, rates in zip(shown.rows, shown.rates, strict=True)
        for column, rate in zip(shown.columns, rates, strict=True)
        if rate is not None
    ]
    return f"Success in percent. {'; '.join(told)}."


def _square(
    axes: Axes, across: int, down: int, rate: Interval | None, top: float, width: float
) -> None:
    """One rate; a dash where nothing was measured. width: inches."""
    step = 0 if rate is None else _step(rate.estimate, top)
    fill = light("grid") if rate is None else light(f"heat{step}")
    colour = light("paper") if step >= FIRST_ON_PAPER else light("ink")
    side = 1 - 2 * GAP
    place = (across + GAP, down + GAP)
    axes.add_patch(Rectangle(place, side, side, facecolor=fill, edgecolor="none"))
    middle = {"ha": "center", "va": "center", "color": colour, "clip_on": False}
    if rate is None:
        axes.text(across + 0.5, down + 0.5, "–", **middle)
        return
    size = f"n = {grouped(rate.n)}"
    if width > 1.35:
        size += f" · {grouped(rate.num_tasks)} tasks"
    axes.text(across + 0.5, down + 0.29, percent(rate.estimate), fontsize=14, fontweight="bold",
              **middle)  # fmt: skip
    axes.text(across + 0.5, down + 0.565, percent_interval(rate), fontsize=9, **middle)
    axes.text(across + 0.5, down + 0.79, size, fontsize=8, **middle)


def _step(share: float, top: float) -> int:
    return min(HEAT_STEPS - 1, int(HEAT_STEPS * share / top))


def _scale(axes: Axes, columns: int, rows: int, top: float, frame: Frame) -> None:
    """The steps of colour and the shares at their ends, below the squares at the left; below the
    names where the squares are narrower."""
    room = frame.width - frame.left - frame.right
    start = min(0.0, room - SCALE_WIDTH)
    inch_across = columns / room
    inch_down = rows / (frame.height - frame.top - frame.bottom)
    side = 0.15
    y = rows + 0.2 * inch_down
    for step in range(HEAT_STEPS):
        place = ((start + step * side * 1.35 + 0.36) * inch_across, y)
        size = (side * 1.35 * inch_across, side * inch_down)
        axes.add_patch(Rectangle(place, *size, facecolor=light(f"heat{step}"), clip_on=False, lw=0))
    ends = ((0.3, "right", "0%"), (0.36 + HEAT_STEPS * side * 1.35 + 0.06, "left", f"{top:.0%}"))
    for x, align, text in ends:
        place = ((start + x) * inch_across, y + 0.5 * side * inch_down)
        axes.text(*place, text, ha=align, va="center", fontsize=9, color=light("muted"))
