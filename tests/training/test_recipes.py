"""Every recipe runs from its YAML to its summary, in toy sizes, and goes on where it stopped."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cardinal_gym.agents.baselines import OracleAgent
from cardinal_gym.agents.config import SamplingConfig
from cardinal_gym.agents.policy import load_policy
from cardinal_gym.training.broad_cards import BroadTasks
from cardinal_gym.training.chat_records import read_records
from cardinal_gym.training.config import PretrainConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.override_errors import groups, to_config
from cardinal_gym.training.pretraining import _recipe
from cardinal_gym.training.progress import ProgressReporter
from cardinal_gym.training.recipes import rejection, stages
from cardinal_gym.training.recipes.config import RecipeConfig, StageKind
from cardinal_gym.training.recipes.measures import read_measured
from cardinal_gym.training.recipes.plan import check_plan, planned
from cardinal_gym.training.recipes.runner import recipe_jobs
from cardinal_gym.training.recipes.stages import SeedPipeline, read_spent, stage_seed
from cardinal_gym.training.recipes.summary import read_summary, write_summary
from cardinal_gym.training.schema import register
from hydra import compose, initialize_config_module
from omegaconf import DictConfig

RECIPES = groups()["recipe"]
OWN_BASE = ("r1_zero", "tools", "tools_map")  # all others share one
# their stages are those of the others
ALIKE = ("kimi_long2short", "l1_max", "length_bias", "tools_map")
QUICK_FIRST = [
    pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name
    for name in RECIPES
    if name != "reward_model"  # in test_judging_recipe.py: its verdicts need wrong answers too
]
TOY = (
    "policy.build.hidden_size=32", "policy.build.num_layers=2", "policy.build.num_heads=2",
    "pretrain.budget.steps=1", "pretrain.batch_size=2", "sft.batch_size=2", "tflops=1e-7",
    "grpo.groups_per_step=2", "grpo.group_size=2", "grpo.max_new_tokens=6",
    "evaluate.max_new_tokens=6", "evaluate.final_episodes=3", "evaluate.sample_episodes=1",
    "trackers=[]", "policy.device=cpu",
)  # fmt: skip


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the recipes of one test process find each other's base."""
    return tmp_path_factory.mktemp("recipes")


@functools.cache
def composed(name: str) -> DictConfig:
    register()
    with initialize_config_module("cardinal_gym.conf", version_base="1.3"):
        return compose("run", [f"recipe={name}", *TOY])


def recipe(name: str, output_dir: Path) -> RecipeConfig:
    config = to_config(composed(name))
    config.output_dir = str(output_dir)
    assert isinstance(config, RecipeConfig)
    for stage in config.stages.values():
        if stage.kind is StageKind.reject_sample:
            stage.reject.num_tasks, stage.reject.samples = 3, 2
        if stage.kind is StageKind.verdicts:
            stage.verdicts.num_tasks, stage.verdicts.samples = 8, 2
        stage.asked_tokens = stage.asked_tokens[:2]
        if "groups_per_step" in stage.grpo:
            stage.grpo["groups_per_step"] = 4
    return config


def pipeline(config: RecipeConfig, root: Path) -> SeedPipeline:
    plan = planned(config)
    return SeedPipeline(plan, root / "seed_0", 0, Workers("cpu"), ProgressReporter())


