"""Shares of answers over walks of any length: against sampling theory and simulated coverage."""

from dataclasses import replace

import numpy as np
import pytest
from cardinal_gym.training.statistics import (
    clustered_rate,
    clustered_ratio,
    paired_difference,
    paired_ratio_difference,
    wilson,
)


def test_with_one_answer_an_episode_a_ratio_is_a_rate() -> None:
    rng = np.random.default_rng(1)
    right, other = rng.random((2, 600)) < 0.3
    ids, seeds, ones = rng.integers(0, 90, size=600), np.arange(600) % 5, np.ones(600)
    assert clustered_ratio(right, ones, ids, seeds) == clustered_rate(right, ids, seeds)
    got = paired_ratio_difference((right, ones), (other, ones), ids, seeds)
    expected = paired_difference(right, other, ids, seeds)
    for name in ("estimate", "low", "high", "p_value", "mean_a", "mean_b", "only_a", "only_b"):
        assert getattr(got, name) == pytest.approx(getattr(expected, name), abs=1e-12)
    assert (got.n, got.num_tasks, got.num_seeds) == (600, 90, 5)


def test_a_ratio_of_sums_is_no_mean_of_shares() -> None:
    got = clustered_ratio([1, 0, 0], [1, 9, 0], ["x", "y", "z"])
    assert (got.estimate, got.n, got.num_tasks) == (0.1, 10, 2)


def test_the_variance_is_the_linearised_ratios() -> None:
    """Cochran's formula for single clusters, by hand; then Wilson's limits at that size."""
    wholes = np.array([2, 5, 3, 8, 4, 6, 2, 7] * 30)
    parts = np.array([2, 1, 3, 4, 0, 6, 1, 3] * 30)
    ratio, n = parts.sum() / wholes.sum(), wholes.size
    residuals = parts - ratio * wholes
    variance = n / (n - 1) * (residuals**2).sum() / wholes.sum() ** 2
    got = clustered_ratio(parts, wholes, np.arange(n))
    assert got.estimate == pytest.approx(ratio)
    assert got.effective_n == pytest.approx(ratio * (1 - ratio) / variance)


def test_answers_that_end_with_the_first_wrong_one_are_as_if_independent() -> None:
    """A walk that stops at its first wrong answer makes no cluster: Wilson's interval over answers
    holds, although every episode has at most one wrong answer."""
    rng = np.random.default_rng(2)
    until = rng.geometric(0.3, size=4000)
    wholes = np.minimum(until, 6)
    parts = wholes - (until <= 6)
    got, plain = (
        clustered_ratio(parts, wholes, np.arange(4000)),
        wilson(int(parts.sum()), int(wholes.sum())),
    )
    assert (got.low, got.high) == pytest.approx((plain.low, plain.high), abs=3e-3)


@pytest.mark.parametrize("num_seeds", [1, 5])
def test_a_ratio_covers_in_simulation(num_seeds: int) -> None:
    """Routes of several lengths, the longer the harder, walked by policies of several seeds; an
    interval that takes answers as independent misses the truth far too often."""
    rng = np.random.default_rng(3)
    trials, covered, covered_plain = 400, 0, 0
    ids, seeds = (
        np.tile(np.repeat(np.arange(90), 3), num_seeds),
        np.repeat(np.arange(num_seeds), 270),
    )
    truth = expected_accuracy(0.3 if num_seeds > 1 else 0.0)
    for _ in range(trials):
        lengths, skill = routes(rng, 90)
        luck = rng.normal(0, 0.3, size=num_seeds) if num_seeds > 1 else np.zeros(1)
        wholes = lengths[ids]
        parts = rng.binomial(wholes, sigmoid(skill[ids] + luck[seeds]))
        got = clustered_ratio(parts, wholes, ids, seeds)
        plain = wilson(int(parts.sum()), int(wholes.sum()))
        covered += got.low <= truth <= got.high
        covered_plain += plain.low <= truth <= plain.high
    assert 0.92 <= covered / trials <= 0.99
    assert covered_plain / trials < 0.8


@pytest.mark.parametrize(("num_seeds", "seed_spread"), [(1, 0.0), (5, 0.0), (5, 0.4)])
def test_differences_of_ratios_raise_few_false_alarms(num_seeds: int, seed_spread: float) -> None:
    """Two policies that are equally good, though the better one on a route walks further on it.

    With five seeds alike, four degrees of freedom are cautious: alarms are rarer than one in 20.
    """
    rng = np.random.default_rng(4)
    trials, alarms, size = 300, 0, 180
    ids, seeds = (
        np.tile(np.repeat(np.arange(90), 2), num_seeds),
        np.repeat(np.arange(num_seeds), size),
    )
    for _ in range(trials):
        lengths, skill = routes(rng, 90)
        sides = []
        for _ in range(2):
            luck = rng.normal(0, seed_spread, size=num_seeds)[seeds]
            own = rng.normal(0, 0.5, size=90)[ids]
            sides.append(walked(rng, lengths[ids], sigmoid(skill[ids] + own + luck)))
        found = paired_ratio_difference(*sides, ids, seeds, num_resamples=400)
        alarms += found.is_significant
    assert (0.01 if num_seeds == 1 else 0.0) <= alarms / trials <= 0.08


