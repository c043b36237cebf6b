"""The same numbers as files beside the page: CSV tables, SVG and PNG figures."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..statistics import Interval, McNemar, PairedDifference
from .analysis import OutcomeRow, Spending, TableRow
from .cells import Ladder
from .comparisons import sight
from .effects import Effect
from .matching import Match
from .measures import Measure
from .plots import Curves
from .results import COMPUTE_FIELDS, Evaluation, Run

Rows = Iterable[Sequence[object]]
_RATE = ("rate", "low", "high", "n", "num_tasks", "num_seeds")


def final_csv(rows: Sequence[TableRow]) -> str:
    """Final rates: one line per metric, cell and arm; recognition where pictures were to be read;
    on walks the accuracy per step, whose n counts answers."""
    head = ["metric", "cell", "arm", *_RATE, *(f"recognition_{name}" for name in _RATE)]
    has_steps = any(row.steps for row in rows)
    head += [f"step_accuracy_{name}" for name in _RATE] if has_steps else []
    return _csv(
        head,
        (
            [r.metric, r.cell, arm, *_rate(rate), *_rate(r.recognition.get(arm)),
             *(_rate(r.steps.get(arm)) if has_steps else [])]
            for r in rows
            for arm, rate in r.rates.items()
        ),
    )  # fmt: skip


def outcomes_csv(rows: Sequence[OutcomeRow]) -> str:
    """Shares of final episodes by the outcome of the last answer."""
    return _csv(
        ["metric", "cell", "arm", "outcome", *_RATE],
        (
            [r.metric, r.cell, r.arm, name, *_rate(share)]
            for r in rows
            for name, share in r.shares.items()
        ),
    )


def step_differences_csv(rows: Sequence[TableRow]) -> str:
    """Paired differences of accuracy per step, as `differences_csv`; n counts walks, only_from and
    only_to those on which one policy had the greater share of right answers."""
    steps = [replace(row, differences=row.step_differences, mcnemars={}) for row in rows]
    return differences_csv(steps)


def differences_csv(rows: Sequence[TableRow]) -> str:
    """Paired differences: one line per metric, cell and pair of arms.

    holm_p: corrected over `num_compared` cells.  mcnemar_p, mcnemar_clustered_p: exact and
    Obuchowski's, by task, of the policies at hand.  detectable: with 80 % power; then what the next
    smaller target would need, empty where no number would do.
    """
    head = ["metric", "cell", "from", "to", "difference", "low", "high", "p_value", "n",
            "num_tasks", "num_seeds", "only_from", "only_to", "holm_p", "num_compared",
            "mcnemar_p", "mcnemar_clustered_p", "detectable", "target", "tasks_for_target",
            "seeds_for_target"]  # fmt: skip
    return _csv(
        head,
        (
            [r.metric, r.cell, a, b, _f(d.estimate), _f(d.low), _f(d.high), _p(d.p_value),
             d.n, d.num_tasks, d.num_seeds, d.only_a, d.only_b, _p(d.adjusted_p), d.num_compared,
             *_mcnemar(r.mcnemars.get((a, b))), *_sight(d)]
            for r in rows
            for (a, b), d in r.differences.items()
        ),
    )  # fmt: skip


def measures_csv(rows: Sequence[Measure]) -> str:
    """Attempts, turns, tokens and rewards of the final policies; shares are between 0 and 1."""
    head = ["metric", "cell", "arm", "measure", "is_share", "value", *_RATE[1:]]
    return _csv(
        head, ([r.metric, r.cell, r.arm, r.name, int(r.is_share), *_rate(r.value)] for r in rows)
    )


def effects_csv(rows: Sequence[Effect]) -> str:
    """What rule, look and both change in one policy's success, on the same deals of two cells."""
    head = ["metric", "arm", "kind", "is_mean", "name", "difference", "low", "high", "p_value",
            "holm_p", "num_compared", "n", "num_tasks", "num_seeds"]  # fmt: skip
    return _csv(
        head,
        (
            [r.metric, r.arm, r.kind, int(r.is_mean), r.name, _f(r.found.estimate),
             _f(r.found.low), _f(r.found.high), _p(r.found.p_value), _p(r.found.adjusted_p),
             r.found.num_compared, r.found.n, r.found.num_tasks, r.found.num_seeds]
            for r in rows
        ),
    )  # fmt: skip


