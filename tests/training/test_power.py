"""Minimum detectable differences and the tasks needed: against formulas, scipy and simulations."""

import math

import numpy as np
import pytest
from cardinal_gym.training.statistics import (
    PairedDifference,
    detectable,
    mcnemar,
    needed_pairs,
    needed_seeds,
    needed_tasks,
    paired_difference,
    paired_ratio_difference,
)
from cardinal_gym.training.statistics.power import Design, smallest
from cardinal_gym.training.statistics.power import _quantile as quantile

scipy_stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(("target", "discordance"), [(0.1, 0.2), (0.05, 0.3), (0.02, 0.12)])
@pytest.mark.parametrize("power", [0.8, 0.9])
def test_pairs_follow_connors_formula(target: float, discordance: float, power: float) -> None:
    z_a, z_b = scipy_stats.norm.ppf([0.975, power])
    root = z_a * math.sqrt(discordance) + z_b * math.sqrt(discordance - target**2)
    expected = math.ceil((root / target) ** 2)
    assert needed_pairs(target, discordance, power=power) == expected
    found = smallest(Design(expected, discordance), power)
    assert found == pytest.approx(target, rel=0.01)


def test_a_design_effect_multiplies_the_pairs() -> None:
    once, thrice = needed_pairs(0.05, 0.3), needed_pairs(0.05, 0.3, design_effect=3.0)
    assert once is not None
    assert thrice is not None
    assert thrice == pytest.approx(3 * once, abs=3)


@pytest.mark.parametrize("freedom", [4, 30, 100, 229, 5000])
@pytest.mark.parametrize("confidence", [0.6, 0.95, 0.99])
def test_quantiles_agree_with_scipy(freedom: float, confidence: float) -> None:
    expected = scipy_stats.t.ppf(0.5 + confidence / 2, freedom)
    assert quantile(confidence, freedom) == pytest.approx(expected, rel=1e-5)


def test_mcnemars_test_finds_what_it_is_planned_to_find() -> None:
    """Planned for 80 %: the share of simulated samples whose p is below 5 %."""
    num_pairs = needed_pairs(0.08, 0.25)
    assert num_pairs is not None
    rng = np.random.default_rng(0)
    draws = rng.multinomial(num_pairs, [0.085, 0.165, 0.75], size=600)
    found = [scipy_stats.norm.sf(abs(b - a) / math.sqrt(a + b)) < 0.025 for a, b, _ in draws]
    assert 0.75 <= np.mean(found) <= 0.85


def clustered(rng: np.random.Generator, num_tasks: int, gain: float) -> PairedDifference:
    """Three episodes a task; the second policy is better by `gain`, more on some tasks."""
    ids = np.repeat(np.arange(num_tasks), 3)
    chance = rng.uniform(0.1, 0.6, size=num_tasks)
    change = gain + rng.choice([-0.1, 0.1], size=num_tasks)
    a = rng.random(ids.size) < chance[ids]
    b = rng.random(ids.size) < (chance + change)[ids]
    return paired_difference(a, b, ids, num_resamples=400)


def test_the_detectable_difference_is_detected_four_times_in_five() -> None:
    rng = np.random.default_rng(1)
    told = [detectable(clustered(rng, 150, 0.0)) for _ in range(5)]
    assert all(each is not None for each in told)
    assert max(told) / min(told) < 1.25  # type: ignore[operator, type-var]
    gain = float(np.mean(told))  # type: ignore[arg-type]
    found = [clustered(rng, 150, gain).is_significant for _ in range(250)]
    assert 0.72 <= np.mean(found) <= 0.88


def test_as_many_tasks_as_needed_show_the_target() -> None:
    rng = np.random.default_rng(2)
    num_tasks = needed_tasks(clustered(rng, 300, 0.0), 0.05)
    assert num_tasks is not None
    assert 300 < num_tasks < 1200
    found = [clustered(rng, num_tasks, 0.05).is_significant for _ in range(200)]
    assert 0.7 <= np.mean(found) <= 0.9


