"""Every family, end to end: imitation, GRPO over turns with pictures, evaluation, save, load."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import Dtype, Family, LoraConfig, PolicyConfig, SamplingConfig
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.policy_agent import PolicyAgent
from cardinal_gym.agents.rollout import rollout
from cardinal_gym.agents.rows import Row, collate, row_from_answer, rows_from_episode
from cardinal_gym.agents.scoring import token_logprobs
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.envs.core import Observation, Verdict
from cardinal_gym.training.checkpoint import latest_checkpoint
from cardinal_gym.training.config import BudgetConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import TrainState, train
from cardinal_gym.training.supervised import SupervisedStage
from toys import ToyEnv, grpo_config, grpo_stage, optim, run_steps, tiny_policy

slow = pytest.mark.slow
TURNS = 3
CONTEXT = {Family.mllama: ContextMode.single_turn}  # the others see the whole conversation


class ShowEnv(ToyEnv):
    """Three turns, with another picture in each; what is said is worth its length."""

    max_turns = TURNS

    def __init__(self, with_image: bool) -> None:
        super().__init__()
        self.with_image = with_image

    def _deal(self, options: dict[str, Any]) -> None:
        self.said = 0

    def _observe(self, verdict: Verdict | None) -> Observation:
        image = self.np_random.integers(0, 256, (28, 56, 3), dtype=np.uint8)
        return Observation(
            text="rule J = 10 target 24", update="again", image=image if self.with_image else None
        )

    def _judge(self, action: str) -> Verdict:
        self.said += len(action)
        return self._verdict(False, float(self.said))


class Answers:
    """Demonstrations that mix prompts with and without pictures."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def rows(self, indices: Sequence[int]) -> list[Row]:
        rows = []
        for index in indices:
            env = ShowEnv(with_image=self.policy.vision is not None and index % 2 == 0)
            observation = Observation(**env.reset(seed=index)[0])
            prompt = encode_first(self.policy, observation)
            rows.append(row_from_answer(self.policy, prompt.ids, "7 + 2", prompt.images))
        return rows


def scores(policy: Policy, rows: Sequence[Row], **layout: Any) -> torch.Tensor:
    """The log-probabilities of all sampled tokens, in order. [n]"""
    batch = collate(policy, rows, **layout)
    with torch.no_grad():
        return token_logprobs(policy, batch)[batch.mask > 0]


@pytest.mark.parametrize("family", list(Family))
def test_a_family_learns_by_imitation_and_by_grpo_and_is_the_same_after_save_and_load(
    family: Family, tmp_path: Path
) -> None:
    policy = tiny_policy(family, CONTEXT.get(family, ContextMode.concat), spread=3.0)
    sft = SupervisedStage(
        "sft", Answers(policy), batch_size=4, budget=BudgetConfig(steps=2), optim=optim(1e-2)
    )
    state = TrainState.create(policy, sft.optim, sft.budget, Workers("cpu"))
    losses = [metrics["loss"] for metrics in run_steps(sft, state, 3)]
    assert losses[-1] < losses[0]

    def make_env() -> ShowEnv:
        return ShowEnv(with_image=policy.vision is not None)

    before = policy.model.get_input_embeddings().weight.detach().clone()
    config = grpo_config(groups_per_step=2, group_size=3, max_new_tokens=4, temperature=1.5)
    metrics = run_steps(*grpo_stage(policy, make_env, config), 1)[0]
    assert metrics["grad_norm"] > 0
    assert metrics["sampler_gap/mean"] < 1e-4  # the sampler and the trainer are one distribution
    assert not torch.equal(policy.model.get_input_embeddings().weight, before)

    agent = PolicyAgent(policy, SamplingConfig(greedy=True, max_new_tokens=4))
    episodes = rollout(make_env, agent, seeds=[5, 6])
    assert [len(episode.turns) for episode in episodes] == [TURNS, TURNS]
    rows = [row for episode in episodes for row in rows_from_episode(episode, policy)]
    shown = sum(len(row.images) for row in rows)
    assert shown == (0 if policy.vision is None else 2 * TURNS)
    sampled = torch.cat([torch.tensor(r.logprobs)[torch.tensor(r.mask) > 0] for r in rows])
    plain = scores(policy, rows)
    torch.testing.assert_close(plain, sampled, atol=1e-4, rtol=1e-4)
    for layout in ({"pad_side": "left"}, {"extra_padding": 5}):
        torch.testing.assert_close(scores(policy, rows, **layout), plain, atol=1e-4, rtol=1e-4)

    policy.save(tmp_path)
    again = load_policy(
        PolicyConfig(name="again", path=str(tmp_path), device="cpu", context=policy.context)
    )
    assert torch.equal(scores(again, rows), plain)


