"""Intervals and paired differences, against scipy and against simulations with known coverage."""

from dataclasses import replace

import numpy as np
import pytest
from cardinal_gym.training.statistics import (
    clustered_rate,
    mean_over_seeds,
    paired_difference,
    wilson,
)
from cardinal_gym.training.statistics.quantiles import student_quantile, student_tail

scipy_stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (7, 7), (1, 234), (27, 234), (384, 768)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_agrees_with_scipy(successes: int, n: int, confidence: float) -> None:
    expected = scipy_stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    got = wilson(successes, n, confidence)
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (got.estimate, got.n) == (successes / n, n)


def test_wilson_contains_its_estimate_at_both_ends() -> None:
    assert wilson(0, 20).low == 0
    assert wilson(20, 20).high == 1


@pytest.mark.parametrize("bad", [(1, 0), (-1, 5), (6, 5)])
def test_wilson_names_a_bad_count(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"must be .*; got"):
        wilson(*bad)


@pytest.mark.parametrize("freedom", [1, 2, 4, 4.7, 30, 266, 5000])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def teststudent_quantile_agrees_with_scipy(freedom: float, confidence: float) -> None:
    quantile = scipy_stats.t.ppf(0.5 + confidence / 2, freedom)
    assert student_quantile(confidence, freedom) == pytest.approx(quantile, rel=1e-8)
    assert student_tail(3.3, freedom) == pytest.approx(scipy_stats.t.sf(3.3, freedom), rel=1e-8)


def test_mean_over_seeds_is_students_interval() -> None:
    values = [0.11, 0.15, 0.09, 0.12, 0.2]
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
    got = mean_over_seeds(values)
    assert got is not None
    assert (got.low, got.high) == pytest.approx(tuple(expected), rel=1e-8)
    assert got.num_seeds == 5
    assert mean_over_seeds([0.3]) is None


def test_a_task_seen_once_each_gives_wilson_again() -> None:
    success = np.arange(2000) % 4 == 0
    clustered = clustered_rate(success, np.arange(2000))
    plain = wilson(500, 2000)
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high), abs=2e-4)
    assert clustered.effective_n == pytest.approx(2000, rel=2e-3)


def test_repeating_every_episode_adds_no_certainty() -> None:
    success, ids = np.arange(100) % 3 == 0, np.arange(100)
    once = clustered_rate(success, ids)
    eight_times = clustered_rate(np.repeat(success, 8), np.repeat(ids, 8))
    assert (eight_times.low, eight_times.high) == pytest.approx((once.low, once.high), abs=1e-9)
    assert (eight_times.n, eight_times.num_tasks) == (800, 100)


def test_no_success_at_all_is_bounded_by_the_number_of_tasks() -> None:
    got = clustered_rate(np.zeros(800), np.repeat(np.arange(100), 8))
    assert got.effective_n == pytest.approx(100)
    assert got.low == 0
    assert 0.03 < got.high < 0.04


def test_clustered_rate_covers_in_simulation() -> None:
    """Hands drawn again and again, alike among themselves: Wilson undercovers, this does not."""
    rng = np.random.default_rng(1)
    trials, covered, covered_plain = 600, 0, 0
    for _ in range(trials):
        ids = rng.integers(0, 270, size=768)
        chance = rng.beta(0.15, 0.85, size=270)  # intra-task correlation 0.5
        success = rng.random(768) < chance[ids]
        got, plain = clustered_rate(success, ids), wilson(int(success.sum()), 768)
        covered += got.low <= 0.15 <= got.high
        covered_plain += plain.low <= 0.15 <= plain.high
    assert 0.93 <= covered / trials <= 0.985
    assert covered_plain / trials < 0.90


def test_clustered_rate_over_seeds_covers_in_simulation() -> None:
    rng = np.random.default_rng(2)
    trials, covered = 400, 0
    ids, seeds = np.tile(np.repeat(np.arange(90), 3), 5), np.repeat(np.arange(5), 270)
    for _ in range(trials):
        logit = rng.normal(size=90)[ids] - 1.0 + rng.normal(0, 0.3, size=5)[seeds]
        covered += _contains(clustered_rate(rng.random(ids.size) < _sigmoid(logit), ids, seeds))
    assert 0.92 <= covered / trials <= 0.995


def test_paired_difference_counts_what_it_compares() -> None:
    got = paired_difference([1, 0, 0, 1], [1, 1, 1, 0], ["x", "x", "y", "z"])
    assert (got.estimate, got.n, got.num_tasks, got.num_seeds) == (0.25, 4, 3, 1)
    assert (got.mean_a, got.mean_b, got.only_a, got.only_b) == (0.5, 0.75, 1, 2)


def test_paired_difference_is_the_same_every_time() -> None:
    rng = np.random.default_rng(3)
    a, b, ids = rng.random(300) < 0.3, rng.random(300) < 0.4, rng.integers(0, 80, size=300)
    assert paired_difference(a, b, ids) == paired_difference(a, b, ids)


