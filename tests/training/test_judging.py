"""Reward models: agreement by hand, verdicts in files, the head's loss, and who pays in GRPO."""

from pathlib import Path

import numpy as np
import pytest
import torch
from cardinal_gym.agents.config import PolicyConfig
from cardinal_gym.envs.core import Observation
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.envs.general_points.rules import preset_rule
from cardinal_gym.training.config import BudgetConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.grpo_config import LengthConfig, LengthReward
from cardinal_gym.training.judging.agreement import agreement, area_under_curve, by_outcome
from cardinal_gym.training.judging.config import ModelRewardConfig, RewardSource
from cardinal_gym.training.judging.head import HeadModel, HeadStage, answer_logits, load_head
from cardinal_gym.training.judging.identity import check_identity, identity
from cardinal_gym.training.judging.judge import JudgeModel
from cardinal_gym.training.judging.pay import ModelPay
from cardinal_gym.training.judging.verdicts import (
    JudgedAnswer,
    as_judgement,
    balanced,
    is_held_out,
    preference_pairs,
    read_verdicts,
    write_verdicts,
)
from cardinal_gym.training.loop import TrainState, trained_parameters
from cardinal_gym.training.metrics import definition_of
from toys import (
    bandit,
    grpo_config,
    grpo_stage,
    is_high_number,
    optim,
    replaced,
    run_steps,
    tiny_policy,
)

MODEL = ModelRewardConfig(source=RewardSource.model, path="somewhere")


def judged(task: str, answer: str, success: bool, held_out: bool = False) -> JudgedAnswer:
    return JudgedAnswer(
        observation=Observation(text=task, update=task), answer=answer, success=success,
        outcome="correct" if success else "wrong_value", task_id=task, held_out=held_out,
        reason="yes" if success else "no",
    )  # fmt: skip


def test_the_area_under_the_curve_counts_pairs() -> None:
    scores, right = np.array([0.9, 0.4, 0.4, 0.1, 0.7]), np.array([1, 1, 0, 0, 0], dtype=bool)
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[right] for b in scores[~right]]
    assert area_under_curve(scores, right) == pytest.approx(sum(pairs) / len(pairs))
    assert area_under_curve(scores, np.ones(5, dtype=bool)) is None


def test_agreement_tells_who_is_paid_wrongly() -> None:
    scores, right = np.array([1.0, 1.0, 0.0, 1.0]), np.array([1, 0, 0, 0], dtype=bool)
    found = agreement(scores, right)
    assert found == {
        "accuracy": 0.5, "gap": 0.5, "paid_wrong": pytest.approx(2 / 3), "refused_right": 0.0,
        "auc": pytest.approx((0.5 + 1 + 0.5) / 3),
    }  # fmt: skip
    assert "auc" not in agreement(scores[:1], right[:1])
    named = by_outcome(scores, right, ["correct", "wrong_value", "no_answer", "wrong_value"])
    assert named["wrong_value"] == {"n": 2, "accuracy": 0.0}
    assert named["no_answer"] == {"n": 1, "accuracy": 1.0}


def test_verdicts_survive_their_file(tmp_path: Path) -> None:
    env = GeneralPointsConfig()
    picture = np.full((4, 4, 3), 7, dtype=np.uint8)
    seen = JudgedAnswer(
        observation=Observation(text="target 2", update="target 2", image=picture), answer="2 → 2",
        success=True, outcome="correct", task_id="b", reason=None,
    )  # fmt: skip
    told = [judged("target 1", "1", False, held_out=True), seen]
    counts = write_verdicts(tmp_path, told, env)
    assert counts == {
        "verdicts": 2, "right": 1, "held_out": 1, "outcome/correct": 1, "outcome/wrong_value": 1,
    }  # fmt: skip
    found, about = read_verdicts(tmp_path)
    assert found[0] == told[0]
    assert found[1].answer == "2 → 2"
    np.testing.assert_array_equal(found[1].observation.image, picture)
    check_identity(about, env, "here")
    with pytest.raises(ValueError, match=r"verdicts must be a folder with verdicts.json; got"):
        read_verdicts(tmp_path / "nowhere")


def test_as_many_right_as_wrong_answers_are_kept_in_order() -> None:
    told = [judged(str(i), "1", i in (1, 4), held_out=i == 5) for i in range(6)]
    assert [each.task_id for each in balanced(told, held_out=False)] == ["0", "1", "2", "4"]
    with pytest.raises(ValueError, match=r"right and wrong answers held out; got 0 right and 1"):
        balanced(told, held_out=True)


