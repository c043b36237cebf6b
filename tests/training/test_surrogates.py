"""Surrogates against loops over tokens, against REINFORCE at r = 1, and against their gradients."""

import math
from typing import Any

import pytest
import torch
from cardinal_gym.training.config import Aggregation, GrpoConfig
from cardinal_gym.training.grpo_config import RatioUnit, SamplerCorrection, Surrogate
from cardinal_gym.training.losses import Totals, aggregate
from cardinal_gym.training.surrogates import (
    cispo,
    policy_loss,
    ppo,
    sampler_weights,
    sapo,
    unit_ratio,
)
from torch import Tensor

MASK = torch.tensor([[0.0, 1, 1, 0, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 1]])
TURNS = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
WEIGHT = torch.tensor([1.0, 0.5, 0.5])
TOTALS = Totals(tokens=6.0, rows=2.0, max_tokens=4)
ADVANTAGES = torch.tensor([[1.5], [-0.5], [0.25]])
CHOICES = [
    {"surrogate": Surrogate.ppo},
    {"surrogate": Surrogate.ppo, "dual_clip": 3.0},
    {"surrogate": Surrogate.ppo, "ratio_unit": RatioUnit.turn},
    {"surrogate": Surrogate.gspo, "ratio_unit": RatioUnit.turn},
    {"surrogate": Surrogate.gspo, "ratio_unit": RatioUnit.row},
    {"surrogate": Surrogate.cispo},
    {"surrogate": Surrogate.sapo},
]


def values(seed: int = 0, scale: float = 1.0) -> Tensor:
    return torch.randn(3, 5, generator=torch.Generator().manual_seed(seed)) * scale


def loss_of(logp: Tensor, old: Tensor, **choice: Any) -> Tensor:
    advantages = ADVANTAGES.expand(3, 5)
    return policy_loss(logp, old, advantages, MASK, GrpoConfig(**choice), TURNS)[0]


@pytest.mark.parametrize("kind", list(Aggregation))
@pytest.mark.parametrize("choice", CHOICES)
def test_on_policy_the_gradient_is_that_of_reinforce(
    choice: dict[str, Any], kind: Aggregation
) -> None:
    """d/dl of -A l, whatever the surrogate and the aggregation, because r = 1 exactly."""
    logp = values().requires_grad_()
    ours = aggregate(loss_of(logp, logp.detach(), **choice), MASK, WEIGHT, kind, TOTALS)
    (found,) = torch.autograd.grad(ours, logp)
    (wanted,) = torch.autograd.grad(aggregate(-ADVANTAGES * logp, MASK, WEIGHT, kind, TOTALS), logp)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("choice", CHOICES)
def test_what_was_not_sampled_has_no_part_in_a_ratio(choice: dict[str, Any]) -> None:
    old = values(1, 0.3)
    spoilt = torch.where(MASK > 0, values(2, 0.3), torch.full_like(MASK, 7.0))
    plain = torch.where(MASK > 0, values(2, 0.3), old)
    same = loss_of(spoilt, old, **choice)[MASK > 0] == loss_of(plain, old, **choice)[MASK > 0]
    assert same.all()


def test_ppo_is_the_clipped_surrogate_of_the_paper() -> None:
    logp, old = values(1, 0.5), values(2, 0.5)
    found, metrics = policy_loss(logp, old, ADVANTAGES.expand(3, 5), MASK, GrpoConfig())
    clipped, largest = 0, 1.0
    for i in range(3):
        for t in range(5):
            ratio, advantage = math.exp(logp[i, t] - old[i, t]), float(ADVANTAGES[i, 0])
            bounded = min(max(ratio, 0.8), 1.28)
            wanted = -min(ratio * advantage, bounded * advantage)
            assert float(found[i, t]) == pytest.approx(wanted, rel=1e-5)
            if MASK[i, t]:
                clipped += ratio * advantage > bounded * advantage
                largest = max(largest, ratio)
    assert float(metrics["clip_fraction"]) == clipped > 0
    assert float(metrics["ratio/max"]) == pytest.approx(largest)


@pytest.mark.parametrize(
    ("ratio", "advantage", "dual_clip", "moves"),
    [
        (1.5, 1.0, None, False),
        (1.5, -1.0, None, True),
        (0.5, 1.0, None, True),
        (0.5, -1.0, None, False),
        (3.5, -1.0, 3.0, False),  # so far off that the dual clip holds it
        (2.5, -1.0, 3.0, True),
        (0.5, 1.0, 3.0, True),
    ],
)
def test_clipping_stops_only_what_went_far_enough(
    ratio: float, advantage: float, dual_clip: float | None, moves: bool
) -> None:
    logp = torch.full((1, 1), math.log(ratio), requires_grad=True)
    one = torch.ones(1, 1)
    loss, metrics = ppo(logp.exp(), advantage * one, one, 0.2, 0.28, dual_clip)
    loss.sum().backward()
    assert bool(logp.grad != 0) is moves
    assert bool(metrics["clip_fraction"] == 0) is moves
    if dual_clip is not None and not moves:
        assert float(loss.detach()) == dual_clip


