"""No policy is trained on what it is measured on: hands, values with targets, faces' values."""

from collections.abc import Iterator

import gymnasium as gym
import pytest
from cardinal_gym.envs.general_points.cards import RANKS
from cardinal_gym.envs.general_points.splits import contamination, task_keys
from cardinal_gym.envs.general_points.task import Task, dealer_of, task_of
from cardinal_gym.training.config import ExperimentConfig, PretrainConfig, shifted
from cardinal_gym.training.demonstrations import OracleEpisodes, bare_env
from cardinal_gym.training.pretraining import BroadTasks, random_rule
from cardinal_gym.training.sampler import task_rng, task_seed
from toys import experiment, rng, tiny_policy

COUNT = 2000
SUITES = pytest.mark.parametrize("suite", ["general_points", "general_points_rules"])


def evaluation_keys(config: ExperimentConfig) -> set[str]:
    """Of every hand that any cell of the suite can deal, under that cell's rule."""
    keys: set[str] = set()
    for cell in config.suite.cells.values():
        env = shifted(config.env, {"split": "eval", **cell.shift})
        table = env.rule.value_table
        hands = dealer_of(env).hands()
        assert len(hands) > 100
        for task in (task_of(hand, env.rule, env.target, table) for hand in hands):
            keys |= task_keys(task.ranks, task.values, task.target)
    return keys


def pretraining_tasks(config: ExperimentConfig) -> Iterator[Task]:
    assert config.pretrain is not None
    tasks = BroadTasks(tiny_policy(), config.env, config.pretrain, seed=0)
    for index in range(COUNT):
        yield tasks._deal(task_rng(0, "pretrain", index))


def keys_of(info: dict) -> set[str]:
    return task_keys(info["ranks"], info["values"], info["target"])


@SUITES
def test_pretraining_meets_no_evaluation_task(suite: str) -> None:
    config = experiment("env=gp_text", f"suite={suite}")
    held_out, seen, targets = evaluation_keys(config), set(), set()
    for task in pretraining_tasks(config):
        seen |= task_keys(task.ranks, task.values, task.target)
        targets.add(task.target)
    assert len(seen) > COUNT / 2
    assert len(targets) > 10  # hands are held out under these too
    contamination(seen, held_out)


@SUITES
def test_demonstrations_and_rollouts_meet_no_evaluation_task(suite: str) -> None:
    config = experiment("env=gp_text", f"suite={suite}")
    held_out, seen = evaluation_keys(config), set()
    env = bare_env(config.env)
    for stream in ("warmup", "sft", "grpo", "vision"):
        for index in range(COUNT // 2):
            seen |= keys_of(env.reset(seed=task_seed(0, stream, index))[1])
    contamination(seen, held_out)
    episodes = OracleEpisodes(
        config.env, stream="sft", seed=0, revision_fraction=0.5, max_wrong_attempts=2
    )
    test = gym.make(config.env.id, config=shifted(config.env, {"split": "eval"})).unwrapped
    tested = {test.reset(seed=index)[1]["task_id"] for index in range(400)}
    assert not tested & {episodes.conversation(index).task_id for index in range(200)}


def test_the_check_itself_finds_a_leak() -> None:
    config = experiment("env=gp_text", "env.split=eval")
    leaking = bare_env(config.env)
    seen = set().union(*(keys_of(leaking.reset(seed=index)[1]) for index in range(5)))
    with pytest.raises(ValueError, match="training and evaluation tasks must be disjoint"):
        contamination(seen, evaluation_keys(config))


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
