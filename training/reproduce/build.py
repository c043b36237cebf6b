"""From finished runs to the report of a reproduction, in `<root>/report/`.

index.html          self-contained: no network, no script
slide.png .svg      the cells beside the published figures, 16:9
reproduce.md        the same tables in Markdown
cells.tex           the cells as a LaTeX table
*.csv               every number with its interval, p, n
figures/*           every figure, as SVG and PNG
"""

from collections.abc import Sequence
from pathlib import Path

from ..files import atomic_write_bytes, atomic_write_text
from ..report.plots import png_bytes
from ..report.style import svg_text
from .config import ReproduceConfig
from .figures import all_plots, slide
from .findings import Findings, findings
from .latex import cells_tex
from .markdown import as_markdown
from .page import render
from .plan import PlannedRun
from .tables import csv_files
from .words import PAPER, SMALL, counts, headline, missing, notes, published_cells

REPORT_FOLDER = "report"


def build_report(
    config: ReproduceConfig, plan: Sequence[PlannedRun], root: Path
) -> tuple[Path, str]:
    """Write (or write again) the report; the page's path, and what it says in a few lines.

    Nothing but files of an earlier report is replaced.
    """
    found = findings(config, plan)
    differs = [(run.label, run.differs) for run in plan]
    limits = [*missing(plan), *notes(found, differs, is_full_size=config.is_full_size)]
    folder = root / REPORT_FOLDER
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    tables = {**csv_files(found), **({"cells.tex": cells_tex(found)} if found.cells else {})}
    for name, text in tables.items():
        atomic_write_text(folder / name, text)
    atomic_write_text(folder / "reproduce.md", as_markdown(config, found, limits))
    plots = all_plots(found)
    for plot in (plot for group in plots.values() for plot in group):
        atomic_write_text(folder / "figures" / f"{plot.name}.svg", plot.document)
        atomic_write_bytes(folder / "figures" / f"{plot.name}.png", plot.png)
    if found.cells:
        figure = slide(found, [*_footer(found), *_first(limits)])
        atomic_write_bytes(folder / "slide.png", png_bytes(figure))
        atomic_write_text(folder / "slide.svg", svg_text(figure, "slide"))
    page = folder / "index.html"
    atomic_write_text(page, render(config, plan, found, plots, tables, limits))
    return page, "\n".join([*missing(plan), headline(found), *counts(found)])


def _first(limits: Sequence[str]) -> Sequence[str]:
    """What a slide must not leave out: all up to the difference in size."""
    return limits[: limits.index(SMALL) + 1] if SMALL in limits else limits[:1]


def _footer(found: Findings) -> list[str]:
    measured = [cell for cell in published_cells(found) if cell.rates]
    rates = [rate for cell in measured for rate in cell.rates.values()]
    seeds = sorted({rate.num_seeds for rate in rates})
    tasks = sorted(rate.num_tasks for rate in rates)
    sizes = ""
    if rates:
        fewest = min(rate.n for rate in rates)
        sizes = (
            f", {' or '.join(map(str, seeds))} training seeds, {tasks[0]}–{tasks[-1]} tasks, "
            f"n = {fewest} or more"
        )
    return [
        f"● here: paired difference with its 95% interval over tasks and training seeds{sizes}. "
        f"◇ published ({PAPER}). Green: reproduced, orange: opposite, grey: not told apart, "
        "after Holm's correction over the cells of a panel. The axis is linear to ±10 points and "
        "logarithmic beyond.",
    ]
