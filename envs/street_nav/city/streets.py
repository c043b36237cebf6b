"""The street graph: the lattice bent into shape, its streets named, nodes laid along them.

The bending is a sum of long waves; in the mixed layout it fades out towards one side of the city,
which so keeps its straight grid. Nodes lie at every junction and every 9 to 14 m between.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .config import CityConfig, Layout
from .geometry import at_lengths, cross, heading_of, unit
from .lattice import draw_lattice
from .names import draw_street_names
from .scene import StreetClass

NODE_SPACING_M = 11.5
WIDTH_M = {
    StreetClass.lane: 8.5,
    StreetClass.street: 11.0,
    StreetClass.avenue: 16.0,
    StreetClass.boulevard: 17.0,
}
PAVEMENT_M = {
    StreetClass.lane: 2.8,
    StreetClass.street: 3.5,
    StreetClass.avenue: 4.2,
    StreetClass.boulevard: 4.2,
}
_WAVE_M = {Layout.mixed: 15.0, Layout.grid: 0.0, Layout.organic: 19.0}
_ROTATION_DEG = {Layout.mixed: 8.0, Layout.grid: 0.0, Layout.organic: 8.0}
_SPACING_JITTER = {Layout.mixed: 0.12, Layout.grid: 0.14, Layout.organic: 0.1}
_MIN_ANGLE_DEG = 32.0
_TRIES = 24
_STRAIGHT_M = 0.05


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of street from junction `a` to junction `b`; curve: float64 [n, 2]."""

    a: int
    b: int
    street: int
    curve: np.ndarray


@dataclass(frozen=True, slots=True)
class StreetPlan:
    """Everything about the streets that the rest of the city is built around.

    junctions: float64 [J, 2]. names, classes: by street.
    """

    junctions: np.ndarray
    segments: list[Segment]
    names: tuple[str, ...]
    classes: list[StreetClass]

    def half_width(self, street: int) -> float:
        return WIDTH_M[self.classes[street]] / 2.0

    def pavement(self, street: int) -> float:
        return PAVEMENT_M[self.classes[street]]


@dataclass(frozen=True, slots=True)
class StreetGraph:
    """xy: float64 [N, 2], the junctions first. edges: int32 [E, 2]; edge_street: int32 [E]."""

    xy: np.ndarray
    edges: np.ndarray
    edge_street: np.ndarray


