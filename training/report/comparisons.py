"""What stands beside every comparison: its corrected p, McNemar's, and what its n could have seen.

A family is what one metric asks of one pair of arms: all cells of the suite. Its p-values are
corrected together (Holm), because whoever looks at six cells finds something in one of them by
chance more often than the level says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..statistics import PairedDifference, corrected, detectable, needed_seeds, needed_tasks
from .words import grouped, sample_size

TARGETS = (0.05, 0.02, 0.01)  # differences that a reader may have hoped to see
Differences = dict[tuple[str, str], PairedDifference]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a comparison sees with 80 % power, and what the next smaller target would need.

    detectable: the smallest true difference; None: not even one of 100 points.
    target: the greatest of TARGETS below it; None where it sees the smallest of them.
    tasks, seeds: that would show the target, each with the other as it is; None: no number would.
    """

    detectable: float | None
    target: float | None
    tasks: int | None
    seeds: int | None


def sight(difference: PairedDifference) -> Sight:
    """See `Sight`."""
    seen = detectable(difference)
    below = [each for each in TARGETS if seen is None or each < seen]
    target = below[0] if below else None
    return Sight(
        detectable=seen,
        target=target,
        tasks=None if target is None else needed_tasks(difference, target),
        seeds=None if target is None else needed_seeds(difference, target),
    )


def sight_words(difference: PairedDifference) -> str:
    """229 tasks see 4.1 points; 2 points would need 960 tasks"""
    seen, needs = sight_parts(difference)
    size = sample_size(difference).partition(", ")[2]
    return "; ".join(part for part in (f"{size} see {seen}", needs) if part)


def sight_parts(difference: PairedDifference) -> tuple[str, str]:
    """What is seen and what the next target would need, the latter empty where nothing is left:
    `4.1 points`, `2 points would need 960 tasks`."""
    known = sight(difference)
    if known.detectable is None:
        return "no difference", ""
    return f"{100 * known.detectable:.1f} points", _needs(known)


def over_cells(tables: Sequence[Differences], metrics: Sequence[str]) -> list[Differences]:
    """Differences by pair of arms, corrected over the cells of each metric and pair.

    tables: of every row of the final table; metrics: of the same rows.
    """
    changed = [dict(table) for table in tables]
    families = dict.fromkeys(
        (metric, pair) for metric, table in zip(metrics, tables, strict=True) for pair in table
    )
    for metric, pair in families:
        family = {
            place: table[pair]
            for place, (name, table) in enumerate(zip(metrics, tables, strict=True))
            if name == metric and pair in table
        }
        for place, found in corrected(family).items():
            changed[place][pair] = found
    return changed


def _needs(known: Sight) -> str:
    """What the target of a sight would take; empty without one."""
    if known.target is None:
        return ""
    ways = [
        f"{grouped(count)} {unit}"
        for count, unit in ((known.tasks, "tasks"), (known.seeds, "seeds"))
        if count is not None
    ]
    points = f"{100 * known.target:g} point{'' if known.target == 0.01 else 's'}"
    if not ways:
        return f"{points} are out of reach of more tasks or more seeds alone"
    return f"{points} would need {' or '.join(ways)}"
