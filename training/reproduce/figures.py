"""The reproduction's figures: the cells beside what was published, and the side questions.

Ours is a dot with its interval, the published difference a hollow diamond. Differences share an
axis that is linear within 10 points of zero and logarithmic beyond, because the published ones
reach 90 points and ours ten.
"""

import textwrap
from collections.abc import Sequence
from html import escape

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from ..report.figures import Frame, new_panel
from ..report.plots import FOOTER_CHARS, PX_PER_INCH, SLIDE, Plot, png_bytes
from ..report.style import arm_style, drawing, inline_svg, light, svg_text
from ..report.words import arm_words, sample_sizes
from ..statistics import Interval, PairedDifference
from .details import Gain, Reading, VariantRow
from .findings import PAIRS, CellFinding, Contrast, Findings, Pair, Verdict
from .words import PAIR_WORDS, cell_sizes, counts, further_cells, headline, published_cells

COLOUR_OF = {
    Verdict.reproduced: "good",
    Verdict.opposite: "sft",
    Verdict.untold: "muted",
    Verdict.unmeasured: "muted",
}
LINEAR_POINTS, MOST_POINTS = 10.0, 130.0
TICKS = (-60, -10, -5, 0, 5, 10, 60)
MINUS = "\N{MINUS SIGN}"


