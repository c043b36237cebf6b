"""`recipe=reward_model` from its YAML to its summary in toy sizes, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cardinal_gym.agents.types import Completion, ContextMode, Reply
from cardinal_gym.training.chat_records import read_records
from cardinal_gym.training.judging.identity import identity
from cardinal_gym.training.judging.pay import check_reward, load_reward_model, read_about
from cardinal_gym.training.judging.verdicts import read_verdicts
from cardinal_gym.training.recipes import rejection
from cardinal_gym.training.recipes.config import RecipeConfig
from cardinal_gym.training.recipes.gaming import judged, pooled_outcomes
from cardinal_gym.training.recipes.plan import check_plan, planned
from cardinal_gym.training.recipes.stages import SeedPipeline
from cardinal_gym.training.recipes.summary import read_summary, write_summary
from test_recipes import pipeline, recipe


class HalfRight:
    """Answers like the oracle in even members of a group, with a wrong value in odd ones."""

    context = ContextMode.concat
    max_rows = 8

    def act(self, requests: Any) -> list[Reply]:
        answers = [r.game.flawed_action() if r.stream.member % 2 else r.oracle() for r in requests]
        return [Reply(completion=Completion(text=answer, token_ids=(1,))) for answer in answers]


whole_recipe = pytest.mark.slow  # twelve stages: half a minute


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RecipeConfig, SeedPipeline]:
    """The recipe, run once for all tests of this file."""
    root = tmp_path_factory.mktemp("reward_model")
    config = recipe("reward_model", root)
    run = pipeline(config, root)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rejection, "PolicyAgent", lambda policy, sampling: HalfRight())
        run.run()
    return config, run


@whole_recipe
def test_the_recipe_runs_to_its_summary(finished: tuple[RecipeConfig, SeedPipeline]) -> None:
    config, run = finished
    text = write_summary(config, run.plan, run.folder.parent)
    found = read_summary(run.folder.parent)
    (evaluation,) = found["evaluations"]
    for row in evaluation["policies"]:
        assert set(row["judged"]) == {"head", "judge", "self"}
        for values in row["judged"].values():
            assert 0 <= values["score"]["estimate"] <= 1
            gap = values["score"]["estimate"] - row["success"]["estimate"]
            assert values["gap"]["estimate"] == pytest.approx(gap)
    assert [model["kind"] for model in found["reward_models"]] == ["head", "judge"]
    trained = {stage["stage"]: stage["metrics"] for stage in found["training"]}
    assert "reward/model" not in trained["rl_rule"]
    for name in ("rl_head", "rl_judge", "rl_self"):
        assert {"reward/model", "reward/rule", "judge/accuracy"} <= set(trained[name])
    assert "dpo/accuracy" in trained["dpo"]
    assert "## Reward models on held-out verdicts" in text
    assert "| rl_self | id | " in text.partition("score less right")[2]


def test_what_a_model_would_pay_stands_beside_what_is_right() -> None:
    """Two seeds on two tasks: the model takes one wrong answer of three for right."""
    data = {
        "success": np.array([1, 0, 0, 0]), "unit": np.array(["a", "b", "a", "b"]),
        "run_seed": np.array([0, 0, 1, 1]), "score_head": np.array([0.9, 0.6, 0.2, 0.1]),
    }  # fmt: skip
    (found,) = judged(data).values()
    assert found["score"].estimate == pytest.approx(0.45)
    assert found["gap"].estimate == pytest.approx(0.45 - 0.25)
    assert found["agrees"].estimate == 0.75
    assert found["wrong_paid"].estimate == pytest.approx(1 / 3)
    assert found["auc"] == 1.0  # the second seed has no right answer to compare
    seeds = [{"correct": {"n": 3, "accuracy": 1.0}}, {"correct": {"n": 1, "accuracy": 0.0}}]
    told = pooled_outcomes([*seeds, {}])["correct"]
    assert (told["n"], told["accuracy"]) == (4, 0.75)
    assert told["interval"]["low"] < 0.75 < told["interval"]["high"] <= 1
    assert pooled_outcomes(seeds[:1])["correct"]["interval"] is None  # one seed has no spread
    always = judged({**data, "success": np.ones(4)})["head"]
    assert (always["wrong_paid"], always["auc"]) == (None, None)


@whole_recipe
def test_judging_is_paid_for(finished: tuple[RecipeConfig, SeedPipeline]) -> None:
    _, run = finished
    for name, judges in (("rl_rule", False), ("rl_head", True), ("rl_judge", True)):
        spent = json.loads((run.folder / name / "spent.json").read_text())
        own = spent["num_parameters"] * (6 * spent["train_tokens"] + 2 * spent["sampled_tokens"])
        assert spent["flops"] == own + spent["judge_flops"]
        assert (spent["judge_flops"] > 0) == judges


@whole_recipe
def test_verdicts_are_the_rules_and_come_with_reasons(
    finished: tuple[RecipeConfig, SeedPipeline],
) -> None:
    config, run = finished
    verdicts, found = read_verdicts(run.folder / "verdicts")
    assert found == identity(config.env)
    assert sum(each.success for each in verdicts) == len(verdicts) / 2
    for each in verdicts:
        assert each.reason is not None
        assert each.reason.endswith(" yes" if each.success else " no")
    by_task: dict[str, set[bool]] = {}
    for each in verdicts:
        by_task.setdefault(each.task_id, set()).add(each.held_out)
    assert all(len(held) == 1 for held in by_task.values())
    records = read_records(run.folder / "verdicts")
    told = [record.turns[0] for record in records if " check" in record.turns[0].text]
    assert 0 < len(told) < len(records)
    assert all("<answer>" in turn.text and "<answer>" not in turn.answer for turn in told)


@whole_recipe
@pytest.mark.parametrize("name", ["head", "judge"])
def test_a_reward_model_is_loaded_as_it_was_saved(
    name: str, finished: tuple[RecipeConfig, SeedPipeline]
) -> None:
    config, run = finished
    folder = run.folder / name / "policy"
    verdicts, _ = read_verdicts(run.folder / "verdicts")
    asked = [(each.observation, each.answer) for each in verdicts]
    first, second = (load_reward_model(folder, config.policy).scores(asked) for _ in range(2))
    assert (first == second).all()
    assert read_about(folder, "")["kind"] == name


@whole_recipe
def test_a_reward_model_of_another_environment_is_told_in_one_line(
    finished: tuple[RecipeConfig, SeedPipeline],
) -> None:
    _, run = finished
    stage = next(stage for stage in run.plan if stage.name == "rl_head")
    given = run._with_judge(stage)
    check_reward(given)
    given.env = given.env.shifted(rule="faces_as_ranks")
    wanted = r"grpo.reward.path must be a reward model of this environment, env.rule faces_as_ranks"
    with pytest.raises(ValueError, match=wanted):
        check_reward(given)
    given.grpo.reward.path = str(run.folder / "judge" / "policy")
    with pytest.raises(ValueError, match=r"for source=model; got one of kind judge"):
        check_reward(given)
    given.grpo.reward.path = str(run.folder / "both" / "policy")
    with pytest.raises(ValueError, match=r"must be the folder of a reward model, with reward_mod"):
        check_reward(given)
    given.grpo.reward.path = None
    with pytest.raises(ValueError, match=r"grpo.reward.path must be .* reward.source=model; got"):
        check_reward(given)


@whole_recipe
def test_verdicts_of_another_environment_are_refused(
    finished: tuple[RecipeConfig, SeedPipeline],
) -> None:
    _, run = finished
    stage = next(stage for stage in run.plan if stage.name == "dpo")
    env = stage.config.env
    try:
        stage.config.env = env.shifted(rule="faces_as_ranks")
        with pytest.raises(ValueError, match=r"stages.dpo.data must be verdicts of this environ"):
            run._verdicts(stage)
    finally:
        stage.config.env = env


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ({"kind": "dpo"}, "stages.mine.data must be a stage before it of kind verdicts: there is"),
        ({"kind": "reward_model", "data": "base"}, "stages.mine.data must be .* got base"),
        ({"kind": "grpo", "judge": "base"}, "stages.mine.judge must be .* reward_model: there is"),
        ({"kind": "sft", "judge": "base"}, "stages.mine.judge must be left out where kind is sft"),
        ({"kind": "evaluate", "judges": ["hed"]}, "stages.mine.judges must be .* self; got hed"),
        ({"kind": "dpo", "dpo": {"beta": 0}}, "stages.mine.dpo.beta must be positive; got 0"),
        ({"kind": "reward_model", "reward_model": {"kind": "rm"}}, "kind must be one of head, jud"),
        ({"kind": "verdicts", "verdicts": {"held_out": 1}}, "stages.mine.verdicts.held_out must"),
    ],
)  # fmt: skip
def test_a_wrong_stage_is_told_in_one_line(
    stage: dict[str, Any], told: str, tmp_path: Path
) -> None:
    env = recipe("reward_model", tmp_path).env
    given = {"base": {"kind": "pretrain"}, "mine": stage}
    with pytest.raises(ValueError, match=told):
        planned(RecipeConfig(env=env, stages=given))


def test_a_source_without_its_model_is_told_before_anything_runs(tmp_path: Path) -> None:
    config = recipe("reward_model", tmp_path)
    config.stages["rl_self"].grpo = {"reward": {"source": "judge"}}
    with pytest.raises(ValueError, match=r"stages.rl_self: grpo.reward.path must be .* got null"):
        check_plan(planned(config))
