"""Advantages compare an episode with its own group, and with nothing else."""

import numpy as np
import pytest
from cardinal_gym.training.advantages import (
    EPSILON,
    AdvantageKind,
    anchor_advantages,
    group_advantages,
    turn_advantages,
)
from hypothesis import given, settings
from hypothesis import strategies as st

KINDS = [AdvantageKind.grpo, AdvantageKind.dr_grpo, AdvantageKind.rloo]
RETURNS = st.integers(-40, 40).map(lambda number: number / 8)  # exact in binary
BATCHES = st.lists(st.tuples(st.integers(0, 3), RETURNS), min_size=1, max_size=20)


def by_hand(returns: list[float], groups: list[int], kind: AdvantageKind) -> list[float]:
    """The formulas of the papers, one episode at a time."""
    values = []
    for value, group in zip(returns, groups, strict=True):
        mates = [r for r, g in zip(returns, groups, strict=True) if g == group]
        if max(mates) == min(mates):
            values.append(0.0)
            continue
        mean = sum(mates) / len(mates)
        if kind is AdvantageKind.dr_grpo:
            values.append(value - mean)
        elif kind is AdvantageKind.rloo:
            values.append(value - (sum(mates) - value) / (len(mates) - 1))
        else:
            std = (sum((r - mean) ** 2 for r in mates) / (len(mates) - 1)) ** 0.5
            values.append((value - mean) / (std + EPSILON))
    return values


