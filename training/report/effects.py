"""What a rule costs, what a look costs, and what both cost together: one policy across cells.

Each effect is a paired difference of one policy on the same deals (reset seed and task) of two
cells of a cross; the interaction is what both together cost beyond the sum of each alone:

    rule alone   success(rule, trained look) - success(trained rule, trained look)
    look alone   success(trained rule, look) - the same
    both         success(rule, look)         - the same
    beyond       both - rule alone - look alone, deal by deal

Over several rules and looks every one of these is the mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..statistics import PairedDifference, corrected, paired_difference, units
from .analysis import finals
from .cells import Cross, part_words
from .results import Outcomes, Run

RULE, LOOK, BOTH, BEYOND = "rule", "look", "both", "beyond"
_Compared = tuple[str, bool, str, np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """kind: one of the four above.  is_mean: of all rules, looks or both, else of a single one.

    found: corrected (Holm) over all effects of the same arm and metric."""

    metric: str
    arm: str
    kind: str
    is_mean: bool
    name: str
    found: PairedDifference


@dataclass(frozen=True, slots=True)
class _Played:
    """Success of one policy on the deals that all cells share. success: float [rules, looks, N]"""

    success: np.ndarray
    units: np.ndarray  # [N]
    seeds: np.ndarray  # training seeds [N]


def effects(run: Run, cross: Cross | None, metric: str) -> list[Effect]:
    """Of every arm that kept its episodes; empty without a cross."""
    if cross is None:
        return []
    found = []
    for arm in run.arms:
        played = _played(run, cross, arm, metric)
        if played is not None:
            found += _of_one(cross, arm, metric, played)
    return found


def _of_one(cross: Cross, arm: str, metric: str, played: _Played) -> list[Effect]:
    made = [
        Effect(
            metric=metric,
            arm=arm,
            kind=kind,
            is_mean=is_mean,
            name=name,
            found=paired_difference(before, after, played.units, played.seeds),
        )
        for kind, is_mean, name, before, after in _compared(cross, played.success)
    ]
    adjusted = corrected(dict(enumerate(each.found for each in made)))
    return [replace(each, found=adjusted[place]) for place, each in enumerate(made)]


def _compared(cross: Cross, success: np.ndarray) -> list[_Compared]:
    """(kind, whether a mean, name, success before [N], success after [N]) of every effect."""
    origin, rules, looks = success[0, 0], success[1:, 0], success[0, 1:]
    rule, look, both = rules.mean(axis=0), looks.mean(axis=0), success[1:, 1:].mean(axis=(0, 1))
    sum_of_both = rule + look - origin  # what both would leave if neither made the other worse
    found: list[_Compared] = [
        (RULE, True, _mean_name("The rule alone", len(rules)), origin, rule),
        (LOOK, True, _mean_name("The look alone", len(looks)), origin, look),
        (BOTH, True, _mean_name("Both together", len(rules) * len(looks)), origin, both),
        (BEYOND, True, "Both, beyond the sum", sum_of_both, both),
    ]
    for kind, parts, shifted in ((RULE, cross.rules, rules), (LOOK, cross.looks, looks)):
        if len(shifted) > 1:
            names = [part_words(part, "") for part in parts[1:]]
            found += [
                (kind, False, name, origin, own) for name, own in zip(names, shifted, strict=True)
            ]
    return found


def _mean_name(name: str, count: int) -> str:
    return name if count == 1 else f"{name}, mean of {count}"


def _played(run: Run, cross: Cross, arm: str, metric: str) -> _Played | None:
    """The deals that every cell of the cross was played on, under the same task; None if none."""
    order = [cross.cells[rule, look] for rule in cross.rules for look in cross.looks]
    last = [finals(run, arm, cell, metric) for cell in order]
    seeds = sorted(set.intersection(*(set(found) for found in last)))
    parts = []
    for seed in seeds:
        known = [found[seed].episodes for found in last]
        shared = _shared([each for each in known if each is not None])
        if shared is not None and all(each is not None for each in known):
            parts.append((*shared, np.full(shared[1].size, seed)))
    if not parts:
        return None
    success = np.concatenate([part[0] for part in parts], axis=1)
    shape = (len(cross.rules), len(cross.looks), -1)
    task_ids, train_seeds = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    return _Played(success.reshape(shape), units(task_ids, run.cluster), train_seeds)


def _shared(cells: Sequence[Outcomes]) -> tuple[np.ndarray, np.ndarray] | None:
    """success [cells, N] and task ids [N] of the (deal, task) pairs that all cells have."""
    rows = [
        {
            (int(seed), int(attempt), str(task)): bool(success)
            for (seed, attempt), task, success in zip(
                each.deals, each.task_ids, each.success, strict=True
            )
        }
        for each in cells
    ]
    common = sorted(set.intersection(*(set(row) for row in rows))) if rows else []
    if not common:
        return None
    success = np.array([[row[key] for key in common] for row in rows], dtype=float)
    return success, np.array([task for _, _, task in common])
