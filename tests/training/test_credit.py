"""From episodes to the advantage of every sampled token, for every way of giving credit."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cardinal_gym.training.advantages import EPSILON, AdvantageKind, Credit
from cardinal_gym.training.config import GrpoConfig
from cardinal_gym.training.credit import credited, groups_with_signal
from cardinal_gym.training.gae import bilevel_gae, gae
from cardinal_gym.training.shaping import Pay

LENGTHS = ((2, 1), (3,), (1, 2), (2,))
GROUPS = (0, 0, 1, 1)
PAYS = [Pay((0.0, 1.0), 1.0), Pay((0.5,), 0.5), Pay((0.0, 0.0), 0.0), Pay((1.0,), 1.0)]


def episodes(texts: tuple[tuple[str, ...], ...] = (("a", "b"), ("a",), ("a", "b"), ("b",))) -> Any:
    """Stand for what credit reads of episodes: two groups of two, of one or two turns."""
    found = []
    for lengths, group, seen in zip(LENGTHS, GROUPS, texts, strict=True):
        turns = [
            SimpleNamespace(
                completion=SimpleNamespace(token_ids=(0,) * length),
                observation=SimpleNamespace(text=text, image=None),
            )
            for length, text in zip(lengths, seen, strict=True)
        ]
        found.append(SimpleNamespace(turns=turns, group=group, success=group == 0))
    return found


def config(**choice: Any) -> GrpoConfig:
    return GrpoConfig(**{"discount": 0.5, **choice})


def values(seed: int = 0) -> list[list[np.ndarray]]:
    random = np.random.default_rng(seed)
    return [[random.normal(size=length) for length in each] for each in LENGTHS]


def flat(nested: Any) -> np.ndarray:
    return np.concatenate([turn for episode in nested for turn in episode])


def advantages(**choice: Any) -> np.ndarray:
    return flat([each.advantages for each in credited(episodes(), PAYS, config(**choice))])


def whitened(raw: np.ndarray) -> np.ndarray:
    return (raw - raw.mean()) / (raw.std(ddof=1) + EPSILON)


def test_an_episodes_advantage_goes_to_all_its_tokens() -> None:
    found = advantages(advantage=AdvantageKind.dr_grpo)
    np.testing.assert_allclose(found, [0.25] * 3 + [-0.25] * 3 + [-0.5] * 3 + [0.5] * 2)


def test_the_batchs_deviation_is_that_of_what_is_compared() -> None:
    centred = advantages(advantage=AdvantageKind.dr_grpo)
    std = np.std([1.0, 0.5, 0.0, 1.0], ddof=1)
    found = advantages(advantage=AdvantageKind.batch_std)
    np.testing.assert_allclose(found, centred / (std + EPSILON))
    by_turn = advantages(advantage=AdvantageKind.batch_std, credit=Credit.turn_return)
    centred = advantages(advantage=AdvantageKind.dr_grpo, credit=Credit.turn_return)
    std = np.std([0.5, 1.0, 0.5, 0.0, 0.0, 1.0], ddof=1)
    np.testing.assert_allclose(by_turn, centred / (std + EPSILON))


def test_gigpo_adds_what_sets_a_turn_apart_from_those_with_the_same_observation() -> None:
    """Returns from each turn at discount .5: (.5, 1), (.5,), (0, 0), (1,)."""
    found = advantages(advantage=AdvantageKind.dr_grpo, credit=Credit.gigpo, anchor_weight=2.0)
    whole = advantages(advantage=AdvantageKind.dr_grpo)
    step = [0.0] * 2 + [0.0] + [0.0] * 3 + [0.0] + [-0.5] * 2 + [0.5] * 2
    np.testing.assert_allclose(found, whole + 2.0 * np.array(step))


def test_reinforce_plus_plus_whitens_token_returns_over_the_batch() -> None:
    chosen = config(advantage=AdvantageKind.reinforce_plus_plus)
    penalties = [[0.1 * turn for turn in each] for each in values()]
    found = credited(episodes(), PAYS, chosen, penalties=penalties)
    raw = []
    for pay, fines in zip(PAYS, penalties, strict=True):
        tokens = np.concatenate(fines)
        raw += [pay.total - tokens[place:].sum() for place in range(len(tokens))]
    np.testing.assert_allclose(flat([e.advantages for e in found]), whitened(np.array(raw)))


def test_reinforce_plus_plus_may_go_by_turn() -> None:
    chosen = {"advantage": AdvantageKind.reinforce_plus_plus, "credit": Credit.turn_return}
    raw = np.array([0.5] * 2 + [1.0] + [0.5] * 3 + [0.0] * 3 + [1.0] * 2)
    np.testing.assert_allclose(advantages(**chosen), whitened(raw))


def test_with_baseline_the_groups_mean_goes_before_whitening() -> None:
    centred = advantages(advantage=AdvantageKind.dr_grpo)
    found = advantages(advantage=AdvantageKind.reinforce_plus_plus_baseline)
    np.testing.assert_allclose(found, whitened(centred))


def test_a_critics_turn_is_one_action_and_its_target_knows_no_whitening() -> None:
    chosen = config(advantage=AdvantageKind.gae, credit=Credit.turn_return, gae_lambda=0.8)
    found = credited(episodes(), PAYS, chosen, values=values())
    raw, targets = [], []
    for pay, each in zip(PAYS, values(), strict=True):
        firsts = [turn[0] for turn in each]
        turns = gae(pay.rewards, firsts, discount=0.5, gae_lambda=0.8)
        raw.append(turns)
        targets.append(turns + firsts)
    white = whitened(np.concatenate(raw))
    lengths = [length for each in LENGTHS for length in each]
    np.testing.assert_allclose(flat([e.advantages for e in found]), np.repeat(white, lengths))
    fitted = flat([e.is_target for e in found]) > 0
    assert fitted.tolist() == [place == 0 for length in lengths for place in range(length)]
    np.testing.assert_allclose(flat([e.targets for e in found])[fitted], np.concatenate(targets))


def test_a_bilevel_critic_is_fitted_at_every_token() -> None:
    chosen = config(advantage=AdvantageKind.gae, credit=Credit.bilevel, gae_lambda=0.8)
    found = credited(episodes(), PAYS, chosen, values=values())
    raw = [
        bilevel_gae(pay.rewards, each, discount=0.5, gae_lambda=0.8)
        for pay, each in zip(PAYS, values(), strict=True)
    ]
    np.testing.assert_allclose(flat([e.advantages for e in found]), whitened(flat(raw)))
    np.testing.assert_allclose(flat([e.targets for e in found]), flat(raw) + flat(values()))
    assert flat([e.is_target for e in found]).all()


@pytest.mark.parametrize("credit", [Credit.trajectory, Credit.turn_return, Credit.gigpo])
def test_the_gate_closes_groups_without_a_success(credit: Credit) -> None:
    chosen = config(advantage=AdvantageKind.dr_grpo, credit=credit, outcome_gate=True)
    pays = [PAYS[0], Pay((0.75,), 0.75), *PAYS[2:]]
    found = flat([each.advantages for each in credited(episodes(), pays, chosen)])
    assert found[:6].any()
    assert not found[6:].any()  # the second group


def test_a_group_has_a_signal_if_its_returns_differ() -> None:
    flat_pays = [*PAYS[:2], Pay((0.0, 1.0), 1.0), Pay((1.0,), 1.0)]
    assert groups_with_signal(episodes(), PAYS, config()) == {0, 1}
    assert groups_with_signal(episodes(), flat_pays, config()) == {0}
    by_turn = config(credit=Credit.turn_return)
    assert groups_with_signal(episodes(), flat_pays, by_turn) == {1}  # first turns: .5, .5; .5, 1