def test_a_difference_of_ratios_covers_what_there_is() -> None:
    """One policy stops at half of the places, the other is right more often: sizes differ."""
    rng = np.random.default_rng(5)
    trials, covered = 300, 0
    truth = expected_accuracy(0.0, gain=0.8) - expected_accuracy(0.0)
    for _ in range(trials):
        lengths, skill = routes(rng, 150)
        ids = np.repeat(np.arange(150), 2)
        whole = lengths[ids]
        a = rng.binomial(whole, sigmoid(skill[ids])), whole
        b = rng.binomial(2 * whole, sigmoid(skill[ids] + 0.8)), 2 * whole
        got = paired_ratio_difference(a, b, ids, num_resamples=400)
        covered += got.low <= truth <= got.high
    assert 0.92 <= covered / trials <= 0.985


def test_a_difference_turns_round_and_stays_the_same() -> None:
    rng = np.random.default_rng(6)
    ids, whole = rng.integers(0, 60, size=200), rng.integers(1, 9, size=200)
    a, b = (rng.binomial(whole, 0.5), whole), (rng.binomial(whole, 0.7), whole)
    there, back = paired_ratio_difference(a, b, ids), paired_ratio_difference(b, a, ids)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there == paired_ratio_difference(a, b, ids)
    assert there.is_significant
    assert (there.only_a, there.only_b) == (back.only_b, back.only_a)


def test_at_the_ends_routes_bound_what_can_be_said() -> None:
    whole, ids = np.full(80, 5), np.repeat(np.arange(20), 4)
    sure = clustered_ratio(whole, whole, ids)
    assert (sure.estimate, sure.high, sure.effective_n) == (1, 1, pytest.approx(20))
    assert 0.8 < sure.low < 0.9
    same = paired_ratio_difference((whole, whole), (whole, whole), ids)
    assert (same.estimate, same.p_value) == (0, 1)
    assert same.low < 0 < same.high


def test_episodes_without_an_answer_are_left_out() -> None:
    parts, whole, ids = np.array([1, 2, 0, 3]), np.array([2, 4, 0, 3]), np.array(list("xxyz"))
    kept = whole > 0
    assert clustered_ratio(parts, whole, ids) == clustered_ratio(
        parts[kept], whole[kept], ids[kept]
    )
    found = paired_ratio_difference((parts, whole), (parts, whole), ids)
    assert (found.n, found.num_tasks) == (3, 2)
    assert found == replace(found, estimate=0.0)


@pytest.mark.parametrize(
    ("parts", "wholes", "ids"),
    [([2], [1], ["x"]), ([-1], [1], ["x"]), ([1, 1], [1], ["x"]), ([1], [1], ["x", "y"])],
)
def test_impossible_parts_are_refused(parts: list, wholes: list, ids: list) -> None:
    with pytest.raises(ValueError, match="must be"):
        clustered_ratio(parts, wholes, ids)


def test_a_difference_needs_answers_on_both_sides() -> None:
    with pytest.raises(ValueError, match="must share an episode"):
        paired_ratio_difference(([0], [0]), ([1], [1]), ["x"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be equally long"):
        paired_ratio_difference(([0], [1]), ([1, 1], [1, 1]), ["x"])  # type: ignore[arg-type]


def routes(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of 3 to 10 answers [count] and a policy's logit on each, lower on longer ones."""
    lengths = rng.integers(3, 11, size=count)
    return lengths, rng.normal(1.2 - 0.2 * (lengths - 6.5), 1.0)


def walked(
    rng: np.random.Generator, lengths: np.ndarray, chance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(right answers, answers) of walks that end with the second wrong answer."""
    right = rng.random((lengths.size, 10)) < chance[:, None]
    steps = np.arange(10)
    before = np.cumsum(~right, axis=1) - ~right
    taken = (steps < lengths[:, None]) & (before < 2)
    return (right & taken).sum(axis=1), taken.sum(axis=1)


def expected_accuracy(seed_spread: float, gain: float = 0.0) -> float:
    """E[length * sigmoid(logit)] / E[length] over `routes` and seeds, by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    lengths = np.arange(3, 11)
    logits = 1.2 + gain - 0.2 * (lengths - 6.5)[:, None] + nodes * np.sqrt(1 + seed_spread**2)
    by_length = (weights * sigmoid(logits)).sum(axis=1) / weights.sum()
    return float((lengths * by_length).sum() / lengths.sum())


def sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))
