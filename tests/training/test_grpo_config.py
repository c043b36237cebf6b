"""Combinations that make no sense are refused in one line; presets keep their papers' numbers."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.config import CriticConfig, ExperimentConfig, GrpoConfig, LengthConfig
from cardinal_gym.training.grpo_config import KLPlace, LengthReward, RatioUnit, Surrogate
from toys import experiment

KIND, PLUS = AdvantageKind, AdvantageKind.reinforce_plus_plus
NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"group_size": 1}, "group_size must be at least 2; got 1"),
    ({"advantage": KIND.gae}, "credit must be turn_return or bilevel with advantage=gae; got"),
    ({"credit": Credit.bilevel}, "advantage must be gae with credit=bilevel; got dr_grpo"),
    ({"advantage": PLUS, "credit": Credit.gigpo}, "advantage must be grpo, dr_grpo or rloo with"),
    ({"advantage": PLUS, "outcome_gate": True}, "outcome_gate must be false with advantage=rein"),
    ({"advantage": PLUS, "dynamic_sampling": 2}, "dynamic_sampling must be 0 with advantage=rei"),
    ({"min_std": 0.1}, "min_std must be 0 with advantage=dr_grpo; got 0.1"),
    ({"surrogate": Surrogate.gspo}, "ratio_unit must be turn or row with surrogate=gspo; got to"),
    (
        {"surrogate": Surrogate.sapo, "ratio_unit": RatioUnit.turn},
        "ratio_unit must be token with surrogate=sapo; got turn",
    ),
    ({"surrogate": Surrogate.cispo, "dual_clip": 3.0}, "dual_clip must be null with surrogate=cis"),
    ({"dual_clip": 0.5}, "dual_clip must be greater than 1; got 0.5"),
    ({"kl_in": KLPlace.reward}, "kl_coef must be positive with kl_in=reward; got 0"),
    ({"reference_every": 4}, "kl_coef must be positive with reference_every; got 0"),
    ({"kl_coef": 0.1, "reference_every": 0}, "reference_every must be positive; got 0"),
    ({"gate_temperatures": [1.0]}, "gate_temperatures must be two positive numbers; got"),
    ({"sampler_cap": 1.0}, "sampler_cap must be greater than 1; got 1.0"),
    ({"gae_lambda": 1.5}, "gae_lambda must be between 0 and 1; got 1.5"),
    (
        {"advantage": PLUS, "group_size": 1, "length": LengthConfig(kind=LengthReward.kimi)},
        "group_size must be at least 2 with length.kind=kimi; got 1",
    ),
]


@pytest.mark.parametrize(("choice", "message"), NONSENSE)
def test_a_combination_that_makes_no_sense_is_refused(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        GrpoConfig(**choice)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_sections_check_themselves() -> None:
    with pytest.raises(ValueError, match="asked_tokens must be"):
        LengthConfig(asked_tokens=[5, 2])
    with pytest.raises(ValueError, match=r"request must contain \{tokens\}"):
        LengthConfig(kind=LengthReward.l1_max, request="Be brief.")
    with pytest.raises(ValueError, match="hidden_sizes must be positive"):
        CriticConfig(hidden_sizes=[8, 0])


def test_without_a_group_to_compare_with_one_episode_per_task_is_enough() -> None:
    GrpoConfig(advantage=PLUS, group_size=1)
    GrpoConfig(advantage=KIND.gae, credit=Credit.turn_return, group_size=1)


ADDING = {"gigpo", "ppo_sft_vs_rl", "vagen"}  # rewards up, over turns
LOSSES: dict[str, dict[str, Any]] = {  # at any scale
    "grpo": {
        "advantage": "grpo", "aggregation": "seq_mean", "clip_low": 0.2, "clip_high": 0.2,
        "kl_coef": 0.04, "kl_kind": "k3",
    },
    "r1_zero": {"advantage": "grpo", "kl_coef": 0.001, "clip_high": 10.0, "reference_every": 400},
    "dr_grpo": {"advantage": "dr_grpo", "aggregation": "const", "clip_high": 0.2, "kl_coef": 0.0},
    "dapo": {"clip_low": 0.2, "clip_high": 0.28, "length.overlong_fraction": 0.2},
    "gspo": {"surrogate": "gspo", "clip_low": 3e-4, "clip_high": 4e-4, "minibatches": 4},
    "cispo": {"surrogate": "cispo", "ratio_cap": 5.0, "aggregation": "token_mean"},
    "sapo": {"surrogate": "sapo", "gate_temperatures": [1.0, 1.05], "minibatches": 4},
    "lite_ppo": {"advantage": "batch_std", "aggregation": "token_mean", "clip_high": 0.2},
    "reinforce_plus_plus": {"kl_in": "reward", "kl_coef": 0.01},
    "reinforce_plus_plus_baseline": {"kl_kind": "k2", "kl_in": "loss", "kl_coef": 1e-5},
    "gigpo": {"credit": "gigpo", "anchor_weight": 1.0, "discount": 0.95, "kl_coef": 0.01},
    "vagen": {
        "advantage": "gae", "credit": "bilevel", "discount": 0.95, "gae_lambda": 1.0,
        "kl_in": "reward", "critic.clip": 0.5,
    },
    "ppo_sft_vs_rl": {
        "ratio_unit": "turn", "discount": 0.9, "gae_lambda": 0.95, "clip_low": 0.1, "epochs": 4,
        "critic.loss_coef": 0.5, "critic.clip": 0.1,
    },
    "rloo": {"advantage": "rloo", "kl_in": "reward", "kl_coef": 0.03, "minibatches": 1},
}  # fmt: skip
SCALE = (  # learning rate, group size, groups of a rollout, updates of one pass
    "optim.lr", "group_size", "groups_per_step", "minibatches", "optim.warmup_steps",
)  # fmt: skip
PAPERS = {
    "deepseek_grpo": (1e-6, 64, 16, 1, 0), "r1_zero": (3e-6, 16, 512, 16, 0),
    "dr_grpo": (1e-6, 8, 128, 8, 0), "dapo": (1e-6, 16, 512, 16, 20), "gspo": (1e-6, 16, 256, 4, 0),
    "cispo": (5e-7, 16, 768, 16, 6), "sapo": (1e-6, 16, 256, 4, 0), "gigpo": (1e-6, 8, 16, 2, 0),
    "lite_ppo": (1e-6, 8, 128, 1, 50), "reinforce_plus_plus": (5e-7, 1, 256, 2, 0),
    "reinforce_plus_plus_baseline": (5e-7, 8, 128, 1, 0), "vagen": (1e-6, 1, 128, 4, 0),
    "ppo_sft_vs_rl": (1e-6, 1, 2048, 2, 0), "rloo": (1e-6, 4, 64, 1, 18),
}  # fmt: skip
ELSEWHERE = {"deepseek_grpo": "grpo"}  # whose loss goes by another name
IN_UPDATES = {"r1_zero": "reference_every"}  # what a paper counts in updates, rollouts here
ALGORITHMS = Path(__file__).parents[2] / "conf" / "algorithm"


@cache  # composing takes a quarter of a second
def usual() -> GrpoConfig:
    return experiment("experiment=gp_l").grpo


def value_of(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part)
    return config


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_has_its_papers_numbers_and_leaves_the_scale_to_the_experiment(name: str) -> None:
    plain = usual()
    chosen = experiment("experiment=gp_l", f"algorithm=loss/{name}").grpo
    for key, wanted in LOSSES[name].items():
        assert value_of(chosen, key) == wanted, key
    for key in ("optim", "group_size", "groups_per_step", "max_new_tokens", "temperature"):
        assert value_of(chosen, key) == value_of(plain, key), key


@pytest.mark.parametrize("name", PAPERS)
def test_a_preset_has_its_papers_numbers_whatever_the_experiment(name: str) -> None:
    machine = "hardware=multi_node"  # which has all that GPUs set
    config = experiment("experiment=gp_l", f"algorithm={name}", machine).grpo
    assert tuple(value_of(config, key) for key in SCALE) == PAPERS[name]
    for key, wanted in LOSSES[ELSEWHERE.get(name, name)].items():
        if key not in SCALE and key != IN_UPDATES.get(name):
            assert value_of(config, key) == wanted, key
    is_falling = name == "ppo_sft_vs_rl"
    assert config.optim.schedule.value == ("cosine" if is_falling else "constant")  # not gp_l's
    assert config.optim.betas == ([0.9, 0.95] if name in ("dr_grpo", "cispo") else [0.9, 0.999])
    assert config.budget.tflops == 5.0  # the experiment's: no preset has a budget
    assert config.max_new_tokens == GrpoConfig().max_new_tokens  # the task's, in gp_l the usual


def test_400_updates_of_r1_zero_are_25_rollouts() -> None:
    config = experiment("algorithm=r1_zero").grpo
    assert config.reference_every == LOSSES["r1_zero"]["reference_every"] / config.minibatches


def test_every_preset_is_listed_here_and_names_its_source() -> None:
    papers = {path.stem: path.read_text() for path in ALGORITHMS.glob("*.yaml")}
    losses = {path.stem: path.read_text() for path in ALGORITHMS.glob("loss/*.yaml")}
    assert set(papers) == {*PAPERS, "default"}
    assert set(losses) == set(LOSSES)
    assert all("arXiv 2" in text for text in (*papers.values(), *losses.values()))


def test_nothing_chosen_is_the_default() -> None:
    assert experiment().grpo == experiment("algorithm=default").grpo
    assert experiment().grpo == GrpoConfig() == ExperimentConfig().grpo


@pytest.mark.parametrize("name", sorted(ADDING))
def test_credit_that_adds_rewards_up_refuses_pay_for_wrong_answers(name: str) -> None:
    with pytest.raises(ValueError, match="must not add up paid wrong answers"):
        experiment(f"algorithm={name}")
