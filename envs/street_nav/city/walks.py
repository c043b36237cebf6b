"""How walks go on from street to street, and many of them drawn at once.

A turn is told apart from every other way on by the compass name and by the relative name of its
direction; going straight on is possible where exactly one way leads ahead.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .config import RouteConfig
from .geometry import turn_between
from .network import StreetNetwork

_Item = TypeVar("_Item")

COMPASS_DEG, SLIGHT_DEG = 45.0, 45.0
_SHARPEST_DEG = 150.0
_STRAIGHT_SHARE = 0.3
_WALKERS = 1500  # drawn at once
_MAX_NAMES = 3  # landmarks among which a turn is named


@dataclass(frozen=True, slots=True)
class Walk:
    """A route before its waypoints are thinned out.

    stretches: in walking order. turned: whether a turn (not a crossing) leads into each; the first
    is True. start: index in the first stretch's nodes; goal: in the last one's.
    sights: a landmark per leg, the last is the destination.
    """

    stretches: tuple[int, ...]
    turned: tuple[bool, ...]
    start: int
    goal: int
    sights: tuple[int, ...]


class Ways:
    """How a walk may go on from each stretch, as arrays; draws many walks at once.

    turns: int [K, T], stretches that may be turned into at the end of each, padded with -1.
    straight: int [K], the stretch straight on, or -1.
    names, goals: by stretch, landmarks that may name a turn at its end; (index of the goal among
    its nodes, destination).
    """

    def __init__(
        self,
        network: StreetNetwork,
        asked: list[dict[int, float]],
        seen: list[dict[int, float]],
        config: RouteConfig,
    ) -> None:
        stretches = network.stretches
        self._begins = np.array([stretch.nodes[0] for stretch in stretches])
        self._ends = np.array([stretch.nodes[-1] for stretch in stretches])
        self._lengths = [len(stretch.nodes) for stretch in stretches]
        turns: list[list[int]] = []
        self._straight = np.full(len(stretches), -1)
        for index, stretch in enumerate(stretches):
            others = [k for k in network.leaving.get(stretch.nodes[-1], []) if k != index ^ 1]
            others = [k for k in others if network.stretches[k].smooth]
            turns.append(_turns_from(network, index, config.turn_deg))
            ahead = [
                k
                for k in others
                if abs(float(turn_between(stretch.last, stretches[k].first))) < config.turn_deg
            ]
            if len(ahead) == 1:
                self._straight[index] = ahead[0]
        most = max(1, *map(len, turns))
        self._turns = np.array([row + [-1] * (most - len(row)) for row in turns])
        self._names = [
            [mark for mark in asked[s.nodes[-1]] if mark not in seen[s.nodes[0]]][:_MAX_NAMES]
            for s in stretches
        ]
        self._goals = [_goals_on(s.nodes, asked, seen) for s in stretches]
        self._named = np.array([bool(names) for names in self._names])
        self._has_goal = np.array([bool(goals) for goals in self._goals])
        self._smooth = np.flatnonzero([s.smooth for s in stretches])

    def draw(
        self, rng: np.random.Generator, wanted: set[int], config: RouteConfig
    ) -> Iterable[tuple[tuple[int, ...], tuple[bool, ...]]]:
        """Stretches, and which of them are turned into, with a wanted number of turns."""
        steps = (max(wanted) + 1) * (config.max_crossings + 1)
        path = np.full((_WALKERS, steps), -1)
        turned = np.zeros((_WALKERS, steps), bool)
        path[:, 0], turned[:, 0] = rng.choice(self._smooth, _WALKERS), True
        met = np.zeros((_WALKERS, int(max(self._begins.max(), self._ends.max())) + 1), bool)
        rows = np.arange(_WALKERS)
        met[rows, self._begins[path[:, 0]]] = True
        crossings, count = np.zeros(_WALKERS, int), np.zeros(_WALKERS, int)
        for step in range(1, steps + 1):
            now = path[rows, step - 1]
            for row in rows[self._has_goal[now] & np.isin(count[rows], list(wanted))]:
                yield tuple(path[row, :step].tolist()), tuple(turned[row, :step].tolist())
            if step == steps:
                break
            met[rows, self._ends[now]] = True
            onward, is_turn = self._step(rng, rows, now, met, crossings, config)
            rows, onward, is_turn = rows[onward >= 0], onward[onward >= 0], is_turn[onward >= 0]
            path[rows, step], turned[rows, step] = onward, is_turn
            crossings[rows] = np.where(is_turn, 0, crossings[rows] + 1)
            count[rows] += is_turn
            rows = rows[count[rows] <= max(wanted)]

    def _step(
        self,
        rng: np.random.Generator,
        rows: np.ndarray,
        now: np.ndarray,
        met: np.ndarray,
        crossings: np.ndarray,
        config: RouteConfig,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The next stretch of each walker (-1: none) and whether it turns into it."""
        choices = self._turns[now]
        open_ = (choices >= 0) & self._named[now][:, None]
        open_ &= ~met[rows[:, None], self._ends[choices]]
        score = np.where(open_, rng.random(choices.shape), -1.0)
        best = score.argmax(axis=1)
        turn = np.where(score.max(axis=1) >= 0, choices[np.arange(len(now)), best], -1)
        ahead = self._straight[now]
        free = (ahead >= 0) & ~met[rows, self._ends[ahead]]
        free &= crossings[rows] < config.max_crossings
        cross = free & ((rng.random(len(now)) < _STRAIGHT_SHARE) | (turn < 0))
        return np.where(cross, ahead, turn), ~cross

    def finish(
        self, rng: np.random.Generator, stretches: tuple[int, ...], turned: tuple[bool, ...]
    ) -> Walk:
        """Draws the landmarks, the start and the goal of a walk."""
        draws = rng.random(len(stretches) + 2)
        ends = [k for k in range(1, len(stretches)) if turned[k]]
        sights = [_picked(self._names[stretches[k - 1]], draws[k]) for k in ends]
        goal, destination = _picked(self._goals[stretches[-1]], draws[-1])
        last = self._lengths[stretches[0]] - 3 if len(stretches) > 1 else goal - 2
        start = int(draws[-2] * (max(0, last) + 1))
        return Walk(stretches, turned, start, goal, (*sights, destination))


