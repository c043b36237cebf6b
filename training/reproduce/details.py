"""The tables behind the side questions: variants, attempts, reading beside solving."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..report.analysis import finals
from ..report.pairing import column_difference, difference, pooled_rate
from ..report.results import Evaluation, Outcomes, Run
from ..report.words import CellWords
from ..statistics import Interval, PairedDifference, clustered_rate, corrected
from .config import ARMS, BASE, POLICIES

IN_DISTRIBUTION = "id"


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantRow:
    """One arm of one variant on one cell; change: from its own base, None for the base."""

    study: str
    variant: str
    cell: str
    words: CellWords
    arm: str
    rate: Interval
    change: PairedDifference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What `attempts` answers solve: rates by arm; gains: of an arm over the base, on the same
    episodes. growth: of these gains, over those with the fewest attempts. published: the study's
    gain of RL in points, None in distribution, where it gives none."""

    cell: str
    words: CellWords
    attempts: int
    rates: Mapping[str, Interval]
    gains: Mapping[str, PairedDifference]
    growth: Mapping[str, PairedDifference]
    published: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Pictures read rightly beside tasks solved. Changes are from the base."""

    study: str
    cell: str
    words: CellWords
    arm: str
    recognition: Interval
    success: Interval
    recognition_change: PairedDifference | None
    success_change: PairedDifference | None


def variant_rows(study: str, variant: str, run: Run, metric: str) -> list[VariantRow]:
    """Every cell and arm of one run."""
    rows = []
    for cell in run.cells:
        base = finals(run, BASE, cell, metric)
        for arm in run.arms:
            last = finals(run, arm, cell, metric)
            if not last:
                continue
            rows.append(
                VariantRow(
                    study=study,
                    variant=variant,
                    cell=cell,
                    words=run.words(cell),
                    arm=arm,
                    rate=pooled_rate(list(last.values())),
                    change=difference(base, last) if arm != BASE else None,
                )
            )
    return rows


def gains(run: Run, metric: str, published: Mapping[int, float]) -> list[Gain]:
    """By cell and number of attempts; none of policies whose files do not tell the turns.

    Growths are corrected over the numbers of attempts, for each cell and arm.
    """
    found: list[Gain] = []
    attempts = sorted(published)
    for cell in run.cells:
        last = {arm: finals(run, arm, cell, metric) for arm in POLICIES}
        last = {arm: each for arm, each in last.items() if each and _tells_turns(each)}
        if BASE not in last:
            continue
        others = [arm for arm in last if arm != BASE]
        for count in attempts:
            gained = {
                arm: column_difference(last[BASE], last[arm], partial(_solved, attempts=count))
                for arm in others
            }
            grown = {
                arm: column_difference(
                    last[BASE],
                    last[arm],
                    partial(_between, fewest=attempts[0], attempts=count),
                )
                for arm in others
                if count > attempts[0]
            }
            found.append(
                Gain(
                    cell=cell,
                    words=run.words(cell),
                    attempts=count,
                    rates={arm: _solved_rate(each, count) for arm, each in last.items()},
                    gains={arm: each for arm, each in gained.items() if each is not None},
                    growth={arm: each for arm, each in grown.items() if each is not None},
                    published=published[count] if cell != IN_DISTRIBUTION else None,
                )
            )
    return _growth_corrected(found)


def readings(study: str, run: Run, metric: str) -> list[Reading]:
    """Of every cell and arm, where there are pictures to be read."""
    if not run.reads_pictures:
        return []
    rows = []
    for cell in run.cells:
        base = finals(run, BASE, cell, metric)
        for arm in run.arms:
            last = finals(run, arm, cell, metric)
            if not last or any(each.recognized is None for each in last.values()):
                continue
            is_arm = arm != BASE and bool(base)
            rows.append(
                Reading(
                    study=study,
                    cell=cell,
                    words=run.words(cell),
                    arm=arm,
                    recognition=pooled_rate(list(last.values()), recognition=True),
                    success=pooled_rate(list(last.values())),
                    recognition_change=column_difference(base, last, _read) if is_arm else None,
                    success_change=difference(base, last) if is_arm else None,
                )
            )
    return rows


def _growth_corrected(rows: Sequence[Gain]) -> list[Gain]:
    changed = [dict(row.growth) for row in rows]
    for cell, arm in dict.fromkeys((row.cell, arm) for row in rows for arm in row.growth):
        family = {
            place: row.growth[arm]
            for place, row in enumerate(rows)
            if row.cell == cell and arm in row.growth
        }
        for place, growth in corrected(family).items():
            changed[place][arm] = growth
    return [replace(row, growth=growth) for row, growth in zip(rows, changed, strict=True)]


def reading_family(rows: Sequence[Reading]) -> list[Reading]:
    """The rows with changes of recognition corrected over all cells, for each arm."""
    changed = list(rows)
    for arm in ARMS:
        family = {
            place: row.recognition_change
            for place, row in enumerate(rows)
            if row.arm == arm and row.recognition_change is not None
        }
        for place, change in corrected(family).items():
            changed[place] = replace(rows[place], recognition_change=change)
    return changed


def _tells_turns(last: Mapping[int, Evaluation]) -> bool:
    parts = [each.episodes for each in last.values()]
    return all(part is not None and part.num_turns is not None for part in parts)


def _solved(outcomes: Outcomes, attempts: int) -> np.ndarray | None:
    """Whether one of the first `attempts` answers was right. [n]"""
    if outcomes.num_turns is None:
        return None
    return outcomes.success & (outcomes.num_turns <= attempts)


def _between(outcomes: Outcomes, fewest: int, attempts: int) -> np.ndarray | None:
    """Whether it was solved with `attempts`, and not with the fewest. [n]"""
    if outcomes.num_turns is None:
        return None
    turns = outcomes.num_turns
    return outcomes.success & (turns > fewest) & (turns <= attempts)


def _read(outcomes: Outcomes) -> np.ndarray | None:
    """1, 0, or NaN where nothing was to be read. [n]"""
    return np.where(outcomes.recognized >= 0, outcomes.recognized, np.nan)


def _solved_rate(last: Mapping[int, Evaluation], attempts: int) -> Interval:
    parts = [each.episodes for each in last.values()]
    known = [part for part in parts if part is not None]
    solved = [found for part in known if (found := _solved(part, attempts)) is not None]
    return clustered_rate(
        np.concatenate(solved),
        np.concatenate([part.units for part in known]),
        np.repeat(list(last), [part.units.size for part in known]),
    )
