import numpy as np
import pytest
from cardinal_gym.envs.general_points.cards import RANKS, all_hands
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.envs.general_points.rules import RULES, Rule
from cardinal_gym.envs.general_points.splits import (
    TaskSplit,
    canonical_id,
    contamination,
    is_held_out,
    task_keys,
)
from cardinal_gym.envs.general_points.task import deal_task, distinct_task_ids

TEN, ACTUAL, SEVENS = (
    RULES[name] for name in ("faces_as_ten", "faces_as_ranks", "faces_as_sevens")
)
SPLIT = TaskSplit(split_rule=TEN, compared=(TEN, ACTUAL, SEVENS))
HANDS = [tuple(RANKS[index] for index in hand) for hand in all_hands(4)]


def values(ranks: tuple[str, ...], rule: Rule) -> list[int]:
    return [rule.value_table[RANKS.index(rank)] for rank in ranks]


def test_the_id_is_sorted_values_under_the_split_rule_and_the_target() -> None:
    assert SPLIT.task_id(("5", "J", "3", "A")) == "1-3-5-10|24"
    assert canonical_id([10, 3, 5, 1], 24) == "1-3-5-10|24"


def test_the_hash_is_the_same_in_every_version() -> None:
    ids = [f"{a}-{b}|24" for a in range(1, 4) for b in range(a, 4)]
    assert [task_id for task_id in ids if is_held_out(task_id, 0.5)] == HELD_OUT


HELD_OUT = ["1-2|24", "2-2|24"]


def test_about_the_asked_fraction_is_held_out() -> None:
    ids = {SPLIT.task_id(ranks) for ranks in HANDS}
    assert len(ids) == 715
    for fraction in (0.1, 0.5, 0.9):
        share = sum(is_held_out(task_id, fraction) for task_id in ids) / len(ids)
        assert share == pytest.approx(fraction, abs=0.06)
    assert not any(is_held_out(task_id, 0.0) for task_id in ids)
    assert all(is_held_out(task_id, 1.0) for task_id in ids)


def test_another_salt_holds_out_other_hands() -> None:
    other = TaskSplit(split_rule=TEN, salt=1)
    assert any(SPLIT.is_eval_hand(ranks) != other.is_eval_hand(ranks) for ranks in HANDS)


def test_hands_that_the_split_rule_cannot_tell_apart_are_held_out_together() -> None:
    for ranks in HANDS:
        tens = tuple("10" if rank in "JQK" else rank for rank in ranks)
        assert SPLIT.is_eval_hand(ranks) == SPLIT.is_eval_hand(tens)


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_no_clean_task_shares_ranks_or_values_with_an_evaluation_task(rule: Rule) -> None:
    eval_keys: set[str] = set()
    for ranks in HANDS:
        if SPLIT.is_eval_hand(ranks):
            for compared in SPLIT.compared:
                eval_keys |= task_keys(ranks, values(ranks, compared), 24)
    clean = [ranks for ranks in HANDS if SPLIT.is_clean(ranks, rule, 24)]
    assert clean
    for ranks in clean:
        contamination(task_keys(ranks, values(ranks, rule), 24), eval_keys)


def test_every_hand_of_the_training_rule_is_on_one_side() -> None:
    two = TaskSplit(split_rule=TEN, compared=(TEN, ACTUAL))
    assert all(two.is_eval_hand(ranks) != two.is_clean(ranks, TEN, 24) for ranks in HANDS)


def test_another_target_may_share_values_but_not_ranks() -> None:
    rule = Rule(name="aces_as_five", face_values={"A": 5})
    for held_out in HANDS:
        if not SPLIT.is_eval_hand(held_out) or "5" not in held_out or "A" in held_out:
            continue
        assert not SPLIT.is_clean(held_out, TEN, 30)
        same_values = tuple("A" if rank == "5" else rank for rank in held_out)
        assert not SPLIT.is_clean(same_values, rule, 24)
        assert SPLIT.is_clean(same_values, rule, 30) != SPLIT.is_eval_hand(same_values)


def test_hands_of_another_size_are_clean() -> None:
    assert SPLIT.is_clean(("A", "2", "3"), TEN, 24)


def test_pretraining_tasks_are_clean_under_any_rule() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        faces = {face: int(rng.integers(1, 14)) for face in "JQK"}
        task = deal_task(rng, Rule(name="any", face_values=faces), 24, 4, SPLIT)
        assert SPLIT.is_clean(task.ranks, task.rule, 24)
        assert not SPLIT.is_eval_hand(task.ranks)
        assert task.is_solvable


def test_contamination_names_what_is_shared() -> None:
    contamination(["1|24"], ["2|24"])
    with pytest.raises(ValueError, match=r"must be disjoint; 1 shared, e\.g\. 2\|24"):
        contamination(["1|24", "2|24"], ["2|24"])


def test_train_and_eval_ids_are_disjoint_and_many() -> None:
    train = distinct_task_ids(GeneralPointsConfig(split="train"))
    held_out = distinct_task_ids(GeneralPointsConfig(split="eval"))
    contamination(train, held_out)
    assert len(train) + len(held_out) == len(distinct_task_ids(GeneralPointsConfig(split="all")))
    assert 230 <= len(held_out) <= 320