def _turns_from(network: StreetNetwork, index: int, turn_deg: float) -> list[int]:
    """Stretches that may be turned into and cannot be mistaken for another."""
    arrival = network.stretches[index]
    leaving = network.leaving.get(arrival.nodes[-1], [])
    allowed = []
    for k in leaving:
        heading = network.stretches[k].first
        off = float(turn_between(arrival.last, heading))
        if k == index ^ 1 or not network.stretches[k].smooth:
            continue
        if not turn_deg <= abs(off) <= _SHARPEST_DEG:
            continue
        rivals = [network.stretches[m].first for m in leaving if m != k]
        offs = [
            float(turn_between(arrival.last, network.stretches[m].first))
            for m in leaving
            if m not in (k, index ^ 1)
        ]
        if _compass(heading) in map(_compass, rivals) or _side(off) in map(_side, offs):
            continue
        allowed.append(k)
    return allowed


def _goals_on(
    nodes: tuple[int, ...], asked: list[dict[int, float]], seen: list[dict[int, float]]
) -> list[tuple[int, int]]:
    """Where a walk may end on a stretch: the place, and the landmark that names it.

    Away from both ends, where the landmark's sign is largest; it is not seen from the beginning.
    """
    best: dict[int, int] = {}
    for index in range(2, len(nodes) - 1):
        for mark, size in asked[nodes[index]].items():
            known = asked[nodes[best[mark]]][mark] if mark in best else 0.0
            if size > known and mark not in seen[nodes[0]]:
                best[mark] = index
    return [(index, mark) for mark, index in best.items()]


def _picked(items: list[_Item], draw: float) -> _Item:
    return items[int(draw * len(items))]


def _compass(heading: float) -> int:
    """Which of the 8 compass names a heading has."""
    return int(((heading + COMPASS_DEG / 2) % 360.0) // COMPASS_DEG)


def _side(off: float) -> int:
    """The study's relative names: left -2, slightly left -1, slightly right 1, right 2."""
    if abs(off) > SLIGHT_DEG:
        return 2 if off > 0 else -2
    return 1 if off > 0 else -1
