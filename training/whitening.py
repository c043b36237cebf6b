"""Statistics over a whole batch, of all processes together: whitening, and REINFORCE++'s returns.

Source: REINFORCE++ (arXiv 2501.03262, section 3): token returns with the KL penalty inside,
normalised over the global batch instead of a group. Departure: numbers that agree (by range) are
whitened to exactly zero.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .advantages import EPSILON, SAME_RETURN

Pool = Callable[[Mapping[str, float]], dict[str, float]]  # key-wise sums over processes


def alone(values: Mapping[str, float]) -> dict[str, float]:
    """The pool of a single process."""
    return dict(values)


def pooled_std(values: np.ndarray, pool: Pool = alone) -> float:
    """The standard deviation (with n - 1) over all processes; 0 for fewer than two numbers."""
    return _moments(values, pool)[1]


def whiten(values: Sequence[np.ndarray], pool: Pool = alone) -> list[np.ndarray]:
    """Subtract the mean and divide by the deviation of all numbers of all processes.

    values: arrays of any lengths; every number counts alike. Equal numbers give exactly zero.
    """
    flat = np.concatenate([np.asarray(each, dtype=np.float64) for each in values] or [np.zeros(0)])
    mean, std = _moments(flat, pool)
    if std <= SAME_RETURN * max(1.0, abs(mean)):
        return [np.zeros(len(each)) for each in values]
    return [(np.asarray(each, dtype=np.float64) - mean) / (std + EPSILON) for each in values]


def token_returns(base: float, penalties: np.ndarray, later: float = 0.0) -> np.ndarray:
    """What follows from each token of a turn: the turn's return less the penalties still to come.

    base: return of the turn (or the episode) without penalties. penalties: beta * k1 of each of its
    tokens [T]. later: the sum of penalties in later turns. Returns float64 [T].
    """
    to_come = np.cumsum(np.asarray(penalties, dtype=np.float64)[::-1])[::-1]
    return base - to_come - later


def _moments(flat: np.ndarray, pool: Pool) -> tuple[float, float]:
    """Mean and standard deviation, in two passes: sums of squares would cancel."""
    first = pool({"n": float(len(flat)), "sum": float(flat.sum())})
    if first["n"] < 2:
        return first["sum"], 0.0
    mean = first["sum"] / first["n"]
    squares = pool({"squares": float(((flat - mean) ** 2).sum())})["squares"]
    return mean, float(np.sqrt(squares / (first["n"] - 1)))
