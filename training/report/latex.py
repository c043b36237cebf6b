r"""Final rates and differences as LaTeX tables: `\usepackage{booktabs}`, then `\input{...}`.

Each is a whole `tabular`, with n, distinct tasks and what the brackets are in comments above it.
"""

from collections.abc import Iterable, Sequence

from ..statistics import MIN_SEEDS, Interval, PairedDifference
from .analysis import TableRow
from .comparisons import sight
from .results import Run

SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
UNICODE = {"−": "-", "–": "--", "×": r"$\times$", "“": "``", "”": "''", "\u202f": r"\,"}


def final_tex(run: Run, rows: Sequence[TableRow]) -> str:
    """Success in percent with its interval: a line per cell, a column per arm."""
    arms = [arm for arm in run.arms if any(arm in row.rates for row in rows)]
    head = ["Cell", *(escaped(run.arm_words(arm)) for arm in arms), "$n$", "Tasks"]
    lines = []
    for metric, group in _by_metric(rows):
        lines.append(_part(run, metric, len(head)))
        for row in group:
            known = list(row.rates.values())
            lines.append(
                [
                    escaped(row.words.title),
                    *(_rate(row.rates.get(arm)) for arm in arms),
                    _span(rate.n for rate in known),
                    _span(rate.num_tasks for rate in known),
                ]
            )
    rates = [rate for row in rows for rate in row.rates.values()]
    note = f"Success in percent; brackets: 95 % intervals over {_over(rates)}."
    return tabular(note, "l" + "c" * len(arms) + "rr", head, lines)


def differences_tex(run: Run, rows: Sequence[TableRow]) -> str:
    """Paired differences in points, their p-values, and what their n could have seen."""
    head = ["Cell", "Arms", "Difference", "$p$", "Holm", "McNemar", "Sees", "$n$", "Tasks"]
    lines = []
    for metric, group in _by_metric([row for row in rows if row.differences]):
        lines.append(_part(run, metric, len(head)))
        for row in group:
            lines += [_difference(run, row, pair, found) for pair, found in row.differences.items()]
    known = [found for row in rows for found in row.differences.values()]
    note = (
        f"Paired differences in points; brackets: 95 % intervals over {_over(known)}; Holm: "
        "corrected over the cells of a metric and pair of arms; McNemar: exact by task, of the "
        "policies at hand; Sees: smallest true difference seen with 80 % power, in points."
    )
    return tabular(note, "llcccccrr", head, lines)


def escaped(text: str) -> str:
    """A text that LaTeX prints as it is."""
    return "".join(SPECIAL.get(sign) or UNICODE.get(sign) or sign for sign in text)


def _difference(
    run: Run, row: TableRow, pair: tuple[str, str], found: PairedDifference
) -> list[str]:
    seen, exact = sight(found).detectable, row.mcnemars.get(pair)
    return [
        escaped(row.words.title),
        escaped(f"{run.arm_words(pair[1])} − {run.arm_words(pair[0])}"),
        f"{_signed(found.estimate)} [{_signed(found.low)}, {_signed(found.high)}]",
        _p(found.p_value),
        "--" if found.adjusted_p is None else _p(found.adjusted_p),
        "--" if exact is None else _p(exact.flip_p),
        "--" if seen is None else f"{100 * seen:.1f}",
        str(found.n),
        str(found.num_tasks),
    ]


def _by_metric(rows: Sequence[TableRow]) -> list[tuple[str, list[TableRow]]]:
    names = dict.fromkeys(row.metric for row in rows)
    return [(name, [row for row in rows if row.metric == name]) for name in names]


def _part(run: Run, metric: str, num_columns: int) -> list[str]:
    title = escaped(run.game.metric(metric))
    return [rf"\multicolumn{{{num_columns}}}{{l}}{{\emph{{{title}}}}}"]


def tabular(note: str, columns: str, head: list[str], lines: Sequence[list[str]]) -> str:
    """A whole table. note: a comment above it; columns: as `tabular` takes them."""
    body = [" & ".join(line) + r" \\" for line in lines]
    return "\n".join(
        [
            f"% {note}",
            r"% \usepackage{booktabs}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _over(known: Sequence[Interval]) -> str:
    seeds = max((each.num_seeds for each in known), default=1)
    return f"tasks and {seeds} training seeds" if seeds >= MIN_SEEDS else "tasks"


def _rate(rate: Interval | None) -> str:
    if rate is None:
        return "--"
    return f"{100 * rate.estimate:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def _signed(difference: float) -> str:
    return f"${round(100 * difference, 1) + 0.0:+.1f}$"


def _p(value: float) -> str:
    return "$<$0.001" if value < 0.001 else f"{value:.3f}"


def _span(numbers: Iterable[int]) -> str:
    known = sorted(set(numbers))
    return str(known[0]) if len(known) == 1 else f"{known[0]}--{known[-1]}"
