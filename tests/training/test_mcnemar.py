"""McNemar's test against scipy, enumeration and simulations: exact, mid-p, and by task."""

from itertools import product

import numpy as np
import pytest
from cardinal_gym.training.statistics.mcnemar import (
    clustered_p,
    exact_p,
    flip_p,
    mcnemar,
    mid_p,
)

scipy_stats = pytest.importorskip("scipy.stats")
COUNTS = pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (0, 6), (3, 3), (12, 25), (150, 80), (900, 1000)]
)


@COUNTS
def test_the_exact_test_is_binomial(only_a: int, only_b: int) -> None:
    total = only_a + only_b
    expected = scipy_stats.binomtest(only_a, total, 0.5).pvalue if total else 1.0
    assert exact_p(only_a, only_b) == pytest.approx(expected, rel=1e-9)
    assert exact_p(only_b, only_a) == exact_p(only_a, only_b)


@COUNTS
def test_mid_p_counts_half_of_what_was_seen(only_a: int, only_b: int) -> None:
    total, gap = only_a + only_b, abs(only_a - only_b)
    counts = np.arange(total + 1)
    chance = scipy_stats.binom.pmf(counts, total, 0.5)
    gaps = np.abs(total - 2 * counts)
    expected = chance[gaps > gap].sum() + chance[gaps == gap].sum() / 2
    assert mid_p(only_a, only_b) == pytest.approx(expected, rel=1e-9)


def test_published_numbers_come_out() -> None:
    """Airway hyper-responsiveness of 21 children (Fagerland et al. 2013, table 3): 1 and 7."""
    assert exact_p(1, 7) == pytest.approx(0.0703, abs=5e-5)
    assert mid_p(1, 7) == pytest.approx(0.0391, abs=5e-5)


def test_without_repeated_tasks_all_forms_are_mcnemars() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(400) < 0.3, rng.random(400) < 0.42
    got = mcnemar(a, b, np.arange(400))
    assert got.flip_p == pytest.approx(got.exact_p, rel=1e-9)
    assert got.num_discordant == got.only_a + got.only_b
    chi_square = (got.only_a - got.only_b) ** 2 / (got.only_a + got.only_b) * 399 / 400
    assert got.clustered_p == pytest.approx(scipy_stats.chi2.sf(chi_square, 1), rel=1e-9)


def test_obuchowskis_statistic_by_hand() -> None:
    """Four tasks with sums of differences 3, -1, 2, 0: 3/4 * 4^2 / 14."""
    a = [0, 0, 0, 1, 0, 0, 1]
    b = [1, 1, 1, 0, 1, 1, 1]
    got = mcnemar(a, b, ["w", "w", "w", "x", "y", "y", "z"])
    assert (got.n, got.num_tasks, got.only_a, got.only_b) == (7, 4, 1, 5)
    assert got.clustered_p == pytest.approx(scipy_stats.chi2.sf(0.75 * 16 / 14, 1), rel=1e-9)


@pytest.mark.parametrize("by_task", [[3, -1, 2, 0], [1, 1, 1, 1, 1, 1], [5, -5, 1], [0, 0], [-4]])
def test_flips_count_every_sign(by_task: list[int]) -> None:
    totals = [sum(np.multiply(signs, by_task)) for signs in product((1, -1), repeat=len(by_task))]
    expected = np.mean(np.abs(totals) >= abs(sum(by_task)))
    assert flip_p(np.array(by_task)) == pytest.approx(expected, rel=1e-12)


def test_flips_agree_with_scipys_permutation_test() -> None:
    rng = np.random.default_rng(1)
    by_task = rng.integers(-3, 5, size=12)
    expected = scipy_stats.permutation_test(
        (by_task, np.zeros(12)), lambda x, y: np.sum(x - y), permutation_type="samples",
        n_resamples=np.inf,
    ).pvalue  # fmt: skip
    assert flip_p(by_task) == pytest.approx(expected, rel=1e-9)


def test_policies_that_agree_everywhere_are_not_told_apart() -> None:
    same = np.arange(60) % 2
    got = mcnemar(same, same, np.arange(60) // 3)
    assert (got.exact_p, got.clustered_p, got.flip_p, got.num_discordant) == (1, 1, 1, 0)
    assert clustered_p(np.array([7])) == 1  # one task says nothing of others


def test_false_alarms_with_repeated_tasks() -> None:
    """Each policy has its own favourite tasks: by task 5 %, with episodes as independent more."""
    rng = np.random.default_rng(2)
    alarms = np.zeros(3)
    trials = 500
    ids = np.repeat(np.arange(60), 8)
    for _ in range(trials):
        chance_a, chance_b = rng.beta(0.3, 0.5, size=(2, 60))
        got = mcnemar(rng.random(480) < chance_a[ids], rng.random(480) < chance_b[ids], ids)
        alarms += np.array([got.exact_p, got.clustered_p, got.flip_p]) < 0.05
    naive, clustered, flipped = alarms / trials
    assert naive > 0.25
    assert 0.03 <= clustered <= 0.075
    assert 0.03 <= flipped <= 0.075


def test_a_real_difference_is_found_with_repeated_tasks() -> None:
    rng = np.random.default_rng(3)
    ids = np.repeat(np.arange(200), 4)
    chance = rng.beta(0.5, 1.5, size=200)
    got = mcnemar(rng.random(800) < chance[ids], rng.random(800) < chance[ids] + 0.15, ids)
    assert got.flip_p < 1e-4
    assert got.clustered_p < 1e-4


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([0, 1], [1], "a and b must be equally long; got 2 and 1"),
        ([0, 2], [1, 0], "a must be a list of 0 and 1"),
        ([0, 1], [0.5, 0], "b must be a list of 0 and 1"),
    ],
)
def test_what_is_no_success_is_refused(a: list, b: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mcnemar(a, b, ["x", "y"][: len(a)])


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="must be at least 0; got -1 and 3"):
        exact_p(-1, 3)
