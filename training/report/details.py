"""Figures behind the answer: training curves, what answers were, reading beside solving."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..statistics import MIN_SEEDS, Interval
from ..statistics.quantiles import student_quantile
from .analysis import OutcomeRow, TableRow
from .figures import name_rows
from .results import SOLVED, Run
from .style import FAULTS, arm_style, light
from .words import sample_sizes, step_sizes

# (arm, key of metrics.jsonl, title, whether it is a share)
TRAINING_CURVES = (
    ("grpo", "reward/mean", "GRPO: reward of an episode", False),
    ("grpo", "success", "GRPO: solved training episodes", True),
    ("grpo", "groups/zero_variance", "GRPO: groups without variance", True),
    ("sft", "loss", "SFT: loss per token", False),
)


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
    size: str = "",
) -> None:
    """A training metric against steps: thin per seed, bold the mean with its interval over seeds
    where there are enough of them, all smoothed."""
    colour = arm_style(arm).colour
    grid = np.linspace(0, min(steps[-1] for steps, _ in series.values()), 200)
    smooth = []
    for steps, values in series.values():
        line = _smoothed(values)
        axes.plot(steps, values, color=colour, lw=0.5, alpha=0.18, zorder=1)
        if len(series) > 1:
            axes.plot(steps, line, color=colour, lw=0.8, alpha=0.45, zorder=2)
        smooth.append(np.interp(grid, steps, line, left=np.nan))
    mean = np.mean(smooth, axis=0)
    axes.plot(grid, mean, color=colour, lw=2.6, zorder=3)
    if len(smooth) >= MIN_SEEDS:
        error = np.std(smooth, axis=0, ddof=1) / np.sqrt(len(smooth))
        reach = error * student_quantile(0.95, len(smooth) - 1)
        axes.fill_between(grid, mean - reach, mean + reach, color=colour, alpha=0.14, lw=0)
    if share:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{round(100 * v, 1):g}%"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel(f"step{size}")
    axes.set_title(title)


def training_size(run: Run, arm: str, key: str) -> str:
    """How much one logged step is the mean of, as configured."""
    config = run.config.get(arm)
    if not isinstance(config, dict):
        return ""
    if arm == "sft":
        return f" · n = {config['batch_size']} episodes each" if "batch_size" in config else ""
    groups, members = config.get("groups_per_step"), config.get("group_size")
    if not isinstance(groups, int) or not isinstance(members, int):
        return ""
    if key == "groups/zero_variance":
        return f" · n = {groups} groups each"
    return f" · n = {groups * members} episodes each"


def draw_outcomes(axes: Axes, run: Run, rows: Sequence[OutcomeRow]) -> list[tuple[str, str]]:
    """Stacked bars: share of final episodes by the last answer's outcome, the solved share with
    its interval. Returns the legend as (outcome, colour)."""
    totals: dict[str, float] = {}
    for row in rows:
        for name, share in row.shares.items():
            totals[name] = totals.get(name, 0.0) + share.estimate
    ordered = sorted(totals, key=lambda name: (name not in SOLVED, -totals[name]))
    colours = outcome_colours(ordered)
    place, previous, ticks = 0.0, None, []
    for row in rows:
        if row.cell != previous:
            place += 0.0 if previous is None else 0.9
            group = [share for r in rows if r.cell == row.cell for share in r.shares.values()]
            name_rows(axes, place, row.words.title, group)
            place, previous = place + 0.85, row.cell
        _draw_shares(axes, place, row, [(name, colours[name]) for name in ordered])
        ticks.append((place, run.arm_words(row.arm)))
        place += 0.95
    axes.set_yticks([tick for tick, _ in ticks], [name for _, name in ticks])
    axes.set_ylim(place - 0.3, -0.6)
    axes.set_xlim(0, 1)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xticks([])
    return [(name, colours[name]) for name in ordered]


def _draw_shares(
    axes: Axes, place: float, row: OutcomeRow, colours: Sequence[tuple[str, str]]
) -> None:
    """One stacked bar."""
    left = 0.0
    for name, colour in colours:
        share = row.shares.get(name)
        if share is None:
            continue
        axes.barh(place, share.estimate, 0.74, left=left, color=colour, lw=0)
        if share.estimate >= 0.06:
            ink = light("paper") if name in SOLVED else light("ink")
            axes.text(left + share.estimate / 2, place, f"{100 * share.estimate:.0f}",
                      ha="center", va="center", color=ink)  # fmt: skip
        left += share.estimate
    for name in SOLVED:
        if name in row.shares:  # the first of the bar; below its number
            limits = [row.shares[name].low, row.shares[name].high]
            axes.plot(limits, [place + 0.27] * 2, color=light("ink"), lw=1.6, marker="|", ms=5)


def outcomes_height(rows: Sequence[OutcomeRow]) -> float:
    """Inches that `draw_outcomes` wants."""
    return 0.3 + 0.32 * (0.95 * len(rows) + 1.7 * len({row.cell for row in rows}))


def outcome_colours(names: Sequence[str]) -> dict[str, str]:
    """Green for what solves, further tints for the faults in order of frequency."""
    faults = [name for name in names if name not in SOLVED]
    colours = {name: light("good") for name in names if name in SOLVED}
    return colours | {
        name: light(FAULTS[min(place, len(FAULTS) - 1)]) for place, name in enumerate(faults)
    }


def draw_recognition(axes: Axes, run: Run, rows: Sequence[TableRow]) -> None:
    """Reading the pictures (open) and solving the task (filled) at the end of training."""
    groups = [row.recognition for row in rows]
    sizes = [sample_sizes([*row.recognition.values(), *row.rates.values()]) for row in rows]
    _draw_beside(axes, run, rows, groups, sizes)
    axes.set_xlabel(run.game.read_axis)


def draw_steps(axes: Axes, run: Run, rows: Sequence[TableRow]) -> None:
    """Right answers (open) and solved walks (filled) at the end of training."""
    sizes = [
        f"{sample_sizes(row.rates.values())} · {step_sizes(row.steps.values())}" for row in rows
    ]
    _draw_beside(axes, run, rows, [row.steps for row in rows], sizes)
    axes.set_xlabel("○ share of right steps, ● share of solved walks")


def beside_height(groups: Sequence[Mapping[str, Interval]]) -> float:
    """Inches that `draw_recognition` and `draw_steps` want."""
    return 0.7 + 0.3 * sum(len(group) + 1.4 for group in groups)


def _draw_beside(
    axes: Axes,
    run: Run,
    rows: Sequence[TableRow],
    groups: Sequence[Mapping[str, Interval]],
    sizes: Sequence[str],
) -> None:
    """Another share of every arm (open) beside its success (filled)."""
    place, ticks = 0.0, []
    for row, group, size in zip(rows, groups, sizes, strict=True):
        name_rows(axes, place, row.words.title, [], size)
        for arm, other in group.items():
            place += 1
            colour = arm_style(arm, run.policies).colour
            for rate, inside in ((other, light("paper")), (row.rates[arm], colour)):
                axes.plot([rate.low, rate.high], [place] * 2, color=colour, lw=2, alpha=0.5)
                axes.plot(rate.estimate, place, marker="o", ms=8.5, color=colour, mew=2, mfc=inside)
            ticks.append((place, run.arm_words(arm)))
        place += 1.4
    axes.set_yticks([tick for tick, _ in ticks], [name for _, name in ticks])
    axes.set_ylim(place - 0.7, -0.7)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{round(100 * v, 1):g}%"))


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Running mean over a fifteenth of the curve, narrower at its ends."""
    reach = max(1, values.size // 30)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(values.size)
    low = np.maximum(index - reach, 0)
    high = np.minimum(index + reach + 1, values.size)
    return (sums[high] - sums[low]) / (high - low)
