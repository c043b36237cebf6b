"""A run's final rates as plain text, for the end of a command: on a terminal, in a log, in a pipe.

One policy:

    cell       metric                success %          n    tasks
    id         success_within_turns  42.5 [35.4, 50.0]  301    154

Several (a base and its arms), grouped by metric, then the differences in points, their p corrected
over the cells, and the smallest difference that is seen with 80 % power with what the next smaller
of 5, 2 and 1 points would need (`4.1; 2: 960 tasks`):

    success %   Base               SFT                GRPO
    success_within_turns (n = 301, 154 tasks)
      id        42.5 [35.4, 50.0]  54.5 [45.2, 63.5]  52.8 [43.1, 62.4]

Walks also show the share of right steps, in a column or in blocks of their own.
ASCII alone, because a log may know nothing else. The numbers are those of the report (`analysis`).
"""

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ..familiar import familiar_note
from ..statistics import MIN_SEEDS, Interval, PairedDifference
from .analysis import TableRow, table
from .comparisons import sight
from .load import load_run
from .measures import measures
from .method import unit_note
from .results import Run
from .training_tasks import NOT_RECORDED, overlap_notes

GAP = "  "
WIDTH = 88  # of sentences
SUCCESS, READ, STEPS = "success %", "read rightly %", "right steps %"


def summary(folder: Path) -> str:
    """The text; of a run without evaluations a line that says so. NotARun as `load_run`."""
    run = load_run(folder)
    overlap, is_warning = overlap_notes(folder)
    told = f"WARNING: {overlap}" if is_warning else overlap.replace(NOT_RECORDED, "")
    notes = [*filter(None, [familiar_note(run.config)]), *textwrap.wrap(told, WIDTH)]
    title = run.title if run.measured is None else f"{run.title}: {run.measured}"
    return "\n".join([title, *summary_lines(run, table(run)), *notes])


def summary_lines(run: Run, rows: Sequence[TableRow]) -> list[str]:
    """The lines of a table for the final policies; rows: as `analysis.table` gives them."""
    if not rows:
        return ["no evaluation"]
    arms = list(dict.fromkeys(arm for row in rows for arm in row.rates))
    lines = _of_one(rows, arms[0]) if len(arms) == 1 else _of_several(run, rows, arms)
    seeds = max(rate.num_seeds for row in rows for rate in row.rates.values())
    over = "tasks and training seeds" if seeds >= MIN_SEEDS else "tasks"
    lines += _attempts(run, arms)
    unit = unit_note(run).removeprefix("Tasks are ").partition(",")[0].rstrip(".")
    over = over.replace("tasks", f"tasks ({unit})") if unit else over
    return [*lines, f"brackets: 95 % intervals over {over}"]


def _of_one(rows: Sequence[TableRow], arm: str) -> list[str]:
    has_read, has_steps = any(row.recognition for row in rows), any(row.steps for row in rows)
    others = [*([READ] if has_read else []), *([STEPS] if has_steps else [])]
    lines = [["cell", "metric", SUCCESS, *others, "n", "tasks"]]
    for row in rows:
        rate = row.rates[arm]
        seen = [_rate(row.recognition.get(arm))] if has_read else []
        seen += [_rate(row.steps.get(arm))] if has_steps else []
        sizes = [str(rate.n), str(rate.num_tasks)]
        lines.append([row.cell, row.metric, _rate(rate), *seen, *sizes])
    return _aligned(lines, num_right=2)


def _of_several(run: Run, rows: Sequence[TableRow], arms: Sequence[str]) -> list[str]:
    words = {arm: run.arm_words(arm) for arm in arms}
    pairs = list(dict.fromkeys(pair for row in rows for pair in row.differences))
    lines = _block([SUCCESS, *words.values()], rows, lambda row: _rates(row.rates, arms), _sizes)
    read = [row for row in rows if row.recognition and row.metric == rows[0].metric]
    if read:
        lines += _block([READ, *words.values()], read, lambda row: _rates(row.recognition, arms))
    stepped = [row for row in rows if row.steps]
    if stepped:
        lines += _block(
            [STEPS, *words.values()], stepped, lambda row: _rates(row.steps, arms), _answers
        )
    names = [f"{words[b]} - {words[a]}" for a, b in pairs]
    if pairs:
        lines += _block(
            ["difference in points", *names],
            rows,
            lambda row: [_difference(row.differences.get(pair)) for pair in pairs],
        )
        lines += _block(
            ["p after Holm", *names],
            rows,
            lambda row: [_corrected(row.differences.get(pair)) for pair in pairs],
        )
        lines += _block(
            ["points seen", *names],
            rows,
            lambda row: [_seen(row.differences.get(pair)) for pair in pairs],
        )
    if any(row.step_differences for row in stepped):
        lines += _block(
            ["right steps, in points", *names],
            stepped,
            lambda row: [_difference(row.step_differences.get(pair)) for pair in pairs],
        )
    return _aligned(lines)


