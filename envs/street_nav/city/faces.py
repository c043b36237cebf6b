"""What lies between the streets: faces of the street plan, bounded by sides.

A face is walked counter-clockwise, so that it lies to the left of its sides; the unbounded face is
walked clockwise, and what lies outside the city is to its left. Sides run from corner to corner;
where a street goes straight on past a junction, its side does too.
"""

from dataclasses import dataclass

import numpy as np

from .geometry import (
    Points,
    arc_lengths,
    area,
    heading_of,
    nearest_crossing,
    offset_curve,
    slice_curve,
    turn_between,
    unit,
)
from .streets import StreetPlan

STRAIGHT_ON_DEG = 20.0
_EXTENSION_M = 40.0


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a face along the centre line of its streets.

    curve: float64 [n, 2], the face to its left. half_width, pavement: metres, float64 [n].
    """

    curve: Points
    half_width: np.ndarray
    pavement: np.ndarray


@dataclass(frozen=True, slots=True)
class Face:
    """sides: counter-clockwise, each ends where the next begins; `closed` if a lone ring."""

    sides: list[Side]
    closed: bool

    def outline(
        self, kerb_share: float, pavement_share: float, inset: float = 0.0
    ) -> list[Points] | None:
        """The sides moved inwards by shares of road and pavement and by `inset` metres.

        Each ends where the next begins; a closed ring ends at its own start. None where the face
        is too small for it.
        """
        moved = []
        for side in self.sides:
            distances = kerb_share * side.half_width + pavement_share * side.pavement + inset
            moved.append(_moved(side.curve, distances, self.closed))
        return moved if self.closed else _joined(moved)


def trace_faces(plan: StreetPlan) -> tuple[list[Face], Face]:
    """The bounded faces, in a fixed order, and the unbounded one."""
    bounded, outer = [], None
    for walk in _walks(plan):
        face = _face_of(plan, walk)
        outline = np.vstack([side.curve[:-1] for side in face.sides])
        if area(outline) > 0:
            bounded.append(face)
        else:
            outer = face
    assert outer is not None
    return bounded, outer


def polygon_of(sides: list[Points]) -> Points:
    """One polygon from sides that end where the next begins."""
    return np.vstack([side[:-1] for side in sides])


def _walks(plan: StreetPlan) -> list[list[int]]:
    """Closed walks of half-edges: 2 k runs along segment k, 2 k + 1 back."""
    curves = [s.curve for s in plan.segments]
    out: dict[int, list[tuple[float, int]]] = {}
    for k, segment in enumerate(plan.segments):
        ahead, back = curves[k][1] - curves[k][0], curves[k][-2] - curves[k][-1]
        out.setdefault(segment.a, []).append((float(heading_of(ahead)), 2 * k))
        out.setdefault(segment.b, []).append((float(heading_of(back)), 2 * k + 1))
    after: dict[int, int] = {}
    for ways in out.values():
        ways.sort()  # clockwise: the way after the one we came by is the leftmost
        for (_, come), (_, leave) in zip(ways, [*ways[1:], ways[0]], strict=True):
            after[come ^ 1] = leave
    walks, seen = [], set()
    for start in range(2 * len(plan.segments)):
        walk, half = [], start
        while half not in seen:
            seen.add(half)
            walk.append(half)
            half = after[half]
        if walk:
            walks.append(walk)
    return walks


def _face_of(plan: StreetPlan, walk: list[int]) -> Face:
    """Joins half-edges that go straight on into sides, beginning at a corner."""
    curves = []
    for half in walk:
        curve = plan.segments[half // 2].curve
        curves.append(curve[::-1] if half % 2 else curve)
    corners = [
        k for k in range(len(walk)) if abs(_turn(curves[k - 1], curves[k])) > STRAIGHT_ON_DEG
    ]
    closed = not corners
    first = corners[0] if corners else 0
    order = [(first + k) % len(walk) for k in range(len(walk))]
    groups: list[list[int]] = []
    for k in order:
        if k in corners or not groups:
            groups.append([])
        groups[-1].append(k)
    return Face([_side(plan, [walk[k] for k in g], [curves[k] for k in g]) for g in groups], closed)


def _side(plan: StreetPlan, halves: list[int], curves: list[Points]) -> Side:
    points, half_width, pavement = [curves[0][:1]], [np.zeros(0)], [np.zeros(0)]
    streets = [plan.segments[half // 2].street for half in halves]
    for street, curve in zip(streets, curves, strict=True):
        points.append(curve[1:])
        half_width.append(np.full(len(curve) - 1, plan.half_width(street)))
        pavement.append(np.full(len(curve) - 1, plan.pavement(street)))
    half_width[0] = np.array([plan.half_width(streets[0])])
    pavement[0] = np.array([plan.pavement(streets[0])])
    return Side(np.vstack(points), np.concatenate(half_width), np.concatenate(pavement))


def _turn(before: Points, after: Points) -> float:
    return float(turn_between(heading_of(before[-1] - before[-2]), heading_of(after[1] - after[0])))


def _moved(curve: Points, distances: np.ndarray, closed: bool) -> Points:
    if not closed:
        return offset_curve(curve, distances)
    ring = offset_curve(curve[:-1], distances[:-1], closed=True)
    return np.vstack([ring, ring[:1]])


def _joined(curves: list[Points]) -> list[Points] | None:
    """Cuts or extends curves so that each ends where the next begins."""
    starts, ends = [0.0] * len(curves), [0.0] * len(curves)
    long = [_extended(curve) for curve in curves]
    for k in range(len(curves)):
        following = (k + 1) % len(curves)
        end = arc_lengths(long[k])[-1] - _EXTENSION_M
        hit = nearest_crossing(long[k], long[following], end, _EXTENSION_M)
        if hit is None:
            return None
        ends[k], starts[following] = hit
    if any(end - start < 1.0 for start, end in zip(starts, ends, strict=True)):
        return None
    return [slice_curve(*part) for part in zip(long, starts, ends, strict=True)]


def _extended(curve: Points) -> Points:
    head = curve[0] - _EXTENSION_M * unit(curve[1] - curve[0])
    tail = curve[-1] + _EXTENSION_M * unit(curve[-1] - curve[-2])
    return np.vstack([head, curve, tail])
