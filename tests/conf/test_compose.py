"""Every YAML composes into the dataclasses, and presets mean the same in YAML and in Python."""

from dataclasses import is_dataclass, replace

import pytest
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.envs.general_points.render.config import VISUALS
from cardinal_gym.envs.general_points.rules import RULES
from cardinal_gym.training.config import CellConfig, ExperimentConfig, cell_envs
from cardinal_gym.training.override_errors import CONFIG_ERRORS, to_config
from composing import CHOICES, CONF, GROUPS, PRIMARIES, composed


@pytest.mark.parametrize("primary", PRIMARIES)
def test_every_command_has_a_configuration_that_is_valid(primary: str) -> None:
    assert is_dataclass(to_config(composed(primary)))


# Credit by turn adds rewards up, and refuses an environment that pays wrong answers.
UNPAID = ("env.reward.weights.format=0", "env.reward.weights.recognition=0")
ADDING = ("gigpo", "vagen", "ppo_sft_vs_rl")  # of the group `algorithm`
WALKED = ("suite=street_nav", "suite=nav_")
SEEN = ("suite=gp_look_ladder", "suite=nav_look_ladder", "suite=street_nav_looks")


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_of_every_group_is_valid(choice: str) -> None:
    needed = [*UNPAID] if choice.startswith("algorithm=") and choice.endswith(ADDING) else []
    needed += ["env=street_nav"] if choice.startswith(WALKED) else []
    needed += ["env.modality=image"] if choice in SEEN else []
    primary = "run" if choice.startswith("recipe=") else "compare"
    assert isinstance(to_config(composed(primary, choice, *needed)), ExperimentConfig)


@pytest.mark.parametrize("hardware", GROUPS["hardware"])
@pytest.mark.parametrize("experiment", GROUPS["experiment"])
def test_every_experiment_fits_every_machine(experiment: str, hardware: str) -> None:
    config = to_config(composed("compare", f"experiment={experiment}", f"hardware={hardware}"))
    assert config.experiment == experiment


@pytest.mark.parametrize("hardware", [h for h in GROUPS["hardware"] if h != "cpu"])
def test_arms_do_not_share_a_gpu_unless_asked_to(hardware: str) -> None:
    config = to_config(composed("compare", f"hardware={hardware}"))
    assert config.processes == 1
    assert to_config(composed("compare", f"hardware={hardware}", "processes=2")).processes == 2


def test_nothing_given_means_the_defaults_of_the_dataclass() -> None:
    config = to_config(composed("grpo"))
    filled = replace(ExperimentConfig(), env=GeneralPointsConfig(), suite=config.suite)
    assert config == filled


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_is_the_same_in_yaml_and_in_python(name: str) -> None:
    assert to_config(composed("grpo", f"rules={name}")).env.rule == RULES[name]


@pytest.mark.parametrize("name", sorted(VISUALS))
def test_a_look_is_the_same_in_yaml_and_in_python(name: str) -> None:
    assert to_config(composed("grpo", f"visuals={name}")).env.visual == VISUALS[name]


def test_every_preset_has_a_file() -> None:
    assert set(GROUPS["rules"]) == set(RULES)
    assert set(GROUPS["visuals"]) == set(VISUALS)


@pytest.mark.parametrize("suite", [s for s in GROUPS["suite"] if s.startswith("general_points")])
def test_every_cell_of_a_suite_gives_one_seed_the_same_hand(suite: str) -> None:
    config = to_config(composed("eval", f"suite={suite}"))
    envs = cell_envs(config.env, config.suite)
    compared = {rule.value_table for rule in envs["id"].solvable_under}
    base = config.suite.cells["id"].shift
    assert set(base) <= {"require_face_card"}  # says which hands, in every cell the same
    for name, env in envs.items():
        assert base.items() <= config.suite.cells[name].shift.items()
        assert env.rule.value_table in compared
        assert env.solvable_under == envs["id"].solvable_under
        assert (env.visual.width, env.visual.height) == (224, 224)


@pytest.mark.parametrize("suite", [s for s in GROUPS["suite"] if s.startswith("street_nav")])
@pytest.mark.parametrize("env", ["street_nav", "nav_text", "nav_image"])
def test_every_cell_of_a_suite_gives_one_seed_the_same_route(suite: str, env: str) -> None:
    needed = ["env.modality=image"] if f"suite={suite}" in SEEN else []
    config = to_config(composed("eval", f"env={env}", f"suite={suite}", *needed))
    assert config.suite.cells["id"].shift == {}
    for name, changed in cell_envs(config.env, config.suite).items():
        assert changed.routes == config.env.routes
        assert changed.views == config.env.views
        assert changed.city == config.env.city or name == "ood_city"


def test_a_cell_of_ones_own_may_be_added_on_the_command_line() -> None:
    config = to_config(composed("eval", "+suite.cells.own.shift.rule=faces_as_sevens"))
    assert config.suite.cells["own"] == CellConfig(shift={"rule": "faces_as_sevens"})
    assert set(config.suite.cells) == {"id", "ood_ranks", "own"}


def test_navigation_has_no_card_rules() -> None:
    with pytest.raises(CONFIG_ERRORS, match="Could not override 'rules'"):
        composed("play", "env=street_nav", "rules=faces_as_ten")


def test_a_rule_of_ones_own_keeps_nothing_of_the_preset_it_replaces(tmp_path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "mine.yaml").write_text(
        "# @package env.rule\nname: mine\nface_values: {A: 11}\n"
    )
    config = to_config(composed("grpo", f"hydra.searchpath=[file://{tmp_path}]", "rules=mine"))
    assert config.env.rule.face_values == {"A": 11}


def test_the_size_of_a_picture_survives_a_change_of_look() -> None:
    visual = to_config(composed("grpo", "env=gp_image", "visuals=red_suits")).env.visual
    assert (visual.width, visual.height, visual.name) == (112, 56, "red_suits")


def test_yaml_files_say_why() -> None:
    silent = [
        str(path.relative_to(CONF))
        for path in CONF.rglob("*.yaml")
        if path.stem not in PRIMARIES and "# " not in path.read_text().replace("# @package", "")
    ]
    assert not [path for path in silent if not path.startswith("hydra/help")]
