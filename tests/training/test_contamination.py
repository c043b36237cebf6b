"""No policy is trained on what it is measured on: hands, values with targets, faces' values.

A task is a hand; where targets are drawn, it is a hand with its target. Here every evaluation task
that exists is compared with thousands of training tasks; `check_contamination` does the same with
the tasks that a run deals first.
"""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import pytest
from cardinal_gym.envs.general_points.cards import RANKS
from cardinal_gym.envs.general_points.splits import contamination, task_keys
from cardinal_gym.envs.general_points.task import Task, dealer_of, task_of
from cardinal_gym.training.broad_cards import BroadDealer, random_rule
from cardinal_gym.training.config import ExperimentConfig, PretrainConfig, shifted
from cardinal_gym.training.contamination import check_contamination
from cardinal_gym.training.demonstrations import OracleEpisodes, bare_env
from cardinal_gym.training.sampler import task_rng, task_seed
from toys import experiment, rng

COUNT = 2000
EXPERIMENTS = pytest.mark.parametrize(
    "overrides",
    [
        ("env=gp_text", "suite=general_points"),
        ("env=gp_text", "suite=general_points_rules"),
        ("experiment=gp_l",),
        ("experiment=gp_vl",),
        ("experiment=demo_text",),
    ],
    ids=lambda overrides: " ".join(overrides),
)


def composed(overrides: tuple[str, ...]) -> ExperimentConfig:
    """With the cards in words: the hands are the same, and no picture is drawn."""
    return experiment(*overrides, "env.modality=text")


def keys_of(config: ExperimentConfig, ranks: Any, values: Any, target: int) -> set[str]:
    return task_keys(ranks, values, target, is_target_drawn=bool(config.env.targets))


def evaluation_keys(config: ExperimentConfig) -> set[str]:
    """Of every hand that any cell of the suite can deal, under that cell's rule."""
    keys: set[str] = set()
    for cell in config.suite.cells.values():
        env = shifted(config.env, {"split": "eval", **cell.shift})
        table = env.rule.value_table
        tasks = [
            task_of(hand, env.rule, target, table)
            for target in env.targets or [env.target]
            for hand in dealer_of(env, target).hands()
        ]
        assert len(tasks) > 100
        for task in tasks:
            keys |= keys_of(config, task.ranks, task.values, task.target)
    return keys


def pretraining_tasks(config: ExperimentConfig) -> Iterator[Task]:
    assert config.pretrain is not None
    dealer = BroadDealer(config.env, config.pretrain)
    for index in range(COUNT):
        yield dealer.deal(task_rng(0, "pretrain", index))


@EXPERIMENTS
def test_pretraining_meets_no_evaluation_task(overrides: tuple[str, ...]) -> None:
    config = composed(overrides)
    held_out, seen, targets = evaluation_keys(config), set(), set()
    for task in pretraining_tasks(config):
        seen |= keys_of(config, task.ranks, task.values, task.target)
        targets.add(task.target)
    assert len(seen) > COUNT / 2
    assert len(targets) > 10  # hands are held out under these too
    contamination(seen, held_out)


@EXPERIMENTS
def test_demonstrations_and_rollouts_meet_no_evaluation_task(overrides: tuple[str, ...]) -> None:
    config = composed(overrides)
    held_out, seen = evaluation_keys(config), set()
    env = bare_env(config.env)
    for stream in ("warmup", "sft", "grpo", "vision"):
        for index in range(COUNT // 2):
            _, info = env.reset(seed=task_seed(0, stream, index))
            seen |= keys_of(config, info["ranks"], info["values"], info["target"])
    contamination(seen, held_out)
    episodes = OracleEpisodes(
        config.env, stream="sft", seed=0, revision_fraction=0.5, max_wrong_attempts=2
    )
    test = gym.make(config.env.id, config=shifted(config.env, {"split": "eval"})).unwrapped
    tested = {test.reset(seed=index)[1]["task_id"] for index in range(400)}
    assert not tested & {episodes.conversation(index).task_id for index in range(200)}


def test_the_check_itself_finds_a_leak() -> None:
    config = experiment("env=gp_text", "env.split=eval")
    _, info = bare_env(config.env).reset(seed=0)
    seen = keys_of(config, info["ranks"], info["values"], info["target"])
    with pytest.raises(ValueError, match="training and evaluation tasks must be disjoint"):
        contamination(seen, evaluation_keys(config))


def test_a_hand_may_come_with_another_target_where_targets_are_drawn() -> None:
    hand = ("5", "J", "3", "A"), (5, 10, 3, 1)
    assert task_keys(*hand, 24) & task_keys(*hand, 7)
    assert not task_keys(*hand, 24, is_target_drawn=True) & task_keys(
        *hand, 7, is_target_drawn=True
    )


@pytest.mark.parametrize("overrides", [("experiment=gp_l",), ("experiment=demo_text",)])
def test_a_run_that_would_train_on_evaluation_tasks_is_refused(overrides: tuple[str, ...]) -> None:
    config = composed(overrides)
    check_contamination(config, ("pretrain", "warmup", "sft", "grpo"))
    everything = composed((*overrides, "env.split=all"))
    check_contamination(everything, ("pretrain",))  # deals its own hands, whatever the split
    for stage in ("warmup", "sft", "grpo"):
        with pytest.raises(ValueError, match=rf"^tasks of {stage} \(env.split=all\): training and"):
            check_contamination(everything, (stage,))


@pytest.mark.parametrize("allowed", [False, True])
def test_no_rule_gives_away_what_the_faces_will_be_worth(allowed: bool) -> None:
    """J 11, Q 12 and K 13 stay unseen (or, in the variant, the triple); 11-13 themselves do not."""
    config = PretrainConfig(allow_ood_faces=allowed)
    draws, places = rng(), [RANKS.index(face) for face in ("J", "Q", "K")]
    tables = [random_rule(draws, config).value_table for _ in range(4000)]
    worth = [tuple(table[place] for place in places) for table in tables]
    assert (11, 12, 13) not in worth
    unseen = [sum(values[i] == 11 + i for values in worth) for i in range(3)]
    assert all(unseen) if allowed else not any(unseen)
    for i in range(3):
        others = {values[i] for values in worth}
        assert others >= {11, 12, 13} - {11 + i}


def test_pretraining_tasks_state_rules_that_keep_the_faces_unseen() -> None:
    config = experiment("env=gp_text")
    for _, task in zip(range(300), pretraining_tasks(config), strict=False):
        worth = [task.rule.value_table[RANKS.index(face)] for face in ("J", "Q", "K")]
        assert all(value != 11 + place for place, value in enumerate(worth))
        assert task.is_solvable
