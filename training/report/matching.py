"""Two arms where they do equally well in distribution: is OOD success still different?"""

from dataclasses import dataclass, replace

import numpy as np

from ..statistics import (
    Interval,
    PairedDifference,
    clustered_rate,
    corrected,
    paired_difference,
)
from .pairing import pooled_rate, shared_episodes
from .results import Evaluation, Run
from .words import CellWords

MATCH_TOLERANCE = 0.05  # ID success of "matched" checkpoints may differ by this much


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Two arms' OOD success where their ID success is (nearly) equal.

    rates: OOD success on the episodes that both played; difference: of these, second minus first.
    id_rates: ID success of the two checkpoints.  id_gap: the largest difference left in it between
    the two checkpoints of a training seed.
    """

    arms: tuple[str, str]
    cell: str
    words: CellWords
    id_rates: tuple[Interval, Interval]
    rates: tuple[Interval, Interval]
    difference: PairedDifference
    id_gap: float
    steps: tuple[tuple[int, int, int], ...]  # (training seed, step of first, step of second)

    @property
    def is_matched(self) -> bool:
        return self.id_gap <= MATCH_TOLERANCE


def all_matched(run: Run, metric: str) -> list[Match]:
    """Of every OOD cell where it can be told; p-values corrected over these cells."""
    found = [matched(run, cell, metric) for cell in run.cells if cell != "id"]
    matches = [match for match in found if match is not None]
    family = corrected({match.cell: match.difference for match in matches})
    return [replace(match, difference=family[match.cell]) for match in matches]


def matched(
    run: Run, cell: str, metric: str, arms: tuple[str, str] = ("sft", "grpo")
) -> Match | None:
    """OOD success at equal ID success: the arm that ends lower in ID, at its end, against the
    other arm's checkpoint whose ID success is nearest (the base is no checkpoint of either)."""
    tracks = {arm: run.select(arm, "id", metric) for arm in arms}
    seeds = sorted(tracks[arms[0]].keys() & tracks[arms[1]].keys())
    if not seeds:
        return None
    ends = [np.mean([tracks[arm][seed][-1].rate for seed in seeds]) for arm in arms]
    anchor = int(ends[1] <= ends[0])
    sides: list[dict[int, Evaluation]] = [{}, {}]  # OOD, by training seed
    ids: list[list[Evaluation]] = [[], []]
    for seed in seeds:
        end = tracks[arms[anchor]][seed][-1]
        near = min(tracks[arms[1 - anchor]][seed], key=lambda e: abs(e.rate - end.rate))
        for side, chosen in ((anchor, end), (1 - anchor, near)):
            there = _at(run, arms[side], cell, metric, seed, chosen.step)
            if there is not None:
                sides[side][seed] = there
                ids[side].append(chosen)
    shared = shared_episodes(*sides)
    if shared is None or len(ids[0]) != len(ids[1]):
        return None
    units = shared.units, shared.seeds
    return Match(
        arms=arms,
        cell=cell,
        words=run.words(cell),
        id_rates=(pooled_rate(ids[0]), pooled_rate(ids[1])),
        rates=(clustered_rate(shared.first, *units), clustered_rate(shared.second, *units)),
        difference=paired_difference(shared.first, shared.second, *units),
        id_gap=max(abs(a.rate - b.rate) for a, b in zip(*ids, strict=True)),
        steps=tuple((s, sides[0][s].step, sides[1][s].step) for s in sorted(sides[0])),
    )


def _at(run: Run, arm: str, cell: str, metric: str, seed: int, step: int) -> Evaluation | None:
    track = run.select(arm, cell, metric).get(seed, [])
    return next((each for each in track if each.step == step), None)
