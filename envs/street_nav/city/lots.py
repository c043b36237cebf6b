"""Lots: footprints of buildings along the building line of a block.

Corners get a lot with two fronts, cut at right angles to both streets; between them a row of lots
follows the line, bends included. Blocks too thin for a courtyard are built up to their middle.
"""

from dataclasses import dataclass

import numpy as np

from .geometry import (
    Points,
    arc_lengths,
    area,
    at_lengths,
    heading_of,
    inside,
    is_convex,
    left_of,
    quads_overlap,
    tangents_at,
    turn_between,
    unit,
)

FRONT, CORNER_FRONTS = 0b0001, 0b1001  # street sides of a lot in a row and of a corner lot
_CORNER_DEG = 125.0  # wider angles are built around like a bend
_MIN_WIDTH_M = 3.5
_MIN_CORNER_M, _MAX_CORNER_M = 3.0, 20.0
_SLACK_M = 0.2  # footprints may overlap by this much; their walls are then out of sight


@dataclass(frozen=True, slots=True)
class Lots:
    """quads: float64 [n, 4, 2], counter-clockwise, side 0 the front; street_sides: int [n]."""

    quads: np.ndarray
    street_sides: np.ndarray


def divide(
    rng: np.random.Generator, sides: list[Points], depth: float, width: float, closed: bool = False
) -> Lots:
    """Lots along a building line.

    sides: as `Face.outline` gives them, the lots to their left. depth: of the deepest lot, metres.
    width: of a usual front. closed: the one side is a ring without corners, around which the lots
    stand.
    """
    if closed:
        curve = sides[0]
        ends = np.full((2, 2), np.nan)
        quads = _row(rng, curve, (0.0, arc_lengths(curve)[-1]), ends, depth, width)
        return _sound(Lots(quads, np.full(len(quads), FRONT)), None)
    cuts = _corner_cuts(sides, depth)
    mitres = np.stack([_mitre(sides[k - 1], side) for k, side in enumerate(sides)])
    mitres[np.array(cuts) > 0] = np.nan
    pieces, fronts = [], []
    for k, side in enumerate(sides):
        following = (k + 1) % len(sides)
        span = cuts[k], arc_lengths(side)[-1] - cuts[following]
        pieces.append(_row(rng, side, span, mitres[[k, following]], depth, width))
        fronts.append(np.full(len(pieces[-1]), FRONT))
        if cuts[k] > 0:
            pieces.append(_corner(sides[k - 1], side, cuts[k])[None])
            fronts.append(np.array([CORNER_FRONTS]))
    lots = Lots(np.concatenate(pieces), np.concatenate(fronts))
    return _sound(lots, np.vstack([side[:-1] for side in sides]))


def shrink(quads: np.ndarray, front: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Footprints [n, 4, 2] set back by `front` metres and by `sides` metres on either hand."""
    a, b, c, d = (quads[:, k] for k in range(4))
    wide = np.linalg.norm(b - a, axis=1)
    deep = np.linalg.norm(d - a, axis=1)
    u, v = (sides / wide)[:, None], (front / deep)[:, None]

    def at(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        return (1 - t) * ((1 - s) * a + s * b) + t * ((1 - s) * d + s * c)

    one = np.ones_like(u)
    return np.stack([at(u, v), at(1 - u, v), at(1 - u, one), at(u, one)], axis=1)


def _corner_cuts(sides: list[Points], depth: float) -> list[float]:
    """How far the lot at the start of each side reaches along it; 0 where there is none."""
    cuts = []
    for k, side in enumerate(sides):
        before = sides[k - 1]
        turn = turn_between(heading_of(before[-1] - before[-2]), heading_of(side[1] - side[0]))
        angle = 180.0 + float(turn)  # inside; a left turn is negative
        cut = depth / np.tan(np.radians(angle / 2)) if angle < _CORNER_DEG else 0.0
        cuts.append(min(cut, _MAX_CORNER_M))
    fit = [1.0] * len(sides)
    for k, side in enumerate(sides):
        following = (k + 1) % len(sides)
        both = cuts[k] + cuts[following]
        if both > 0:
            share = min(1.0, arc_lengths(side)[-1] / both)
            fit[k], fit[following] = min(fit[k], share), min(fit[following], share)
    fitted = [cut * share for cut, share in zip(cuts, fit, strict=True)]
    return [cut if cut >= _MIN_CORNER_M else 0.0 for cut in fitted]


def _corner(before: Points, after: Points, cut: float) -> np.ndarray:
    """The lot around the start of `after`: corner, along it, the inner point, back along it."""
    cuts = np.array([cut]), np.array([arc_lengths(before)[-1] - cut])
    near, far = at_lengths(after, cuts[0])[0], at_lengths(before, cuts[1])[0]
    inward = left_of(tangents_at(after, cuts[0]))[0], left_of(tangents_at(before, cuts[1]))[0]
    t = np.linalg.solve(np.stack([inward[0], -inward[1]], axis=1), far - near)[0]
    return np.stack([after[0], near, near + t * inward[0], far])


def _mitre(before: Points, after: Points) -> np.ndarray:
    """Inwards along the bisector of a corner, by one metre from both sides."""
    n0, n1 = left_of(unit(before[-1] - before[-2])), left_of(unit(after[1] - after[0]))
    return (n0 + n1) / max(1.0 + float(n0 @ n1), 0.6)


def _row(
    rng: np.random.Generator,
    side: Points,
    span: tuple[float, float],
    mitres: np.ndarray,
    depth: float,
    width: float,
) -> np.ndarray:
    """Lots side by side between two distances along a side: [n, 4, 2].

    mitres: inward vectors at both ends, [2, 2]; NaN where the row ends at a right angle.
    """
    room = span[1] - span[0]
    if room < _MIN_WIDTH_M:
        return np.zeros((0, 4, 2))
    count = max(1, round(room / width))
    shares = rng.uniform(0.75, 1.25, count)
    at = span[0] + room * np.concatenate([[0.0], np.cumsum(shares) / shares.sum()])
    front, inward = at_lengths(side, at), left_of(tangents_at(side, at))
    inward[[0, -1]] = np.where(np.isnan(mitres), inward[[0, -1]], mitres)
    deep = depth * rng.uniform(0.82, 1.0, count)[:, None]
    return np.stack(
        [front[:-1], front[1:], front[1:] + deep * inward[1:], front[:-1] + deep * inward[:-1]],
        axis=1,
    )


def _sound(lots: Lots, outline: Points | None) -> Lots:
    """Shortens lots that run into others, and drops those that still do."""
    quads, bits = lots.quads, lots.street_sides
    in_row = bits == FRONT
    for share in (0.75, 0.65, 0.5):
        bad = ~is_convex(quads) | quads_overlap(quads, _SLACK_M).any(axis=1)
        if outline is not None:
            bad |= ~inside(quads.mean(axis=1), outline)
        bad &= in_row
        if not bad.any():
            break
        back = quads[bad][:, [1, 0]] + share * (quads[bad][:, [2, 3]] - quads[bad][:, [1, 0]])
        quads[bad, 2:] = back
    sizes = np.array([area(quad) for quad in quads])
    keep = is_convex(quads) & (sizes > 12.0)
    overlap = quads_overlap(quads, _SLACK_M)
    for k in np.argsort(sizes, kind="stable"):
        if (overlap[k] & keep).any():
            keep[k] = False
    return Lots(quads[keep], bits[keep])
