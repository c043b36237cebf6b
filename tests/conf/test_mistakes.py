"""Every mistake in an override or a YAML file is refused, in one line that says what is allowed."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from cardinal_gym.training.override_errors import CONFIG_ERRORS, explain, to_config
from composing import CONF, composed
from omegaconf import DictConfig, OmegaConf

SECTIONS_OF_FREE_KEYS = ("env.rule.face_values", "env.reward.weights", "suite.cells")

MISTAKES = {
    "grpo.group_sz=3": "did you mean grpo.group_size?",
    "group_size=3": "did you mean grpo.group_size?",
    "polcy=tiny_text": "did you mean policy?",
    "visual=red_suits": "did you mean visuals?",
    "learning_rate=0.1": "did you mean grpo.optim.lr or pretrain.optim.lr or ",  # grpo's first
    "sft.learning_rate=0.1": "did you mean sft.optim.lr?",
    "grpo.batch_size=8": "did you mean grpo.groups_per_step?",
    "model=llama": "did you mean policy or policy.path?",
    "env.look=red_suits": "did you mean env.visual?",
    "cards=5": "did you mean env.num_cards?",
    "grpo.optm.lr=1": "did you mean grpo.optim?",
    "polcy.path=a": "did you mean policy?",
    "zzz=1": "zzz is not a key of the configuration; allowed: experiment, ",
    "grpo.group_size=many": "grpo.group_size must be an integer; got 'many'",
    "grpo.optim.lr=high": "grpo.optim.lr must be a number; got 'high'",
    "resume=perhaps": "resume must be true or false; got 'perhaps'",
    "seed=null": "seed must be an integer; got null",
    "trackers=wandb": "trackers must be a list, as in [a,b]; got 'wandb'",
    "env.modality=video": "env.modality must be one of text, image; got 'video'",
    "evaluate.metrics=[luck]": "must be one of success_within_turns",
    "grpo.optim.learnig_rate=1": "did you mean grpo.optim.lr?",
    "env.solvable_under=[faces_as_ten]": "[0] must be a section with name, face_values, operators",
    "suite.cells=[id]": "suite.cells must be a section with keys and values; got a list",
    "recipe=r1": "recipe is not a group of this command; its --help lists those that are",
    "env.rule=faces_as_ten": "a preset is chosen with rules=name: aces_high, ",
    "grpo=3": "grpo must be a section with budget, ",
    "policy=tiny_txt": "policy must be one of api, human, llama_3_2_11b_vision, ",
    "rules=faces_as_tens": "got faces_as_tens (did you mean faces_as_ten?)",
    "experiment=mine": "experiment must be one of ",
    "resume": "resume must be key=value; got no '='",
    "name=[1,": "name must be a value that Hydra can read",
    "env.rule.face_values.A=14": "a new entry is written +env.rule.face_values.A=...",
    "+env.rule.face_values.A=ace": "env.rule.face_values.A must be an integer; got 'ace'",
    "+resume=true": "An item is already at 'resume'",
    "seed=1,2": "To sweep over it, add --multirun",
    "grpo.group_size=1": "grpo.group_size must be at least 2; got 1",
    "grpo.groups_per_step=0": "grpo.groups_per_step must be positive; got 0",
    "grpo.budget.steps=null": "grpo.budget must give steps or tflops; got neither",
    "warmup.budget.steps=null": "warmup.budget must give steps or tflops; got neither",
    "pretrain.targets=[]": "pretrain.targets must name at least one target; got none",
    "pretrain.card_counts=[]": "pretrain.card_counts must be numbers from 2 to 6, ",
    "pretrain.card_counts=[3,7]": "numbers from 2 to 6, at least one; got [3, 7]",
    "evaluate.top_p=1.5": "evaluate.top_p must be in (0, 1]; got 1.5",
    "evaluate.top_p=0": "evaluate.top_p must be in (0, 1]; got 0",
    "processes=0": "processes must be positive; got 0",
    "+suite.cells.own.rule=primes": "suite.cells.own must be a section with shift, env, modality, ",
    "+suite.cells.own=5": "suite.cells.own must be a section with shift, env, modality, ",
    "+suite.cells.own.shift=5": "suite.cells.own.shift must map fields of the environment ",
    "grpo.optim.betas=[1,2,3]": "grpo.optim.betas must be two numbers in [0, 1); got [1.0, 2.0",
    "env.visual.width=9": "env.visual.width must be 56 to 1200 pixels; got 9",
    "env.num_cards=9": "env.num_cards must be 2 to 6; got 9",
    "policy.build.num_heads=5": "policy.build.hidden_size must be a multiple of",
    "name=../elsewhere": "name must be a plain folder name; got '../elsewhere'",
    "name=${nowhere}": "name: Interpolation key 'nowhere' not found",
}


@pytest.mark.parametrize("override", MISTAKES)
def test_a_mistake_is_told_in_one_line(override: str) -> None:
    message = refusal("grpo", override)
    assert MISTAKES[override] in message
    assert "\n" not in message


def test_every_misspelt_setting_is_refused_and_the_right_one_suggested() -> None:
    cfg = composed("compare")
    keys = [key for key in settings(cfg) if not key.startswith(SECTIONS_OF_FREE_KEYS)]
    assert len(keys) > 100
    for key in keys:
        with pytest.raises(CONFIG_ERRORS) as caught:
            OmegaConf.update(cfg, f"{key}x", 1)
        assert f"did you mean {key}?" in explain(caught.value), key


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(CONF.rglob("*.yaml")) if p.relative_to(CONF).parts[0] != "hydra"],
    ids=lambda path: str(path.relative_to(CONF)),
)
def test_a_misspelt_key_in_a_file_is_refused_with_the_file_named(
    path: Path, tmp_path: Path
) -> None:
    conf, name = tmp_path / "conf", path.relative_to(CONF)
    shutil.copytree(CONF, conf)
    text = (conf / name).read_text()
    assert isinstance(yaml.safe_load(text), dict)
    (conf / name).write_text(f"{text}\nmisspelt_key: 1\n")
    if len(name.parts) > 1:
        primary = "run" if name.parts[0] == "recipe" else "compare"
        choice = Path(*name.parts[1:]).with_suffix("").as_posix()
        overrides = [f"{name.parts[0]}={choice}"]
    else:
        primary, overrides = (name.stem if name.stem not in ("common", "launch") else "grpo"), []
    message = refusal(primary, *overrides, conf=conf)
    assert f"{name.with_suffix('')}.yaml: " in message
    assert "misspelt_key is not a key of" in message


def refusal(primary: str, *overrides: str, conf: Path = CONF) -> str:
    """The line that the command would print."""
    with pytest.raises((*CONFIG_ERRORS, ValueError)) as caught:
        to_config(composed(primary, *overrides, conf=conf))
    error = caught.value
    return explain(error) if isinstance(error, CONFIG_ERRORS) else str(error)


def settings(node: DictConfig, prefix: str = "") -> list[str]:
    """Full keys of all settings and sections."""
    keys = []
    for key in node:
        keys.append(f"{prefix}{key}")
        if isinstance(node[key], DictConfig):
            keys += settings(node[key], f"{prefix}{key}.")
    return keys


def test_a_group_of_the_other_game_is_not_said_to_be_missing_from_the_command() -> None:
    with pytest.raises(CONFIG_ERRORS) as caught:
        composed("play", "env=street_nav", "rules=faces_as_ten")
    said = "rules is a group of General Points alone (env=general_points); street navigation has "
    assert explain(caught.value) == f"{said}env.rule=name"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("algorithm=grpo", r"got grpo \(did you mean loss/grpo\?\)"),
        ("algorithm=loss", r"got loss \(as in loss/NAME\)"),
        ("algorithm/loss=rloo", r"algorithm/loss is a folder inside .*; write algorithm=loss/name"),
        ("grpo.optim.share_prompts=maybe", "must be true, false or null; got 'maybe'"),
    ],
)
def test_a_loss_is_chosen_by_its_folder(override: str, said: str) -> None:
    assert re.search(said, refusal("grpo", override))


def test_a_users_own_choices_are_among_those_that_are_told(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)
    (conf / "algorithm" / "mine.yaml").write_text("# @package grpo\nclip_low: 0.1\n")
    assert "got mien (did you mean mine?)" in refusal("grpo", "algorithm=mien", conf=conf)