def test_paired_difference_of_single_tasks_agrees_with_the_paired_t_test() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.random(500) < 0.3, rng.random(500) < 0.38
    got = paired_difference(a, b, np.arange(500), num_resamples=20_000)
    test = scipy_stats.ttest_rel(b.astype(float), a.astype(float))
    expected = test.confidence_interval()
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=2e-3)
    assert got.p_value == pytest.approx(test.pvalue, rel=0.15)


def test_paired_difference_turns_round_with_its_arguments() -> None:
    rng = np.random.default_rng(5)
    a, b, ids = rng.random(200) < 0.3, rng.random(200) < 0.6, rng.integers(0, 60, size=200)
    there, back = paired_difference(a, b, ids), paired_difference(b, a, ids)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.is_significant
    assert there.p_value == pytest.approx(back.p_value)


def test_equal_policies_differ_by_nothing_but_not_with_certainty() -> None:
    same = np.arange(60) % 2 == 0
    got = paired_difference(same, same, np.arange(60))
    assert got.estimate == 0
    assert got.p_value == 1
    assert -0.08 < got.low < 0 < got.high < 0.08


def test_paired_difference_covers_in_simulation_with_one_seed() -> None:
    rng = np.random.default_rng(6)
    trials, covered = 300, 0
    for _ in range(trials):
        ids = rng.integers(0, 150, size=400)
        skill = rng.normal(size=150)
        a = rng.random(400) < _sigmoid(skill[ids] - 1)
        shifted = skill + rng.normal(0.0, 1.0, size=150)  # the second policy differs task by task
        b = rng.random(400) < _sigmoid(shifted[ids] - 1)
        truth = _mean_rate(2.0) - _mean_rate(1.0)
        got = paired_difference(a, b, ids, num_resamples=400)
        covered += got.low <= truth <= got.high
    assert 0.92 <= covered / trials <= 0.985


@pytest.mark.parametrize(("num_seeds", "seed_spread"), [(3, 0.5), (5, 0.0), (5, 0.5)])
def test_paired_difference_covers_in_simulation_with_seeds(
    num_seeds: int, seed_spread: float
) -> None:
    """No difference between the methods, though each seed's policies differ: 5 % false alarms."""
    rng = np.random.default_rng(7)
    trials, alarms = 300, 0
    ids = np.tile(np.repeat(np.arange(90), 2), num_seeds)
    seeds = np.repeat(np.arange(num_seeds), 180)
    for _ in range(trials):
        skill = rng.normal(size=90)[ids] - 1
        luck_a, luck_b = rng.normal(0, seed_spread, size=(2, num_seeds))
        a = rng.random(ids.size) < _sigmoid(skill + luck_a[seeds])
        b = rng.random(ids.size) < _sigmoid(skill + luck_b[seeds])
        alarms += paired_difference(a, b, ids, seeds, num_resamples=400).is_significant
    assert alarms / trials <= 0.08


def test_two_seeds_say_nothing_of_seeds() -> None:
    a, b = np.zeros(40), np.tile([0, 1, 1, 0], 10)
    ids, seeds = np.arange(40) % 20, np.arange(40) // 20
    got = paired_difference(a, b, ids, seeds)
    assert got.num_seeds == 2
    assert not got.spans_seeds
    assert got == replace(paired_difference(a, b, ids), num_seeds=2)


def test_five_seeds_still_find_a_real_difference() -> None:
    rng = np.random.default_rng(8)
    ids, seeds = np.tile(np.arange(270), 5), np.repeat(np.arange(5), 270)
    a, b = rng.random(1350) < 0.12, rng.random(1350) < 0.30
    got = paired_difference(a, b, ids, seeds)
    assert got.low > 0.1
    assert got.p_value < 0.01
    assert got.num_seeds == 5


@pytest.mark.parametrize(
    ("a", "b", "ids", "seeds"),
    [
        ([1], [1, 0], ["x"], None),
        ([], [], [], None),
        ([1, 0], [1, 0], ["x"], None),
        ([1, 0], [1, 0], ["x", "y"], [0]),
    ],
)
def test_lists_of_unequal_length_are_refused(a: list, b: list, ids: list, seeds: object) -> None:
    with pytest.raises(ValueError, match=r"must be .*; got"):
        paired_difference(a, b, ids, seeds)  # type: ignore[arg-type]


def test_confidence_must_be_a_probability() -> None:
    with pytest.raises(ValueError, match="confidence must be between 0 and 1; got 95"):
        wilson(1, 2, confidence=95)


def _sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def _mean_rate(variance: float) -> float:
    """Mean of sigmoid(x - 1) over x ~ N(0, variance), by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return float((weights * _sigmoid(nodes * np.sqrt(variance) - 1)).sum() / weights.sum())


def _contains(interval: object) -> bool:
    truth = _mean_rate(1.0 + 0.3**2)
    return interval.low <= truth <= interval.high  # type: ignore[attr-defined]
