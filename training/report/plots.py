"""Draws every figure of a report once: as SVG text for the page, and as files for slides."""

import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..bar import Bar
from . import details, figures
from .analysis import Curve, OutcomeRow, TableRow, curve, has_compute
from .results import Run
from .style import drawing, inline_svg, light, svg_text
from .words import arm_words, grouped, rate_words

Curves = dict[tuple[str, str], list[Curve]]

SLIDE = (13.333, 7.5)  # inches, 16:9
PX_PER_INCH = 96
INCHES_PER_CHAR = 0.075  # of a name beside an axis
SLIDE_DPI = 144  # 1920 x 1080
TITLE_CHARS = 23  # that fit above one of its panels
FOOTER_CHARS = 150  # that fit into a line of the slide's foot


@dataclass(frozen=True, slots=True)
class Plot:
    """One figure of the page. `name` also names its file; `legend` is (text, colour variable);
    `width_px` is how wide its text is as large as the page's."""

    name: str
    svg: str  # for the page
    document: str  # standalone
    png: bytes  # the same drawing
    legend: tuple[tuple[str, str], ...] = ()
    width_px: int = 0


def arms_of(run: Run) -> list[str]:
    """Arms that have a curve: all but the base, or the base alone."""
    return [arm for arm in run.arms if arm != "base"] or run.arms


def all_curves(run: Run) -> Curves:
    """Curves of every cell and metric that has any."""
    curves: Curves = {}
    for metric in run.metric_names:
        for cell in run.cells:
            found = [curve(run, arm, cell, metric) for arm in arms_of(run)]
            curves[cell, metric] = [each for each in found if len(each.points) > 1]
    return curves


