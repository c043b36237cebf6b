"""The findings as files: CSV for machines, Markdown for people."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from ..report.words import arm_words, points_interval, rate_words, signed
from ..statistics import Interval, PairedDifference
from .config import POLICIES, ReproduceConfig
from .details import Gain
from .findings import Findings, Verdict, growth_verdict, reading_verdict
from .words import (
    PAIR_WORDS,
    PAPER,
    contrast_words,
    counts,
    expected_words,
    further_cells,
    headline,
    holm_words,
    published_cells,
    side_words,
    size_words,
)

_RATE = ("rate", "low", "high", "n", "num_tasks", "num_seeds")
_CHANGE = ("difference", "low", "high", "p", "holm_p", "num_compared", "n", "num_tasks",
           "num_seeds")  # fmt: skip


def csv_files(found: Findings) -> dict[str, str]:
    """By file name; those that would hold nothing are left out."""
    tables = {
        "cells.csv": (
            ["study", "title", "cell", "measure", "from", "to", "published_points", *_CHANGE,
             "verdict"],
            [
                [c.study, c.claim.title, c.claim.cell, c.claim.measure.value, a, b,
                 contrast.published, *_change(contrast.ours), contrast.verdict.value]
                for c in found.cells
                for (a, b), contrast in c.contrasts.items()
            ],
        ),
        "rates.csv": (
            ["study", "title", "cell", "measure", "arm", "published_percent", *_RATE],
            [
                [c.study, c.claim.title, c.claim.cell, c.claim.measure.value, arm,
                 c.claim.published[arm], *_rate(rate)]
                for c in found.cells
                for arm, rate in c.rates.items()
            ],
        ),
        "side_claims.csv": (
            ["study", "variant", "says", "cell", "arm", "against", "published_sign", *_CHANGE,
             "verdict"],
            [
                [s.study, s.claim.variant, s.claim.says, s.claim.cell, s.claim.arm,
                 s.claim.against, s.claim.sign, *_change(s.contrast.ours),
                 s.contrast.verdict.value]
                for s in found.sides
            ],
        ),
        "variants.csv": (
            ["study", "variant", "cell", "arm", *_RATE, *(f"change_{n}" for n in _CHANGE)],
            [
                [r.study, r.variant, r.cell, r.arm, *_rate(r.rate), *_change(r.change)]
                for r in found.variants
            ],
        ),
        "turns.csv": (
            ["study", "cell", "attempts", "arm", *_RATE, *(f"gain_{n}" for n in _CHANGE),
             *(f"growth_{n}" for n in _CHANGE), "published_gain_points", "verdict"],
            [
                [study, g.cell, g.attempts, arm, *_rate(rate), *_change(g.gains.get(arm)),
                 *_change(g.growth.get(arm)), *_published_gain(g, arm)]
                for study, rows in found.gains.items()
                for g in rows
                for arm, rate in g.rates.items()
            ],
        ),
        "recognition.csv": (
            ["study", "cell", "arm", *(f"recognition_{n}" for n in _RATE),
             *(f"success_{n}" for n in _RATE), *(f"recognition_change_{n}" for n in _CHANGE),
             *(f"success_change_{n}" for n in _CHANGE), "verdict"],
            [
                [r.study, r.cell, r.arm, *_rate(r.recognition), *_rate(r.success),
                 *_change(r.recognition_change), *_change(r.success_change),
                 _plain(reading_verdict(r))]
                for r in found.readings
            ],
        ),
        "matched.csv": (
            ["study", "cell", "is_matched", "largest_id_gap", "sft_id", "grpo_id", "sft_ood",
             "grpo_ood", *_CHANGE],
            [
                [study, m.cell, int(m.is_matched), m.id_gap,
                 *(rate.estimate for rate in (*m.id_rates, *m.rates)), *_change(m.difference)]
                for study, m in found.matches
            ],
        ),
    }  # fmt: skip
    return {name: _csv(head, rows) for name, (head, rows) in tables.items() if rows}


def as_markdown(config: ReproduceConfig, found: Findings, notes: Sequence[str]) -> str:
    """The tables with their verdicts."""
    lines = [f"# The study reproduced: {PAPER}", "", headline(found), "", *_bulleted(counts(found))]
    lines += ["", *_cell_lines(found)]
    for name, study in config.studies.items():
        part = [*_side_lines(found, name), *_variant_lines(found, name), *_turn_lines(found, name)]
        if part:
            lines += [f"## {study.title}", "", *([study.about, ""] if study.about else []), *part]
    names = {name: study.title or name for name, study in config.studies.items()}
    lines += [*_reading_lines(found, names), *_match_lines(found, names)]
    lines += ["## What limits this", "", *_bulleted(notes)]
    return "\n".join(lines) + "\n"


def _cell_lines(found: Findings) -> list[str]:
    head = "| Cell | | start | SFT | RL | " + " | ".join(PAIR_WORDS.values()) + " |"
    lines = ["## The six cells", "", head, "|---" * 8 + "|"]
    for cell in [*published_cells(found), *further_cells(found)]:
        claim = cell.claim
        sizes = {size_words(rate) for rate in cell.rates.values()}
        told = [signed((contrast.published or 0.0) / 100) for contrast in cell.contrasts.values()]
        lines.append(
            f"| **{claim.title}** | published | {claim.start} | {claim.sft} | {claim.rl} | "
            f"{' | '.join(told)} |"
        )
        rates = [rate_words(cell.rates[arm]) if arm in cell.rates else "" for arm in POLICIES]
        ours = [f"{contrast_words(c.ours)}: **{c.verdict.value}**" for c in cell.contrasts.values()]
        about = f"here{f' ({claim.about})' if claim.about else ''}, {' / '.join(sorted(sizes))}"
        lines.append(f"| | {about} | {' | '.join([*rates, *ours])} |")
    return [*lines, ""]


def _side_lines(found: Findings, study: str) -> list[str]:
    sides = [side for side in found.sides if side.study == study]
    if not sides:
        return []
    lines = ["| The study's finding | here | expected | points | |", "|---" * 5 + "|"]
    for side in sides:
        expected, ours = expected_words(side.claim.sign), contrast_words(side.contrast.ours)
        size = size_words(side.contrast.ours)
        lines.append(
            f"| {side.claim.says} | {side_words(side)}{f', {size}' if size else ''} | {expected} "
            f"| {ours} | **{side.contrast.verdict.value}** |"
        )
    return [*lines, ""]


def _variant_lines(found: Findings, study: str) -> list[str]:
    rows = [row for row in found.variants if row.study == study]
    if not rows:
        return []
    lines = ["| Variant | cell | policy | success | change from its base |", "|---" * 5 + "|"]
    for row in rows:
        change = ""
        if row.change is not None:
            change = f"{signed(row.change.estimate)} {points_interval(row.change)}"
        lines.append(
            f"| {row.variant} | {row.words.title} | {arm_words(row.arm)} | "
            f"{rate_words(row.rate)}, {size_words(row.rate)} | {change} |"
        )
    return [*lines, ""]


def _turn_lines(found: Findings, study: str) -> list[str]:
    rows = found.gains.get(study, [])
    if not rows:
        return []
    lines = ["| Cell | attempts | " + " | ".join(arm_words(arm) for arm in rows[0].rates)
             + " | RL − base | published | RL's gain grown since the fewest |",
             "|---" * (5 + len(rows[0].rates)) + "|"]  # fmt: skip
    for row in rows:
        rates = " | ".join(rate_words(rate) for rate in row.rates.values())
        gain, growth = (_short(changes.get("grpo")) for changes in (row.gains, row.growth))
        verdict = growth_verdict(row)
        published = "" if row.published is None else f"{row.published:+g}"
        lines.append(
            f"| {row.words.title} | {row.attempts} | {rates} | {gain} | {published} | "
            f"{growth}{_bold(verdict)} |"
        )
    return [*lines, "", f"Each: {size_words(next(iter(rows[0].rates.values())))}.", ""]


def _reading_lines(found: Findings, names: Mapping[str, str]) -> list[str]:
    if not found.readings:
        return []
    lines = ["## Recognition against success", "",
             "| Study | cell | policy | read rightly | solved | change of reading | of success |",
             "|---" * 7 + "|"]  # fmt: skip
    for row in found.readings:
        lines.append(
            f"| {names[row.study]} | {row.words.title} | {arm_words(row.arm)} | "
            f"{rate_words(row.recognition)} | {rate_words(row.success)} | "
            f"{_short(row.recognition_change)}{_bold(reading_verdict(row))} | "
            f"{_short(row.success_change)} |"
        )
    return [*lines, ""]


def _match_lines(found: Findings, names: Mapping[str, str]) -> list[str]:
    if not found.matches:
        return []
    lines = ["## OOD at equal success in distribution", "",
             "| Study | cell | SFT / RL in distribution | largest gap | RL − SFT | |",
             "|---" * 6 + "|"]  # fmt: skip
    for study, match in found.matches:
        levels = " / ".join(f"{100 * rate.estimate:.1f}" for rate in match.id_rates)
        verdict = "matched" if match.is_matched else "no equal checkpoints"
        gap = f"{_short(match.difference)}, {holm_words(match.difference)}"
        where = f"{names[study]} | {match.words.title}"
        lines.append(f"| {where} | {levels} | {100 * match.id_gap:.1f} | {gap} | {verdict} |")
    return [*lines, ""]


def _short(change: PairedDifference | None) -> str:
    return "" if change is None else f"{signed(change.estimate)} {points_interval(change)}"


def _bold(verdict: Verdict | None) -> str:
    return "" if verdict is None else f": **{verdict.value}**"


def _bulleted(sentences: Iterable[str]) -> list[str]:
    return [f"* {sentence}" for sentence in sentences]


def _published_gain(row: Gain, arm: str) -> list[object]:
    if arm != "grpo" or row.published is None:
        return ["", ""]
    return [row.published, _plain(growth_verdict(row))]


def _plain(verdict: Verdict | None) -> str:
    return "" if verdict is None else verdict.value


def _rate(rate: Interval) -> list[object]:
    return [rate.estimate, rate.low, rate.high, rate.n, rate.num_tasks, rate.num_seeds]


def _change(found: PairedDifference | None) -> list[object]:
    if found is None:
        return [""] * len(_CHANGE)
    holm = "" if found.adjusted_p is None else found.adjusted_p
    return [found.estimate, found.low, found.high, found.p_value, holm, found.num_compared,
            found.n, found.num_tasks, found.num_seeds]  # fmt: skip


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in row])
    return buffer.getvalue()