def draw_cells(
    axes: Axes, cells: Sequence[CellFinding], pair: Pair, *, named: bool, sized: bool
) -> None:
    """One comparison of arms on every cell; further cells stand below a gap.

    named: with the names of the cells; sized: with their n below them.
    """
    places = _places(cells)
    for place, cell in zip(places, cells, strict=True):
        contrast = cell.contrasts[pair]
        colour = light(COLOUR_OF[contrast.verdict])
        axes.plot(contrast.published, place, marker="D", ms=7, mfc="none", mew=1.5,
                  color=light("ink"), zorder=2)  # fmt: skip
        if contrast.ours is not None:
            _interval(axes, contrast.ours, place, colour)
        if contrast.verdict is not Verdict.untold:  # grey says it already
            _name_verdict(axes, contrast, place, colour)
    axes.axvline(0, color=light("muted"), lw=1)
    axes.set_xscale("symlog", linthresh=LINEAR_POINTS, linscale=1.6)
    axes.set_xlim(-MOST_POINTS, MOST_POINTS)
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.xaxis.set_major_formatter(FuncFormatter(_points_tick))
    axes.set_ylim(max(places) + 0.95, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_yticks(places, [cell.claim.title if named else "" for cell in cells])
    if sized:
        for place, cell in zip(places, cells, strict=True):
            axes.text(-0.012, place + 0.36, cell_sizes(cell), fontsize="xx-small", ha="right",
                      va="center", color=light("muted"),
                      transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_title(PAIR_WORDS[pair])
    axes.set_xlabel("points")


def cells_figure(found: Findings) -> Figure:
    """The three comparisons side by side."""
    cells = [*published_cells(found), *further_cells(found)]
    figure = Figure(figsize=(11.4, 1.3 + 0.62 * len(cells)))
    grid = figure.add_gridspec(1, 3, left=0.19, right=0.985, top=0.9, bottom=0.13, wspace=0.08)
    _draw_panels(figure, grid, cells, sized=True)
    return figure


def slide(found: Findings, footer: Sequence[str]) -> Figure:
    """One 16:9 figure: the headline, the counts, the cells."""
    cells = [*published_cells(found), *further_cells(found)]
    lines = textwrap.wrap(headline(found), 62)
    small = [line for text in footer for line in textwrap.wrap(text, FOOTER_CHARS)]
    with drawing(font_size=12.5):
        figure = Figure(figsize=SLIDE, facecolor=light("paper"))
        figure.text(0.035, 0.955, "\n".join(lines), fontsize=25, fontweight="bold", va="top",
                    linespacing=1.25)  # fmt: skip
        top = 0.945 - 0.06 * len(lines)
        muted = {"color": light("muted"), "linespacing": 1.35}
        figure.text(0.036, top - 0.01, "\n".join(counts(found)), fontsize=13, va="top", **muted)
        figure.text(0.036, 0.022, "\n".join(small), fontsize=11, va="bottom", **muted)
        grid = figure.add_gridspec(
            1, 3, left=0.185, right=0.985, top=top - 0.175, bottom=0.115 + 0.026 * len(small),
            wspace=0.07,
        )  # fmt: skip
        _draw_panels(figure, grid, cells, sized=False)  # its footer has them
    return figure


def draw_variants(axes: Axes, rows: Sequence[VariantRow]) -> None:
    """Changes from each variant's base, by cell."""
    place, ticks = 0.0, []
    for cell in dict.fromkeys(row.cell for row in rows):
        group = [row for row in rows if row.cell == cell]
        _name_group(axes, place, group[0].words.title, [row.rate for row in group])
        for row in group:
            if row.change is None:
                continue
            place += 1
            style = arm_style(row.arm)
            _interval(axes, row.change, place, style.colour, style.marker)
            ticks.append((place, f"{row.variant} · {arm_words(row.arm)}"))
        place += 1.4
    _finish_rows(axes, ticks, place)
    axes.set_xlabel("change of success from the variant's base, points")


def draw_gains(axes: Axes, rows: Sequence[Gain]) -> None:
    """What the arms gain over the base by attempts, ours and the published, on one cell."""
    attempts = [row.attempts for row in rows]
    for arm, aside in (("sft", -0.09), ("grpo", 0.09)):
        known = [row for row in rows if arm in row.gains]
        if not known:
            continue
        style = arm_style(arm)
        points = [100 * row.gains[arm].estimate for row in known]
        where = [row.attempts + aside for row in known]
        low = [100 * (row.gains[arm].estimate - row.gains[arm].low) for row in known]
        high = [100 * (row.gains[arm].high - row.gains[arm].estimate) for row in known]
        axes.errorbar(where, points, yerr=[low, high], color=style.colour, marker=style.marker,
                      ms=7, lw=2.4, elinewidth=1.6)  # fmt: skip
        _name_end(axes, where[-1], points[-1], arm_words(arm), style.colour)
    published = [row.published for row in rows if row.published is not None]
    if len(published) == len(rows):
        axes.plot(attempts, published, color=light("ink"), marker="D", mfc="none", mew=1.5, lw=1,
                  ls=":")  # fmt: skip
        _name_end(axes, attempts[-1], published[-1], "RL,\npublished", light("ink"))
    axes.axhline(0, color=light("muted"), lw=1)
    axes.set_xticks(attempts)
    axes.set_xlim(attempts[0] - 0.5, attempts[-1] * 1.3)
    axes.yaxis.set_major_formatter(FuncFormatter(_points_tick))
    axes.set_xlabel(f"attempts · {sample_sizes(rows[0].rates.values())}")
    axes.set_title(f"{rows[0].words.short}: points gained")


def draw_readings(axes: Axes, rows: Sequence[Reading]) -> None:
    """Changes of recognition (open) and of success (filled) from the base, by cell and arm."""
    place, ticks = 0.0, []
    for cell in dict.fromkeys(row.cell for row in rows):
        group = [row for row in rows if row.cell == cell]
        _name_group(axes, place, group[0].words.title, [row.success for row in group])
        for row in group:
            if row.recognition_change is None or row.success_change is None:
                continue
            place += 1
            style = arm_style(row.arm)
            both = ((row.recognition_change, -0.15, light("paper")),
                    (row.success_change, 0.15, style.colour))  # fmt: skip
            for change, shift, inside in both:
                _interval(axes, change, place + shift, style.colour, style.marker, inside)
            ticks.append((place, arm_words(row.arm)))
        place += 1.4
    _finish_rows(axes, ticks, place)
    axes.set_xlabel("change from the base, points: open, pictures read rightly; filled, success")


def all_plots(found: Findings) -> dict[str, list[Plot]]:
    """The page's figures by section: `cells`, every side study by name, `recognition`."""
    made: dict[str, list[Plot]] = {}
    with drawing(font_size=11):
        if found.cells:
            made["cells"] = [_plot("cells", cells_figure(found), " ".join(counts(found)))]
        for study in dict.fromkeys(row.study for row in found.variants):
            rows = [row for row in found.variants if row.study == study]
            made.setdefault(study, []).append(_variants_plot(study, rows))
        for study, gained in found.gains.items():
            made.setdefault(study, []).extend(_gain_plots(study, gained))
        for study in dict.fromkeys(row.study for row in found.readings):
            read = [row for row in found.readings if row.study == study]
            made.setdefault("recognition", []).append(_reading_plot(study, read))
    return made


def _gain_plots(study: str, gained: Sequence[Gain]) -> list[Plot]:
    """One panel for each cell."""
    plots = []
    for cell in dict.fromkeys(row.cell for row in gained):
        rows = [row for row in gained if row.cell == cell]
        figure, axes = new_panel()
        draw_gains(axes, rows)
        label = f"Points gained over the base by attempts, {rows[0].words.title}."
        plots.append(_plot(f"{study}_{cell}", figure, label))
    return plots


def _reading_plot(study: str, rows: Sequence[Reading]) -> Plot:
    changes = sum(row.success_change is not None for row in rows)
    figure, axes = new_panel(_rows_frame(changes, len({row.cell for row in rows}), left=0.75))
    draw_readings(axes, rows)
    label = f"Change of recognition beside change of success, {study}."
    return _plot(f"recognition_{study}", figure, label)


def _variants_plot(study: str, rows: Sequence[VariantRow]) -> Plot:
    changes = sum(row.change is not None for row in rows)
    figure, axes = new_panel(_rows_frame(changes, len({row.cell for row in rows}), left=1.75))
    draw_variants(axes, rows)
    return _plot(study, figure, f"Changes of success from each variant's base, {study}.")


def _rows_frame(rows: int, groups: int, *, left: float) -> Frame:
    return Frame(8.6, 0.9 + 0.32 * (rows + 1.4 * groups), left=left, top=0.05)


def _plot(name: str, figure: Figure, label: str) -> Plot:
    document, png = svg_text(figure, name), png_bytes(figure)
    shown = inline_svg(document, escape(label, quote=True))
    width, _ = figure.get_size_inches()
    return Plot(name, shown, document, png, width_px=round(width * PX_PER_INCH))


def _draw_panels(
    figure: Figure, grid: object, cells: Sequence[CellFinding], *, sized: bool
) -> None:
    for place, pair in enumerate(PAIRS):
        axes = figure.add_subplot(grid[place])  # type: ignore[index]
        draw_cells(axes, cells, pair, named=place == 0, sized=sized and place == 0)
        axes.set_title(f"{PAIR_WORDS[pair]}", loc="left")


def _interval(
    axes: Axes,
    found: PairedDifference,
    place: float,
    colour: str,
    marker: str = "o",
    inside: str | None = None,
) -> None:
    axes.plot([100 * found.low, 100 * found.high], [place] * 2, color=colour, lw=3, zorder=3)
    axes.plot(100 * found.estimate, place, marker=marker, ms=8.5, color=colour, zorder=4,
              mfc=inside or colour, mew=1.8)  # fmt: skip


def _name_verdict(axes: Axes, contrast: Contrast, place: float, colour: str) -> None:
    """On the side where the dot is not; below the line where the diamond is far out there."""
    ours, published = contrast.ours, contrast.published or 0.0
    is_right = ours is None or ours.estimate < 0
    side = 1 if is_right else -1
    is_taken = published * side > 3 * LINEAR_POINTS
    axes.text(0.99 if is_right else 0.01, place + 0.38 * is_taken, contrast.verdict.value,
              color=colour, fontweight="bold", ha="right" if is_right else "left", va="center",
              fontsize="small", transform=axes.get_yaxis_transform())  # fmt: skip


def _name_end(axes: Axes, x: float, y: float, name: str, colour: str) -> None:
    axes.annotate(name, (x, y), xytext=(9, 0), textcoords="offset points", color=colour,
                  va="center", fontsize="small")  # fmt: skip


def _name_group(axes: Axes, place: float, title: str, rates: Sequence[Interval]) -> None:
    axes.text(0.0, place, f"{title}   {sample_sizes(rates)}", va="center", fontsize="small",
              color=light("muted"), transform=axes.get_yaxis_transform())  # fmt: skip


def _finish_rows(axes: Axes, ticks: Sequence[tuple[float, str]], place: float) -> None:
    axes.axvline(0, color=light("muted"), lw=1)
    axes.set_yticks([tick for tick, _ in ticks], [name for _, name in ticks])
    axes.set_ylim(place - 0.5, -0.7)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(FuncFormatter(_points_tick))


def _places(cells: Sequence[CellFinding]) -> list[float]:
    return [place + 0.6 * cell.claim.further for place, cell in enumerate(cells)]


def _points_tick(value: float, _: int) -> str:
    return f"{value:+g}".replace("-", MINUS) if value else "0"