@slow
@pytest.mark.parametrize("family", list(Family))
def test_a_family_learns_in_16_bits_and_is_the_same_after_save_and_load(
    family: Family, tmp_path: Path
) -> None:
    """Whatever is made in float32, pixels, masks and positions, meets weights that are not."""
    context = CONTEXT.get(family, ContextMode.concat)
    tiny_policy(family, spread=3.0).save(tmp_path / "base")
    config = PolicyConfig(
        name="coarse", path=str(tmp_path / "base"), device="cpu", dtype=Dtype.bfloat16,
        context=context,
    )  # fmt: skip
    policy = load_policy(config)
    sft = SupervisedStage(
        "sft", Answers(policy), batch_size=4, budget=BudgetConfig(steps=2), optim=optim(1e-2)
    )
    state = TrainState.create(policy, sft.optim, sft.budget, Workers("cpu"))
    losses = [metrics["loss"] for metrics in run_steps(sft, state, 3)]
    assert losses[-1] < losses[0]

    def make_env() -> ShowEnv:
        return ShowEnv(with_image=policy.vision is not None)

    few = grpo_config(groups_per_step=2, group_size=3, max_new_tokens=4, temperature=1.5)
    metrics = run_steps(*grpo_stage(policy, make_env, few), 1)[0]
    assert metrics["grad_norm"] > 0
    assert metrics["sampler_gap/mean"] < 0.05
    assert all(p.dtype is torch.bfloat16 for p in policy.model.parameters())

    agent = PolicyAgent(policy, SamplingConfig(greedy=True, max_new_tokens=4))
    episodes = rollout(make_env, agent, seeds=[5, 6])
    rows = [row for episode in episodes for row in rows_from_episode(episode, policy)]
    policy.save(tmp_path / "trained")
    again = load_policy(replace(config, path=str(tmp_path / "trained")))
    assert torch.equal(scores(again, rows), scores(policy, rows))


@pytest.mark.parametrize("family", [family for family in Family if family not in ("text", "qwen3")])
def test_slots_for_more_pictures_and_rows_without_any_change_nothing(family: Family) -> None:
    policy = tiny_policy(family, ContextMode.concat, spread=3.0)
    agent = PolicyAgent(policy, SamplingConfig(max_new_tokens=3))
    seen = rollout(lambda: ShowEnv(True), agent, seeds=[1])[0]
    blind = rollout(lambda: ShowEnv(False), agent, seeds=[2])[0]
    long, plain = (rows_from_episode(episode, policy)[0] for episode in (seen, blind))
    short = rows_from_episode(rollout(lambda: OneTurn(True), agent, seeds=[3])[0], policy)[0]
    assert [len(row.images) for row in (long, plain, short)] == [3, 0, 1]
    alone = torch.cat([scores(policy, [row]) for row in (long, plain, short)])
    together = scores(policy, [long, plain, short])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


class OneTurn(ShowEnv):
    max_turns = 1


@pytest.mark.parametrize("dtype", [Dtype.float32, pytest.param(Dtype.bfloat16, marks=slow)])
@pytest.mark.parametrize(
    "family", [pytest.param(f, marks=() if f is Family.qwen3_vl else slow) for f in Family]
)
def test_adapters_with_a_frozen_tower_are_trained_checkpointed_and_resumed(
    family: Family, dtype: Dtype, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    tiny_policy(family, spread=3.0).save(tmp_path / "base")
    config = PolicyConfig(
        name="small", path=str(tmp_path / "base"), device="cpu", lora=LoraConfig(rank=2),
        freeze_vision=True, gradient_checkpointing=True, dtype=dtype,
    )  # fmt: skip

    def run(policy: Policy) -> TrainState:
        stage = SupervisedStage(
            "sft", Answers(policy), batch_size=4, budget=BudgetConfig(steps=2), optim=optim(1e-2)
        )
        state = TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"))
        return train(stage, state, tmp_path / "run", checkpoint_every=1, keep_checkpoints=1)

    trained, resumed, fresh = (load_policy(config) for _ in range(3))
    run(trained)
    assert run(resumed).step == 2
    rows = Answers(fresh).rows([0, 1])
    assert torch.equal(scores(resumed, rows), scores(trained, rows))
    assert not torch.equal(scores(resumed, rows), scores(fresh, rows))
    saved = latest_checkpoint(tmp_path / "run" / "checkpoints")
    assert saved is not None
    assert all("lora" in name for name in saved.load()["model"])
