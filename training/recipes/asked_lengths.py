"""How closely policies keep the lengths that prompts ask for, over all asked lengths together.

Every task is played at every asked length, so each episode number has a slope of its own: the least
squares line of its tokens over the asked numbers. Its mean is "tokens per asked token": 1 for a
policy that does as it is told, 0 for one that does not read the number. Being linear in the tokens,
it has the intervals of any mean (`training/statistics`), and differences between policies are
paired by episode.

Source of the question: L1 (arXiv 2503.04697, section 4); the slope is this project's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..statistics import Interval, clustered_mean, clustered_share
from .pooled import Pooled, plain

Places = Sequence[tuple[int, Mapping[str, Pooled]]]  # of one cell: asked tokens, data by policy


def over_lengths(
    measured: Sequence[tuple[str, int | None, Mapping[str, Pooled]]],
    pairs: Sequence[tuple[str, str]],
) -> dict[str, list[dict[str, Any]]]:
    """`policies` and `gains` over all asked lengths of a cell; empty where none, or one, is asked.

    measured: place, asked tokens and data by policy; the part of a place's name before "@" is its
        cell. pairs: (a, b), b compared with a.
    """
    cells: dict[str, list[tuple[int, Mapping[str, Pooled]]]] = {}
    for place, asked, data in measured:
        if asked is not None:
            cells.setdefault(place.rpartition("@")[0], []).append((asked, data))
    found: dict[str, list[dict[str, Any]]] = {"policies": [], "gains": []}
    for cell, places in cells.items():
        if len({asked for asked, _ in places}) < 2:
            continue
        found["policies"] += [_kept(name, cell, places) for name in places[0][1]]
        found["gains"] += [_gain(first, second, cell, places) for first, second in pairs]
    return found


def slopes(places: Places, policy: str) -> np.ndarray:
    """Tokens per asked token of each episode number. [N]"""
    asked = np.array([count for count, _ in places], dtype=float)
    used = np.stack([data[policy]["num_tokens"] for _, data in places])  # [lengths, N]
    centred = asked - asked.mean()
    slope: np.ndarray = centred @ used / (centred @ centred)
    return slope


def _kept(policy: str, cell: str, places: Places) -> dict[str, Any]:
    within = [data[policy]["num_tokens"] <= asked for asked, data in places]
    unit, seed = _labels(places, policy)
    shares = clustered_share(np.mean(within, axis=0), unit, seed, trials=len(places))
    return {
        "policy": policy,
        "cell": cell,
        "n": len(places) * len(unit),
        "asked": [count for count, _ in places],
        "slope": plain(clustered_mean(slopes(places, policy), unit, seed)),
        "missed_by": plain(clustered_mean(_missed(places, policy), unit, seed)),
        "within": plain(shares),
    }


def _gain(first: str, second: str, cell: str, places: Places) -> dict[str, Any]:
    return {
        "from": first,
        "to": second,
        "cell": cell,
        "n": len(places) * len(places[0][1][first]["unit"]),
        "slope": plain(_change(slopes(places, first), slopes(places, second), places, first)),
        "missed_by": plain(_change(_missed(places, first), _missed(places, second), places, first)),
    }


def _missed(places: Places, policy: str) -> np.ndarray:
    """Mean distance from the asked numbers of each episode number. [N]"""
    each = [np.abs(data[policy]["num_tokens"] - asked) for asked, data in places]
    found: np.ndarray = np.mean(each, axis=0)
    return found


def _change(before: np.ndarray, after: np.ndarray, places: Places, policy: str) -> Interval:
    return clustered_mean(after - before, *_labels(places, policy))


def _labels(places: Places, policy: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit and seed of each episode number, the same at every length."""
    data = places[0][1][policy]
    return data["unit"], data["run_seed"]