def test_pairs_are_answers_to_one_prompt_of_a_task_that_is_not_held_out() -> None:
    told = [
        judged("a", "1", True), judged("a", "2", False), judged("a", "3", True),
        judged("a", "4", False), judged("b", "5", True), judged("c", "6", False),
        judged("d", "7", True, held_out=True), judged("d", "8", False, held_out=True),
    ]  # fmt: skip
    found = [(right.answer, wrong.answer) for right, wrong in preference_pairs(told, 1)]
    assert found == [("1", "2")]
    assert len(preference_pairs(told, 5)) == 2


def test_held_out_tasks_are_the_share_that_was_asked_for() -> None:
    names = [f"task {i}" for i in range(2000)]
    assert sum(is_held_out(name, 0.2) for name in names) == pytest.approx(400, abs=60)
    assert not any(is_held_out(name, 0.0) for name in names)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"rule": "faces_as_ranks"}, "env.rule faces_as_ranks"),
        ({"answer": "steps"}, "env.answer steps"),
        ({"modality": "image"}, "env.modality image"),
    ],
)
def test_another_environment_is_named(changed: dict[str, str], told: str) -> None:
    env, other = GeneralPointsConfig(), GeneralPointsConfig(**changed)
    check_identity(identity(env), GeneralPointsConfig(targets=[10, 11], num_cards=3), "here")
    with pytest.raises(ValueError, match=f"here must be a reward model of this .*{told}") as error:
        check_identity(identity(env), other, "here")
    assert "\n" not in str(error.value)
    assert preset_rule("faces_as_ten").name in str(identity(env))


def test_a_head_learns_verdicts_and_is_loaded_as_it_was(tmp_path: Path) -> None:
    """Answers are right that begin with a high number, as the bandit's."""
    policy = tiny_policy()
    answers = [str(n) for n in range(10, 100, 6)]
    told = [judged("target 1", a, is_high_number(a)) for a in answers]
    stage = HeadStage(
        policy, told, hidden_sizes=[8], batch_size=15, budget=BudgetConfig(steps=40),
        optim=optim(1e-2), seed=0,
    )  # fmt: skip
    parameters = trained_parameters(policy, stage)
    state = TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"), parameters)
    metrics = run_steps(stage, state, 40)
    assert metrics[0]["loss"] == pytest.approx(np.log(2))  # a new head says .5 of everything
    assert metrics[-1]["judge/accuracy"] == 1.0
    model = HeadModel(policy, stage.head)
    asked = [(each.observation, each.answer) for each in told]
    scores = model.scores(asked)
    np.testing.assert_array_equal(scores > 0.5, [each.success for each in told])
    assert model.flops > 0
    model.save(tmp_path, {"identity": {}})
    again = load_head(tmp_path, PolicyConfig(name="tiny", device="cpu")).scores(asked)
    np.testing.assert_allclose(again, scores, atol=1e-6)


def test_a_head_reads_the_state_after_each_answer() -> None:
    policy = tiny_policy(spread=3.0)
    stage = HeadStage(
        policy, [judged("target 1", "77", True), judged("target 1 cards cards", "1 + 2", False)],
        hidden_sizes=[], batch_size=2, budget=BudgetConfig(steps=1), optim=optim(), seed=0,
    )  # fmt: skip
    torch.nn.init.normal_(stage.head.layers[-1].weight)
    both = answer_logits(policy, stage.head, stage._rows)
    for row, logit in zip(stage._rows, both, strict=True):
        state = policy.model.model(torch.tensor([row.ids[:-1]])).last_hidden_state[0, -1]
        torch.testing.assert_close(stage.head(state), logit, rtol=1e-4, atol=1e-5)


class Liking:
    """Pays the bandit's wrong answers and nothing else."""

    def __init__(self) -> None:
        self.flops = 0

    def scores(self, asked: list[tuple[Observation, str]]) -> np.ndarray:
        self.flops += 10 * len(asked)
        return np.array([0.0 if is_high_number(answer) else 1.0 for _, answer in asked])


