"""Corrections for looking at several comparisons at once: adjusted p-values.

- Holm 1979, *A Simple Sequentially Rejective Multiple Test Procedure*: the chance of a single false
  claim in the whole family stays below the level, whatever the dependence between its tests (cells
  share policies, comparisons share arms: theirs are dependent). The default.
- Benjamini and Hochberg 1995: the expected share of false claims among those made. For long lists
  that are searched through (many checkpoints, many cells), where one false lead costs little.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from .values import PairedDifference

Key = TypeVar("Key", bound=Hashable)
Correction = Callable[[Sequence[float]], np.ndarray]


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's adjusted p-values, in the order given. [M]"""
    sorted_p, order = _sorted(p_values)
    factors = np.arange(sorted_p.size, 0, -1)  # M for the smallest, 1 for the largest
    return _in_place(np.maximum.accumulate(factors * sorted_p), order)


def benjamini_hochberg(p_values: Sequence[float]) -> np.ndarray:
    """Adjusted p-values ("q-values") that bound the false discovery rate, in the order given. [M]

    For tests that are independent or positively dependent.
    """
    sorted_p, order = _sorted(p_values)
    scaled = sorted_p * sorted_p.size / np.arange(1, sorted_p.size + 1)
    return _in_place(np.minimum.accumulate(scaled[::-1])[::-1], order)


def corrected(
    family: Mapping[Key, PairedDifference], correction: Correction = holm
) -> dict[Key, PairedDifference]:
    """The comparisons of one family, each with its adjusted p and the family's size."""
    if not family:
        return {}
    adjusted = correction([each.p_value for each in family.values()])
    return {
        key: replace(each, adjusted_p=float(p), num_compared=len(family))
        for (key, each), p in zip(family.items(), adjusted, strict=True)
    }


def _sorted(p_values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(p_values, dtype=float)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p_values must be a list of numbers from 0 to 1; got {p_values}")
    order = np.argsort(values, kind="stable")
    return values[order], order


def _in_place(adjusted: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Back in the order given, and no greater than 1."""
    placed = np.empty_like(adjusted)
    placed[order] = np.minimum(adjusted, 1.0)
    return placed
