"""`experiment=nav_l` and `nav_vl` of every command: they compose, are checked, and refuse typos."""

from dataclasses import replace
from functools import cache

import pytest
from cardinal_gym.agents.config import Vocabulary
from cardinal_gym.agents.policy import load_policy
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.training.checks import check_run
from cardinal_gym.training.config import ExperimentConfig
from cardinal_gym.training.demonstrations import bare_env, encode_rows, oracle_conversation
from cardinal_gym.training.override_errors import CONFIG_ERRORS, explain, to_config
from hydra import compose, initialize_config_module
from walks import shown, told

COMMANDS = ("sft", "grpo", "compare", "eval", "pretrain", "export")
EXPERIMENTS = ("nav_l", "nav_vl")


@cache
def composed(command: str, *overrides: str) -> ExperimentConfig:
    with initialize_config_module("cardinal_gym.conf", version_base="1.3"):
        config = to_config(compose(command, overrides=list(overrides)))
    assert isinstance(config, ExperimentConfig)
    return config


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_one_experiment_means_the_same_to_every_command(command: str, experiment: str) -> None:
    config = composed(command, f"experiment={experiment}")
    assert replace(config, name="default") == composed("compare", f"experiment={experiment}")
    assert config.experiment == experiment
    assert config.env.id == "cardinal/StreetNav-v0"
    assert config.env.rule.value == "absolute"
    assert config.env.mode.value == "rail"
    assert config.policy.build is not None
    assert config.policy.build.vocabulary is Vocabulary.streets
    rules = {cell.shift.get("rule") for cell in config.suite.cells.values()}
    assert rules >= {None, "relative"}
    is_image = experiment == "nav_vl"
    assert (config.env.modality.value == "image") is is_image
    assert (config.policy.context is ContextMode.single_turn) is is_image
    looks = {cell.shift.get("look") for cell in config.suite.cells.values()} - {None}
    assert bool(looks) is is_image
    assert config.pretrain is not None
    assert not looks & set(config.pretrain.streets.looks)  # what is unseen, the base has not seen
    assert config.env.look not in looks


TYPOS = {
    "experiment=nav_ll": "experiment must be one of ",
    "env.routes.max_trns=3": "did you mean env.routes.max_turns?",
    "env.look=neo": "look must be one of harbor, ",
    "env.rule=relatve": "env.rule must be one of absolute, relative, clock, degrees",
    "env.views.size=9": "env.views.size must be a whole number from 28 to 640; got 9",
    "pretrain.streets.withheld=[relative/bth]": "pretrain.streets.withheld must be among absolute/",
    "pretrain.streets.num_city=2": "did you mean pretrain.streets.num_cities?",
    "policy.build.vocabulary=walks": "policy.build.vocabulary must be one of cards, streets",
    "suite=street_nave": "suite must be one of ",
}


@pytest.mark.parametrize("typo", TYPOS)
def test_a_typo_is_told_in_one_line(typo: str) -> None:
    chosen = [] if typo.startswith("experiment") else ["experiment=nav_vl"]
    with pytest.raises((*CONFIG_ERRORS, ValueError)) as caught:
        composed("grpo", *chosen, typo)
    error = caught.value
    message = explain(error) if isinstance(error, CONFIG_ERRORS) else str(error)
    assert TYPOS[typo] in message
    assert "\n" not in message


@pytest.mark.parametrize("make", [told, shown])
def test_the_experiments_pass_their_own_checks(make) -> None:
    """Every cell's routes exist, stages share none with them, and answers fit behind prompts."""
    few = "evaluate.episodes=16", "evaluate.final_episodes=16", "pretrain.streets.num_cities=1"
    check_run(make(*few, "trackers=[]"), "compare")


def test_an_answer_that_does_not_fit_is_refused_before_training() -> None:
    few = "evaluate.episodes=4", "evaluate.final_episodes=4", "pretrain.streets.num_cities=1"
    config = told(*few, "trackers=[]", "policy.build.max_position=64", "warmup=null")
    with pytest.raises(
        ValueError, match=r"evaluate.max_new_tokens must be at most \d+, what prompts"
    ):
        check_run(config, "sft")


@pytest.mark.parametrize("rule", ["absolute", "relative"])
@pytest.mark.parametrize("wording", ["both", "other"])
def test_whole_walks_with_their_errors_fit_the_policys_context(rule: str, wording: str) -> None:
    """Else an episode ends for want of room, and no one would see why it failed."""
    config = told()
    policy = load_policy(config.policy)
    env = bare_env(config.env.shifted(rule=rule, wording=wording))
    longest = 0
    for seed in range(25):
        conversation = oracle_conversation(env, seed, 30)  # an error wherever one is allowed
        (row,) = encode_rows(policy, conversation)
        longest = max(longest, len(row.ids))
        assert max(len(policy.tokenizer.encode(a)) for a in conversation.answers) < 32
    assert 300 < longest + config.grpo.max_new_tokens <= policy.max_context