def draw_streets(rng: np.random.Generator, config: CityConfig) -> StreetPlan:
    """A plan; bends are redrawn, ever weaker, until no two streets meet at a sharp angle."""
    links = draw_lattice(rng, config.num_blocks, config.layout)
    junctions = sorted({end for link in links for end in (link.a, link.b)})
    streets = sorted({link.street for link in links})
    classes = _draw_classes(rng, streets, config.num_blocks)
    names = draw_street_names(rng, classes)
    number = {junction: index for index, junction in enumerate(junctions)}
    ends = np.array([(number[link.a], number[link.b]) for link in links])
    flat = np.stack([link.curve() for link in links])  # [links, samples, 2]
    for attempt in range(_TRIES):
        bend = _Bend(rng, config, strength=1.0 - (attempt // 4) / (_TRIES // 4 - 1))
        curves = bend(flat.reshape(-1, 2)).reshape(flat.shape)
        if _smallest_angle(ends, curves) >= _MIN_ANGLE_DEG:
            break
    segments = [
        Segment(int(a), int(b), streets.index(link.street), _without_idle_points(curve))
        for link, (a, b), curve in zip(links, ends, curves, strict=True)
    ]
    return StreetPlan(bend(np.array(junctions, float)), segments, names, classes)


def lay_nodes(plan: StreetPlan) -> StreetGraph:
    """Nodes at the junctions and along every segment."""
    places, edges, streets = [plan.junctions], [], []
    count = len(plan.junctions)
    for segment in plan.segments:
        along = np.concatenate(
            [[0.0], np.cumsum(np.linalg.norm(np.diff(segment.curve, axis=0), axis=1))]
        )
        steps = max(2, round(along[-1] / NODE_SPACING_M))
        between = at_lengths(segment.curve, along[-1] * np.arange(1, steps) / steps)
        chain = [segment.a, *range(count, count + steps - 1), segment.b]
        edges += list(pairwise(chain))
        streets += [segment.street] * steps
        places.append(between)
        count += steps - 1
    return StreetGraph(np.vstack(places), np.array(edges, np.int32), np.array(streets, np.int32))


def _without_idle_points(curve: np.ndarray) -> np.ndarray:
    """The two ends of a straight curve, or all of it."""
    chord = unit(curve[-1] - curve[0])
    straight = np.abs(cross(chord, curve - curve[0])).max() < _STRAIGHT_M
    return curve[[0, -1]] if straight else curve


def _draw_classes(
    rng: np.random.Generator, streets: list[tuple[str, int]], n: int
) -> list[StreetClass]:
    """One avenue and one or two lanes each way; the diagonals are boulevards."""
    classes = dict.fromkeys(streets, StreetClass.street)
    for kind in ("row", "column"):
        inner = [int(index) for index in rng.permutation(np.arange(1, n))]
        classes[kind, inner[0]] = StreetClass.avenue
        for index in inner[1 : 1 + max(1, n // 4)]:
            classes[kind, index] = StreetClass.lane
    for street in streets:
        if street[0] == "diagonal":
            classes[street] = StreetClass.boulevard
    return [classes[street] for street in streets]


class _Bend:
    """From lattice coordinates [n, 2] to metres; strength runs from 0 (straight) to 1."""

    def __init__(self, rng: np.random.Generator, config: CityConfig, strength: float) -> None:
        n, jitter = config.num_blocks, _SPACING_JITTER[config.layout]
        self.lines = []
        for _ in range(2):
            gaps = config.block_m * (1.0 + jitter * rng.uniform(-1.0, 1.0, n))
            at = np.concatenate([[0.0], np.cumsum(gaps)])
            self.lines.append(at - at[-1] / 2.0)
        angle = np.radians(_ROTATION_DEG[config.layout] * rng.uniform(-1.0, 1.0))
        self.rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        span = config.num_blocks * config.block_m
        self.wave_m = strength * _WAVE_M[config.layout] * rng.uniform(0.85, 1.15)
        direction = rng.uniform(0.0, 2 * np.pi, 3)
        length = span * rng.uniform(0.55, 0.95, 3)
        self.wave = (
            2 * np.pi / length[:, None] * np.stack([np.cos(direction), np.sin(direction)], axis=1)
        )
        self.phase = rng.uniform(0.0, 2 * np.pi, 3)
        fade = rng.uniform(0.0, 2 * np.pi)
        fades = config.layout is Layout.mixed
        self.fade = np.array([np.cos(fade), np.sin(fade)]) / (0.35 * span) if fades else None

    def __call__(self, lattice: np.ndarray) -> np.ndarray:
        knots = np.arange(len(self.lines[0]))
        flat = np.stack([np.interp(lattice[:, k], knots, self.lines[k]) for k in (0, 1)], axis=1)
        swing = np.sin(flat @ self.wave.T + self.phase) * self.wave_m  # [n, 3]
        if self.fade is not None:
            swing *= np.clip(0.5 + flat @ self.fade, 0.0, 1.0)[:, None]
        across = np.stack([-self.wave[:, 1], self.wave[:, 0]], axis=1)
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        return (flat + swing @ across) @ self.rotation


def _smallest_angle(ends: np.ndarray, curves: np.ndarray) -> float:
    """Between neighbouring ways at any junction, in degrees; ends [n, 2], curves [n, s, 2]."""
    out = np.concatenate([curves[:, 1] - curves[:, 0], curves[:, -2] - curves[:, -1]])
    at, headings = ends.T.ravel(), heading_of(out)
    order = np.lexsort((headings, at))
    at, headings = at[order], headings[order]
    gaps = np.diff(headings)[np.diff(at) == 0]
    first = np.searchsorted(at, np.unique(at))
    last = np.searchsorted(at, np.unique(at), side="right") - 1
    return float(min(gaps.min(), (headings[first] + 360.0 - headings[last]).min()))