@pytest.mark.parametrize("kind", KINDS)
@given(batch=BATCHES)
@settings(max_examples=60, deadline=None)
def test_they_are_those_of_the_papers(kind: AdvantageKind, batch: list[tuple[int, float]]) -> None:
    groups, returns = [g for g, _ in batch], [r for _, r in batch]
    found = group_advantages(returns, groups, kind)
    np.testing.assert_allclose(found.values, by_hand(returns, groups, kind), atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@given(batch=BATCHES, order=st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_members_does_not_matter(
    kind: AdvantageKind, batch: list[tuple[int, float]], order: object
) -> None:
    places = list(range(len(batch)))
    order.shuffle(places)  # type: ignore[attr-defined]
    shuffled = [batch[i] for i in places]
    found = group_advantages([r for _, r in batch], [g for g, _ in batch], kind).values
    again = group_advantages([r for _, r in shuffled], [g for g, _ in shuffled], kind).values
    np.testing.assert_allclose(again, found[places], atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@given(batch=BATCHES, shift=RETURNS)
@settings(max_examples=40, deadline=None)
def test_a_shift_of_all_rewards_changes_nothing(
    kind: AdvantageKind, batch: list[tuple[int, float]], shift: float
) -> None:
    groups, returns = [g for g, _ in batch], [r for _, r in batch]
    found = group_advantages(returns, groups, kind).values
    shifted = group_advantages([r + shift for r in returns], groups, kind).values
    np.testing.assert_allclose(shifted, found, atol=1e-9)


def test_with_the_deviation_the_scale_of_rewards_does_not_matter_either() -> None:
    returns = np.array([0.0, 1.0, 0.5, 0.0])
    found = group_advantages(returns, [0] * 4, AdvantageKind.grpo).values
    scaled = group_advantages(100 * returns, [0] * 4, AdvantageKind.grpo).values
    np.testing.assert_allclose(scaled, found, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6, -3.0])
def test_a_group_that_agrees_gets_exactly_zero(kind: AdvantageKind, value: float) -> None:
    noise = np.array([value, np.nextafter(value, 9e9), value])  # what rounding leaves
    found = group_advantages(noise, [5, 5, 5], kind)
    assert found.values.tolist() == [0.0, 0.0, 0.0]
    assert (found.num_groups, found.num_zero_variance) == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_of_one_gets_zero_not_its_return(kind: AdvantageKind) -> None:
    found = group_advantages([5.0, 0.0, 1.0], [9, 2, 2], kind)
    assert found.values[0] == 0.0
    assert found.values[1] < 0 < found.values[2]
    assert (found.num_groups, found.num_zero_variance) == (2, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_group_sums_to_zero(kind: AdvantageKind) -> None:
    returns, groups = [0.0, 1.0, 0.1, 2.0, 0.0, 0.3], [0, 1, 0, 1, 0, 1]
    values = group_advantages(returns, groups, kind).values
    for group in (0, 1):
        assert values[np.array(groups) == group].sum() == pytest.approx(0.0, abs=1e-12)


def test_the_gate_silences_groups_without_a_success() -> None:
    returns, groups = [-1.0, -3.0, -1.0, 5.0], [0, 0, 1, 1]
    successes = [False, False, False, True]
    open_gate = group_advantages(returns, groups, successes=successes)
    gated = group_advantages(returns, groups, successes=successes, outcome_gate=True)
    assert open_gate.num_zero_variance == 0
    assert gated.values[:2].tolist() == [0.0, 0.0]
    assert gated.values[2:].tolist() == open_gate.values[2:].tolist()
    assert gated.num_zero_variance == 1


def test_a_least_deviation_keeps_small_differences_small() -> None:
    returns = [0.0, 0.0, 0.0, 0.01]
    assert abs(group_advantages(returns, [0] * 4).values).max() > 1
    calm = group_advantages(returns, [0] * 4, min_std=0.5).values
    np.testing.assert_allclose(calm, (np.array(returns) - 0.0025) / 0.5, rtol=1e-5)


def test_what_does_not_pair_up_is_refused() -> None:
    with pytest.raises(ValueError, match="must pair up; got 2 and 1"):
        group_advantages([0.0, 1.0], [0])
    with pytest.raises(ValueError, match="outcome_gate needs successes"):
        group_advantages([0.0, 1.0], [0, 0], outcome_gate=True)


REWARDS = st.lists(
    st.tuples(st.integers(0, 2), st.lists(RETURNS, min_size=1, max_size=4)), min_size=1, max_size=12
)


@pytest.mark.parametrize("kind", KINDS)
@given(batch=REWARDS)
@settings(max_examples=60, deadline=None)
def test_a_turn_is_compared_with_the_same_turn_of_members_who_played_it(
    kind: AdvantageKind, batch: list[tuple[int, list[float]]]
) -> None:
    groups, rewards = [g for g, _ in batch], [r for _, r in batch]
    found = turn_advantages(rewards, groups, kind, discount=0.5)
    assert [len(values) for values in found] == [len(episode) for episode in rewards]
    for turn in range(4):
        played = [i for i, episode in enumerate(rewards) if len(episode) > turn]
        to_go = [
            sum(0.5 ** (j - turn) * rewards[i][j] for j in range(turn, len(rewards[i])))
            for i in played
        ]
        wanted = by_hand(to_go, [groups[i] for i in played], kind)
        np.testing.assert_allclose([found[i][turn] for i in played], wanted, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_episodes_of_one_turn_get_the_same_advantage_either_way(kind: AdvantageKind) -> None:
    returns, groups = [0.0, 1.0, 0.25, 1.0, 1.0], [0, 0, 0, 1, 1]
    by_turn = turn_advantages([[r] for r in returns], groups, kind, discount=0.9)
    by_episode = group_advantages(returns, groups, kind).values
    np.testing.assert_array_equal(np.concatenate(by_turn), by_episode)


def test_credit_by_turn_tells_a_good_second_answer_from_the_bad_first_one() -> None:
    """One member is right at once, one at the second try, one never: same first mistake for two."""
    rewards, groups = [[1.0], [0.0, 1.0], [0.0, 0.0]], [0, 0, 0]
    first, second, never = turn_advantages(rewards, groups, AdvantageKind.dr_grpo, discount=0.5)
    assert first[0] > second[0] > never[0]
    assert second[1] == -never[1] == 0.5
    whole = group_advantages([1.0, 1.0, 0.0], groups, AdvantageKind.dr_grpo).values
    assert whole[0] == whole[1]  # the episode's return sees no difference between the two


def test_the_gate_also_closes_turns_of_groups_without_a_success() -> None:
    found = turn_advantages(
        [[-1.0], [-2.0], [1.0], [0.0]],
        [0, 0, 1, 1],
        discount=1.0,
        successes=[False, False, True, False],
        outcome_gate=True,
    )
    assert [values[0] == 0.0 for values in found] == [True, True, False, False]


@given(batch=BATCHES)
@settings(max_examples=40, deadline=None)
def test_the_batchs_deviation_divides_every_group_alike(batch: list[tuple[int, float]]) -> None:
    groups, returns = [g for g, _ in batch], [r for _, r in batch]
    std = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    found = group_advantages(returns, groups, AdvantageKind.batch_std, batch_std=std).values
    centred = group_advantages(returns, groups, AdvantageKind.dr_grpo).values
    np.testing.assert_allclose(found, centred / (std + EPSILON), atol=1e-9)


ANCHORED = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.lists(st.tuples(st.sampled_from("xyz"), RETURNS), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("kind", KINDS)
@given(batch=ANCHORED)
@settings(max_examples=60, deadline=None)
def test_steps_with_an_equal_observation_form_an_anchor_group(
    kind: AdvantageKind, batch: list[tuple[int, list[tuple[str, float]]]]
) -> None:
    groups = [group for group, _ in batch]
    anchors = [[seen for seen, _ in episode] for _, episode in batch]
    rewards = [[reward for _, reward in episode] for _, episode in batch]
    found = anchor_advantages(rewards, groups, anchors, kind, discount=0.5)
    places = [(i, k) for i, episode in enumerate(rewards) for k in range(len(episode))]
    to_go = {(i, k): sum(0.5**j * r for j, r in enumerate(rewards[i][k:])) for i, k in places}
    for i, k in places:
        key = (groups[i], anchors[i][k])
        mates = [(j, t) for j, t in places if (groups[j], anchors[j][t]) == key]
        wanted = by_hand([to_go[p] for p in mates], [0] * len(mates), kind)
        assert found[i][k] == pytest.approx(wanted[mates.index((i, k))], abs=1e-9)


def test_what_needs_no_group_is_not_compared_within_one() -> None:
    for kind in (AdvantageKind.gae, AdvantageKind.reinforce_plus_plus):
        with pytest.raises(ValueError, match="must be one that compares within groups"):
            group_advantages([0.0, 1.0], [0, 0], kind)
