"""`targets`: each episode draws its target, so that few cards give many distinct tasks."""

from typing import Any

import cardinal_gym.envs  # noqa: F401  (registers the environments)
import gymnasium as gym
import pytest
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.envs.general_points.rules import RULES
from cardinal_gym.envs.general_points.splits import canonical_id, contamination
from cardinal_gym.envs.general_points.task import distinct_task_ids, make_task, task_split

TARGETS = list(range(10, 31, 2))
ROWS = {"num_cards": 3, "targets": TARGETS}


def make(**fields: Any) -> gym.Env:
    return gym.make("cardinal/GeneralPoints-v0", **{**ROWS, **fields})


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("answer", ["json", "steps", "tagged"])
@pytest.mark.parametrize("split", ["train", "eval"])
def test_the_oracle_earns_the_maximum_return_for_every_target(
    rule: str, answer: str, split: str
) -> None:
    env = make(rule=rule, answer=answer, split=split, reward="study", oracle_style="random")
    seen = set()
    for seed in range(60):
        seen.add(env.reset(seed=seed)[1]["target"])
        _, paid, terminated, _, info = env.step(env.unwrapped.oracle_action())
        assert (paid, info["episode_return"], terminated) == (5.0, 5.0, True)
    assert seen == set(TARGETS)


def test_one_seed_gives_the_same_hand_and_target_under_every_compared_rule() -> None:
    compared = ["faces_as_ten", "faces_as_ranks", "faces_as_sevens"]
    tasks = []
    for rule in compared:
        env = make(rule=rule, solvable_under=compared, split="eval")
        dealt = [env.reset(seed=seed)[1] for seed in range(60)]
        tasks.append([(info["ranks"], info["target"], info["task_id"]) for info in dealt])
    assert tasks[0] == tasks[1] == tasks[2]
    assert len({(tuple(ranks), target) for ranks, target, _ in tasks[0]}) > 45


def test_target_and_hand_follow_one_stream_whatever_is_asked_or_drawn() -> None:
    quiet, asked = make(), make(modality="image", oracle_style="random")
    quiet.reset(seed=0)
    asked.reset(seed=0)
    for _ in range(10):
        asked.unwrapped.oracle_action()
        one, two = quiet.reset()[1], asked.reset()[1]
        assert (one["ranks"], one["target"]) == (two["ranks"], two["target"])


@pytest.mark.parametrize("modality", ["text", "image"])
@pytest.mark.parametrize("prompt", ["study", "compact"])
def test_the_prompt_states_the_target_of_the_episode(prompt: str, modality: str) -> None:
    env = make(prompt=prompt, modality=modality)
    stated = "target {} " if prompt == "compact" else " formula that equals {}.\n"
    for seed in range(20):
        observation, info = env.reset(seed=seed)
        assert stated.format(info["target"]) in observation["text"] + " "
        later = env.step("no answer")[0]["text"]
        assert stated.format(info["target"]) in later


def test_the_id_names_the_target_and_ids_are_many() -> None:
    config = GeneralPointsConfig(**ROWS, split="all")
    ids = distinct_task_ids(config)
    assert len(ids) == len(set(ids))
    by_target = {
        target: distinct_task_ids(GeneralPointsConfig(num_cards=3, target=target, split="all"))
        for target in TARGETS
    }
    assert ids == sorted(task_id for few in by_target.values() for task_id in few)
    assert len(ids) > 5 * max(map(len, by_target.values()))
    env = make(split="all")
    for seed in range(30):
        info = env.reset(seed=seed)[1]
        assert info["task_id"] == canonical_id(info["values"], info["target"])
        assert info["task_id"] in ids


def test_train_and_eval_share_no_id_and_every_dealt_task_is_on_its_side() -> None:
    train = GeneralPointsConfig(**ROWS, split="train")
    held_out = GeneralPointsConfig(**ROWS, split="eval")
    train_ids, eval_ids = distinct_task_ids(train), distinct_task_ids(held_out)
    contamination(train_ids, eval_ids)
    both = distinct_task_ids(GeneralPointsConfig(**ROWS, split="all"))
    assert sorted(train_ids + eval_ids) == both
    assert 0.35 < len(eval_ids) / len(both) < 0.65
    for config, ids in ((train, set(train_ids)), (held_out, set(eval_ids))):
        env = gym.make("cardinal/GeneralPoints-v0", config=config)
        for seed in range(60):
            info = env.reset(seed=seed)[1]
            split = task_split(config, info["target"])
            assert info["task_id"] in ids
            assert split.is_eval_hand(info["ranks"]) == (config is held_out)
            if config is train:
                assert split.is_clean(info["ranks"], config.rule, info["target"])


def test_every_task_is_solvable_under_the_compared_rules() -> None:
    env = make(split="all", rule="faces_shifted")
    for seed in range(40):
        info = env.reset(seed=seed)[1]
        for rule in ("faces_shifted", "faces_as_ten", "faces_as_ranks"):
            assert make_task(info["ranks"], RULES[rule], info["target"]).is_solvable


def test_a_single_target_is_the_same_as_the_target() -> None:
    one, same = make(targets=[18]), make(targets=[], target=18)
    assert one.reset(seed=1)[1]["target"] == same.reset(seed=1)[1]["target"] == 18
    assert distinct_task_ids(one.unwrapped.config) == distinct_task_ids(same.unwrapped.config)


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"targets must be .*; got 'many'"):
        GeneralPointsConfig(targets=["many"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"no hand qualifies .*target 999999"):
        make(targets=[999_999]).reset(seed=0)
