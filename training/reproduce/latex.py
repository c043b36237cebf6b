"""The six cells beside the published figures as a LaTeX table, for booktabs and \\input."""

from collections.abc import Sequence

from ..report.comparisons import sight
from ..report.latex import escaped, tabular
from ..statistics import Interval, PairedDifference
from .config import POLICIES
from .findings import CellFinding, Contrast, Findings, Verdict
from .words import PAIR_WORDS, PAPER, further_cells, published_cells

MARKS = {
    Verdict.reproduced: r"$^\ast$",
    Verdict.opposite: r"$^\dagger$",
    Verdict.untold: "",
    Verdict.unmeasured: "",
}
HEAD = (
    "Cell",
    "",
    "Start",
    "SFT",
    "RL",
    *map(escaped, PAIR_WORDS.values()),
    "$n$",
    "Tasks",
    "Seeds",
)


def cells_tex(found: Findings) -> str:
    """Two lines a cell, the published and ours; below a rule the further readings of a cell."""
    lines = [line for cell in published_cells(found) for line in _lines(cell)]
    further = [line for cell in further_cells(found) for line in _lines(cell)]
    if further:
        lines += [[rf"\multicolumn{{{len(HEAD)}}}{{l}}{{\emph{{Further readings}}}}"], *further]
    note = (
        "Success (per step where marked) in percent and differences in points; published: "
        f"{PAPER}; brackets: 95 % intervals over tasks and training seeds; sees: smallest true "
        "difference seen with 80 % power before correction; asterisk: reproduced, dagger: "
        "opposite, after Holm's correction."
    )
    return tabular(note, "ll" + "c" * 6 + "rrr", list(HEAD), lines)


def _lines(cell: CellFinding) -> list[list[str]]:
    claim = cell.claim
    published = [f"{claim.published[arm]:.1f}" for arm in POLICIES]
    told = [f"${contrast.published or 0.0:+.1f}$" for contrast in cell.contrasts.values()]
    ours = [_rate(cell.rates.get(arm)) for arm in POLICIES]
    changes = [_contrast(contrast) for contrast in cell.contrasts.values()]
    known = list(cell.rates.values())
    sizes = [_span([getattr(rate, name) for rate in known])
             for name in ("n", "num_tasks", "num_seeds")]  # fmt: skip
    about = f"here ({claim.about})" if claim.about else "here"
    return [
        [escaped(claim.title), "published", *published, *told, "", "", ""],
        ["", escaped(about), *ours, *changes, *sizes],
    ]


def _rate(rate: Interval | None) -> str:
    if rate is None:
        return "--"
    return f"{100 * rate.estimate:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def _contrast(contrast: Contrast) -> str:
    ours = contrast.ours
    if ours is None:
        return "--"
    seen = sight(ours).detectable
    sees = "--" if seen is None else f"{100 * seen:.1f}"
    return f"{_points(ours)}{MARKS[contrast.verdict]} (sees {sees})"


def _points(found: PairedDifference) -> str:
    middle, low, high = (
        f"${round(100 * value, 1) + 0.0:+.1f}$" for value in (found.estimate, found.low, found.high)
    )
    return f"{middle} [{low}, {high}]"


def _span(numbers: Sequence[int]) -> str:
    known = sorted(set(numbers))
    return "--".join(str(each) for each in dict.fromkeys((known[0], known[-1]))) if known else "--"
