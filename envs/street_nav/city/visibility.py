"""Which signs can be seen from which nodes: angles, and lines of sight over footprints.

Every building is taller than a sign that is seen past it, so that a sight line is free if it is
free in the plane: no wall and no blade or monument stands between the eye and `_SAMPLES` points
across the sign. Street trees, lamps and signals count as discs; the furniture keeps out of the view
of clear sights, and may hide others.
"""

from dataclasses import dataclass

import numpy as np

from .geometry import cross, distance_to_segments, heading_of, length_of, turn_between, unit
from .scene import EYE_HEIGHT_M, OCCLUDER_RADIUS_M, City, FurnitureKind, SignKind

MAX_DISTANCE_M = 38.0
_MIN_DISTANCE_M = 4.0
_SAMPLES = np.array([0.04, 0.27, 0.5, 0.73, 0.96])
_SHORT_OF = 0.995  # a sight line ends just before its sign
_DRAWN_SHARE = 0.5  # of a sign that trees may hide


@dataclass(frozen=True, slots=True)
class Limit:
    """Least angles (degrees), area (square degrees) and incidence (cosine), largest distance."""

    width: float
    height: float
    area: float
    incidence: float
    distance: float


SEEN = Limit(width=3.0, height=1.2, area=5.0, incidence=0.17, distance=MAX_DISTANCE_M)
CLEAR = Limit(width=6.0, height=1.9, area=20.0, incidence=0.3, distance=32.0)


@dataclass(frozen=True, slots=True)
class Signs:
    """p0, u, v: float64 [M, 3]; two_sided: bool [M]."""

    p0: np.ndarray
    u: np.ndarray
    v: np.ndarray
    two_sided: np.ndarray

    def take(self, index: np.ndarray) -> "Signs":
        return Signs(self.p0[index], self.u[index], self.v[index], self.two_sided[index])