def severity_csv(ladders: Sequence[Ladder], rows: Sequence[TableRow]) -> str:
    """Final success at every severity of each axis."""
    return _csv(
        ["metric", "axis", "severity", "cell", "arm", *_RATE],
        (
            [r.metric, ladder.axis, f"{severity:g}", cell, arm, *_rate(rate)]
            for ladder in ladders
            for severity, cell in ladder.steps
            for r in rows
            if r.cell == cell
            for arm, rate in r.rates.items()
        ),
    )


def curves_csv(curves: Curves) -> str:
    """Means over training seeds along training, with intervals."""
    head = ["metric", "cell", "arm", "checkpoint", "step", "x", "rate", "low", "high", "n",
            "num_tasks", "num_seeds"]  # fmt: skip
    return _csv(
        head,
        (
            [metric, cell, c.arm, place, f"{p.step:g}", f"{p.flops:.6g}", _f(p.rate.estimate),
             _f(p.rate.low), _f(p.rate.high), p.rate.n, p.rate.num_tasks, p.rate.num_seeds]
            for (cell, metric), found in curves.items()
            for c in found
            for place, p in enumerate(c.points)
        ),
    )  # fmt: skip


def evaluations_csv(run: Run) -> str:
    """Every single evaluation, as counted; on walks also answers and those that were right."""
    has_steps = any(each.answers is not None for each in run.evaluations)
    steps = ["answers", "answers_right"] if has_steps else []
    head = ["train_seed", "arm", "step", "cell", "metric", "successes", "n", "num_tasks",
            "recognized", *steps, *COMPUTE_FIELDS]  # fmt: skip
    return _csv(
        head,
        (
            [e.train_seed, e.arm, e.step, e.cell, e.metric, e.successes, e.n, _num_units(e),
             *("" if count is None else count
               for count in (e.recognized, e.answers, e.answers_right)[: 1 + len(steps)]),
             *(f"{e.compute[k]:.6g}" if k in e.compute else "" for k in COMPUTE_FIELDS)]
            for e in run.evaluations
        ),
    )  # fmt: skip


def _num_units(each: Evaluation) -> int:
    """What is one observation elsewhere too; tasks as counted where episodes are not kept."""
    return each.num_tasks if each.episodes is None else np.unique(each.episodes.units).size


def matched_csv(matches: Sequence[Match]) -> str:
    """OOD success at equal ID success."""
    sides = ("id_first", "id_second", "ood_first", "ood_second")
    head = ["cell", "first", "second", *(f"{side}_{name}" for side in sides for name in _RATE),
            "id_gap", "difference", "low", "high", "p_value", "n", "num_tasks", "num_seeds",
            "holm_p", "detectable", "target", "tasks_for_target", "seeds_for_target"]  # fmt: skip
    return _csv(
        head,
        (
            [m.cell, *m.arms, *(v for rate in (*m.id_rates, *m.rates) for v in _rate(rate)),
             _f(m.id_gap), _f(m.difference.estimate), _f(m.difference.low),
             _f(m.difference.high), _p(m.difference.p_value), m.difference.n,
             m.difference.num_tasks, m.difference.num_seeds, _p(m.difference.adjusted_p),
             *_sight(m.difference)]
            for m in matches
        ),
    )  # fmt: skip


def compute_csv(rows: Sequence[Spending]) -> str:
    """What each arm spent, mean over training seeds."""
    return _csv(
        ["stage", "num_seeds", "final_step", *COMPUTE_FIELDS],
        (
            [r.arm, r.num_seeds, "" if r.final_step is None else f"{r.final_step:g}",
             *("" if r.amounts[k] is None else f"{r.amounts[k]:.6g}" for k in COMPUTE_FIELDS)]
            for r in rows
        ),
    )  # fmt: skip


def _csv(head: Sequence[str], rows: Rows) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return buffer.getvalue()


def _rate(rate: Interval | None) -> list[object]:
    """The columns of `_RATE`."""
    if rate is None:
        return [""] * len(_RATE)
    return [_f(rate.estimate), _f(rate.low), _f(rate.high), rate.n, rate.num_tasks, rate.num_seeds]


def _mcnemar(found: McNemar | None) -> list[str]:
    """Exact and Obuchowski's p, by task."""
    return ["", ""] if found is None else [_p(found.flip_p), _p(found.clustered_p)]


def _sight(difference: PairedDifference) -> list[object]:
    """The smallest difference seen, the next target, and the tasks and the seeds that it needs."""
    known = sight(difference)
    seen = "" if known.detectable is None else _f(known.detectable)
    needs = (known.target, known.tasks, known.seeds)
    return [seen, *("" if each is None else each for each in needs)]


def _f(number: float) -> str:
    return f"{number:.5f}"


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
