"""A recipe's figures, drawn from its summary alone (`recipe.json`), in the style of a run's report.

policies   success and tokens of every measured policy, with intervals
gains      what one policy has over another: success in points, tokens
training   logged metrics over training, mean and interval over seeds, a panel each
asked      tokens used and success against the number of tokens that the prompt asked for
judged     what reward models would pay each policy, beside what is right

A figure without data is not drawn. Colours, dashes and markers of a stage are the same everywhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..report.figures import percent_axis
from ..report.plots import png_bytes
from ..report.style import ArmStyle, drawing, light, svg_text
from .tables import spanned

Row = Mapping[str, Any]
Styles = Mapping[str, ArmStyle]  # by stage
WIDTH = 9.0  # inches
STYLES = tuple(
    ArmStyle(light(colour), marker, dash)
    for colour, marker, dash in (
        ("grpo", "o", "-"), ("sft", "s", "--"), ("good", "^", "-."), ("extra1", "D", "-"),
        ("extra2", "v", "--"), ("bad1", "P", "-."), ("base", "X", "-"), ("ink", "h", "--"),
    )
)  # fmt: skip
# panels of `training`: metric, title, whether it is a share
PANELS = (
    ("success", "success, sampled", True),
    ("episodes/mean_tokens_wrong", "tokens of wrong answers", False),
    ("episodes/mean_tokens_right", "tokens of right answers", False),
    ("reward/tags", "answers in the whole format", True),
    ("reward/consistency", "English marks, 0 without a thought", True),
    ("tools/episodes", "episodes with a call", True),
    ("reward/model", "paid by the model", True),
    ("judge/paid_wrong", "wrong answers that are paid", True),
    ("dpo/accuracy", "pairs in the right order", True),
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One figure. told: alternative text."""

    name: str
    told: str
    svg: str  # a standalone document
    png: bytes


def all_figures(found: Row) -> list[Drawn]:
    """Every figure that a summary has data for, in the order of the page."""
    styles = _styles(found)
    drawn: list[Drawn] = []
    for evaluation in found["evaluations"]:
        drawn += _of_evaluation(found["recipe"], evaluation, styles)
    stages = found["training"]
    panels = [panel for panel in PANELS if _stages_with(stages, panel[0])]
    if panels:
        draw = partial(_training, stages=stages, panels=panels, styles=styles)
        height = 2.9 * ((len(panels) + 1) // 2)
        told = "Metrics over training: means and 95 % intervals over seeds."
        drawn.append(_drawn(f"{found['recipe']}_training", told, draw, height))
    return drawn


def _of_evaluation(recipe: str, evaluation: Row, styles: Styles) -> list[Drawn]:
    """Of what an `evaluate` stage measured; of several cells the first."""
    rows, gains = evaluation["policies"], evaluation["gains"]
    place = rows[0]["place"]
    first = [row for row in rows if row["place"] == place]
    size = (
        f"n = {first[0]['n']} each, {first[0]['num_units']} {evaluation['unit']}, "
        f"{len(evaluation['seeds'])} seeds"
    )
    spans = f"{size}; 95 % over {spanned(evaluation)}"
    if any("asked" in row for row in rows):
        draw = partial(_asked, rows=rows, size=size, styles=styles)
        told = "Tokens used and success, by the number of tokens asked for."
        return [_drawn(f"{recipe}_asked", told, draw, 3.8)]
    draw = partial(_policies, rows=first, spans=spans, styles=styles)
    told = "Success and tokens of every policy, with intervals."
    drawn = [_drawn(f"{recipe}_policies", told, draw, _height(first))]
    shown = [gain for gain in gains if gain["place"] == place]
    if shown:
        told = "What policies gain over others in success and in tokens, with intervals."
        drawn.append(_drawn(f"{recipe}_gains", told, partial(_gains, gains=shown), _height(shown)))
    pairs = [(row, judge) for row in first for judge in row.get("judged", {})]
    if pairs:
        told = "Mean scores by reward models beside the share of right answers."
        drawn.append(
            _drawn(f"{recipe}_judged", told, partial(_judged, pairs=pairs), _height(pairs))
        )
    return drawn


def _styles(found: Row) -> Styles:
    """One style for each stage by name, the same in every figure."""
    measured = [row["policy"] for each in found["evaluations"] for row in each["policies"]]
    names = dict.fromkeys([*measured, *(stage["stage"] for stage in found["training"])])
    return {name: STYLES[place % len(STYLES)] for place, name in enumerate(names)}


def _drawn(name: str, told: str, draw: Callable[[Figure], None], height: float) -> Drawn:
    with drawing():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure)
        return Drawn(name, told, svg_text(figure, name), png_bytes(figure))


def _height(rows: Sequence[Any]) -> float:
    return 1.3 + 0.32 * len(rows)


def _policies(figure: Figure, rows: Sequence[Row], spans: str, styles: Styles) -> None:
    left, right = _pair(figure)
    for place, row in enumerate(rows):
        style = styles[row["policy"]]
        _interval(left, row["success"], place, style, style.marker)
        _interval(right, row["tokens"], place, style, style.marker)
    _name_rows(left, [row["policy"] for row in rows])
    percent_axis(left.xaxis)
    left.set_title("success")
    left.set_xlabel(spans)
    right.set_title("tokens an answer")
    right.set_xlim(left=0)


