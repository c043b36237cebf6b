from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from cardinal_gym.envs.general_points.cards import RANKS, all_hands, deal, deal_listed


def anything(hand: tuple[int, ...]) -> bool:
    return True


def test_there_are_1820_hands_of_four_cards_and_no_fifth_copy_of_a_rank() -> None:
    assert len(all_hands(4)) == 1820
    assert len(all_hands(5)) == 6188 - 13
    assert len(all_hands(5, replacement=True)) == 6188


@pytest.mark.parametrize(("replacement", "pair"), [(False, 3 / 51), (True, 1 / 13)])
def test_a_deal_is_uniform_over_the_deck(replacement: bool, pair: float) -> None:
    rng = np.random.default_rng(0)
    deals = [deal(rng, 2, anything, max_tries=9, replacement=replacement) for _ in range(20_000)]
    ranks = Counter(rank for hand in deals for rank in hand or ())
    assert len(ranks) == len(RANKS)
    assert max(ranks.values()) / min(ranks.values()) < 1.15
    share = sum(len(set(hand or ())) == 1 for hand in deals) / len(deals)
    assert share == pytest.approx(pair, abs=3 * (pair / len(deals)) ** 0.5)


def test_the_exact_list_deals_a_hand_in_any_order() -> None:
    rng = np.random.default_rng(0)
    only = (0, 3, 7, 11)
    assert {deal_listed(rng, [only]) for _ in range(400)} == set(permutations(only))


@pytest.mark.parametrize(("replacement", "share"), [(False, 6 / 22), (True, 1 / 3)])
def test_the_exact_list_weighs_hands_by_their_number_of_deals(
    replacement: bool, share: float
) -> None:
    rng = np.random.default_rng(1)
    pair, mixed = (4, 4), (4, 5)
    hands = [deal_listed(rng, [pair, mixed], replacement=replacement) for _ in range(4_000)]
    assert sum(hand == pair for hand in hands) / len(hands) == pytest.approx(share, abs=0.03)


def test_dealing_gives_up_after_the_asked_number_of_deals() -> None:
    seen: list[tuple[int, ...]] = []
    rng = np.random.default_rng(0)
    assert deal(rng, 4, lambda hand: bool(seen.append(hand)), max_tries=100) is None
    assert 100 <= len(seen) < 110
