"""Figures of where a policy was measured: the grid of cells, rule by look, and severity."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from . import figures, heatmap, severity
from .analysis import TableRow
from .cells import Cross, ladders
from .effects import Effect
from .plots import Plot, Plotter
from .style import arm_style


@dataclass(frozen=True, slots=True)
class ShiftPlots:
    """Of one metric. grid: arms by cells.  cross: rules by looks, an arm each.  effects: what the
    rule, the look and both cost.  ladders: success against severity, an axis each."""

    grid: Plot | None
    cross: tuple[Plot, ...]
    effects: Plot | None
    ladders: tuple[Plot, ...]

    @property
    def all(self) -> list[Plot]:
        single = [plot for plot in (self.grid, self.effects) if plot is not None]
        return [*single, *self.cross, *self.ladders]


def shift_plots(
    plotter: Plotter,
    rows: Sequence[TableRow],
    cross: Cross | None,
    found: Sequence[Effect],
    metric: str,
) -> ShiftPlots:
    """rows, found: of this metric."""
    return ShiftPlots(
        grid=_grid(plotter, rows, metric),
        cross=() if cross is None else tuple(_cross(plotter, rows, cross, metric)),
        effects=_effects(plotter, found, metric),
        ladders=tuple(_ladders(plotter, rows, metric)),
    )


def _grid(plotter: Plotter, rows: Sequence[TableRow], metric: str) -> Plot | None:
    shown = heatmap.grid_map(plotter.run, rows)
    if shown is None:
        return None
    frame = heatmap.frame_of(shown)
    draw = partial(heatmap.draw_heat_map, shown=shown, frame=frame)
    return plotter.plot(f"grid_{metric}", draw, heatmap.spoken(shown), frame)


def _cross(plotter: Plotter, rows: Sequence[TableRow], cross: Cross, metric: str) -> list[Plot]:
    """An arm each, all on one scale of colour."""
    maps = {arm: heatmap.cross_map(cross, rows, arm) for arm in plotter.run.arms}
    known = {arm: shown for arm, shown in maps.items() if shown is not None}
    top = heatmap.scale_top([rate for shown in known.values() for rate in shown.known])
    plots = []
    for arm, shown in known.items():
        words = plotter.run.arm_words(arm)
        frame = heatmap.frame_of(shown, width=6.6)
        draw = partial(heatmap.draw_heat_map, shown=shown, frame=frame, top=top, title=words)
        label = f"{words}, rule by look. {heatmap.spoken(shown)}"
        plots.append(plotter.plot(f"cross_{arm}_{metric}", draw, label, frame))
    return plots


def _effects(plotter: Plotter, found: Sequence[Effect], metric: str) -> Plot | None:
    """The four means of every arm."""
    groups = []
    for arm in dict.fromkeys(each.arm for each in found):
        colour = arm_style(arm, plotter.run.policies).colour
        lines = tuple(
            (each.name, colour, each.found) for each in found if each.arm == arm and each.is_mean
        )
        groups.append(figures.ForestGroup(plotter.run.arm_words(arm), lines))
    if not groups:
        return None
    frame = figures.wide_frame(figures.forest_height(groups), left=1.85, right=1.9)
    spoken = "What the rule, the look and both together change, in points."
    return plotter.plot(
        f"effects_{metric}", lambda axes: figures.draw_forest(axes, groups), spoken, frame
    )


def _ladders(plotter: Plotter, rows: Sequence[TableRow], metric: str) -> list[Plot]:
    plots = []
    for ladder in ladders(plotter.run):
        lines = severity.severity_lines(plotter.run, ladder, rows)
        if lines:
            draw = partial(severity.draw_severity, run=plotter.run, ladder=ladder, lines=lines)
            spoken = severity.spoken(plotter.run, ladder, lines)
            plots.append(
                plotter.plot(f"severity_{ladder.axis}_{metric}", draw, spoken, severity.FRAME)
            )
    return plots