@pytest.fixture
def right_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejection sampling meets a policy that knows the answers: a toy has none to accept."""

    def knowing(policy: Any, sampling: SamplingConfig) -> Any:
        agent: Any = OracleAgent()
        agent.max_rows = 8
        return agent

    monkeypatch.setattr(rejection, "PolicyAgent", knowing)


@pytest.mark.parametrize("name", QUICK_FIRST)
@pytest.mark.usefixtures("right_answers")
def test_every_recipe_runs_to_its_summary(name: str, tmp_path: Path, shared: Path) -> None:
    config = recipe(name, shared)
    plan = planned(config)
    pipeline(config, tmp_path).run()
    text = write_summary(config, plan, tmp_path)
    found = read_summary(tmp_path)
    (evaluation,) = found["evaluations"]
    (measured,) = [stage for stage in plan if stage.kind is StageKind.evaluate]
    assert {row["policy"] for row in evaluation["policies"]} == set(measured.policies)
    assert all(row["n"] == 3 and row["success"]["low"] >= 0 for row in evaluation["policies"])
    assert evaluation["gains"]
    assert all(gain["p_holm"] >= gain["success"]["p_value"] for gain in evaluation["gains"])
    assert text.startswith(f"# {config.experiment}\n\n{config.about}\n")
    trained = [cost for cost in found["costs"] if cost["kind"] in ("sft", "grpo")]
    assert all(cost["tflops"] > 0 for cost in trained)


@pytest.mark.parametrize("name", RECIPES)
def test_no_recipe_trains_on_an_evaluation_task(name: str, tmp_path: Path) -> None:
    check_plan(planned(recipe(name, tmp_path)))


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_share_a_base_unless_they_need_their_own(name: str, tmp_path: Path) -> None:
    base = next(s for s in planned(recipe(name, tmp_path)) if s.kind is StageKind.pretrain)
    common = planned(recipe("distill", tmp_path))[0]
    is_same = _recipe(base.config, 0) == _recipe(common.config, 0)
    assert is_same == (name not in OWN_BASE)


def test_an_interrupted_recipe_goes_on_at_the_stage_where_it_stopped(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = recipe("ppo", shared)
    broken = pipeline(config, tmp_path / "broken")

    def stop(self: SeedPipeline, stage: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setitem(stages._WORK, StageKind.evaluate, stop)
        with pytest.raises(KeyboardInterrupt):
            broken.run()
    assert {path.parent.name for path in broken.folder.glob("*/done.json")} == {
        "base", "warm", "grpo", "ppo",
    }  # fmt: skip
    times = {path: path.stat().st_mtime_ns for path in broken.folder.glob("*/done.json")}
    broken.run()
    assert all(path.stat().st_mtime_ns == then for path, then in times.items())
    whole = pipeline(config, tmp_path / "whole")
    whole.run()
    for path in (whole.folder / "measured").glob("*.npz"):
        again = read_measured(broken.folder / "measured" / path.name)
        for name, values in read_measured(path).items():
            np.testing.assert_array_equal(again[name], values)


@pytest.mark.usefixtures("right_answers")
def test_a_missing_input_is_told_by_its_path(tmp_path: Path, shared: Path) -> None:
    run = pipeline(recipe("r1", shared), tmp_path)
    by_name = {stage.name: stage for stage in run.plan}
    with pytest.raises(ValueError, match=r"stages.cold_start must find policy of stage base; got"):
        run.run_stage(by_name["cold_start"])
    run.run_stage(by_name["base"])
    with pytest.raises(ValueError, match=r"stages.resampled must find train.jsonl of stage traces"):
        run.run_stage(by_name["resampled"])


@pytest.mark.usefixtures("right_answers")
def test_accepted_answers_are_a_file_that_any_trainer_reads(tmp_path: Path, shared: Path) -> None:
    config = recipe("distill", shared)
    config.stages["traces"].start = "base"
    run = pipeline(config, tmp_path)
    by_name = {stage.name: stage for stage in run.plan}
    run.run_stage(by_name["base"])
    run.run_stage(by_name["traces"])
    counts = json.loads((run.folder / "traces" / "done.json").read_text())
    assert counts == {"tasks": 3, "answers": 6, "right": 6, "kept": 3, "tasks_kept": 3}
    records = read_records(run.folder / "traces")
    assert len(records) == 3
    assert all("<think>" in record.turns[0].answer for record in records)
    spent = read_spent(run.folder / "traces")
    assert spent["episodes"] == 6
    assert spent["cpu_s"] > 0


@pytest.mark.parametrize(
    ("form", "begins", "ends"),
    [
        ("json", '{"cards": ["', '"}'),
        ("steps", '{"cards": ["', '"}'),
        ("tagged", "<think>", "</answer>"),
        ("thought", "", " yes"),
    ],
)
def test_a_base_reads_answers_in_the_formats_that_it_is_given(
    form: str, begins: str, ends: str, tmp_path: Path
) -> None:
    config = planned(recipe("distill", tmp_path))[0].config
    assert config.pretrain is not None
    config.pretrain.formats = {form: 1.0}
    policy = load_policy(config.policy)
    for row in BroadTasks(policy, config.env, config.pretrain, seed=0).rows(range(4)):
        answer = [token for token, kept in zip(row.ids, row.mask, strict=True) if kept]
        said = policy.tokenizer.decode(answer, skip_special_tokens=True)
        assert said.startswith(begins)
        assert said.endswith(ends)
        assert ("<think>" in said) == (form == "tagged")
        assert ("formula" in said) == (form != "thought")


def test_formats_of_pretraining_leave_its_tasks_as_they_are(tmp_path: Path) -> None:
    config = planned(recipe("distill", tmp_path))[0].config
    assert config.pretrain is not None
    policy = load_policy(config.policy)
    prompts = []
    for formats in ({"json": 1.0}, {"tagged": 0.5, "thought": 0.5}):
        config.pretrain.formats = formats
        rows = BroadTasks(policy, config.env, config.pretrain, seed=0).rows(range(6))
        prompts.append([row.ids[: row.mask.index(1)] for row in rows])
    assert prompts[0] == prompts[1]


@pytest.mark.parametrize("formats", [{"json": 0.5}, {"prose": 1.0}, {"json": 2.0, "steps": -1.0}])
def test_formats_must_be_known_and_add_up(formats: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="formats must be"):
        PretrainConfig(formats=formats)


def test_a_base_without_thoughts_and_formats_keeps_its_name(tmp_path: Path) -> None:
    config = planned(recipe("distill", tmp_path))[0].config
    assert config.pretrain is not None
    config.pretrain.formats, config.env.thought = {}, None
    described = _recipe(config, 0)
    assert "formats" not in described["pretrain"]
    assert "thought" not in described["env"]


def test_thoughts_that_check_themselves_once_keep_the_names_of_their_bases(tmp_path: Path) -> None:
    config = planned(recipe("distill", tmp_path))[0].config
    assert _recipe(config, 0)["env"]["thought"] == {
        "dead_ends": [0, 2], "words": "english", "check": 0.0,
    }  # fmt: skip
    config.env.thought.check_times = [1, 3]
    assert _recipe(config, 0)["env"]["thought"]["check_times"] == [1, 3]


def test_stages_of_a_kind_draw_different_tasks() -> None:
    names = ["rl", "final", "warm"]
    assert len({stage_seed(seed, name) for seed in range(3) for name in names}) == 9
    assert stage_seed(0, "rl") == stage_seed(0, "rl")


def test_arms_do_not_wait_for_each_other(tmp_path: Path) -> None:
    config = recipe("distill", tmp_path)
    config.seeds = 2
    needs = {job.name: job.needs for job in recipe_jobs(config, planned(config), tmp_path)}
    assert len(needs) == 24
    assert needs["seed 1 rl"] == ("seed 1 base",)
    assert needs["seed 0 distilled"] == ("seed 0 base", "seed 0 traces")


def test_a_share_is_of_the_compute_of_the_recipe(tmp_path: Path) -> None:
    config = recipe("distill", tmp_path)
    config.tflops = 8.0
    plan = {stage.name: stage for stage in planned(config)}
    assert plan["warm"].config.sft.budget.tflops == 4.0
    assert plan["rl"].config.grpo.budget.tflops == 8.0
    assert plan["rl"].config.grpo.budget.steps is None


def test_a_stage_takes_its_algorithm_and_then_its_own_settings(tmp_path: Path) -> None:
    plan = {stage.name: stage for stage in planned(recipe("ppo", tmp_path))}
    ppo, grpo = plan["ppo"].config.grpo, plan["grpo"].config.grpo
    assert (ppo.advantage.value, ppo.epochs, ppo.critic.hidden_sizes) == ("gae", 4, [128])
    assert (grpo.advantage.value, grpo.kl_coef, grpo.aggregation.value) == ("grpo", 0.0, "seq_mean")
    assert plan["base"].config.grpo.advantage.value == "dr_grpo"


def refuse(env: Any, given: dict[str, Any]) -> None:
    planned(RecipeConfig(env=env, stages=given))


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ({"kind": "train"}, r"stages.mine.kind must be one of pretrain, .*; got train"),
        ({}, r"stages.mine must be a section with a kind; got \{\}"),
        ({"kind": "sft", "steps": 3}, "stages.mine must have keys among kind, .*; got steps"),
        ({"kind": "sft", "start": "bse"}, r"stages.mine.start must be .*; got bse \(did you mean"),
        ({"kind": "sft", "data": "base"}, "stages.mine.data must be .* reject_sample or verdicts"),
        ({"kind": "grpo", "data": "base"}, "stages.mine.data must be left out where kind is grpo"),
        ({"kind": "grpo", "algorithm": "ppoo"}, "stages.mine.algorithm must be one of cispo, "),
        ({"kind": "grpo", "grpo": {"grup_size": 2}}, "stages.mine.grpo.grup_size is not a key"),
        ({"kind": "grpo", "grpo": {"group_size": 1}}, "stages.mine.grpo.group_size must be at"),
        ({"kind": "sft", "share": 0}, "stages.mine.share must be positive; got 0"),
        ({"kind": "sft", "env": {"rule": "tens"}}, "stages.mine.env.rule must be one of faces_as"),
        ({"kind": "evaluate", "policies": ["rl"]}, "stages.mine.policies must be a stage before"),
        ({"kind": "evaluate", "pairs": [["base"]]}, r"stages.mine.pairs must be lists of two"),
        ({"kind": "sft", "share": "half"}, "stages.mine.share must be a number; got 'half'"),
        ({"kind": "evaluate", "policies": "base"}, "stages.mine.policies must be a list"),
        ({"kind": "reject_sample", "reject": {"samples": 0}}, "stages.mine.reject.samples must be"),
        ({"kind": "reject_sample", "reject": {"smples": 3}}, "stages.mine.reject.smples is not a"),
    ],
)
def test_a_wrong_stage_is_told_in_one_line(
    stage: dict[str, Any], told: str, tmp_path: Path
) -> None:
    env, given = recipe("distill", tmp_path).env, {"base": {"kind": "pretrain"}, "mine": stage}
    with pytest.raises(ValueError, match=told):
        refuse(env, given)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"sft": {"data": "/nowhere"}}, "stages.warm: sft.data: demonstrations must be a file"),
        ({"env": {"modality": "image"}}, "stages.warm: env.modality must be text for .* got image"),
    ],
)
def test_what_a_stage_is_given_from_outside_is_looked_at_first(
    changed: dict[str, Any], told: str, tmp_path: Path
) -> None:
    stages = {"base": {"kind": "pretrain"}, "warm": {"kind": "sft", **changed}}
    config = dataclasses.replace(recipe("ppo", tmp_path), stages=stages)
    with pytest.raises(ValueError, match=told):
        check_plan(planned(config))


def test_without_a_base_there_is_nothing_to_start_from(tmp_path: Path) -> None:
    env = recipe("distill", tmp_path).env
    with pytest.raises(ValueError, match=r"stages.rl.start must be .* begin with kind: pretrain"):
        planned(RecipeConfig(env=env, stages={"rl": {"kind": "grpo"}}))
    with pytest.raises(ValueError, match=r"recipe must be one of distill, .*; got none"):
        planned(RecipeConfig(env=env))
