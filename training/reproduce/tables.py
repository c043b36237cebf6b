"""The findings as files: CSV for machines, Markdown for people."""

import csv
import io
from collections.abc import Iterable, Sequence

from ..report.comparisons import sight
from ..statistics import Interval, PairedDifference
from .details import Gain
from .findings import Findings, Verdict, growth_verdict, reading_verdict

_RATE = ("rate", "low", "high", "n", "num_tasks", "num_seeds")
_CHANGE = ("difference", "low", "high", "p", "holm_p", "num_compared", "n", "num_tasks",
           "num_seeds", "detectable", "target", "target_tasks", "target_seeds")  # fmt: skip


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
            ["study", "cell", "is_matched", "largest_id_gap",
             *(f"{part}_{n}" for part in ("sft_id", "grpo_id", "sft_ood", "grpo_ood")
               for n in _RATE), *_CHANGE],
            [
                [study, m.cell, int(m.is_matched), m.id_gap,
                 *(value for rate in (*m.id_rates, *m.rates) for value in _rate(rate)),
                 *_change(m.difference)]
                for study, m in found.matches
            ],
        ),
        "contamination.csv": (
            ["run", "cell", "num_tasks", "stage", "seen", "is_recorded"],
            [
                [row.label, row.cell, row.num_tasks, stage, seen, int(row.is_recorded)]
                for row in found.overlaps
                for stage, seen in (dict[str, object](row.seen) or {"": ""}).items()
            ],
        ),
    }  # fmt: skip
    return {name: _csv(head, rows) for name, (head, rows) in tables.items() if rows}


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
    known = sight(found)
    sees = (known.detectable, known.target, known.tasks, known.seeds)
    return [found.estimate, found.low, found.high, found.p_value, holm, found.num_compared,
            found.n, found.num_tasks, found.num_seeds,
            *("" if each is None else each for each in sees)]  # fmt: skip


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in row])
    return buffer.getvalue()
