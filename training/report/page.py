"""Puts a report's numbers, figures and sentences into one self-contained HTML page."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
import yaml

from ..statistics import MIN_SEEDS
from . import method, plots, tables
from .analysis import OutcomeRow, Spending, TableRow, has_compute
from .cells import cross
from .effects import Effect
from .games import WALKS
from .matching import Match
from .measures import Measure
from .results import Run
from .samples import Browser
from .shifts import shift_plots
from .style import COLOURS, arm_style, css_variables
from .verdict import Verdict
from .words import percent

SCRIPTS = ("page.js", "episode_view.js", "episodes.js")  # in this order, as one
FACTS = ("started", "python", "platform", "cpu", "cpu_cores", "accelerator", "torch_threads",
         "git_commit")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a page shows. `downloads`: file name -> text."""

    run: Run
    verdict: Verdict
    rows: list[TableRow]
    curves: plots.Curves
    matches: list[Match]
    outcomes: list[OutcomeRow]
    measures: list[Measure]
    effects: list[Effect]
    spending: list[Spending]
    browser: Browser
    downloads: dict[str, str]


@dataclass(frozen=True, slots=True)
class Page:
    """The HTML text, and the figures on it for export."""

    html: str
    figures: list[plots.Plot]


def render(report: Report, plotter: plots.Plotter) -> Page:
    """The page; every text from the run is escaped, and the page loads nothing from anywhere."""
    metrics = [_metric(report, plotter, metric) for metric in report.run.metric_names]
    training = plotter.training()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    html = environment.from_string(_asset("page.html.j2")).render(
        metrics=metrics,
        training=training,
        **_summary(report),
        **_provenance(report),
        **_machinery(report),
    )
    shown = [plot for each in metrics for plot in _plots_of(each)]
    return Page(html, [*shown, *training])


def _summary(report: Report) -> dict[str, Any]:
    """What was found: verdict, tiles and the tables' heads."""
    run = report.run
    return {
        "title": run.title,
        "eyebrow": _eyebrow(run),
        "is_joint": bool(run.policies),
        "shown_kind": "policies" if run.policies else "arms",
        "is_done": run.is_done,
        "verdict": report.verdict,
        "tiles": tables.tiles(run, report.rows),
        "num_seeds": len(run.train_seeds),
        "spans_seeds": len(run.train_seeds) >= MIN_SEEDS,
        "confidence": "95%",
        "axis_note": _axis_note(run),
        "game": run.game,
        "cell_note": method.cell_note(run),
        "interval_note": method.interval_note(report.rows),
        "arms": [{"name": arm, "words": run.arm_words(arm)} for arm in run.arms],
        "pairs": [
            {"words": f"{run.arm_words(b)} − {run.arm_words(a)}"}
            for a, b in tables.pairs(report.rows)
        ],
        "matches": [tables.match(match) for match in report.matches],
        "matched_metric": run.game.metric(run.metric_names[0]).lower() if run.metric_names else "",
    }


def _provenance(report: Report) -> dict[str, Any]:
    """What the numbers rest on: samples, compute, commands, versions, configuration, method."""
    run = report.run
    config = yaml.safe_dump(dict(run.config), sort_keys=False, allow_unicode=True)
    return {
        "num_samples": len(report.browser.episodes),
        "sample_notes": report.browser.notes,
        "spending": [tables.spending(row) for row in report.spending],
        "compute_caution": _compute_caution(report.spending),
        "commands": _commands(run),
        "facts": _facts(run),
        "config": config if run.config else "",
        "method": method.told(run, report.rows),
        "downloads": [(name, _data_uri(text)) for name, text in report.downloads.items()],
        "notes": run.notes,
    }


def _machinery(report: Report) -> dict[str, str]:
    """Style, script and data of the page itself."""
    run, script = report.run, "".join(_asset(name) for name in SCRIPTS)
    return {
        "css": _css(run),
        "script": script,
        "script_hash": _script_hash(script),
        "data": _data(report),
        "packed": report.browser.packed,
        "pictures": _json(report.browser.pictures),
    }


def _metric(report: Report, plotter: plots.Plotter, metric: str) -> dict[str, Any]:
    """Figures and table of one way to count success."""
    run, rows = report.run, [row for row in report.rows if row.metric == metric]
    outcomes = plotter.outcomes(report.outcomes, metric)
    answers = [row for row in report.outcomes if row.metric == metric]
    costs = [each for each in report.effects if each.metric == metric]
    curves = [curve for (_, name), found in report.curves.items() if name == metric
              for curve in found]  # fmt: skip
    return {
        "name": metric,
        "words": run.game.metric(metric),
        "definition": run.game.definitions.get(metric, ""),
        "plots": plotter.answer(metric),
        "shifts": shift_plots(plotter, rows, cross(run), costs, metric),
        "effects": tables.effects(run, costs),
        "sizes": tables.curve_sizes(curves, is_done=run.is_done) if curves else "",
        "differences": plotter.differences(rows, metric),
        "recognition": plotter.recognition(rows, metric),
        "steps": plotter.steps(rows, metric),
        "step_differences": plotter.step_differences(rows, metric),
        "outcomes": outcomes
        and {
            "svg": outcomes.svg,
            "plot": outcomes,
            "legend": _legend(outcomes),
            "table": tables.outcomes(run, answers),
        },
        "table": [tables.row(run, row, tables.pairs(report.rows)) for row in rows],
        "comparisons": tables.comparisons(run, rows),
        "measures": tables.measures(run, [row for row in report.measures if row.metric == metric]),
    }