def test_a_comparison_needs_its_own_tasks_for_what_it_can_see() -> None:
    rng = np.random.default_rng(3)
    got = clustered(rng, 229, 0.03)
    seen = detectable(got)
    assert seen is not None
    assert needed_tasks(got, seen) == pytest.approx(229, abs=1)
    half = needed_tasks(got, seen / 2)
    assert half == pytest.approx(4 * 229, rel=0.03)


def test_policies_that_agree_are_bounded_by_the_number_of_tasks() -> None:
    """With no discordance: so many tasks that eight favour one, which the exact test sees."""
    same = np.arange(300) % 2
    got = paired_difference(same, same, np.arange(300))
    seen = detectable(got)
    assert seen == pytest.approx(7.85 / 300, rel=0.02)
    chance = scipy_stats.binom.sf(5, 300, seen)  # of six or more one-sided discordant tasks
    assert mcnemar([0] * 6, [1] * 6, range(6)).exact_p < 0.05
    assert 0.75 < chance < 0.85
    assert needed_tasks(got, 0.01) == pytest.approx(785, rel=0.02)


def seeded(rng: np.random.Generator, num_seeds: int, spread: float, gain: float = 0.0,
           num_tasks: int = 120) -> PairedDifference:  # fmt: skip
    """The gain differs from seed to seed by `spread`."""
    ids = np.tile(np.arange(num_tasks), num_seeds)
    seeds = np.repeat(np.arange(num_seeds), num_tasks)
    luck = gain + rng.normal(0, spread, size=num_seeds)
    a = rng.random(ids.size) < 0.4
    b = rng.random(ids.size) < (0.4 + luck[seeds]).clip(0, 1)
    return paired_difference(a, b, ids, seeds, num_resamples=400)


def test_more_tasks_do_not_help_against_seeds_that_differ() -> None:
    got = seeded(np.random.default_rng(4), 4, 0.15)
    assert got.precision.seed_error > 0.8 * got.precision.std_error
    assert needed_tasks(got, 0.05) is None
    more = needed_seeds(got, 0.05)
    assert more is not None
    assert 20 < more < 1000


def test_few_seeds_do_not_tell_how_many_are_needed() -> None:
    got = seeded(np.random.default_rng(5), 2, 0.15)
    assert needed_seeds(got, 0.02) is None
    assert got.precision.seed_error == 0


def test_the_parts_of_the_error_are_those_that_were_put_in() -> None:
    rng = np.random.default_rng(6)
    parts = [seeded(rng, 6, 0.1).precision for _ in range(60)]
    by_seed = np.mean([each.seed_error**2 for each in parts])
    by_task = np.mean([each.task_error**2 for each in parts])
    assert by_seed == pytest.approx(0.1**2 / 6, rel=0.3)
    assert by_task < 0.1 * by_seed  # tasks do not differ in their gain


def test_seeds_make_a_detectable_difference_that_is_detected() -> None:
    rng = np.random.default_rng(7)
    told = [detectable(seeded(rng, 5, 0.06)) or 1.0 for _ in range(40)]
    gain = float(np.sqrt(np.mean(np.square(told))))
    found = [seeded(rng, 5, 0.06, gain).is_significant for _ in range(150)]
    assert 0.7 <= np.mean(found) <= 0.93


def test_a_ratios_difference_is_planned_from_its_error() -> None:
    rng = np.random.default_rng(8)
    wholes = rng.integers(1, 20, size=400)
    a, b = rng.binomial(wholes, 0.6), rng.binomial(wholes, 0.65)
    got = paired_ratio_difference((a, wholes), (b, wholes), np.arange(400))
    expected = (1.966 + 0.843) * got.precision.std_error
    assert detectable(got) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": 0.0, "discordance": 0.2}, "target must be a difference between 0 and 1; got"),
        ({"target": 0.3, "discordance": 0.2}, "discordance must be at least the target 0.3"),
        ({"target": 0.1, "discordance": 0.2, "design_effect": 0}, "design_effect must be positive"),
        ({"target": 0.1, "discordance": 0.2, "power": 0.2}, "power must be between 0.5 and 1"),
        ({"target": 0.1, "discordance": 0.2, "alpha": 0}, "alpha must be between 0 and 1; got 0"),
    ],
)
def test_impossible_plans_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        needed_pairs(**arguments)