def _attempts(run: Run, arms: Sequence[str]) -> list[str]:
    """What any of k attempts at a deal solves and what all of them do; none for single ones."""
    found = [row for row in measures(run) if row.name.startswith("pass") and row.name[5:] != "1"]
    if not found:
        return []
    lines: list[list[str]] = [[], ["several attempts %", *(run.arm_words(arm) for arm in arms)]]
    values = {(row.metric, row.cell, row.name, row.arm): row.value for row in found}
    metric = ""
    for name in dict.fromkeys((row.metric, row.cell, row.name) for row in found):
        if name[0] != metric:
            metric = name[0]
            lines.append([metric])
        lines.append([f"  {name[1]} {name[2]}", *(_rate(values.get((*name, a))) for a in arms)])
    return _aligned(lines)


def _block(
    head: list[str],
    rows: Sequence[TableRow],
    values: Callable[[TableRow], list[str]],
    note: Callable[[TableRow], str] = lambda _: "",
) -> list[list[str]]:
    """A head, then under the name of each metric a line for each cell."""
    lines = [[], head]
    metric = ""
    for row in rows:
        if row.metric != metric:
            metric = row.metric
            lines.append([f"{metric}{note(row)}"])
        lines.append([f"  {row.cell}", *values(row)])
    return lines


def _aligned(lines: Sequence[Sequence[str]], num_right: int = 0) -> list[str]:
    """Equally wide columns, the last `num_right` to the right; a line of one part is a heading."""
    columns = max(len(line) for line in lines)
    tabled = [line for line in lines if len(line) > 1]
    widths = [max((len(line[k]) for line in tabled if k < len(line)), default=0)
              for k in range(columns)]  # fmt: skip
    told = []
    for line in lines:
        parts = [
            part.rjust(width) if len(line) > 1 and k >= columns - num_right else part.ljust(width)
            for k, (part, width) in enumerate(zip(line, widths, strict=False))
        ]
        told.append(GAP.join(parts).rstrip())
    return told


def _rates(rates: Mapping[str, Interval], arms: Iterable[str]) -> list[str]:
    return [_rate(rates.get(arm)) for arm in arms]


def _rate(rate: Interval | None) -> str:
    if rate is None:
        return "-"
    return f"{100 * rate.estimate:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def _difference(found: Interval | None) -> str:
    if found is None:
        return "-"
    estimate, low, high = (_signed(value) for value in (found.estimate, found.low, found.high))
    return f"{estimate} [{low}, {high}]"


def _corrected(found: PairedDifference | None) -> str:
    """`0.012 of 3`: corrected over three cells."""
    if found is None or found.adjusted_p is None:
        return "-"
    p = "<0.001" if found.adjusted_p < 0.001 else f"{found.adjusted_p:.3f}"
    return f"{p} of {found.num_compared}"


def _seen(found: PairedDifference | None) -> str:
    """`4.1; 2: 960 tasks`: the smallest difference seen, and what a smaller one would need."""
    if found is None:
        return "-"
    known = sight(found)
    seen = "none" if known.detectable is None else f"{100 * known.detectable:.1f}"
    if known.target is None:
        return seen
    count, unit = (known.tasks, "tasks") if known.tasks is not None else (known.seeds, "seeds")
    return f"{seen}; {100 * known.target:g}: {'never' if count is None else f'{count} {unit}'}"


def _signed(difference: float) -> str:
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def _sizes(row: TableRow) -> str:
    """` (n = 3840, 229 tasks, 5 seeds)`, from the least to the most where arms differ."""
    rates = list(row.rates.values())
    n, tasks, seeds = (
        _range([getattr(rate, name) for rate in rates]) for name in ("n", "num_tasks", "num_seeds")
    )
    return f" (n = {n}, {tasks} tasks{'' if seeds == '1' else f', {seeds} seeds'})"


def _answers(row: TableRow) -> str:
    """` (n = 4441 answers)`, from the least to the most where arms differ."""
    return f" (n = {_range([rate.n for rate in row.steps.values()])} answers)"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
