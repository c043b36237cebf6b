"""The reproduction's HTML page: the findings in sentences, figures and tables, in one file."""

import base64
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2

from ..report.matching import Match
from ..report.plots import Plot
from ..report.style import page_css
from ..report.words import arm_words, percent, percent_interval, points_interval, signed
from ..statistics import Interval, PairedDifference
from .config import POLICIES, ReproduceConfig
from .details import Reading
from .figures import COLOUR_OF
from .findings import (
    CellFinding,
    Contrast,
    Findings,
    Verdict,
    growth_verdict,
    reading_verdict,
)
from .plan import PlannedRun
from .words import (
    OVERLAP_ABOUT,
    PAIR_WORDS,
    PAPER,
    SEES_ABOUT,
    cell_sentence,
    cell_sizes,
    counts,
    expected_words,
    further_cells,
    headline,
    holm_words,
    overlap_words,
    published_cells,
    sees_words,
    side_words,
    size_words,
)

OWN_CSS = (
    ".verdict { font-weight: 700; } tr.further th { font-weight: 400; }\n"
    ".sees { white-space: normal; min-width: 15ch; max-width: 21ch; }\n"
    ".wraps { white-space: normal; }\n"
    ".broad { max-width: 1120px; overflow-x: auto; } .broad svg { min-width: 760px; }\n"
    "@media print { .broad { overflow: visible; } .broad svg { min-width: 0; } "
    "details::details-content { content-visibility: visible; block-size: auto; } }\n"
)


def render(
    config: ReproduceConfig,
    plan: Sequence[PlannedRun],
    found: Findings,
    plots: Mapping[str, Sequence[Plot]],
    downloads: Mapping[str, str],
    limits: Sequence[str],
) -> str:
    """The page; every text is escaped, and it loads nothing from anywhere.

    plots: as `figures.all_plots` gives them. downloads: text by file name.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = (files(__package__) / "page.html.j2").read_text(encoding="utf-8")
    cells = [*published_cells(found), *further_cells(found)]
    names = {name: study.title or name for name, study in config.studies.items()}
    return environment.from_string(template).render(
        css=page_css() + OWN_CSS,
        paper=PAPER,
        title=f"reproduce/{config.name}",
        headline=headline(found),
        counts=counts(found),
        limits=limits,
        pairs=list(PAIR_WORDS.values()),
        cells=[_cell(cell) for cell in cells],
        sentences=[cell_sentence(cell) for cell in cells if cell.rates],
        plots=plots,
        studies=[_study(config, found, name) for name in config.studies],
        names=names,
        readings=[_reading(names[row.study], row) for row in found.readings],
        matches=[_match(names[study], match) for study, match in found.matches],
        overlap_about=OVERLAP_ABOUT,
        sees_about=SEES_ABOUT,
        overlaps=[(row.label, row.words.title, overlap_words(row).replace("*", ""), row.is_bad,
                   "recorded in the run" if row.is_recorded else "dealt again")
                  for row in found.overlaps],
        runs=[(run.label, str(run.root), _state(run)) for run in plan],
        downloads=[(name, _data_uri(text)) for name, text in downloads.items()],
    )  # fmt: skip


def _cell(cell: CellFinding) -> dict[str, Any]:
    claim = cell.claim
    return {
        "title": claim.title,
        "about": claim.about,
        "further": claim.further,
        "size": cell_sizes(cell),
        "arms": [
            (arm, f"{claim.published[arm]:g}", _rate(cell.rates.get(arm))) for arm in POLICIES
        ],
        "contrasts": [_contrast(contrast) for contrast in cell.contrasts.values()],
    }


def _contrast(contrast: Contrast) -> dict[str, str]:
    published = "" if contrast.published is None else signed(contrast.published / 100)
    return {
        "published": published,
        **_verdict(contrast.verdict),
        **_change(contrast.ours),
    }


def _study(config: ReproduceConfig, found: Findings, name: str) -> dict[str, Any]:
    study = config.studies[name]
    return {
        "name": name,
        "title": study.title,
        "about": study.about,
        "sides": [
            {
                "says": side.claim.says,
                "who": side_words(side),
                "size": size_words(side.contrast.ours),
                "expected": expected_words(side.claim.sign),
                **_contrast(side.contrast),
            }
            for side in found.sides
            if side.study == name
        ],
        "variants": [
            {"variant": row.variant, "cell": row.words.title, "arm": arm_words(row.arm),
             "rate": _rate(row.rate), "size": size_words(row.rate), "change": _change(row.change)}
            for row in found.variants
            if row.study == name
        ],
        "gains": [
            {"cell": row.words.title, "attempts": row.attempts,
             "rates": [_rate(rate) for rate in row.rates.values()],
             "size": size_words(next(iter(row.rates.values()))),
             "arms": [arm_words(arm) for arm in row.rates],
             "gain": _change(row.gains.get("grpo")), "growth": _change(row.growth.get("grpo")),
             "published": "" if row.published is None else f"{row.published:+g}",
             **_verdict(growth_verdict(row))}
            for row in found.gains.get(name, [])
        ],
    }  # fmt: skip


def _reading(study: str, row: Reading) -> dict[str, Any]:
    return {
        "study": study,
        "cell": row.words.title,
        "arm": arm_words(row.arm),
        "size": size_words(row.success),
        "recognition": _rate(row.recognition),
        "success": _rate(row.success),
        "recognition_change": _change(row.recognition_change),
        "success_change": _change(row.success_change),
        **_verdict(reading_verdict(row)),
    }


def _state(run: PlannedRun) -> str:
    if run.is_taken:
        return "taken as it was"
    return "run here" if run.is_done else "not finished: left out"


def _match(study: str, match: Match) -> dict[str, Any]:
    return {
        "study": study,
        "cell": match.words.title,
        "ids": [{**_rate(rate), "size": size_words(rate)} for rate in match.id_rates],
        "size": size_words(match.difference),
        "gap": percent(match.id_gap).removesuffix("%"),
        "is_matched": match.is_matched,
        **_change(match.difference),
    }


def _verdict(verdict: Verdict | None) -> dict[str, str]:
    if verdict is None:
        return {"verdict": "", "colour": "muted"}
    return {"verdict": verdict.value, "colour": COLOUR_OF[verdict]}


def _rate(rate: Interval | None) -> dict[str, str]:
    if rate is None:
        return {"value": "–", "interval": ""}
    return {"value": percent(rate.estimate), "interval": percent_interval(rate)}


def _change(found: PairedDifference | None) -> dict[str, str]:
    if found is None:
        return {"value": "–", "interval": "", "p": "", "sees": ""}
    return {
        "value": signed(found.estimate),
        "interval": points_interval(found),
        "p": holm_words(found),
        "sees": sees_words(found),
    }


def _data_uri(text: str) -> str:
    return "data:text/plain;base64," + base64.b64encode(text.encode("utf-8")).decode("ascii")
