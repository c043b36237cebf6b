"""Success against the severity of a shift: a generalization curve instead of a point."""

import textwrap
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

from ..statistics import Interval
from .analysis import TableRow
from .cells import Ladder, tick_words
from .figures import Frame, name_ends, percent_axis
from .results import Run
from .style import arm_style, light
from .words import rate_words, sample_sizes

FRAME = Frame(9.0, 4.3, left=0.62, right=0.15, top=0.36, bottom=1.02)
APART = 0.012  # between arms at one severity, as a share of the axis, so that whiskers stand free
Line = list[tuple[float, Interval]]  # (severity, rate) of one arm


def severity_lines(run: Run, ladder: Ladder, rows: Sequence[TableRow]) -> dict[str, Line]:
    """By arm its final success at every severity that it was measured at; rows: of one metric."""
    rates = {row.cell: row.rates for row in rows}
    lines = {
        arm: [(at, rates[cell][arm]) for at, cell in ladder.steps if arm in rates.get(cell, {})]
        for arm in run.arms
    }
    return {arm: line for arm, line in lines.items() if len(line) > 1}


def draw_severity(axes: Axes, run: Run, ladder: Ladder, lines: dict[str, Line]) -> None:
    """Every arm from the training value to far away: rates with their intervals."""
    far = max(at for at, _ in ladder.steps)
    for place, (arm, line) in enumerate(lines.items()):
        style = arm_style(arm, run.policies)
        shift = (place - (len(lines) - 1) / 2) * APART * far
        x = np.array([at for at, _ in line]) + shift
        y, low, high = (
            np.array([getattr(rate, name) for _, rate in line])
            for name in ("estimate", "low", "high")
        )
        axes.fill_between(x, low, high, color=style.colour, alpha=0.09, lw=0, zorder=1)
        axes.vlines(x, low, high, color=style.colour, lw=1.6, alpha=0.75, zorder=3)
        axes.plot(
            x, y, color=style.colour, ls=style.dash, lw=2.4, marker=style.marker, ms=7,
            mec=light("paper"), zorder=4,
        )  # fmt: skip
    highest = max(rate.high for line in lines.values() for _, rate in line)
    percent_axis(axes.yaxis)
    axes.set_ylim(-0.015, min(1.03, highest * 1.06 + 0.01))
    axes.set_xlim(-0.04 * far, _right_end(run, lines) * far)
    _ticks(axes, run, ladder, far)
    ends = [(arm, line[-1][0], line[-1][1].estimate) for arm, line in lines.items()]
    name_ends(axes, [end for end in ends if end[1] == far], run.arm_words, run.policies)
    sizes = sample_sizes([rate for line in lines.values() for _, rate in line])
    axes.set_xlabel(f"severity (0: as in training) · {sizes}, each", loc="left")
    axes.set_title(ladder.title)


def spoken(run: Run, ladder: Ladder, lines: dict[str, Line]) -> str:
    """Every point in words."""
    told = [
        f"{run.arm_words(arm)}: "
        + ", ".join(f"{rate_words(rate)} at severity {at:g}, n = {rate.n}" for at, rate in line)
        for arm, line in lines.items()
    ]
    return f"{ladder.title}. {'; '.join(told)}."


def _right_end(run: Run, lines: dict[str, Line]) -> float:
    """Where the axis ends, in units of the last severity, so that names at lines' ends fit."""
    longest = max(len(run.arm_words(arm)) for arm in lines)
    share = min(0.4, (0.3 + 0.09 * longest) / (FRAME.width - FRAME.left - FRAME.right))
    return max(1.12, (1 + 0.04 * share) / (1 - share))


def _ticks(axes: Axes, run: Run, ladder: Ladder, far: float) -> None:
    """Severities with what they are, as far apart as the words need."""
    steps = ladder.steps
    gaps = [b - a for (a, _), (b, _) in pairwise(steps)]
    inches = (FRAME.width - FRAME.left - FRAME.right) / (1.16 * far)
    chars = max(7, min(16, int(min(gaps) * inches / 0.085)))
    names = [
        f"{at:g}\n{textwrap.fill(tick_words(run.words(cell)), chars, max_lines=3, placeholder='…')}"
        for at, cell in steps
    ]
    axes.set_xticks([at for at, _ in steps], names, linespacing=1.1, fontsize=8.5)
