"""Losses against loops, REINFORCE and enumeration over a small vocabulary."""

import math

import pytest
import torch
from cardinal_gym.training.config import Aggregation, KLKind
from cardinal_gym.training.losses import Totals, aggregate, kl_penalty, log_ratio
from torch import Tensor

AGGREGATIONS = list(Aggregation)
MASK = torch.tensor([[0.0, 1, 1, 0, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 1]])
WEIGHT = torch.tensor([1.0, 0.5, 0.5])  # the last two rows are turns of one episode
TOTALS = Totals(tokens=6.0, rows=2.0, max_tokens=4)


def values(seed: int = 0, scale: float = 1.0) -> Tensor:
    return torch.randn(3, 5, generator=torch.Generator().manual_seed(seed)) * scale


def aggregate_by_hand(x: Tensor, kind: Aggregation) -> float:
    total = 0.0
    for row, mask, weight in zip(x.tolist(), MASK.tolist(), WEIGHT.tolist(), strict=True):
        kept = [v for v, m in zip(row, mask, strict=True) if m]
        if kind is Aggregation.token_mean:
            total += sum(kept) / 6
        elif kind is Aggregation.const:
            total += sum(kept) / (2 * 4)
        else:
            total += weight * sum(kept) / len(kept) / 2
    return total


@pytest.mark.parametrize("kind", AGGREGATIONS)
def test_aggregation_is_the_sum_over_sampled_tokens(kind: Aggregation) -> None:
    found = aggregate(values(), MASK, WEIGHT, kind, TOTALS)
    assert float(found) == pytest.approx(aggregate_by_hand(values(), kind), rel=1e-5)


@pytest.mark.parametrize("kind", AGGREGATIONS)
def test_micro_batches_add_up_to_the_batch(kind: Aggregation) -> None:
    whole = aggregate(values(), MASK, WEIGHT, kind, TOTALS)
    parts = [
        aggregate(values()[i : i + 1], MASK[i : i + 1], WEIGHT[i : i + 1], kind, TOTALS)
        for i in range(3)
    ]
    torch.testing.assert_close(sum(parts), whole)


@pytest.mark.parametrize("kind", AGGREGATIONS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_was_not_sampled_changes_nothing(kind: Aggregation, bad: float) -> None:
    x = values().requires_grad_()
    aggregate(x, MASK, WEIGHT, kind, TOTALS).backward()
    assert (x.grad[MASK == 0] == 0).all()
    spoilt = torch.where(MASK > 0, values(), torch.full_like(MASK, bad)).requires_grad_()
    loss = aggregate(spoilt, MASK, WEIGHT, kind, TOTALS)
    loss.backward()
    assert torch.equal(spoilt.grad, x.grad)
    assert torch.equal(loss, aggregate(values(), MASK, WEIGHT, kind, TOTALS))


@pytest.mark.parametrize("kind", AGGREGATIONS)
def test_a_micro_batch_without_sampled_tokens_is_a_finite_zero(kind: Aggregation) -> None:
    x = values().requires_grad_()
    nothing = Totals(tokens=0.0, rows=0.0, max_tokens=4)
    loss = aggregate(x, torch.zeros_like(MASK), WEIGHT, kind, nothing)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert (x.grad == 0).all()


@pytest.mark.parametrize("kind", AGGREGATIONS)
def test_the_order_of_rows_does_not_matter(kind: Aggregation) -> None:
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        aggregate(values()[order], MASK[order], WEIGHT[order], kind, TOTALS),
        aggregate(values(), MASK, WEIGHT, kind, TOTALS),
    )


@pytest.mark.parametrize("kind", AGGREGATIONS)
def test_inserted_environment_tokens_leave_the_sampled_ones_alone(kind: Aggregation) -> None:
    wide, mask = torch.full((3, 7), 9.0), torch.zeros(3, 7)
    places = torch.tensor([0, 2, 3, 5, 6])  # two columns that nobody sampled in between
    wide[:, places], mask[:, places] = values(), MASK
    torch.testing.assert_close(
        aggregate(wide, mask, WEIGHT, kind, TOTALS),
        aggregate(values(), MASK, WEIGHT, kind, TOTALS),
    )


def test_an_improbable_token_cannot_overflow() -> None:
    far = torch.tensor([[-500.0, 500.0]])
    ratio = log_ratio(far, torch.zeros(1, 2)).exp()
    assert torch.isfinite(ratio).all()


@pytest.mark.parametrize("kind", list(KLKind))
def test_the_penalty_is_zero_where_the_policies_agree(kind: KLKind) -> None:
    logp = values()
    assert (kl_penalty(logp, logp, logp, kind) == 0).all()


def logits(seed: int) -> Tensor:
    return torch.randn(7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def expected_gradient(kind: KLKind, old_logits: Tensor) -> Tensor:
    """E over tokens from the old policy of the penalty's gradient, by enumeration."""
    theta, reference = logits(0).requires_grad_(), logits(1).log_softmax(-1)
    old = old_logits.log_softmax(-1)
    penalty = kl_penalty(theta.log_softmax(-1), reference, old, kind)
    (gradient,) = torch.autograd.grad((old.exp() * penalty).sum(), theta)
    return gradient


def kl_gradient(forward: bool = False) -> Tensor:
    theta, reference = logits(0).requires_grad_(), logits(1).log_softmax(-1)
    logp = theta.log_softmax(-1)
    kl = (logp.exp() * (logp - reference)).sum()
    if forward:
        kl = (reference.exp() * (reference - logp)).sum()
    return torch.autograd.grad(kl, theta)[0]


@pytest.mark.parametrize("kind", [KLKind.k2, KLKind.k3_is])
def test_on_policy_the_gradient_is_that_of_the_kl(kind: KLKind) -> None:
    torch.testing.assert_close(expected_gradient(kind, logits(0)), kl_gradient())


def test_off_policy_the_weighted_estimator_stays_exact() -> None:
    torch.testing.assert_close(expected_gradient(KLKind.k3_is, logits(2)), kl_gradient())
    assert not torch.allclose(expected_gradient(KLKind.k2, logits(2)), kl_gradient())


def test_k3_alone_gives_the_forward_kl_and_k1_nothing() -> None:
    torch.testing.assert_close(expected_gradient(KLKind.k3, logits(0)), kl_gradient(forward=True))
    nothing = expected_gradient(KLKind.k1, logits(0))
    torch.testing.assert_close(nothing, torch.zeros_like(nothing), rtol=0, atol=1e-12)
