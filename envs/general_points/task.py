"""A task and how it is dealt: the pure functions that the environment composes.

`deal_task` needs no environment, so that training over thousands of rules is cheap.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .cards import FIRST_FACE, RANK_INDEX, RANKS, Hand, all_hands, deal, deal_listed
from .config import GeneralPointsConfig, Split
from .rules import Rule
from .solver import is_solvable
from .splits import TaskSplit, canonical_id

LISTED_CARDS = 4  # up to which all hands are listed where rejection finds none
MAX_TRIES = 1_000
MAX_TRIES_UNLISTED = 300  # an unsolvable hand of six cards takes tens of milliseconds to prove


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One hand to be combined into a target.

    ranks: in the order dealt, e.g. ("5", "J", "3", "A").
    values: of the ranks under `rule`, in the same order.
    """

    ranks: tuple[str, ...]
    values: tuple[int, ...]
    rule: Rule
    target: int

    @property
    def is_solvable(self) -> bool:
        return is_solvable(self.values, self.target, self.rule.allowed)


def make_task(ranks: Sequence[str], rule: Rule, target: int) -> Task:
    """The task of a given hand; ValueError for a rank that does not exist."""
    return task_of(hand_of(ranks, len(ranks)), rule, target, rule.value_table)


def hand_of(ranks: Sequence[str], num_cards: int) -> Hand:
    """Rank indices in the order given; ValueError unless they are `num_cards` ranks."""
    given = list(ranks) if isinstance(ranks, Iterable) else [ranks]
    if len(given) != num_cards or any(rank not in RANKS for rank in given):
        raise ValueError(f"ranks must be {num_cards} of {', '.join(RANKS)}; got {given}")
    return tuple([RANK_INDEX[rank] for rank in given])


def task_of(hand: Hand, rule: Rule, target: int, value_table: tuple[int, ...]) -> Task:
    """The task of rank indices, with the rule's table at hand."""
    return Task(
        ranks=tuple([RANKS[index] for index in hand]),
        values=tuple([value_table[index] for index in hand]),
        rule=rule,
        target=target,
    )


class Dealer:
    """Deals hands that qualify, and remembers which hands do.

    rules: a hand must be solvable under each (none: any hand).
    keeps: a further filter of sorted rank indices, e.g. a split.
    """

    def __init__(
        self,
        *,
        num_cards: int,
        target: int,
        rules: Sequence[Rule] = (),
        require_face_card: bool = False,
        replacement: bool = False,
        keeps: Callable[[Hand], bool] | None = None,
    ) -> None:
        self.num_cards, self.target, self.replacement = num_cards, target, replacement
        self._rules, self._require_face_card, self._keeps = rules, require_face_card, keeps
        self._solve_under = tuple({(rule.value_table, rule.allowed): None for rule in rules})
        self._known: dict[Hand, bool] = {}
        self._listed: list[Hand] | None = None

    def deal(self, rng: np.random.Generator) -> Hand:
        """Rank indices in the order dealt. Raises ValueError when no hand qualifies."""
        tries = MAX_TRIES if self.num_cards <= LISTED_CARDS else MAX_TRIES_UNLISTED
        hand = deal(
            rng, self.num_cards, self.qualifies, max_tries=tries, replacement=self.replacement
        )
        if hand is not None:
            return hand
        if self.num_cards > LISTED_CARDS:
            raise ValueError(f"no hand qualified in {tries} deals: {self._wanted()}")
        if self._listed is None:
            self._listed = self.hands()
        if not self._listed:
            raise ValueError(f"no hand qualifies (all were tried): {self._wanted()}")
        return deal_listed(rng, self._listed, replacement=self.replacement)

    def qualifies(self, hand: Hand) -> bool:
        """Whether a sorted hand may be dealt."""
        known = self._known.get(hand)
        if known is None:
            known = self._known[hand] = self._examine(hand)
        return known

    def hands(self) -> list[Hand]:
        """Every hand that may be dealt, sorted."""
        hands = all_hands(self.num_cards, self.replacement)
        return [hand for hand in hands if self.qualifies(hand)]

    def _examine(self, hand: Hand) -> bool:
        if self._require_face_card and hand[-1] < FIRST_FACE:
            return False
        if self._keeps is not None and not self._keeps(hand):
            return False
        for table, operators in self._solve_under:
            if not is_solvable([table[index] for index in hand], self.target, operators):
                return False
        return True

    def _wanted(self) -> str:
        names = ", ".join(dict.fromkeys(rule.name for rule in self._rules))
        solvable = f"solvable under {names}" if names else "solvable or not"
        face = ", with a face card" if self._require_face_card else ""
        kept = ", in the split" if self._keeps else ""
        return f"num_cards {self.num_cards}, target {self.target}, {solvable}{face}{kept}"


def deal_task(
    rng: np.random.Generator,
    rule: Rule,
    target: int,
    num_cards: int,
    split: TaskSplit | None = None,
    *,
    solvable: bool = True,
    require_face_card: bool = False,
    replacement: bool = False,
) -> Task:
    """One task under any rule; with `split`, only hands that are clean to train on.

    Raises ValueError when no hand qualifies.
    """
    table = rule.value_table
    dealer = Dealer(
        num_cards=num_cards,
        target=target,
        rules=(rule,) if solvable else (),
        require_face_card=require_face_card,
        replacement=replacement,
        keeps=partial(split.is_clean_hand, value_table=table, target=target) if split else None,
    )
    return task_of(dealer.deal(rng), rule, target, table)


def task_split(config: GeneralPointsConfig, target: int | None = None) -> TaskSplit:
    """The split that a configuration describes, for one of its targets (None: `target`)."""
    return TaskSplit(
        split_rule=config.split_rule,
        compared=config.compared_rules,
        target=config.target if target is None else target,
        num_cards=config.num_cards,
        held_out_fraction=config.held_out_fraction,
        salt=config.split_salt,
    )


def dealer_of(
    config: GeneralPointsConfig, target: int | None = None, rule: Rule | None = None
) -> Dealer:
    """The dealer of one of a configuration's targets (None: `target`) and rules (None: `rule`)."""
    rule = config.rule if rule is None else rule
    split, table = task_split(config, target), rule.value_table
    keeps: Callable[[Hand], bool] | None = None
    if config.split is Split.eval:
        keeps = split.holds_out
    elif config.split is Split.train:
        keeps = partial(split.is_clean_hand, value_table=table, target=split.target)
    return Dealer(
        num_cards=config.num_cards,
        target=split.target,
        rules=(rule, *config.solvable_under) if config.solvable_only else (),
        require_face_card=config.require_face_card,
        replacement=config.replacement,
        keeps=keeps,
    )


def distinct_task_ids(config: GeneralPointsConfig) -> list[str]:
    """The ids of all tasks that a configuration can deal, sorted; their number stands beside n."""
    table = config.split_rule.value_table
    return sorted(
        {
            canonical_id([table[i] for i in hand], target)
            for target in config.targets or [config.target]
            for rule in config.rules_in_force
            for hand in dealer_of(config, target, rule).hands()
        }
    )