class Plotter:
    """Draws the figures of one run, and says so on a progress bar.

    curves: by (cell, metric), as `all_curves` gives them.
    """

    def __init__(self, run: Run, curves: Curves, bar: Bar) -> None:
        self.run, self.curves, self.bar = run, curves, bar

    def answer(self, metric: str) -> list[Plot]:
        """Success against compute, a panel per cell, then OOD against ID, a panel per OOD cell."""
        shown = [cell for cell in self.run.cells if self._curves(cell, metric)]
        shifted = [cell for cell in shown if cell != "id" and self._both(cell, metric)[0]]
        return [
            *[self._compute(cell, metric) for cell in shown],
            *[self._plane(cell, metric) for cell in shifted],
        ]

    def differences(self, rows: Sequence[TableRow], metric: str) -> Plot | None:
        """The forest of paired differences of one metric."""
        shown = [row for row in rows if row.metric == metric and row.differences]
        if not shown:
            return None
        return self.plot(
            f"differences_{metric}",
            lambda axes: figures.draw_differences(axes, shown, self.run.arm_words),
            f"Paired differences between arms, {self.run.game.metric(metric)}.",
            frame=figures.wide_frame(
                figures.differences_height(shown), left=self._room(pairs=True), right=1.9
            ),
        )

    def training(self) -> list[Plot]:
        """Rewards, training success, dropped groups and losses, as far as they were logged."""
        plots = []
        for arm, key, title, share in details.TRAINING_CURVES:
            series = details.training_series(self.run, arm, key)
            if not series:
                continue
            size = details.training_size(self.run, arm, key)
            draw = partial(
                details.draw_training, series=series, arm=arm, share=share, title=title, size=size
            )
            name = f"training_{arm}_{key.replace('/', '_')}"
            spoken = f"{title}, against training steps."
            plots.append(self.plot(name, draw, spoken, frame=figures.SMALL_PANEL))
        return plots

    def outcomes(self, rows: Sequence[OutcomeRow], metric: str) -> Plot | None:
        """What the last answers were."""
        shown = [row for row in rows if row.metric == metric]
        if not shown:
            return None
        legend: list[tuple[str, str]] = []
        plot = self.plot(
            f"outcomes_{metric}",
            lambda axes: legend.extend(details.draw_outcomes(axes, self.run, shown)),
            "Share of final episodes by the outcome of the last answer.",
            frame=figures.wide_frame(
                details.outcomes_height(shown), left=self._room(), bottom=0.05
            ),
        )
        return replace(plot, legend=tuple(legend))

    def recognition(self, rows: Sequence[TableRow], metric: str) -> Plot | None:
        """Reading beside solving; None in text mode."""
        shown = [row for row in rows if row.metric == metric and row.recognition]
        if not shown:
            return None
        return self.plot(
            f"recognition_{metric}",
            lambda axes: details.draw_recognition(axes, self.run, shown),
            self.run.game.read_spoken,
            frame=figures.wide_frame(details.beside_height([row.recognition for row in shown])),
        )

    def steps(self, rows: Sequence[TableRow], metric: str) -> Plot | None:
        """Right answers beside solved walks; None in other games."""
        shown = [row for row in rows if row.metric == metric and row.steps]
        if not shown:
            return None
        return self.plot(
            f"steps_{metric}",
            lambda axes: details.draw_steps(axes, self.run, shown),
            "Share of right steps and of solved walks, per arm and cell.",
            frame=figures.wide_frame(details.beside_height([row.steps for row in shown])),
        )

    def step_differences(self, rows: Sequence[TableRow], metric: str) -> Plot | None:
        """The forest of paired differences of accuracy per step."""
        shown = [replace(row, differences=row.step_differences) for row in rows]
        shown = [row for row in shown if row.metric == metric and row.differences]
        if not shown:
            return None
        return self.plot(
            f"stepdifferences_{metric}",
            lambda axes: figures.draw_differences(axes, shown, self.run.arm_words),
            f"Paired differences of accuracy per step, {self.run.game.metric(metric)}.",
            frame=figures.wide_frame(
                figures.differences_height(shown), left=self._room(pairs=True), right=1.9
            ),
        )

    def slide(
        self, metric: str, headline: str, figures_line: str, footer: Sequence[str]
    ) -> Figure | None:
        """One 16:9 figure under the verdict: ID, the first OOD cells, one against the other.

        footer: what the figures are of, and cautions; each begins a line.
        """
        shifted = [cell for cell in self.run.cells if cell != "id" and self._curves(cell, metric)]
        if not shifted or not self._curves("id", metric):
            return None
        one_of_a_kind = {self._kind(cell): cell for cell in reversed(shifted)}
        shown = ["id", *reversed(one_of_a_kind.values())][:3]
        lines = textwrap.wrap(headline, 56)
        small = [line for text in footer for line in textwrap.wrap(text, FOOTER_CHARS)]
        with drawing(font_size=15 if len(shown) < 3 else 12.5):
            figure = Figure(figsize=SLIDE, facecolor=light("paper"))
            size = 27 if len(lines) < 3 else 20
            top = 0.945 - 0.0024 * size * len(lines)
            muted = {"color": light("muted"), "linespacing": 1.3}
            figure.text(0.035, 0.955, "\n".join(lines), fontsize=size, fontweight="bold",
                        va="top", linespacing=1.25)  # fmt: skip
            figure.text(0.036, top - 0.015, figures_line, fontsize=13.5, va="top", **muted)
            figure.text(0.036, 0.022, "\n".join(small), fontsize=11.5, va="bottom", **muted)
            grid = figure.add_gridspec(
                1, len(shown) + 1, left=0.06, right=0.985, top=top - 0.17,
                bottom=0.14 + 0.03 * len(small), wspace=0.42,
            )  # fmt: skip
            for place, cell in enumerate(shown):
                axes = figure.add_subplot(grid[place])
                self._draw_compute(axes, cell, metric)
                axes.set_title(textwrap.fill(self.run.words(cell).short, TITLE_CHARS))
            axes = figure.add_subplot(grid[-1])
            short = self.run.words(shifted[0]).short
            title = textwrap.fill(f"{short} /\u00a0ID", TITLE_CHARS).replace("\u00a0", " ")
            figures.draw_plane(axes, *self._both(shifted[0], metric), title)
        return figure

    def _kind(self, cell: str) -> tuple[str, ...]:
        """What a cell shifts: a slide shows one cell of each kind."""
        return tuple(sorted(self.run.shifts.get(cell) or (cell,)))

    def _compute(self, cell: str, metric: str) -> Plot:
        return self.plot(
            f"compute_{cell}_{metric}",
            lambda axes: self._draw_compute(axes, cell, metric, _size(self._curves(cell, metric))),
            _spoken(self.run.words(cell).title, self._curves(cell, metric)),
        )

    def _draw_compute(self, axes: Axes, cell: str, metric: str, size: str = "") -> None:
        curves, title = self._curves(cell, metric), self.run.words(cell).title
        figures.draw_compute(axes, curves, in_flops=has_compute(self.run), title=title, size=size)

    def _plane(self, cell: str, metric: str) -> Plot:
        title = f"{self.run.words(cell).short} against ID"
        return self.plot(
            f"plane_{cell}_{metric}",
            lambda axes: figures.draw_plane(
                axes, *self._both(cell, metric), title, _size(self._curves(cell, metric))
            ),
            f"{title}, along training.",
        )

    def _both(self, cell: str, metric: str) -> tuple[list[Curve], list[Curve]]:
        """Curves in distribution and on a shifted cell, of the arms that have both."""
        across = {curve.arm: curve for curve in self._curves("id", metric)}
        up = [curve for curve in self._curves(cell, metric) if curve.arm in across]
        return [across[curve.arm] for curve in up], up

    def plot(
        self,
        name: str,
        draw: Callable[..., object],
        label: str,
        frame: figures.Frame = figures.PANEL,
    ) -> Plot:
        """One figure. name: of its files.  draw: takes the axes.  label: alternative text."""
        with drawing():
            figure, axes = figures.new_panel(frame)
            draw(axes)
            document, png = svg_text(figure, name), png_bytes(figure)
        self.bar.show(self.bar.step + 1)
        shown = inline_svg(document, escape(label, quote=True))
        return Plot(name, shown, document, png, width_px=round(frame.width * PX_PER_INCH))

    def _room(self, *, pairs: bool = False) -> float:
        """Inches that the names of arms, or of pairs of them, need at the left of a figure."""
        names = [len(self.run.arm_words(arm)) for arm in self.run.policies]
        longest = max(names, default=0) * 2 + 3 if pairs else max(names, default=0)
        return min(4.0, max(1.05, 0.2 + INCHES_PER_CHAR * longest))

    def _curves(self, cell: str, metric: str) -> list[Curve]:
        return self.curves.get((cell, metric), [])


def png_bytes(figure: Figure, dpi: int = SLIDE_DPI) -> bytes:
    """A figure as a PNG file, on paper."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).figure.savefig(buffer, format="png", dpi=dpi, facecolor=light("paper"))
    return buffer.getvalue()


def _size(curves: Sequence[Curve]) -> str:
    """n of the last checkpoints and of those before, short enough to stand beside an axis."""
    last = {curve.points[-1].rate.n for curve in curves}
    before = {point.rate.n for curve in curves for point in curve.points[1:-1]} - last
    text = f" · n = {_span(last)}"
    return f"{text}, before {_span(before)}" if before else text


def _span(numbers: set[int]) -> str:
    low, high = grouped(min(numbers)), grouped(max(numbers))
    return low if low == high else f"{low}–{high}"


def _spoken(title: str, curves: Sequence[Curve]) -> str:
    """Alternative text: where every arm begins and ends."""
    ends = [
        f"{arm_words(c.arm)} from {rate_words(c.points[0].rate)} to {rate_words(c.points[-1].rate)}"
        for c in curves
    ]
    return f"{title}: success against training compute; {'; '.join(ends)}."
