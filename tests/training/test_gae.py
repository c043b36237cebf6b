"""Advantages against a critic, by their definitions as sums; whitening; the value loss."""

import numpy as np
import pytest
import torch
from cardinal_gym.training.advantages import EPSILON
from cardinal_gym.training.gae import bilevel_gae, gae
from cardinal_gym.training.losses import value_loss
from cardinal_gym.training.whitening import pooled_std, token_returns, whiten
from hypothesis import given, settings
from hypothesis import strategies as st

NUMBERS = st.floats(-5, 5, width=32)
EPISODES = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6)


@given(episode=EPISODES, discount=st.floats(0, 1), gae_lambda=st.floats(0, 1), after=NUMBERS)
@settings(max_examples=80, deadline=None)
def test_gae_is_the_discounted_sum_of_later_surprises(
    episode: list[tuple[float, float]], discount: float, gae_lambda: float, after: float
) -> None:
    rewards, values = [r for r, _ in episode], [v for _, v in episode]
    found = gae(rewards, values, discount=discount, gae_lambda=gae_lambda, value_after=after)
    following = [*values[1:], after]
    deltas = [r + discount * w - v for r, v, w in zip(rewards, values, following, strict=True)]
    for turn in range(len(episode)):
        wanted = sum((discount * gae_lambda) ** k * d for k, d in enumerate(deltas[turn:]))
        assert found[turn] == pytest.approx(wanted, abs=1e-9)


def test_with_lambda_one_it_is_the_return_less_the_value_and_with_zero_one_surprise() -> None:
    rewards, values = [0.0, 1.0, 2.0], [0.5, -1.0, 4.0]
    whole = gae(rewards, values, discount=0.5, gae_lambda=1.0)
    np.testing.assert_allclose(whole, [0 + 0.5 + 0.5 - 0.5, 1 + 1 - (-1), 2 - 4])
    single = gae(rewards, values, discount=0.5, gae_lambda=0.0)
    np.testing.assert_allclose(single, [0 - 0.5 - 0.5, 1 + 2 + 1, 2 - 4])


def test_bilevel_gives_a_turns_advantage_to_its_last_token_and_goes_back_from_there() -> None:
    values = [np.array([1.0, 2.0, 0.5]), np.array([3.0]), np.array([-1.0, 0.0])]
    rewards, discount, lam = [0.0, 1.0, 2.0], 0.9, 0.8
    found = bilevel_gae(rewards, values, discount=discount, gae_lambda=lam)
    turns = gae(rewards, [0.5, 3.0, 0.0], discount=discount, gae_lambda=lam)
    assert [each[-1] for each in found] == turns.tolist()
    first = found[0]
    assert first[1] == pytest.approx((0.5 - 2.0) + lam * turns[0])
    assert first[0] == pytest.approx((2.0 - 1.0) + lam * ((0.5 - 2.0) + lam * turns[0]))
    assert found[2][0] == pytest.approx((0.0 - -1.0) + lam * turns[2])


@given(lengths=st.lists(st.integers(0, 3), min_size=1, max_size=5), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_bilevel_with_lambda_one_is_the_turns_lambda_return_less_the_value(
    lengths: list[int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    values = [random.normal(size=length) for length in lengths]
    rewards = random.normal(size=len(lengths)).tolist()
    found = bilevel_gae(rewards, values, discount=0.9, gae_lambda=1.0)
    spoken = [k for k, length in enumerate(lengths) if length]
    turns = gae(
        [rewards[k] for k in spoken], [values[k][-1] for k in spoken], discount=0.9, gae_lambda=1.0
    )
    for k, advantage in zip(spoken, turns, strict=True):
        np.testing.assert_allclose(found[k], advantage + values[k][-1] - values[k], atol=1e-9)


@given(values=st.lists(st.lists(st.integers(-9, 9), max_size=4), max_size=5))
@settings(max_examples=60, deadline=None)
def test_whitening_counts_every_number_alike(values: list[list[int]]) -> None:
    arrays = [np.array(each, dtype=np.float64) for each in values]
    flat = np.concatenate([*arrays, np.zeros(0)])
    found = whiten(arrays)
    if len(flat) < 2 or flat.min() == flat.max():
        assert all((each == 0).all() for each in found)
        return
    wanted = [(each - flat.mean()) / (flat.std(ddof=1) + EPSILON) for each in arrays]
    for one, two in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-12)
    assert pooled_std(flat) == pytest.approx(flat.std(ddof=1))


def in_lock_step(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Whiten on several processes: the sums of each call are those of all."""
    flat = np.concatenate(parts)
    mean = flat.mean()
    replies = [
        {"n": float(len(flat)), "sum": float(flat.sum())},
        {"squares": float(((flat - mean) ** 2).sum())},
    ]
    found = []
    for part in parts:
        told = iter(replies)
        found += whiten([part], lambda values, told=told: dict(next(told)))
    return found


def test_whitening_spans_all_processes() -> None:
    parts = [np.array([1.0, 2.0, 4.0]), np.array([-3.0]), np.zeros(0)]
    together = whiten(parts)
    for one, two in zip(in_lock_step(parts), together, strict=True):
        np.testing.assert_allclose(one, two)


def test_numbers_that_agree_are_whitened_to_exactly_zero() -> None:
    noise = [np.array([0.1, np.nextafter(0.1, 9)]), np.array([0.1])]
    assert [each.tolist() for each in whiten(noise)] == [[0.0, 0.0], [0.0]]


def test_a_token_answers_for_its_own_and_later_penalties() -> None:
    found = token_returns(2.0, np.array([0.1, 0.2, 0.4]), later=1.0)
    np.testing.assert_allclose(found, [2 - 0.7 - 1, 2 - 0.6 - 1, 2 - 0.4 - 1])


def test_the_value_loss_is_half_the_squared_error_held_where_it_has_moved_enough() -> None:
    values = torch.tensor([[0.0, 1.0, 3.0, 9.0]], requires_grad=True)
    targets, old = torch.tensor([[1.0, 1.0, 1.0, 0.0]]), torch.tensor([[0.0, 0.0, 3.2, 0.0]])
    mask = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    plain = value_loss(values, targets, old, mask, None)
    assert float(plain.detach()) == pytest.approx(0.5 * (1 + 0 + 4))
    held = value_loss(values, targets, old, mask, 0.5)
    assert float(held.detach()) == pytest.approx(0.5 * (1 + 0.25 + 4))
    (gradient,) = torch.autograd.grad(held, values)
    assert gradient.tolist() == [[-1.0, 0.0, 2.0, 0.0]]  # the second is held, the last masked
