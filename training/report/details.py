"""Figures behind the answer: training curves, what answers were, reading beside solving."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .analysis import finals, outcomes, pooled_rate
from .results import Run
from .style import FAULTS, arm_style, light

# (arm, key of metrics.jsonl, title, whether it is a share)
TRAINING_CURVES = (
    ("grpo", "reward/mean", "GRPO: reward of an episode", False),
    ("grpo", "success", "GRPO: solved training episodes", True),
    ("grpo", "groups/zero_variance", "GRPO: groups without variance", True),
    ("sft", "loss", "SFT: loss per token", False),
)
SOLVED = ("correct", "success", "solved", "arrived")


def training_series(run: Run, arm: str, key: str) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """By training seed: (step, value) of one training metric; groups as a share of all groups."""
    series = {}
    for (seed, name), lines in sorted(run.metrics.items()):
        if name != arm:
            continue
        pairs = []
        for line in lines:
            value = line.get(key)
            if value is None or line.get("kind", "train") != "train":
                continue
            if key == "groups/zero_variance":
                if not line.get("groups/total"):
                    continue
                value /= line["groups/total"]
            pairs.append((line["step"], value))
        if pairs:
            steps, values = np.array(pairs, dtype=float).T
            series[seed] = (steps, values)
    return series


def draw_training(
    axes: Axes,
    series: dict[int, tuple[np.ndarray, np.ndarray]],
    arm: str,
    *,
    share: bool,
    title: str = "",
) -> None:
    """A training metric against steps: thin per seed, bold the mean, both smoothed."""
    colour = arm_style(arm).colour
    grid = np.linspace(0, min(steps[-1] for steps, _ in series.values()), 200)
    smooth = []
    for steps, values in series.values():
        line = _smoothed(values)
        axes.plot(steps, values, color=colour, lw=0.5, alpha=0.18, zorder=1)
        if len(series) > 1:
            axes.plot(steps, line, color=colour, lw=0.8, alpha=0.45, zorder=2)
        smooth.append(np.interp(grid, steps, line, left=np.nan))
    axes.plot(grid, np.mean(smooth, axis=0), color=colour, lw=2.6, zorder=3)
    if share:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.0f}%"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("step")
    axes.set_title(title)


def draw_outcomes(axes: Axes, run: Run, metric: str, cells: Sequence[str]) -> list[tuple[str, str]]:
    """Stacked bars: share of final episodes by the last answer's outcome. Returns the legend as
    (outcome, colour)."""
    bars = [(c, a, outcomes(run, a, c, metric)) for c in cells for a in run.arms]
    bars = [bar for bar in bars if bar[2]]
    totals: dict[str, float] = {}
    for _, _, shares in bars:
        for name, share in shares.items():
            totals[name] = totals.get(name, 0.0) + share
    ordered = sorted(totals, key=lambda name: (name not in SOLVED, -totals[name]))
    colours = outcome_colours(ordered)
    place, previous, ticks = 0.0, None, []
    for cell, arm, shares in bars:
        if cell != previous:
            place += 0.0 if previous is None else 0.9
            axes.text(0, place, run.words(cell).title, fontweight="bold", va="center")
            place, previous = place + 0.85, cell
        left = 0.0
        for name in ordered:
            share = shares.get(name, 0.0)
            axes.barh(place, share, 0.74, left=left, color=colours[name], lw=0)
            if share >= 0.06:
                ink = light("paper") if name in SOLVED else light("ink")
                axes.text(left + share / 2, place, f"{100 * share:.0f}", ha="center",
                          va="center", color=ink)  # fmt: skip
            left += share
        ticks.append((place, run.arm_words(arm)))
        place += 0.95
    axes.set_yticks([tick for tick, _ in ticks], [name for _, name in ticks])
    axes.set_ylim(place - 0.3, -0.6)
    axes.set_xlim(0, 1)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xticks([])
    return [(name, colours[name]) for name in ordered]


def outcomes_height(run: Run, cells: Sequence[str]) -> float:
    """Inches that `draw_outcomes` wants."""
    return 0.3 + 0.32 * len(cells) * (0.95 * len(run.arms) + 1.7)


def outcome_colours(names: Sequence[str]) -> dict[str, str]:
    """Green for what solves, further tints for the faults in order of frequency."""
    faults = [name for name in names if name not in SOLVED]
    colours = {name: light("good") for name in names if name in SOLVED}
    return colours | {
        name: light(FAULTS[min(place, len(FAULTS) - 1)]) for place, name in enumerate(faults)
    }


def draw_recognition(axes: Axes, run: Run, metric: str, cells: Sequence[str]) -> None:
    """Reading the cards (open) and solving the hand (filled) at the end of training."""
    place, ticks = 0.0, []
    for cell in cells:
        axes.text(0, place, run.words(cell).title, transform=axes.get_yaxis_transform(),
                  fontweight="bold", va="center")  # fmt: skip
        for arm in run.arms:
            last = list(finals(run, arm, cell, metric).values())
            if not last or any(each.recognized is None for each in last):
                continue
            place += 1
            style = arm_style(arm)
            for recognition in (True, False):
                rate = pooled_rate(last, recognition=recognition)
                axes.plot([rate.low, rate.high], [place] * 2, color=style.colour, lw=2, alpha=0.5)
                axes.plot(rate.estimate, place, marker="o", ms=8.5, color=style.colour, mew=2,
                          mfc=light("paper") if recognition else style.colour)  # fmt: skip
            ticks.append((place, run.arm_words(arm)))
        place += 1.4
    axes.set_yticks([tick for tick, _ in ticks], [name for _, name in ticks])
    axes.set_ylim(place - 0.7, -0.7)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.0f}%"))
    axes.set_xlabel("share of episodes: ○ cards read rightly, ● hand solved")


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Running mean over a fifteenth of the curve, narrower at its ends."""
    reach = max(1, values.size // 30)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(values.size)
    low = np.maximum(index - reach, 0)
    high = np.minimum(index + reach + 1, values.size)
    return (sums[high] - sums[low]) / (high - low)
