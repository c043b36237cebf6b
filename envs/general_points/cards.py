"""Dealing: a uniform deal from the 52-card deck, conditioned on a filter of ranks.

Hands are drawn by rejection, so their distribution is exactly that of a dealer who deals again
until the hand qualifies. Where rejection finds nothing, hands of up to four cards are listed:
either none qualifies, which is proved so, or the draw is made from the exact list with its weights.

Departure from the study's code: a physical card cannot occur twice (unless asked for), and the
random numbers come from a generator that is passed in. Suits decide how likely a pair is and are
not kept: the rules do not know them, and the picture chooses the suits that it shows.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from math import comb, factorial, prod

import numpy as np

RANKS = ("A", "2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K")
FACES = ("J", "Q", "K")
NUM_SUITS = 4
DECK_SIZE = len(RANKS) * NUM_SUITS
RANK_INDEX = {rank: index for index, rank in enumerate(RANKS)}
FIRST_FACE = RANK_INDEX["J"]

# A hand is a tuple of rank indices 0..12 in the order dealt; filters see it sorted.
Hand = tuple[int, ...]

_BLOCK = 8  # hands drawn in one call of the generator


def deal(
    rng: np.random.Generator,
    num_cards: int,
    accepts: Callable[[Hand], bool],
    *,
    max_tries: int,
    replacement: bool = False,
) -> Hand | None:
    """Rank indices [num_cards] of a uniform deal whose sorted hand the filter accepts.

    None when no hand of `max_tries` deals was accepted.
    """
    tries = 0
    while tries < max_tries:
        block = [int(DECK_SIZE * x) for x in rng.random(_BLOCK * num_cards).tolist()]
        for start in range(0, len(block), num_cards):
            deck_ids = block[start : start + num_cards]
            if not replacement and len(set(deck_ids)) < num_cards:
                continue  # the same physical card twice: not a deal, so it does not count
            tries += 1
            hand = tuple([card // NUM_SUITS for card in deck_ids])
            if accepts(tuple(sorted(hand))):
                return hand
    return None


def deal_listed(
    rng: np.random.Generator, hands: Sequence[Hand], *, replacement: bool = False
) -> Hand:
    """As `deal`, from the list of all sorted hands that qualify (at least one)."""
    cumulated = np.cumsum([_num_deals(hand, replacement) for hand in hands])
    chosen = hands[int(np.searchsorted(cumulated, rng.integers(cumulated[-1]), side="right"))]
    return tuple(chosen[i] for i in rng.permutation(len(chosen)))


def all_hands(num_cards: int, replacement: bool = False) -> list[Hand]:
    """Every sorted hand of rank indices that the deck can deal, e.g. 1,820 of four cards."""
    hands = combinations_with_replacement(range(len(RANKS)), num_cards)
    return [hand for hand in hands if _num_deals(hand, replacement) > 0]


def _num_deals(hand: Hand, replacement: bool) -> int:
    """In how many ways the deck deals this multiset of ranks, up to a factor common to all."""
    counts = Counter(hand).values()
    if not replacement:
        return prod(comb(NUM_SUITS, count) for count in counts)
    return factorial(len(hand)) // prod(factorial(count) for count in counts)