def _gains(figure: Figure, gains: Sequence[Row]) -> None:
    left, right = _pair(figure)
    for place, gain in enumerate(gains):
        found = gain["success"]
        points = {key: None if found[key] is None else 100 * found[key]
                  for key in ("estimate", "low", "high")}  # fmt: skip
        is_clear = gain["p_holm"] < 0.05 and (found["low"] > 0 or found["high"] < 0)
        _interval(left, points, place, STYLES[0], "o", filled=is_clear)
        tokens = gain["tokens"]
        is_known = tokens["low"] is not None
        away = is_known and (tokens["low"] > 0 or tokens["high"] < 0)
        _interval(right, tokens, place, STYLES[1], "s", filled=away)
    _name_rows(left, [f"{gain['to']} over {gain['from']}" for gain in gains])
    for axes in (left, right):
        axes.axvline(0, color=light("muted"), lw=1, zorder=0)
    left.set_title("success gained, points")
    left.set_xlabel("filled: clear after Holm's correction")
    right.set_title("tokens added")
    right.set_xlabel("filled: the interval excludes zero")


def _asked(figure: Figure, rows: Sequence[Row], size: str, styles: Styles) -> None:
    left, right = figure.subplots(1, 2)
    names = list(dict.fromkeys(row["policy"] for row in rows))
    asked = sorted({row["asked"] for row in rows})
    left.plot(asked, asked, color=light("muted"), lw=1, zorder=0)
    left.annotate("as asked", (asked[-1], asked[-1]), (-8, 4), textcoords="offset points",
                  ha="right", va="bottom", color=light("muted"))  # fmt: skip
    for name in names:
        style = styles[name]
        mine = sorted((row for row in rows if row["policy"] == name), key=lambda row: row["asked"])
        at = [row["asked"] for row in mine]
        _band(left, at, [row["tokens"] for row in mine], style, name)
        _band(right, at, [row["success"] for row in mine], style, name)
    left.set_title("tokens used")
    right.set_title("success")
    right.set_ylim(bottom=0)
    percent_axis(right.yaxis)
    left.set_xlabel("tokens asked for")
    right.set_xlabel(f"tokens asked for · {size}")
    left.legend()


def _judged(figure: Figure, pairs: Sequence[tuple[Row, str]]) -> None:
    axes = figure.subplots()
    for place, (row, judge) in enumerate(pairs):
        _interval(axes, row["success"], place + 0.14, STYLES[2], "D", label="right by the rule")
        _interval(axes, row["judged"][judge]["score"], place - 0.14, STYLES[1], "o",
                  label="mean score")  # fmt: skip
    _name_rows(axes, [f"{row['policy']}, by {judge}" for row, judge in pairs])
    percent_axis(axes.xaxis)
    axes.set_title("what reward models would pay, beside what is right")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[:2], labels[:2], loc="best")


def _training(
    figure: Figure,
    stages: Sequence[Row],
    panels: Sequence[tuple[str, str, bool]],
    styles: Styles,
) -> None:
    grid = figure.subplots((len(panels) + 1) // 2, 2, squeeze=False)
    for axes, (metric, title, is_share) in zip(grid.flat, panels, strict=False):
        for stage in _stages_with(stages, metric):
            style = styles[stage["stage"]]
            curve = stage["metrics"][metric]["curve"]
            _band(axes, [100 * part["at"] for part in curve], curve, style, stage["stage"])
        axes.set_title(title)
        axes.set_xlim(0, 100)
        if is_share:
            axes.set_ylim(bottom=0)
            percent_axis(axes.yaxis)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[-1]:
        axes.set_xlabel("% of the stage's steps; bands: 95 % over seeds")
    grid.flat[0].legend(fontsize="small")


def _stages_with(stages: Sequence[Row], metric: str) -> list[Row]:
    """Stages with a curve of it, of two points at least."""
    return [stage for stage in stages if len(stage["metrics"].get(metric, {}).get("curve", ())) > 1]


def _pair(figure: Figure) -> tuple[Axes, Axes]:
    """Two panels that share their rows."""
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.4, 1])
    return left, right


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _interval(
    axes: Axes, found: Row | None, place: float, style: ArmStyle, marker: str, *,
    filled: bool = True, label: str | None = None,
) -> None:  # fmt: skip
    if found is None:
        return
    if found["low"] is not None and found["high"] is not None:
        axes.plot([found["low"], found["high"]], [place, place], color=style.colour, lw=2.2)
    axes.plot(found["estimate"], place, marker=marker, ms=7, ls="", color=style.colour, mew=1.6,
              mfc=style.colour if filled else light("paper"), label=label)  # fmt: skip


def _band(
    axes: Axes, at: Sequence[float], points: Sequence[Row], style: ArmStyle, name: str
) -> None:
    """A line with its interval, where there is one."""
    axes.plot(at, [point["estimate"] for point in points], color=style.colour, ls=style.dash,
              marker=style.marker, ms=4.5, lw=2, label=name)  # fmt: skip
    known = [(x, p["low"], p["high"]) for x, p in zip(at, points, strict=True)
             if p["low"] is not None and p["high"] is not None]  # fmt: skip
    if known:
        xs, low, high = zip(*known, strict=True)
        axes.fill_between(xs, low, high, color=style.colour, alpha=0.13, lw=0)
