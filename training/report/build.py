"""From a run folder to its report: `<run>/report/index.html` and the same as files beside it.

report/index.html        the page, self-contained
report/slide.png .svg    the verdict and the three main panels, 16:9
report/figures/*         every figure of the page, as SVG and as PNG
report/tables/*.csv      final rates, differences, curves, outcomes, single evaluations, compute;
                         measures.csv: attempts, turns, tokens, rewards; where the suite has
                         them severity.csv and, of a cross, effects.csv
report/tables/*.tex      final rates and differences for LaTeX (booktabs)
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..bar import Bar
from ..files import atomic_write_bytes, atomic_write_json, atomic_write_text
from ..statistics import Cluster
from . import export, latex, plots
from .analysis import TableRow, outcome_rows, spending, table
from .cells import cross, ladders
from .effects import effects
from .games import WALKS
from .joint import load_joint
from .load import load_run
from .matching import Match, all_matched
from .measures import measures
from .page import Page, Report, render
from .results import NotARun, Run
from .samples import browser, read_samples
from .style import svg_text
from .tables import curve_sizes
from .training_tasks import run_overlap_notes
from .verdict import Verdict, judge
from .versus import rank

REPORT_FOLDER = "report"
INDEX = "index.html"
RUNS_FILE = "report.json"  # of several runs side by side: which they are


def build_report(run_folder: Path, cluster: Cluster = Cluster.hand) -> Path:
    """See `report` in the package."""
    run = load_run(run_folder, cluster)
    if run.config.get("command") == "run":  # a recipe, which tells of its stages
        from ..recipes.report import report_again  # not above: it draws with this package

        return report_again(run.folder, cluster)
    return _write(run, run.folder / REPORT_FOLDER)


def build_joint_report(
    run_folders: Sequence[Path],
    folder: Path | None = None,
    labels: Sequence[str] = (),
    cluster: Cluster = Cluster.hand,
) -> Path:
    """One report of several evaluations; see `load_joint`.

    folder: a new one, or that of an earlier report of the same runs; None: beside the runs.
    """
    run = load_joint(run_folders, labels, cluster)
    place = run.folder if folder is None else folder
    _claim(place, [str(path.resolve()) for path in run.sources.values()])
    return _write(replace(run, folder=place), place)


def _write(run: Run, folder: Path) -> Path:
    """Everything of a report, into `folder`; returns the page's path."""
    bar = Bar("report", unit="figure")
    contents = collect(run)
    plotter = plots.Plotter(run, contents.curves, bar)
    page = render(contents, plotter)
    for part in ("figures", "tables"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name, text in contents.downloads.items():
        atomic_write_text(folder / "tables" / name, text)
    _write_figures(folder, page)
    _write_slide(folder, contents, plotter)
    bar.close()
    # A text cut in the middle of a character may hold half of one, which UTF-8 cannot.
    atomic_write_bytes(folder / INDEX, page.html.encode("utf-8", errors="replace"))
    return folder / INDEX


def collect(run: Run) -> Report:
    """All numbers and sentences of a report."""
    rows, spent, curves = table(run), spending(run), plots.all_curves(run)
    metric = run.metric_names[0] if run.metric_names else ""
    matches = all_matched(run, metric)
    answers, others = outcome_rows(run), measures(run)
    costs = [each for name in run.metric_names for each in effects(run, cross(run), name)]
    downloads = {
        "final.csv": export.final_csv(rows),
        "differences.csv": export.differences_csv(rows),
        "matched.csv": export.matched_csv(matches),
        "curves.csv": export.curves_csv(curves),
        "outcomes.csv": export.outcomes_csv(answers),
        "evaluations.csv": export.evaluations_csv(run),
        "measures.csv": export.measures_csv(others),
        "compute.csv": export.compute_csv(spent),
        "final.tex": latex.final_tex(run, rows),
        "differences.tex": latex.differences_tex(run, rows),
    }
    if costs:
        downloads["effects.csv"] = export.effects_csv(costs)
    if ladders(run):
        downloads["severity.csv"] = export.severity_csv(ladders(run), rows)
    if any(row.step_differences for row in rows):
        downloads["step_differences.csv"] = export.step_differences_csv(rows)
    return Report(
        run=run,
        verdict=_flagged(run, _weighed(run, rows, matches, metric)),
        rows=rows,
        curves=curves,
        matches=matches,
        outcomes=answers,
        measures=others,
        effects=costs,
        spending=spent,
        browser=browser(
            read_samples(run),
            compress=run.game is WALKS,
            root=None if run.sources else run.folder,
        ),
        downloads=downloads,
    )


def _claim(folder: Path, runs: list[str]) -> None:
    """Note whose report the folder holds; NotARun for one that holds something else."""
    path = folder / RUNS_FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))["runs"]
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    if known != sorted(runs) and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NotARun(
            f"--out must be a new folder, or hold a report of the same runs; got {folder}, which "
            "holds something else"
        )
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_json(path, {"runs": sorted(runs)})


def _weighed(run: Run, rows: list[TableRow], matches: list[Match], metric: str) -> Verdict:
    """What the numbers say: of measured policies side by side, or of a run's arms."""
    if run.policies:
        return rank(run, rows)
    return judge(
        rows,
        matches,
        metric,
        is_done=run.is_done,
        has_one_base=run.has_one_base,
        measured_alone=run.measured,
    )


def _flagged(run: Run, verdict: Verdict) -> Verdict:
    """The verdict, with a caution first where an evaluation task has been trained on."""
    overlap, is_warning = run_overlap_notes(run)
    return replace(verdict, cautions=(*overlap, *verdict.cautions)) if is_warning else verdict


def _write_figures(folder: Path, page: Page) -> None:
    for plot in page.figures:
        atomic_write_text(folder / "figures" / f"{plot.name}.svg", plot.document)
        atomic_write_bytes(folder / "figures" / f"{plot.name}.png", plot.png)


def _write_slide(folder: Path, contents: Report, plotter: plots.Plotter) -> None:
    """The main figure for a talk."""
    run = contents.run
    metric = run.metric_names[0] if run.metric_names else ""
    curves = [c for (_, name), found in contents.curves.items() if name == metric for c in found]
    if not curves:
        return
    spans_seeds = all(curve.points[-1].rate.spans_seeds for curve in curves)
    over = "tasks and training seeds" if spans_seeds else "tasks"
    sizes = curve_sizes(curves, is_done=run.is_done)
    footer = [
        f"{run.game.metric(metric)} · {run.title} · bands: 95% intervals over {over}",
        f"{sizes}, per cell and arm",
        *contents.verdict.cautions,
    ]
    figure = plotter.slide(metric, contents.verdict.headline, contents.verdict.figures, footer)
    if figure is not None:
        atomic_write_bytes(folder / "slide.png", plots.png_bytes(figure))
        atomic_write_text(folder / "slide.svg", svg_text(figure, "slide"))