@pytest.mark.parametrize("is_mean", [True, False])
def test_a_units_ratio_is_the_product_or_geometric_mean_of_its_tokens(is_mean: bool) -> None:
    logp, old = values(1, 0.3), values(2, 0.3)
    ratio, lengths = unit_ratio(logp, old, MASK, TURNS, is_mean=is_mean)
    for i in range(3):
        for t in range(5):
            unit = [j for j in range(5) if TURNS[i, j] == TURNS[i, t] and MASK[i, j]]
            total = sum(float(logp[i, j] - old[i, j]) for j in unit)
            wanted = math.exp(total / max(len(unit), 1) if is_mean else total)
            assert float(ratio[i, t]) == pytest.approx(wanted, rel=1e-5)
            assert float(lengths[i, t]) == max(len(unit), 1)


def test_the_terms_of_a_turn_add_up_to_the_studys_clipped_term() -> None:
    """One action per turn: min(r A, clip(r) A) with r the product over its tokens."""
    logp, old = values(1, 0.2), values(2, 0.2)
    choice = {"surrogate": Surrogate.ppo, "ratio_unit": RatioUnit.turn}
    found = loss_of(logp, old, **choice, clip_low=0.1, clip_high=0.1)
    for i, turn in ((0, 0), (0, 1), (1, 0), (2, 0)):
        unit = [j for j in range(5) if TURNS[i, j] == turn and MASK[i, j]]
        ratio = math.exp(sum(float(logp[i, j] - old[i, j]) for j in unit))
        advantage = float(ADVANTAGES[i, 0])
        wanted = -min(ratio * advantage, min(max(ratio, 0.9), 1.1) * advantage)
        assert sum(float(found[i, j]) for j in unit) == pytest.approx(wanted, rel=1e-4)


def test_cispo_weights_the_score_with_a_capped_ratio_and_loses_no_token() -> None:
    logp = torch.log(torch.tensor([[0.1, 1.0, 9.0]])).requires_grad_()
    advantages, mask = torch.tensor([[2.0, -1.0, 1.0]]), torch.ones(1, 3)
    loss, metrics = cispo(logp, torch.zeros(1, 3), advantages, mask, 5.0)
    loss.sum().backward()
    torch.testing.assert_close(logp.grad, -torch.tensor([[0.1, 1.0, 5.0]]) * advantages)
    assert float(metrics["clip_fraction"]) == 1.0


@pytest.mark.parametrize("advantage", [1.0, -2.0])
def test_sapo_gates_the_gradient_as_the_paper_says(advantage: float) -> None:
    """dS/dr = 4 p (1 - p) A with p = sigmoid(tau (r - 1)): 1 at r = 1, fading on both sides."""
    ratio = torch.tensor([[0.2, 1.0, 3.0]], requires_grad=True)
    loss, _ = sapo(ratio, torch.full((1, 3), advantage), torch.ones(1, 3), 1.0, 1.05)
    (found,) = torch.autograd.grad(loss.sum(), ratio)
    tau = 1.0 if advantage > 0 else 1.05
    gate = torch.sigmoid(tau * (ratio.detach() - 1))
    torch.testing.assert_close(found, -4 * gate * (1 - gate) * advantage)
    assert float(found[0, 1]) == -advantage


def test_sampler_weights_are_truncated_or_masked_and_have_no_gradient() -> None:
    old = torch.log(torch.tensor([[0.3, 1.0, 1.5, 8.0]])).requires_grad_()
    sampler = torch.zeros(1, 4)
    for kind, wanted in (
        (SamplerCorrection.none, [1.0, 1.0, 1.0, 1.0]),
        (SamplerCorrection.truncate, [0.3, 1.0, 1.5, 2.0]),
        (SamplerCorrection.mask, [0.0, 1.0, 1.5, 0.0]),
    ):
        found = sampler_weights(old, sampler, kind, 2.0)
        torch.testing.assert_close(found, torch.tensor([wanted]))
        assert not found.requires_grad


def test_a_ratio_by_turn_must_know_the_turns() -> None:
    config = GrpoConfig(surrogate=Surrogate.gspo, ratio_unit=RatioUnit.turn)
    with pytest.raises(ValueError, match="ratio_unit=turn needs turns"):
        policy_loss(values(), values(), values(), MASK, config)
