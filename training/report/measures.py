"""What else the final policies did, beside success: several attempts, turns, tokens, rewards.

    pass@k, pass^k      of several attempts at a deal (`evaluate.samples`), k = 1, 2, 4, ...
    solved by turn t    share of episodes solved by their t-th answer, t = 1, 3, 5, 10 (the study's
                        verification scaling) and the last one allowed; not on walks, whose answers
                        are steps
    SPL, nDTW, metres   of walks in free movement: success weighted by path length, likeness to the
                        route, distance from the destination at the end
    answers, tokens     of an episode
    return, reward      what an episode is worth, and the terms of its last answer

Everything is counted from the per-episode arrays; files of older versions lack some of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..statistics import (
    Interval,
    attempts_rate,
    clustered_mean,
    clustered_rate,
    pass_at_k,
    pass_hat_k,
)
from .results import Evaluation, Outcomes, Run
from .words import CellWords

TURNS = (1, 3, 5, 10)  # the study's verification budgets
FREE_WALKS = {  # name in the files: name in the table, and whether it is a share
    "spl": ("SPL", True),
    "ndtw": ("nDTW", True),
    "distance_m": ("metres from the destination", False),
}
WITHIN_TURNS = "success_within_turns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number of a final policy. is_share: between 0 and 1, else in its own unit."""

    metric: str
    cell: str
    words: CellWords
    arm: str
    name: str
    is_share: bool
    value: Interval


@dataclass(frozen=True, slots=True)
class _Pooled:
    """Episodes of one arm over its training seeds. All [N]"""

    parts: tuple[Outcomes, ...]
    units: np.ndarray
    seeds: np.ndarray  # training seeds
    deals: np.ndarray  # reset seeds
    success: np.ndarray

    def column(self, of: Callable[[Outcomes], np.ndarray | None]) -> np.ndarray | None:
        """One more column; None unless all parts have it."""
        known = [column for part in self.parts if (column := of(part)) is not None]
        return np.concatenate(known) if len(known) == len(self.parts) else None


def measures(run: Run) -> list[Measure]:
    """Of every metric, cell and arm, as far as the files tell."""
    found = []
    for metric in run.metric_names:
        for cell in run.cells:
            for arm in run.arms:
                tracks = run.select(arm, cell, metric)
                pooled = _pooled({seed: track[-1] for seed, track in tracks.items()})
                if pooled is None:
                    continue
                limit = _turn_limit(run, cell) if metric == WITHIN_TURNS else None
                found += [
                    Measure(
                        metric=metric,
                        cell=cell,
                        words=run.words(cell),
                        arm=arm,
                        name=name,
                        is_share=is_share,
                        value=value,
                    )
                    for name, is_share, value in _of(pooled, limit)
                ]
    return found


def attempts_of(deals: Sequence[int] | np.ndarray) -> int:
    """The least number of attempts at a deal; deals: of one policy's episodes."""
    return int(np.unique(deals, return_counts=True)[1].min())


def _of(pooled: _Pooled, limit: int | None) -> Iterable[tuple[str, bool, Interval]]:
    """Name, whether it is a share, and value of all that can be told."""
    units = pooled.units, pooled.seeds
    fewest = min(attempts_of(part.seeds) for part in pooled.parts)
    for k in _doubled(fewest):
        for name, estimator in (("pass@", pass_at_k), ("pass^", pass_hat_k)):
            value = attempts_rate(estimator, k, pooled.success, pooled.deals, *units)
            yield f"{name}{k}", True, value
    turns = pooled.column(lambda part: part.num_turns)
    is_walk = any(part.answers is not None for part in pooled.parts)
    if turns is not None and limit is not None and not is_walk:
        for turn in sorted({*(t for t in TURNS if t < limit), limit}):
            solved = pooled.success & (turns <= turn)
            yield f"solved by turn {turn}", True, clustered_rate(solved, *units)
    for key, (name, is_share) in FREE_WALKS.items():
        column = pooled.column(_free(key))
        if column is not None:
            yield name, is_share, clustered_mean(column, *units)
    means: dict[str, Callable[[Outcomes], np.ndarray | None]] = {
        "answers per episode": lambda part: part.num_turns,
        "tokens per episode": lambda part: part.num_tokens,
        "return": _known_returns,
    }
    for term in dict.fromkeys(name for part in pooled.parts for name in part.reward_terms):
        means[f"reward: {term}"] = _term(term)
    for name, of in means.items():
        column = pooled.column(of)
        known = None if column is None else np.isfinite(column)
        if column is None or known is None or not known.any():
            continue
        values = column[known]
        by = units[0][known], units[1][known]
        if np.isin(values, (0.0, 1.0)).all():  # a rate: its interval stays in it, and has a width
            yield name, False, clustered_rate(values > 0, *by)
        else:
            yield name, False, clustered_mean(values, *by)


def _free(name: str) -> Callable[[Outcomes], np.ndarray | None]:
    return lambda part: part.free.get(name)


def _known_returns(part: Outcomes) -> np.ndarray | None:
    """None unless all are known: those that are not differ from those that are."""
    known = part.returns is not None and bool(np.isfinite(part.returns).all())
    return part.returns if known else None


def _term(name: str) -> Callable[[Outcomes], np.ndarray | None]:
    return lambda part: part.reward_terms.get(name)


def _pooled(last: Mapping[int, Evaluation]) -> _Pooled | None:
    """last: the final evaluation by training seed; None where files are missing."""
    parts = {seed: each.episodes for seed, each in last.items()}
    known = {seed: part for seed, part in parts.items() if part is not None}
    if not known or len(known) < len(parts):
        return None
    return _Pooled(
        parts=tuple(known.values()),
        units=np.concatenate([part.units for part in known.values()]),
        seeds=np.repeat(list(known), [part.units.size for part in known.values()]),
        deals=np.concatenate([part.seeds for part in known.values()]),
        success=np.concatenate([part.success for part in known.values()]),
    )


def _turn_limit(run: Run, cell: str) -> int | None:
    """Answers that an episode of the cell may have; None where the run does not say."""
    env = run.config.get("env")
    told = run.shifts.get(cell, {}).get("max_turns")
    if told is None and isinstance(env, Mapping):
        told = env.get("max_turns")
    return told if isinstance(told, int) else None


def _doubled(most: int) -> list[int]:
    """1, 2, 4, ... and the greatest; none for a single attempt."""
    if most < 2:
        return []
    powers = [2**k for k in range(most.bit_length()) if 2**k <= most]
    return list(dict.fromkeys([*powers, most]))
