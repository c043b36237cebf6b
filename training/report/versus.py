"""The first sentence of several measured policies: which of them does better where, and no more.

What `verdict` is for the arms of a comparison. Nobody was trained here, so nothing is said of
training: every interval speaks of the policies at hand.
"""

from ..statistics import Interval, PairedDifference
from .analysis import TableRow
from .comparisons import sight_words
from .joint import unpaired
from .results import Run
from .verdict import Verdict, size_cautions
from .words import holm_words, p_words, points, points_interval, rate_words, sample_sizes, upper

THESE = "The intervals speak of these policies, not of how they were trained."
IN_PROGRESS = "Not all of these evaluations have ended: figures are those so far."


def rank(run: Run, rows: list[TableRow]) -> Verdict:
    """Weigh the paired differences of every cell under the first metric. rows: of all metrics."""
    metric = run.metric_names[0] if run.metric_names else ""
    measured = [row for row in rows if row.metric == metric]
    cautions = [] if run.is_done else [IN_PROGRESS]
    cautions += [THESE, *unpaired(run), *_weak(run, measured), *size_cautions(measured)]
    details = tuple(_detail(run, row) for row in measured)
    return Verdict(_headline(run, measured), "", details, tuple(cautions))


def _headline(run: Run, rows: list[TableRow]) -> str:
    """One sentence for all cells of which the same can be said."""
    said: dict[str, list[str]] = {}
    for row in rows:
        if len(row.rates) > 1:
            said.setdefault(_claim(run, row), []).append(row.words.phrase)
    if not said:
        return "No two of these policies were measured on the same tasks."
    return " ".join(f"{upper(_listed(where))}, {claim}." for claim, where in said.items())


def _claim(run: Run, row: TableRow) -> str:
    """Who solves clearly more than whom: the best policy against each of the others."""
    order = sorted(row.rates, key=lambda arm: -row.rates[arm].estimate)
    best, others = order[0], order[1:]
    beaten = [arm for arm in others if _is_above(row, best, arm)]
    name = run.arm_words(best)
    if beaten and len(beaten) == len(others):
        behind = run.arm_words(others[0]) if len(others) == 1 else "every other policy"
        return f"{name} solves more than {behind}"
    if beaten:
        return f"{name} solves more than {_listed([run.arm_words(arm) for arm in beaten])}"
    names = [run.arm_words(arm) for arm in run.arms if arm in row.rates]
    return f"{_listed(names)} cannot be told apart"


def _is_above(row: TableRow, best: str, other: str) -> bool:
    """Whether the difference is clear, in whichever direction it was taken."""
    forth, back = row.differences.get((other, best)), row.differences.get((best, other))
    if forth is not None:
        return forth.is_clear and forth.estimate > 0
    return back is not None and back.is_clear and back.estimate < 0


def _detail(run: Run, row: TableRow) -> str:
    """Every policy's rate, then every difference with what its n could have seen."""
    rates: dict[str, Interval] = row.rates
    told = ", ".join(f"{run.arm_words(arm)} solves {rate_words(rates[arm])}" for arm in rates)
    gaps = [
        f"{run.arm_words(b)} − {run.arm_words(a)} = {_gap(found)}"
        for (a, b), found in row.differences.items()
    ]
    where = f"{upper(row.words.phrase)} ({sample_sizes(rates.values())})"
    return f"{'; '.join([f'{where}, {told}', *gaps])}."


def _gap(found: PairedDifference) -> str:
    """+4.2 points [+1.0, +7.4] (p = 0.010, Holm p = 0.020 of 2), where 229 tasks see 4.1 points"""
    tests = ", ".join(part for part in (p_words(found.p_value), holm_words(found)) if part)
    reach = f"{points(found.estimate)} {points_interval(found)}"
    return f"{reach} ({tests}), where {sight_words(found)}"


def _weak(run: Run, rows: list[TableRow]) -> list[str]:
    """Intervals that exclude zero by themselves, but not among as many comparisons."""
    weak = [
        f"{run.arm_words(b)} − {run.arm_words(a)} {row.words.phrase}"
        for row in rows
        for (a, b), found in row.differences.items()
        if found.is_significant and not found.is_clear
    ]
    return [f"Not clear after Holm's correction over the cells: {_listed(weak)}."] if weak else []


def _listed(phrases: list[str]) -> str:
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
