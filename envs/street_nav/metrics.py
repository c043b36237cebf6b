"""How well a walk followed a route: the measures of vision-and-language navigation.

success   stopping within `success_m` of the destination, as the crow flies (V-IRL: 25 m)
SPL       success * shortest / max(walked, shortest)         (https://arxiv.org/abs/1807.06757)
nDTW      exp(-DTW(walk, route) / (|route| * success_m))     (https://arxiv.org/abs/1907.05446)

DTW is the least sum of distances over all alignments of the two walks that keep their order.
"""

import math
from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]


def spl(success: bool, walked_m: float, shortest_m: float) -> float:
    """Success weighted by path length; a walk that starts at its end counts as the shortest."""
    if not success:
        return 0.0
    longest = max(walked_m, shortest_m)
    return 1.0 if longest == 0.0 else shortest_m / longest


def dtw_m(walk: Sequence[Point], route: Sequence[Point]) -> float:
    """Dynamic time warping distance in metres. Raises ValueError for an empty walk or route."""
    if not walk or not route:
        raise ValueError("walk and route must have at least one point")
    a, b = np.asarray(walk, float), np.asarray(route, float)  # [n, 2], [m, 2]
    distances = np.hypot(a[:, None, 0] - b[None, :, 0], a[:, None, 1] - b[None, :, 1])
    above = [0.0] + [math.inf] * len(b)
    for row in distances.tolist():
        current = [math.inf]
        for column, distance in enumerate(row):
            best = min(above[column], above[column + 1], current[column])
            current.append(distance + best)
        above = current
    return above[-1]


def ndtw(walk: Sequence[Point], route: Sequence[Point], success_m: float) -> float:
    """Normalised DTW in [0, 1]: 1 for the route itself."""
    return math.exp(-dtw_m(walk, route) / (len(route) * success_m))
