"""pass@k and pass^k against enumeration, simulation and their limits."""

from itertools import combinations

import numpy as np
import pytest
from cardinal_gym.training.statistics import (
    attempts_rate,
    clustered_mean,
    clustered_rate,
    clustered_share,
    pass_at_k,
    pass_hat_k,
)

scipy_stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("num_right", range(6))
@pytest.mark.parametrize("k", range(1, 6))
def test_both_count_every_choice_of_k_attempts(num_right: int, k: int) -> None:
    choices = list(combinations([1] * num_right + [0] * (5 - num_right), k))
    assert pass_at_k(num_right, 5, k) == pytest.approx(np.mean([max(c) for c in choices]))
    assert pass_hat_k(num_right, 5, k) == pytest.approx(np.mean([min(c) for c in choices]))


def test_neither_is_biased() -> None:
    """Over ten attempts at chance 0.3; powers of c / n, which come to mind first, are."""
    chance = scipy_stats.binom.pmf(range(11), 10, 0.3)
    rights = range(11)
    assert np.dot(chance, [pass_at_k(c, 10, 4) for c in rights]) == pytest.approx(1 - 0.7**4)
    assert np.dot(chance, [pass_hat_k(c, 10, 4) for c in rights]) == pytest.approx(0.3**4)
    assert abs(np.dot(chance, [(c / 10) ** 4 for c in rights]) - 0.3**4) > 0.01


def test_one_attempt_of_several_is_the_rate() -> None:
    rng = np.random.default_rng(0)
    deals, success = np.repeat(np.arange(100), 4), rng.random(400) < 0.4
    ids = deals // 2
    for estimator in (pass_at_k, pass_hat_k):
        got = attempts_rate(estimator, 1, success, deals, ids)
        plain = clustered_rate(success, ids)
        assert (got.n, got.num_tasks) == (100, 50)
        assert (got.estimate, got.low, got.high) == pytest.approx(
            (plain.estimate, plain.low, plain.high), abs=1e-9
        )


def test_attempts_group_by_deal_and_training_seed() -> None:
    success = [1, 0, 0, 0, 0, 0, 1, 1]
    deals, seeds = [7, 7, 9, 9, 7, 7, 9, 9], [0, 0, 0, 0, 1, 1, 1, 1]
    got = attempts_rate(pass_at_k, 2, success, deals, deals, seeds)
    assert (got.estimate, got.n, got.num_tasks, got.num_seeds) == (0.5, 4, 2, 2)
    assert attempts_rate(pass_hat_k, 2, success, deals, deals, seeds).estimate == 0.25


@pytest.mark.parametrize(("estimator", "truth"), [(pass_at_k, "any"), (pass_hat_k, "all")])
def test_intervals_cover_in_simulation(estimator: object, truth: str) -> None:
    rng = np.random.default_rng(1)
    nodes = np.linspace(0.0005, 0.9995, 1000)
    weight = scipy_stats.beta.pdf(nodes, 0.5, 1.5)
    value = 1 - (1 - nodes) ** 4 if truth == "any" else nodes**4
    mean = float((weight * value).sum() / weight.sum())
    deals, covered, trials = np.repeat(np.arange(150), 6), 0, 200
    for _ in range(trials):
        chance = rng.beta(0.5, 1.5, size=75)[np.arange(150) // 2]  # two deals a task
        success = rng.random(900) < chance[deals]
        got = attempts_rate(estimator, 4, success, deals, deals // 2)  # type: ignore[arg-type]
        covered += got.low <= mean <= got.high
    assert 0.91 <= covered / trials <= 0.99


def test_too_few_attempts_are_named() -> None:
    with pytest.raises(ValueError, match="k must be between 1 and the 2 attempts; got 4"):
        attempts_rate(pass_at_k, 4, [1, 0], [3, 3], ["x", "x"])
    with pytest.raises(ValueError, match="num_right must be between 0 and 4; got 5"):
        pass_hat_k(5, 4, 2)
    with pytest.raises(ValueError, match="must be as long as the 2 values of success"):
        attempts_rate(pass_at_k, 1, [1, 0], [3], ["x", "x"])


def test_a_mean_of_single_tasks_is_students() -> None:
    tokens = np.random.default_rng(2).gamma(2.0, 30.0, size=200)
    got = clustered_mean(tokens, np.arange(200))
    expected = scipy_stats.ttest_1samp(tokens, 0).confidence_interval(0.95)
    assert (got.low, got.high) == pytest.approx(tuple(expected), rel=1e-8)
    twice = clustered_mean(np.repeat(tokens, 2), np.repeat(np.arange(200), 2))
    assert (twice.low, twice.high) == pytest.approx((got.low, got.high))
    assert (twice.n, twice.num_tasks) == (400, 200)


def test_one_task_says_nothing_of_others() -> None:
    got = clustered_mean([3.0, 4.0], ["x", "x"])
    assert (got.estimate, got.low, got.high) == (3.5, -np.inf, np.inf)


def test_shares_must_be_shares() -> None:
    with pytest.raises(ValueError, match="shares must be between 0 and 1; got others"):
        clustered_share([0.2, 1.3], ["x", "y"])