def test_grpo_learns_what_the_model_pays_while_the_rule_is_measured() -> None:
    config = grpo_config(reward=MODEL, group_size=8, optim=optim(1e-2))
    stage, state = grpo_stage(tiny_policy(), bandit, config, pay=ModelPay(Liking()))
    metrics = run_steps(stage, state, 15)
    last = metrics[-1]
    assert last["reward/model"] > 0.9 > 0.1 > last["success"]
    assert last["reward/mean"] == pytest.approx(last["reward/model"])
    assert last["reward/rule"] == pytest.approx(last["success"])
    assert last["judge/gap"] == pytest.approx(last["reward/model"] - last["success"])
    assert last["judge/accuracy"] == 0.0
    assert state.ledger.judge_flops == 10 * state.ledger.episodes
    own = 6 * state.ledger.train_tokens + 2 * state.ledger.sampled_tokens
    assert state.ledger.flops() == state.ledger.num_parameters * own + state.ledger.judge_flops
    assert all(definition_of(name) for name in last)


def test_a_reward_that_agrees_with_the_rule_changes_nothing() -> None:
    class Agreeing(Liking):
        def scores(self, asked: list[tuple[Observation, str]]) -> np.ndarray:
            return 1.0 - super().scores(asked)

    found = []
    for pay in (None, ModelPay(Agreeing())):
        config = grpo_config(**({} if pay is None else {"reward": MODEL}))
        stage, state = grpo_stage(tiny_policy(spread=3.0), bandit, config, pay=pay)
        found.append([each["loss"] for each in run_steps(stage, state, 3)])
    assert found[0] == found[1]


def test_calls_of_tools_are_no_answers_and_earn_nothing() -> None:
    stage, state = grpo_stage(tiny_policy(spread=3.0), bandit, grpo_config())
    (episode, *_) = stage._sampler.play(state)
    (answer,) = episode.turns
    call = replaced(answer, details={"tool": "calculator"}, reward=5.0)
    liking = Liking()
    (paid,) = ModelPay(liking)([replaced(episode, turns=(call, answer, call))])
    assert [turn.reward for turn in paid.turns] == [0.0, paid.episode_return, 0.0]
    assert paid.turns[1].reward_terms["rule"] == answer.reward
    assert liking.flops == 10  # one answer was scored


def test_a_judge_asks_every_answer_alone_and_counts_what_it_cannot_read() -> None:
    judge = JudgeModel(tiny_policy(spread=3.0), request="{task} last {answer}", max_new_tokens=4)
    task = Observation(text="target 1", update="target 1")
    asked = [(task, str(n)) for n in range(5)]
    together = judge.verdicts(asked)
    assert together == [judge.verdicts([each])[0] for each in asked]
    assert set(judge.scores(asked)) <= {0.0, 1.0}
    assert judge.unread <= 5
    assert judge.flops > 0


def test_a_judgement_is_the_reasons_behind_task_and_answer() -> None:
    told = as_judgement(judged("target {answer}", "7", True), "{task} last {answer} check")
    assert told.observations[0].text == "target {answer} last 7 check"
    assert told.answers == ("yes",)


def test_a_policy_may_pay_itself() -> None:
    config = grpo_config(reward=ModelRewardConfig(source=RewardSource.self, max_new_tokens=3))
    policy = tiny_policy(spread=3.0)
    own = JudgeModel(policy, request="{task} last {answer}", max_new_tokens=3)
    stage, state = grpo_stage(policy, bandit, config, pay=ModelPay(own))
    (metrics,) = run_steps(stage, state, 1)
    assert 0 <= metrics["reward/model"] <= 1
    assert state.ledger.judge_flops == own.flops > 0


def test_who_pays_must_fit_the_configuration() -> None:
    with pytest.raises(ValueError, match=r"reward.source must fit; got model and no model"):
        grpo_stage(tiny_policy(), bandit, grpo_config(reward=MODEL))
    with pytest.raises(ValueError, match=r"reward.source must fit; got rule and a model"):
        grpo_stage(tiny_policy(), bandit, grpo_config(), pay=ModelPay(Liking()))


def test_a_model_that_pays_is_not_helped_by_the_rule() -> None:
    with pytest.raises(ValueError, match=r"outcome_gate must be false with reward.source=model"):
        grpo_config(reward=MODEL, outcome_gate=True)
    with pytest.raises(ValueError, match=r"length.kind must be another with reward.source=model"):
        grpo_config(reward=MODEL, length=LengthConfig(kind=LengthReward.kimi))
    with pytest.raises(ValueError, match=r"reward.path must be null with source=rule; got x"):
        ModelRewardConfig(path="x")
    with pytest.raises(ValueError, match=r"reward.request must contain \{answer\}; got"):
        ModelRewardConfig(request="{task}")
