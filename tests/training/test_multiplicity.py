"""Holm's correction against closed testing, that of Benjamini and Hochberg against scipy."""

from itertools import combinations

import numpy as np
import pytest
from cardinal_gym.training.statistics import (
    benjamini_hochberg,
    corrected,
    holm,
    paired_difference,
)

scipy_stats = pytest.importorskip("scipy.stats")


def closed_bonferroni(p_values: list[float]) -> list[float]:
    """The greatest Bonferroni p of all families that a comparison belongs to."""
    every = range(len(p_values))
    families = [c for size in range(1, len(p_values) + 1) for c in combinations(every, size)]
    return [
        max(min(1.0, len(f) * min(p_values[i] for i in f)) for f in families if k in f)
        for k in every
    ]


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closure_of_bonferroni(seed: int) -> None:
    p_values = (np.random.default_rng(seed).random(7) ** 3).tolist()
    assert holm(p_values) == pytest.approx(closed_bonferroni(p_values), rel=1e-12)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).size == 0


@pytest.mark.parametrize("seed", range(3))
def test_benjamini_hochberg_agrees_with_scipy(seed: int) -> None:
    p_values = np.random.default_rng(seed).random(20) ** 2
    expected = scipy_stats.false_discovery_control(p_values, method="bh")
    assert benjamini_hochberg(p_values) == pytest.approx(expected, rel=1e-12)


def test_families_of_true_hypotheses_raise_few_alarms() -> None:
    """Nine correlated z-tests of nothing: one family in twenty claims anything."""
    rng = np.random.default_rng(0)
    z = 0.7 * rng.normal(size=(2000, 1)) + 0.714 * rng.normal(size=(2000, 9))
    p_values = 2 * scipy_stats.norm.sf(np.abs(z))
    assert (p_values.min(axis=1) < 0.05).mean() > 0.2
    assert np.mean([holm(row).min() < 0.05 for row in p_values]) <= 0.06


def test_comparisons_know_their_family() -> None:
    rng = np.random.default_rng(1)
    base = rng.random(200) < 0.3
    others = {name: rng.random(200) < rate for name, rate in (("a", 0.33), ("b", 0.9), ("c", 0.4))}
    family = {k: paired_difference(base, b, np.arange(200)) for k, b in others.items()}
    got = corrected(family)
    assert [each.num_compared for each in got.values()] == [3, 3, 3]
    assert got["b"].adjusted_p == pytest.approx(3 * family["b"].p_value)
    assert got["b"].is_clear
    assert all(each.adjusted_p >= each.p_value for each in got.values() if each.adjusted_p)
    assert family["a"].adjusted_p is None
    assert corrected({}) == {}


def test_what_is_significant_alone_may_not_be_clear_among_many() -> None:
    a = np.zeros(400)
    b = np.where(np.arange(400) < 20, 1, 0)
    b[:9] = -1  # 11 for, 9 against: nothing
    weak = paired_difference(a, np.where(np.arange(400) < 7, 1, 0), np.arange(400))
    assert weak.is_significant
    assert weak.is_clear
    among = corrected({k: weak if k == 0 else paired_difference(a, b, np.arange(400))
                       for k in range(12)})[0]  # fmt: skip
    assert among.is_significant
    assert not among.is_clear


@pytest.mark.parametrize("bad", [[0.5, 1.2], [-0.1], [float("nan")]])
def test_what_is_no_probability_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="p_values must be a list of numbers from 0 to 1; got"):
        holm(bad)
