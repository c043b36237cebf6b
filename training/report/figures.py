"""The figures that answer the question: success against compute, OOD against ID, differences.

Every mean is drawn with its interval and every training seed as a thin line; lines are named where
they end instead of in a legend.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..statistics import Interval, PairedDifference
from .analysis import Curve, TableRow
from .style import ArmStyle, arm_style, light
from .words import arm_words, points_interval, sample_sizes, signed


@dataclass(frozen=True, slots=True)
class Frame:
    """A figure's size and the margins around its axes, in inches.

    Given, not found by a layout engine, which would draw every figure twice.
    """

    width: float
    height: float
    left: float = 0.62
    right: float = 0.1
    top: float = 0.36
    bottom: float = 0.52


PANEL = Frame(4.7, 3.7)  # about as wide as a column of the page or a phone
SMALL_PANEL = Frame(3.7, 2.7, left=0.5)
TITLE_CHARS = 42  # that fit above one
SIZES = ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"))


def wide_frame(
    height: float, *, left: float = 1.05, right: float = 0.1, bottom: float = 0.52
) -> Frame:
    """A frame for rows with names at their left."""
    return Frame(9.0, height, left=left, right=right, top=0.05, bottom=bottom)


def new_panel(frame: Frame = PANEL) -> tuple[Figure, Axes]:
    """One empty panel."""
    figure = Figure(figsize=(frame.width, frame.height))
    left, bottom = frame.left / frame.width, frame.bottom / frame.height
    right, top = 1 - frame.right / frame.width, 1 - frame.top / frame.height
    return figure, figure.add_axes((left, bottom, right - left, top - bottom))


def draw_compute(
    axes: Axes, curves: Sequence[Curve], *, in_flops: bool, title: str = "", size: str = ""
) -> None:
    """Success of every arm on one cell against compute: bold mean, band, thin line per seed.

    size: n, written beside the axis; a figure that stands alone needs it.
    """
    top = max((x for c in curves for line in c.lines.values() for x, _ in line), default=1.0)
    unit, label = _unit(top) if in_flops else (1.0, "training steps")
    lowest, highest, ends = 1.0, 0.0, []
    for curve in curves:
        style = arm_style(curve.arm)
        if len(curve.lines) > 1:
            _draw_seeds(axes, [[(x / unit, y) for x, y in c] for c in curve.lines.values()], style)
        x = np.array([p.flops for p in curve.points]) / unit
        y = np.array([p.rate.estimate for p in curve.points])
        low = np.array([p.rate.low for p in curve.points])
        high = np.array([p.rate.high for p in curve.points])
        axes.fill_between(x, low, high, color=style.colour, alpha=0.14, lw=0, zorder=1)
        _draw_mean(axes, x, y, style)
        ends.append((curve.arm, float(x[-1]), float(y[-1])))
        lowest, highest = min(lowest, float(low.min())), max(highest, float(high.max()))
    starts = [curve.points[0] for curve in curves if curve.arm != "base"]
    if starts and starts[0].step == 0:
        _diamond(axes, starts[0].flops / unit, starts[0].rate.estimate)
    percent_axis(axes.yaxis)
    span = max(highest - lowest, 0.1)
    axes.set_ylim(max(0.0, lowest - 0.12 * span), min(1.02, highest + 0.12 * span))
    axes.set_xlim(-0.05 * top / unit, top / unit * 1.22)
    axes.xaxis.set_major_locator(_UpTo(top / unit, nbins=6, steps=[1, 2, 2.5, 5, 10]))
    name_ends(axes, ends)
    axes.set_xlabel((f"compute after the base, {label}" if in_flops else label) + size)
    _title(axes, title)


def draw_plane(
    axes: Axes, ids: Sequence[Curve], shifted: Sequence[Curve], title: str = "", size: str = ""
) -> None:
    """OOD against ID success, from the base (diamond) to where each arm ends (large marker).

    ids, shifted: curves of the same arms in the same order; each has points.
    """
    ends = []
    for across, up in zip(ids, shifted, strict=True):
        style = arm_style(up.arm)
        if len(up.lines) > 1:
            common = up.lines.keys() & across.lines.keys()
            seeds = [zip(across.lines[k], up.lines[k], strict=False) for k in sorted(common)]
            _draw_seeds(axes, [[(a[1], b[1]) for a, b in seed] for seed in seeds], style)
        points = list(zip(across.points, up.points, strict=False))
        x = np.array([a.rate.estimate for a, _ in points])
        y = np.array([b.rate.estimate for _, b in points])
        for a, b in points[1:]:
            axes.plot([a.rate.low, a.rate.high], [b.rate.estimate] * 2, **_whisker(style))
            axes.plot([a.rate.estimate] * 2, [b.rate.low, b.rate.high], **_whisker(style))
        _draw_mean(axes, x, y, style)
        axes.plot(x[-1:], y[-1:], ms=10, mew=1.2, zorder=6, **_marker(style))
        ends.append((up.arm, float(x[-1]), float(y[-1])))
    if ids:
        _diamond(axes, ids[0].points[0].rate.estimate, shifted[0].points[0].rate.estimate)
        axes.set_ylabel(f"success {shifted[0].words.phrase}")
    percent_axis(axes.xaxis)
    percent_axis(axes.yaxis)
    axes.margins(0.1)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right + 0.16 * (right - left))
    axes.set_ylim(max(-0.02, axes.get_ylim()[0]), min(1.04, axes.get_ylim()[1]))
    name_ends(axes, ends)
    axes.set_xlabel(f"success in distribution{size}")
    _title(axes, title)


@dataclass(frozen=True, slots=True)
class ForestGroup:
    """Comparisons under one heading. lines: (name, colour, difference)."""

    title: str
    lines: tuple[tuple[str, str, PairedDifference], ...]


def draw_differences(
    axes: Axes, rows: Sequence[TableRow], words: Callable[[str], str] = arm_words
) -> None:
    """Paired differences between arms, grouped by cell. words: what an arm is called."""
    draw_forest(axes, [_between_arms(row, words) for row in rows])


def draw_forest(axes: Axes, groups: Sequence[ForestGroup]) -> None:
    """Differences with their intervals, a line per comparison; filled: clear."""
    place, ticks, names = 0.0, [], []
    for group in groups:
        name_rows(axes, place, group.title, [found for _, _, found in group.lines])
        for name, colour, found in group.lines:
            place += 1
            axes.plot([100 * found.low, 100 * found.high], [place] * 2, color=colour, lw=2.4)
            axes.plot(
                100 * found.estimate, place, marker="o", ms=8, color=colour,
                mfc=colour if found.is_clear else light("paper"), mew=2,
            )  # fmt: skip
            axes.text(
                1.01, place, f"{signed(found.estimate)}  {points_interval(found)}",
                transform=axes.get_yaxis_transform(), va="center", color=colour,
            )  # fmt: skip
            ticks.append(place)
            names.append(name)
        place += 1.4
    axes.axvline(0, color=light("muted"), lw=1, zorder=0)
    axes.set_yticks(ticks, names)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_ylim(place - 0.7, -0.7)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda v, _: f"{v:+.0f}".replace("-", "−") if v else "0")
    )
    axes.set_xlabel("percentage points")


def differences_height(rows: Sequence[TableRow]) -> float:
    """Inches that `draw_differences` wants."""
    return forest_height([_between_arms(row, arm_words) for row in rows])


def forest_height(groups: Sequence[ForestGroup]) -> float:
    """Inches that `draw_forest` wants."""
    return 0.75 + 0.3 * sum(len(group.lines) + 1.4 for group in groups)


def name_rows(
    axes: Axes, place: float, title: str, intervals: Iterable[Interval], size: str = ""
) -> None:
    """The line above a group of rows: what they are, and at its right end n, or another `size`."""
    across = axes.get_yaxis_transform()
    axes.text(0, place, title, transform=across, fontweight="bold", va="center", ha="left")
    axes.text(
        1, place, size or sample_sizes(intervals), transform=across, color=light("muted"),
        fontsize="small", va="center", ha="right",
    )  # fmt: skip


def name_ends(
    axes: Axes,
    ends: list[tuple[str, float, float]],
    words: Callable[[str], str] = arm_words,
    policies: Collection[str] = (),
) -> None:
    """Write each arm's name beside its last point, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    gap, near = 0.09 * (high - low), 0.2 * (right - left)
    ends = sorted(ends, key=lambda end: end[2])
    heights = [end[2] for end in ends]
    for k in range(1, len(ends)):
        short = gap - (heights[k] - heights[k - 1])
        if short > 0 and abs(ends[k][1] - ends[k - 1][1]) < near:
            heights[k - 1] -= short / 2
            heights[k] += short / 2
    for (arm, x, _), height in zip(ends, heights, strict=True):
        axes.annotate(
            words(arm), (x, height), (10, 0), textcoords="offset points", va="center", zorder=8,
            color=arm_style(arm, policies).colour, fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def percent_axis(axis: object) -> None:
    """Shares as percent, at round places up to 100%."""
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{round(100 * v, 1):g}%"))  # type: ignore[attr-defined]
    axis.set_major_locator(_UpTo(1.0, nbins=5, steps=[1, 2, 2.5, 5, 10]))  # type: ignore[attr-defined]


def _between_arms(row: TableRow, words: Callable[[str], str]) -> ForestGroup:
    lines = [
        (f"{words(b)} − {words(a)}",
         arm_style(b).colour if a == "base" else light("ink"), found)
        for (a, b), found in row.differences.items()
    ]  # fmt: skip
    return ForestGroup(row.words.title, tuple(lines))


def _title(axes: Axes, title: str) -> None:
    """As large as its panel is wide."""
    axes.set_title(title)
    if len(title) > TITLE_CHARS:
        axes.title.set_fontsize(axes.title.get_fontsize() * TITLE_CHARS / len(title))


def _draw_seeds(axes: Axes, lines: list[list[tuple[float, float]]], style: ArmStyle) -> None:
    for line in lines:
        x, y = np.array(line).T
        axes.plot(x, y, color=style.colour, lw=0.7, alpha=0.32, zorder=2)


def _draw_mean(axes: Axes, x: np.ndarray, y: np.ndarray, style: ArmStyle) -> None:
    axes.plot(x, y, color=style.colour, ls=style.dash, lw=2.6, zorder=4)
    axes.plot(x[1:], y[1:], ms=5.5, mew=0.9, zorder=5, **_marker(style))


def _marker(style: ArmStyle) -> dict[str, Any]:
    return {"color": style.colour, "ls": "", "marker": style.marker, "mec": light("paper")}


def _whisker(style: ArmStyle) -> dict[str, Any]:
    return {"color": style.colour, "lw": 1.1, "alpha": 0.4, "zorder": 3}


def _diamond(axes: Axes, x: float, y: float) -> None:
    style = arm_style("base")
    axes.plot(
        x, y, marker=style.marker, ms=8, color=style.colour, mec=light("paper"), mew=1.2, zorder=7
    )
    axes.annotate(
        "Base", (x, y), (9, -4), textcoords="offset points", ha="left", va="top",
        color=style.colour, fontweight="bold", zorder=8,
    )  # fmt: skip


class _UpTo(MaxNLocator):
    """Round ticks, none beyond what the axis can mean: room for names is no data."""

    def __init__(self, most: float, **options: object) -> None:
        super().__init__(**options)
        self._most = most

    def tick_values(self, vmin: float, vmax: float) -> np.ndarray:
        ticks = super().tick_values(vmin, vmax)
        return ticks[(ticks <= self._most * 1.001) & (ticks >= -1e-9)]


def _unit(largest: float) -> tuple[float, str]:
    return next(((size, name) for size, name in SIZES if largest >= size), (1.0, "FLOP"))