def _plots_of(metric: dict[str, Any]) -> list[plots.Plot]:
    names = ("differences", "recognition", "steps", "step_differences")
    single = [metric[name] for name in names]
    bars = [metric["outcomes"]["plot"]] if metric["outcomes"] else []
    return [
        *metric["plots"],
        *metric["shifts"].all,
        *[plot for plot in single if plot is not None],
        *bars,
    ]


def _legend(plot: plots.Plot) -> list[tuple[str, str]]:
    names = {pair[0]: name for name, pair in COLOURS.items()}
    return [(text, names[colour]) for text, colour in plot.legend]


def _compute_caution(rows: Sequence[Spending]) -> str:
    spent = [r.amounts["flops"] for r in rows if r.arm in ("sft", "grpo") and r.amounts["flops"]]
    known = [amount for amount in spent if amount is not None]
    if len(known) == 2 and max(known) > 1.05 * min(known):
        return f"The arms' compute differs by {percent(max(known) / min(known) - 1, 0)}."
    return ""


def _eyebrow(run: Run) -> str:
    """What was done, for a reader who sees the page alone."""
    if run.policies:
        return f"{len(run.policies)} policies, measured on the same tasks"
    seeds = len(run.train_seeds)
    over = f"{seeds} training seeds" if seeds > 1 else "one training seed"
    if {"sft", "grpo"} <= set(run.arms):
        return f"SFT against GRPO, both from one warmed-up base, at equal compute · {over}"
    return f"Success in and out of distribution · {over}"


def _axis_note(run: Run) -> str:
    if run.policies:
        return ""
    if not run.evaluations or has_compute(run):
        return "Both arms start from the same base."
    return "Compute was not recorded; the axis shows steps, which cost the arms different amounts."


def _commands(run: Run) -> list[str]:
    records = [run.environment, *(run.environment.get("resumed") or [])]
    commands = [r.get("command") for r in records if isinstance(r, dict)]
    return [str(command) for command in dict.fromkeys(commands) if command]


def _facts(run: Run) -> list[tuple[str, str]]:
    packages = run.environment.get("packages") or run.environment.get("versions") or {}
    facts = [(name.replace("_", " "), str(run.environment[name]))
             for name in FACTS if run.environment.get(name) is not None]  # fmt: skip
    timings = run.environment.get("timings")
    if isinstance(timings, dict):
        facts += [(f"{name} (s)", f"{value:g}" if isinstance(value, float) else str(value))
                  for name, value in timings.items()]  # fmt: skip
    if isinstance(packages, dict):
        facts += [(str(name), str(version)) for name, version in packages.items()]
    return facts


def _data(report: Report) -> str:
    """What the script knows of the run."""
    run = report.run
    walks = run.game is WALKS
    cells = {cell: run.words(cell).title for cell in {*run.cells, *run.shifts}}
    value = {
        "arms": run.arms,
        "kind": "policy" if run.policies else "arm",
        "walks": walks,
        "metric": run.metric_names[0] if run.metric_names else "",
        "words": {
            "cell": cells,
            "arm": {arm: run.arm_words(arm) for arm in run.arms},
            "metric": dict(run.game.metrics),
            "short": {cell: run.words(cell).short for cell in {*run.cells, *run.shifts}},
        },
    }
    return _json(value)


def _json(value: Any) -> str:
    """For a script element: `<`, `>` and `&` are spelt out, so that no text can end it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _css(run: Run) -> str:
    """Colours of both themes before the page's own rules, those of measured policies after them;
    paper is always light."""
    bright, dark = css_variables()
    return (
        f":root {{ color-scheme: light; {bright} }}\n"
        "@media screen and (prefers-color-scheme: dark) { :root:not([data-theme=light]) "
        f"{{ color-scheme: dark; {dark} }} }}\n"
        f"@media screen {{ :root[data-theme=dark] {{ color-scheme: dark; {dark} }} }}\n"
        + _asset("page.css")
        + "".join(_policy_rule(run, arm) for arm in run.policies)
    )


def _policy_rule(run: Run, arm: str) -> str:
    """The colour of one policy's name, as its figures have it. Arms are of `joint`: no quotes."""
    names = {pair[0]: name for name, pair in COLOURS.items()}
    colour = names[arm_style(arm, run.policies).colour]
    return f'[class~="arm-{arm}"], th[class~="{arm}"] {{ color: var(--{colour}); }}\n'


def _script_hash(script: str) -> str:
    """What the Content-Security-Policy lets run: this script, and nothing else."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def _data_uri(text: str) -> str:
    return "data:text/plain;base64," + base64.b64encode(text.encode("utf-8")).decode("ascii")


def _asset(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
