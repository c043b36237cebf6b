"""The same promises as in the fast tests, with enough trials to see a percent: coverage and power.

Every design has tasks that differ in difficulty and policies that differ task by task; some have
seeds whose training turned out better or worse. The truth is known, because it was put in.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from cardinal_gym.training.statistics import (
    attempts_rate,
    clustered_rate,
    detectable,
    holm,
    mcnemar,
    paired_difference,
    pass_at_k,
    pass_hat_k,
)

pytestmark = pytest.mark.slow
TRIALS = 1500


@dataclass(frozen=True)
class Design:
    """taste: how much the second policy's gain differs from task to task; luck: from seed to seed
    (all in logits)."""

    num_tasks: int
    repeats: int
    num_seeds: int = 1
    taste: float = 0.8
    luck: float = 0.0

    def draw(self, rng: np.random.Generator, gain: float = 0.0) -> tuple[np.ndarray, ...]:
        """Success of two policies, task ids and training seeds, of one experiment."""
        ids = np.tile(np.repeat(np.arange(self.num_tasks), self.repeats), self.num_seeds)
        seeds = np.repeat(np.arange(self.num_seeds), self.num_tasks * self.repeats)
        skill = rng.normal(-0.5, 1.0, self.num_tasks)
        change = skill + gain + rng.normal(0, self.taste, self.num_tasks)
        luck = rng.normal(0, self.luck, (2, self.num_seeds))
        a = rng.random(ids.size) < sigmoid(skill[ids] + luck[0][seeds])
        b = rng.random(ids.size) < sigmoid(change[ids] + luck[1][seeds])
        return a, b, ids, seeds

    @property
    def most(self) -> float:
        """Coverage beyond which intervals are too wide. Over few seeds they are, on purpose: fewer
        degrees of freedom are claimed than the data may have."""
        return 0.985 if self.num_seeds == 1 else 1.0

    def truth(self, gain: float = 0.0) -> float:
        """The second policy's mean success less the first's, over all tasks and seeds there are."""
        spread = np.array([1.0 + self.luck**2, 1.0 + self.taste**2 + self.luck**2])
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        means = [
            (weights * sigmoid(mean + nodes * np.sqrt(variance))).sum() / weights.sum()
            for mean, variance in zip((-0.5, -0.5 + gain), spread, strict=True)
        ]
        return float(means[1] - means[0])


DESIGNS = pytest.mark.parametrize(
    "design",
    [
        Design(229, 1),
        Design(120, 6),
        Design(40, 3),
        Design(120, 2, num_seeds=3, luck=0.3),
        Design(120, 2, num_seeds=5, luck=0.3),
        Design(120, 2, num_seeds=5, luck=0.0),
    ],
    ids=str,
)


@DESIGNS
def test_paired_differences_cover(design: Design) -> None:
    rng = np.random.default_rng(1)
    truth, covered = design.truth(0.4), 0
    for _ in range(TRIALS):
        got = paired_difference(*design.draw(rng, 0.4), num_resamples=300)
        covered += got.low <= truth <= got.high
    assert 0.93 <= covered / TRIALS <= design.most


@DESIGNS
def test_rates_cover(design: Design) -> None:
    rng = np.random.default_rng(2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    spread = np.sqrt(1 + design.luck**2)
    truth = float((weights * sigmoid(-0.5 + nodes * spread)).sum() / weights.sum())
    covered = 0
    for _ in range(TRIALS):
        a, _, ids, seeds = design.draw(rng)
        got = clustered_rate(a, ids, seeds)
        covered += got.low <= truth <= got.high
    assert 0.93 <= covered / TRIALS <= design.most


@pytest.mark.parametrize("design", [Design(229, 1), Design(120, 6), Design(40, 3)], ids=str)
def test_mcnemar_by_task_raises_five_false_alarms_in_a_hundred(design: Design) -> None:
    """Under a gain of 0 the second policy's tasks are harder and easier by chance alone."""
    rng = np.random.default_rng(3)
    alarms = np.zeros(2)
    for _ in range(TRIALS):
        a, b, ids, _ = balanced(design, rng)
        got = mcnemar(a, b, ids)
        alarms += np.array([got.flip_p, got.clustered_p]) < 0.05
    assert (alarms / TRIALS <= 0.065).all()
    assert (alarms / TRIALS >= 0.025).all()


@DESIGNS
def test_what_is_called_detectable_is_detected(design: Design) -> None:
    """A logit gain whose difference is what a first sample called detectable, in new samples."""
    rng = np.random.default_rng(4)
    told = [detectable(paired_difference(*design.draw(rng), num_resamples=300)) for _ in range(60)]
    target = float(np.sqrt(np.mean(np.square([each or 1.0 for each in told]))))
    gain = inverse(lambda g: design.truth(g) - design.truth(), target)
    # The truth at a gain of 0 is not 0 (a spread of skills is not symmetric in rates), so what is
    # tested is the distance from it.
    offset = design.truth()
    found = 0
    for _ in range(TRIALS // 3):
        got = paired_difference(*design.draw(rng, gain), num_resamples=300)
        found += got.low > offset
    assert 0.7 <= found / (TRIALS // 3) <= 0.92


@pytest.mark.parametrize("k", [1, 4, 8])
def test_attempts_cover(k: int) -> None:
    rng = np.random.default_rng(5)
    deals = np.repeat(np.arange(150), 8)
    ids = deals // 2
    grid = np.random.default_rng(0).beta(0.5, 1.5, size=2_000_000)
    for estimator, truth in ((pass_at_k, (1 - (1 - grid) ** k).mean()),
                             (pass_hat_k, (grid**k).mean())):  # fmt: skip
        covered = 0
        for _ in range(400):
            chance = rng.beta(0.5, 1.5, size=75)
            got = attempts_rate(estimator, k, rng.random(1200) < chance[ids], deals, ids)
            covered += got.low <= truth <= got.high
        assert 0.92 <= covered / 400 <= 0.99


def test_six_cells_claim_something_false_once_in_twenty_families() -> None:
    """The same two policies without a difference on six cells that share their tasks."""
    rng = np.random.default_rng(6)
    design = Design(120, 2)
    families, plain = 0, 0
    for _ in range(500):
        p_values = [mcnemar(*balanced(design, rng)[:3]).flip_p for _ in range(6)]
        plain += min(p_values) < 0.05
        families += holm(p_values).min() < 0.05
    assert plain / 500 > 0.15
    assert families / 500 <= 0.07


def balanced(design: Design, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Two policies that differ on every task and are equally good on average."""
    ids = np.repeat(np.arange(design.num_tasks), design.repeats)
    chance = sigmoid(rng.normal(-0.5, 1.0, (2, design.num_tasks)))
    a, b = (rng.random(ids.size) < each[ids] for each in chance)
    return a, b, ids, np.zeros(ids.size, dtype=int)


def sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def inverse(rising: Callable[[float], float], value: float) -> float:
    low, high = 0.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < value else (low, middle)
    return (low + high) / 2
