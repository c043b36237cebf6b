"""Which hands are held out for evaluation, and which may be used for training.

A task's canonical id is its sorted values under the split's rule, and the target: under the study's
training rule J, Q, K and 10 are one number, so that hands split by rank would leak. A salted hash
of the id decides, the same in every process and version.

Out of distribution means the same held-out hands under another rule or look; so a hand is held out
under every rule at once, and a training task may share neither its sorted ranks nor its sorted
values and target with any evaluation task under any of the compared rules.

The study's code has no held-out hands.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b

from .cards import RANK_INDEX, Hand, all_hands
from .rules import Rule

Values = tuple[int, ...]


def canonical_id(values: Iterable[int], target: int) -> str:
    """Sorted values and target, e.g. "1-3-5-10|24"."""
    return "-".join([str(value) for value in sorted(values)]) + f"|{target}"


def is_held_out(task_id: str, fraction: float, salt: int = 0) -> bool:
    """Whether the id falls into the held-out fraction."""
    digest = blake2b(f"{salt}:{task_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < fraction * 2.0**64


@dataclass(frozen=True, kw_only=True)
class TaskSplit:
    """Evaluation tasks of one size and target, against everything else.

    split_rule: its values make the id that decides.
    compared: every rule under which the held-out hands are evaluated.
    """

    split_rule: Rule
    compared: tuple[Rule, ...] = ()
    target: int = 24
    num_cards: int = 4
    held_out_fraction: float = 0.5
    salt: int = 0

    def task_id(self, ranks: Sequence[str]) -> str:
        """The id of a hand; the same under every rule in force."""
        return canonical_id(_values(_hand(ranks), self.split_rule.value_table), self.target)

    def is_eval_hand(self, ranks: Sequence[str]) -> bool:
        """Whether the hand is held out (under every rule)."""
        return self.holds_out(_hand(ranks))

    def is_clean(self, ranks: Sequence[str], rule: Rule, target: int) -> bool:
        """Whether the task may be trained on, under whichever rule and target."""
        return self.is_clean_hand(_hand(ranks), rule.value_table, target)

    def holds_out(self, hand: Hand) -> bool:
        """`is_eval_hand` for sorted rank indices."""
        return hand in self._held_out

    def is_clean_hand(self, hand: Hand, value_table: Values, target: int) -> bool:
        """`is_clean` for sorted rank indices and a rule's table of values."""
        if hand in self._held_out:
            return False
        return target != self.target or _values(hand, value_table) not in self._held_out_values

    @cached_property
    def _held_out(self) -> frozenset[Hand]:
        table = self.split_rule.value_table
        return _held_out_hands(
            table, self.target, self.num_cards, self.held_out_fraction, self.salt
        )

    @cached_property
    def _held_out_values(self) -> frozenset[Values]:
        tables = tuple(sorted({r.value_table for r in (self.split_rule, *self.compared)}))
        return _values_under(tables, self._held_out)


def task_keys(
    ranks: Sequence[str], values: Sequence[int], target: int, *, is_target_drawn: bool = False
) -> set[str]:
    """What a task must not share with a task of another split: its ranks, its values and target.

    is_target_drawn: each episode draws its target, so that a task is a hand with a target, and a
        hand that one target holds out may be seen with another.
    """
    hand = "-".join(sorted(ranks, key=RANK_INDEX.__getitem__))
    return {
        f"ranks {hand}|{target}" if is_target_drawn else f"ranks {hand}",
        "values " + canonical_id(values, target),
    }


def contamination(train_ids: Iterable[str], eval_ids: Iterable[str]) -> None:
    """Raise ValueError naming tasks (ids or keys) that occur on both sides."""
    shared = sorted(set(train_ids) & set(eval_ids))
    if shared:
        raise ValueError(
            f"training and evaluation tasks must be disjoint; {len(shared)} shared, "
            f"e.g. {', '.join(shared[:5])}"
        )


@lru_cache(maxsize=512)
def _held_out_hands(
    table: Values, target: int, num_cards: int, fraction: float, salt: int
) -> frozenset[Hand]:
    # With replacement: a superset, so that one split serves both ways of dealing.
    hands = all_hands(num_cards, replacement=True)
    return frozenset(
        hand
        for hand in hands
        if is_held_out(canonical_id(_values(hand, table), target), fraction, salt)
    )


@lru_cache(maxsize=512)
def _values_under(tables: tuple[Values, ...], hands: frozenset[Hand]) -> frozenset[Values]:
    return frozenset(_values(hand, table) for table in tables for hand in hands)


def _hand(ranks: Sequence[str]) -> Hand:
    return tuple(sorted([RANK_INDEX[rank] for rank in ranks]))


def _values(hand: Hand, table: Values) -> Values:
    return tuple(sorted([table[index] for index in hand]))
