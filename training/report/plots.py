"""Draws every figure of a report once: as SVG text for the page, and as files for slides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from . import details, figures
from .analysis import Curve, TableRow, curve, has_compute
from .load import Run
from .style import drawing, inline_svg, light, svg_text
from .words import arm_words, cell_words, metric_words, percent

SLIDE = (13.333, 7.5)  # inches, 16:9
SLIDE_DPI = 144  # 1920 x 1080


@dataclass(frozen=True, slots=True)
class Plot:
    """One figure of the page. `name` also names its file; `legend` is (text, colour variable)."""

    name: str
    svg: str  # for the page
    document: str  # standalone
    caption: str = ""
    legend: tuple[tuple[str, str], ...] = ()


def arms_of(run: Run) -> list[str]:
    """Arms that have a curve: all but the base, or the base alone."""
    return [arm for arm in run.arms if arm != "base"] or run.arms


def curves_of(run: Run, cell: str, metric: str) -> list[Curve]:
    found = [curve(run, arm, cell, metric) for arm in arms_of(run)]
    return [each for each in found if each.points]


def answer_plots(run: Run, metric: str) -> list[Plot]:
    """Success against compute, a panel per cell, then OOD against ID, a panel per OOD cell."""
    plots = []
    by_cell = {cell: curves_of(run, cell, metric) for cell in run.cells}
    for cell, curves in by_cell.items():
        if curves:
            title = cell_words(cell).title
            plots.append(
                _plot(
                    f"compute_{cell}_{metric}",
                    lambda axes, curves=curves, title=title: figures.draw_compute(
                        axes, curves, in_flops=has_compute(run), title=title
                    ),
                    _spoken(title, curves),
                )
            )
    for cell, curves in by_cell.items():
        across = _matching(by_cell.get("id", []), curves)
        if cell != "id" and across:
            title = f"{cell_words(cell).title} against in distribution"
            plots.append(
                _plot(
                    f"plane_{cell}_{metric}",
                    lambda axes, a=across, c=curves, title=title: figures.draw_plane(
                        axes, a, [each for each in c if each.arm in {x.arm for x in a}], title
                    ),
                    f"{title}, along training.",
                )
            )
    return plots


def difference_plot(rows: Sequence[TableRow], metric: str) -> Plot | None:
    """The forest of paired differences of one metric."""
    shown = [row for row in rows if row.metric == metric and row.differences]
    if not shown:
        return None
    return _plot(
        f"differences_{metric}",
        lambda axes: figures.draw_differences(axes, shown),
        f"Paired differences between arms, {metric_words(metric)}.",
        size=(7.6, figures.differences_height(shown)),
    )


def training_plots(run: Run) -> list[Plot]:
    """Rewards, training success, dropped groups and losses, as far as they were logged."""
    plots = []
    for arm, key, title, share in details.TRAINING_CURVES:
        series = details.training_series(run, arm, key)
        if series:

            def draw(axes: object, series=series, arm=arm, share=share, title=title) -> None:
                details.draw_training(axes, series, arm, share=share)
                axes.set_title(title)  # type: ignore[attr-defined]

            name = f"training_{arm}_{key.replace('/', '_')}"
            plots.append(_plot(name, draw, f"{title} against training steps.", size=(4.7, 3.0)))
    return plots


def outcome_plot(run: Run, metric: str) -> Plot | None:
    """What the last answers were."""
    if not any(each.outcomes for each in run.evaluations if each.metric == metric):
        return None
    legend: list[tuple[str, str]] = []
    plot = _plot(
        f"outcomes_{metric}",
        lambda axes: legend.extend(details.draw_outcomes(axes, run, metric, run.cells)),
        "Share of final episodes by the outcome of the last answer.",
        size=(7.6, details.outcomes_height(run, run.cells)),
    )
    return Plot(plot.name, plot.svg, plot.document, plot.caption, tuple(legend))


def recognition_plot(run: Run, metric: str) -> Plot | None:
    """Reading beside solving; None in text mode."""
    read = [e for e in run.evaluations if e.metric == metric and e.recognized is not None]
    if not read:
        return None
    cells = [cell for cell in run.cells if any(each.cell == cell for each in read)]
    return _plot(
        f"recognition_{metric}",
        lambda axes: details.draw_recognition(axes, run, metric, cells),
        "Cards read rightly and hands solved, per arm and cell.",
        size=(7.6, 0.7 + 0.3 * len(cells) * (len(run.arms) + 1.4)),
    )


def slide(run: Run, metric: str, headline: str, footer: str) -> Figure | None:
    """One 16:9 figure with the verdict as its title: ID, the first OOD cell, and their plane."""
    shifted = [cell for cell in run.cells if cell != "id" and curves_of(run, cell, metric)]
    ids = curves_of(run, "id", metric)
    if not shifted or not ids:
        return None
    with drawing(font_size=15):
        figure = Figure(figsize=SLIDE, facecolor=light("paper"))
        figure.text(0.04, 0.93, headline, fontsize=27, fontweight="bold", va="center")
        figure.text(0.04, 0.865, metric_words(metric), fontsize=16, color=light("muted"),
                    va="center")  # fmt: skip
        figure.text(0.04, 0.035, footer, fontsize=12, color=light("muted"), va="center")
        grid = figure.add_gridspec(1, 3, left=0.055, right=0.985, top=0.75, bottom=0.19, wspace=0.3)
        for place, cell in enumerate(("id", shifted[0])):
            curves = curves_of(run, cell, metric)
            axes = figure.add_subplot(grid[place])
            figures.draw_compute(
                axes, curves, in_flops=has_compute(run), title=cell_words(cell).title
            )
        across = _matching(ids, curves_of(run, shifted[0], metric))
        up = [c for c in curves_of(run, shifted[0], metric) if c.arm in {a.arm for a in across}]
        figures.draw_plane(figure.add_subplot(grid[2]), across, up, "One against the other")
    return figure


def png_bytes(figure: Figure, dpi: int = SLIDE_DPI) -> bytes:
    """A figure as a PNG file."""
    import io

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def _plot(
    name: str,
    draw: Callable[..., object],
    label: str,
    size: tuple[float, float] = figures.PANEL,
) -> Plot:
    with drawing():
        figure, axes = figures.new_panel(*size)
        draw(axes)
        document = svg_text(figure, name)
    return Plot(name, inline_svg(document, escape(label, quote=True)), document)


def _matching(across: list[Curve], up: list[Curve]) -> list[Curve]:
    """The ID curves of those arms that have an OOD curve, in the OOD curves' order."""
    return [a for u in up for a in across if a.arm == u.arm]


def _spoken(title: str, curves: Sequence[Curve]) -> str:
    """Alternative text: where every arm begins and ends."""
    ends = [
        f"{arm_words(c.arm)} from {percent(c.points[0].rate.estimate)} "
        f"to {percent(c.points[-1].rate.estimate)}"
        for c in curves
    ]
    return f"{title}: success against training compute; {'; '.join(ends)}."
