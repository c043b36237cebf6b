"""Episodes that draw their rule from `rules`, for training on several at once."""

from collections import Counter

import cardinal_gym.envs  # noqa: F401
import gymnasium as gym
import pytest
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.envs.general_points.splits import contamination, task_keys
from cardinal_gym.envs.general_points.task import distinct_task_ids

RULES = [
    {"name": "tens", "face_values": {"J": 10, "Q": 10, "K": 10}},
    {"name": "wide", "face_values": {"J": 14, "Q": 15, "K": 16}},
    {"name": "mixed", "face_values": {"J": 20, "Q": 3, "K": 17}},
]


def make(**fields: object) -> gym.Env:
    return gym.make("cardinal/GeneralPoints-v0", num_cards=3, **fields)


def test_every_rule_occurs_is_stated_and_is_the_one_that_judges() -> None:
    env = make(rules=RULES)
    seen: Counter[str] = Counter()
    for seed in range(120):
        observation, info = env.reset(seed=seed)
        (rule,) = [rule for rule in RULES if rule["name"] == info["rule"]]
        jack, queen, king = rule["face_values"].values()
        assert f"J = {jack}, Q = {queen}, K = {king}" in observation["text"]
        worth = {"A": 1, **rule["face_values"]}
        assert info["values"] == [worth.get(rank) or int(rank) for rank in info["ranks"]]
        assert env.step(env.unwrapped.oracle_action())[4]["success"]
        seen[info["rule"]] += 1
    assert len(seen) == 3
    assert min(seen.values()) > 20


def test_one_rule_in_the_list_deals_what_the_rule_alone_deals() -> None:
    alone, listed = make(rule=RULES[0]), make(rules=RULES[:1])
    for seed in range(20):
        assert alone.reset(seed=seed)[1] == listed.reset(seed=seed)[1]


def test_a_shift_to_a_rule_is_to_that_rule_alone() -> None:
    config = GeneralPointsConfig(rules=RULES)
    assert [rule.name for rule in config.rules_in_force] == ["tens", "wide", "mixed"]
    shifted = config.shifted(rule="faces_as_ranks")
    assert [rule.name for rule in shifted.rules_in_force] == ["faces_as_ranks"]
    assert [rule.name for rule in config.shifted(split="eval").rules_in_force][1:] == [
        "wide",
        "mixed",
    ]


def test_no_training_task_is_an_evaluation_task_under_any_of_the_rules() -> None:
    def keys(split: str, **fields: object) -> set[str]:
        env, found = make(rules=RULES, split=split, **fields), set[str]()
        for seed in range(300):
            info = env.reset(seed=seed)[1]
            found |= task_keys(info["ranks"], info["values"], info["target"])
        return found

    contamination(keys("train"), keys("eval"))


def test_distinct_tasks_are_counted_over_all_rules() -> None:
    counts = [
        len(distinct_task_ids(GeneralPointsConfig(num_cards=3, solvable_under=[], rules=rules)))
        for rules in (RULES[:1], RULES)
    ]
    assert counts[1] > counts[0] > 0


def test_a_bad_rule_in_the_list_is_named() -> None:
    with pytest.raises(ValueError, match=r"rules\[1\] must be one of .*got 'tenz'"):
        GeneralPointsConfig(rules=["faces_as_ten", "tenz"])