@dataclass(frozen=True, slots=True)
class Sightlines:
    """Pairs of a node and a sign; see `City.sight_*` for the fields, all [V]."""

    node: np.ndarray
    sign: np.ndarray
    bearing: np.ndarray
    distance: np.ndarray
    width: np.ndarray
    height: np.ndarray
    clear: np.ndarray

    def take(self, index: np.ndarray) -> "Sightlines":
        return Sightlines(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    @property
    def area(self) -> np.ndarray:
        """Square degrees."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Walls:
    """Segments a-b, float64 [W, 2] each; owner: the sign that a segment is, or -1."""

    a: np.ndarray
    b: np.ndarray
    owner: np.ndarray


def visible(city: City, node: int, landmark: int) -> float:
    """Square degrees that a landmark's sign covers from a node; 0 where it cannot be seen."""
    signs = signs_of(city)
    one = signs.take(np.array([landmark]))
    walls = walls_of(city.lot_corners.astype(float), signs)
    others = walls.owner != landmark
    walls = Walls(walls.a[others], walls.b[others], np.full(int(others.sum()), -1))
    lines = sightlines(city.node_xy[node : node + 1].astype(float), one, walls)
    radius = disc_radius(city.furniture_kind)
    lines = unhidden(lines, city.node_xy[node : node + 1], one, city.furniture_xy, radius)
    return float(lines.area[0]) if len(lines.node) else 0.0


def signs_of(city: City) -> Signs:
    p0, u, v = (array.astype(float) for array in (city.sign_p0, city.sign_u, city.sign_v))
    return Signs(p0, u, v, is_two_sided(city.sign_kind))


def is_two_sided(kinds: np.ndarray) -> np.ndarray:
    return (kinds == SignKind.blade) | (kinds == SignKind.monument)


def walls_of(lots: np.ndarray, signs: Signs) -> Walls:
    """The sides of footprints [L, 4, 2], and the signs that stand out from a facade."""
    a, b = lots.reshape(-1, 2), np.roll(lots, -1, axis=1).reshape(-1, 2)
    out = np.flatnonzero(signs.two_sided)
    start = signs.p0[out, :2]
    return Walls(
        np.concatenate([a, start]),
        np.concatenate([b, start + signs.u[out, :2]]),
        np.concatenate([np.full(len(a), -1), out]),
    )


def sightlines(xy: np.ndarray, signs: Signs, walls: Walls) -> Sightlines:
    """Every sign that is seen from each of the places [N, 2], by node, the most prominent first."""
    centre = signs.p0[:, :2] + signs.u[:, :2] / 2
    near = length_of(xy[:, None] - centre) <= SEEN.distance
    lines = _angles(xy, signs, *np.nonzero(near))
    lines = lines.take(_passes(lines, SEEN, signs, xy))
    free = _free_of_walls(xy, signs, lines, walls)
    lines = lines.take(free)
    clear = _passes(lines, CLEAR, signs, xy)
    order = np.lexsort((-lines.area, ~clear, lines.node))
    fields = {name: getattr(lines, name) for name in lines.__dataclass_fields__}
    return Sightlines(**{**fields, "clear": clear}).take(order)


def in_view(
    points: np.ndarray, radius: np.ndarray, xy: np.ndarray, signs: Signs, lines: Sightlines
) -> np.ndarray:
    """Which discs [F] stand in the triangle between an eye and a sign of some sight line: [F]."""
    hit, tall = np.zeros(len(points), bool), radius > 0
    ends = signs.p0[:, :2], signs.p0[:, :2] + signs.u[:, :2]
    for node, sign in zip(lines.node, lines.sign, strict=True):
        triangle = np.stack([xy[node], ends[0][sign], ends[1][sign]])
        close = np.flatnonzero(tall & (length_of(points - xy[node]) < MAX_DISTANCE_M))
        hit[close] |= _touches(points[close], radius[close], triangle)
    return hit


def unhidden(
    lines: Sightlines, xy: np.ndarray, signs: Signs, points: np.ndarray, radius: np.ndarray
) -> Sightlines:
    """Without the sight lines of which discs hide more than a part."""
    points, radius = points[radius > 0], radius[radius > 0]
    targets = _targets(signs, lines.sign)
    keep = np.ones(len(lines.node), bool)
    for k, node in enumerate(lines.node):
        eye = xy[node]
        close = np.flatnonzero(length_of(points - eye) < lines.distance[k] + 2.0)
        along = targets[k] - eye
        length = length_of(along)
        way = along / length[:, None]
        offset = points[close, None] - eye
        ahead = (offset * way).sum(axis=2)
        aside = np.abs(cross(way, offset))
        hidden = (aside < radius[close, None]) & (ahead > 0) & (ahead < length)
        keep[k] = hidden.any(axis=0).mean() < _DRAWN_SHARE
    return lines.take(keep)


def disc_radius(kinds: np.ndarray) -> np.ndarray:
    """Metres, by FurnitureKind; 0 for what is lower than any sight line."""
    radius = np.zeros(len(FurnitureKind))
    for kind, metres in OCCLUDER_RADIUS_M.items():
        radius[kind] = metres
    return radius[kinds]


def _angles(xy: np.ndarray, signs: Signs, node: np.ndarray, sign: np.ndarray) -> Sightlines:
    """Angles of pairs, without regard to what is between."""
    eye, p0, u = xy[node], signs.p0[sign], signs.u[sign]
    ends = [heading_of(p0[:, :2] + k * u[:, :2] - eye) for k in (0.0, 1.0)]
    centre = p0[:, :2] + u[:, :2] / 2
    distance = length_of(centre - eye)
    low = p0[:, 2] - EYE_HEIGHT_M
    rise = [np.degrees(np.arctan2(z, distance)) for z in (low, low + signs.v[sign, 2])]
    return Sightlines(
        node=node,
        sign=sign,
        bearing=heading_of(centre - eye),
        distance=distance,
        width=np.abs(turn_between(*ends)),
        height=rise[1] - rise[0],
        clear=np.zeros(len(node), bool),
    )


def _passes(lines: Sightlines, limit: Limit, signs: Signs, xy: np.ndarray) -> np.ndarray:
    p0, u = signs.p0[lines.sign, :2], signs.u[lines.sign, :2]
    to_eye = unit(xy[lines.node] - (p0 + u / 2))
    facing = cross(to_eye, unit(u))  # the cosine to the sign's normal
    facing = np.where(signs.two_sided[lines.sign], np.abs(facing), facing)
    return (
        (facing >= limit.incidence)
        & (lines.width >= limit.width)
        & (lines.height >= limit.height)
        & (lines.area >= limit.area)
        & (lines.distance <= limit.distance)
        & (lines.distance >= _MIN_DISTANCE_M)
    )


def _targets(signs: Signs, index: np.ndarray) -> np.ndarray:
    """Points across signs, [n, samples, 2]."""
    p0, u = signs.p0[index, None, :2], signs.u[index, None, :2]
    return p0 + _SAMPLES[:, None] * u


def _free_of_walls(xy: np.ndarray, signs: Signs, lines: Sightlines, walls: Walls) -> np.ndarray:
    free = np.ones(len(lines.node), bool)
    middle, reach = (walls.a + walls.b) / 2, length_of(walls.b - walls.a) / 2
    targets = _targets(signs, lines.sign)
    for node in np.unique(lines.node):
        rows = np.flatnonzero(lines.node == node)
        eye = xy[node]
        farthest = lines.distance[rows].max() + 5.0
        close = np.flatnonzero(length_of(middle - eye) - reach < farthest)
        a, side = walls.a[close], walls.b[close] - walls.a[close]
        ray = (targets[rows] - eye)[:, :, None]  # [rows, samples, 1, 2]
        turn = cross(ray, side)
        safe = np.where(np.abs(turn) < 1e-9, np.inf, turn)
        t = cross(a - eye, side) / safe
        s = cross(a - eye, ray) / safe
        blocked = (t > 0) & (t < _SHORT_OF) & (s >= 0) & (s <= 1) & np.isfinite(safe)
        blocked &= walls.owner[close] != lines.sign[rows, None, None]
        free[rows] = ~blocked.any(axis=(1, 2))
    return free


def _touches(points: np.ndarray, radius: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    a, b = triangle, np.roll(triangle, -1, axis=0)
    sides = cross(b - a, points[:, None] - a)
    within = (sides > 0).all(axis=1) | (sides < 0).all(axis=1)
    return within | (distance_to_segments(points, a, b) < radius)
