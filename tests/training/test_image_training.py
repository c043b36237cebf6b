"""Training with pictures: the policy that is trained saw the pixels, and its tower learns."""

from collections.abc import Callable

import gymnasium as gym
import numpy as np
import pytest
import torch
from cardinal_gym.agents.config import Family
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from cardinal_gym.agents.types import ContextMode, Episode
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.training import grpo_rollout
from cardinal_gym.training.config import BudgetConfig, PretrainConfig
from cardinal_gym.training.demonstrations import OracleDemonstrations
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import TrainState
from cardinal_gym.training.policy_gradient import GrpoStage
from cardinal_gym.training.supervised import SupervisedStage
from cardinal_gym.training.vision_warmup import VisionStage
from toys import (
    experiment,
    gradients,
    grpo_config,
    grpo_stage,
    optim,
    replaced,
    run_steps,
    tiny_policy,
)


def env_config(**changes: object) -> GeneralPointsConfig:
    config = experiment("env=gp_image", "suite=general_points_image", "env.max_turns=2").env
    return replaced(config, **changes)


def seeing(context: ContextMode = ContextMode.single_turn, spread: float = 2.0) -> Policy:
    return tiny_policy(Family.mllama, context, spread=spread)


def sft_stage(policy: Policy, **settings: object) -> tuple[SupervisedStage, TrainState]:
    demonstrations = OracleDemonstrations(
        policy, env_config(), stream="sft", seed=0, revision_fraction=0.5, max_wrong_attempts=1
    )
    stage = SupervisedStage(
        "sft", demonstrations, batch_size=6, budget=BudgetConfig(steps=9), optim=optim(1e-3),
        **settings,
    )  # fmt: skip
    return stage, TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"))


def grpo_with_signal(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> tuple[GrpoStage, TrainState]:
    """A GRPO update in which members differ in return although none solves a hand."""
    rollout: Callable[..., list[Episode]] = grpo_rollout.rollout
    monkeypatch.setattr(
        grpo_rollout,
        "rollout",
        lambda *a, **k: [replaced(e, episode_return=float(e.member)) for e in rollout(*a, **k)],
    )
    config = grpo_config(groups_per_step=2, group_size=3, max_new_tokens=5)
    env = env_config()
    return grpo_stage(policy, lambda: gym.make(env.id, config=env), config)


def seeing_part(policy: Policy, state: TrainState, gradient: torch.Tensor) -> list[torch.Tensor]:
    """The parts of a whole gradient that belong to tower and projector, by parameter."""
    pieces = gradient.split([parameter.numel() for parameter in state.parameters])
    ours = {id(parameter) for parameter in policy.vision_parameters()}
    return [g for p, g in zip(state.parameters, pieces, strict=True) if id(p) in ours]


def test_other_pixels_give_other_log_probabilities_in_training() -> None:
    policy = seeing()
    stage, _ = sft_stage(policy)
    row = stage._demonstrations.rows([0])[0]
    (picture,) = row.images
    changed = picture.copy()
    changed[20:40, 20:60] = 255 - changed[20:40, 20:60]

    def score(image: np.ndarray) -> torch.Tensor:
        other = Row(ids=row.ids, mask=row.mask, logprobs=row.logprobs, images=(image,))
        batch = collate(policy, [other])
        with torch.no_grad():
            return token_logprobs(policy, batch, with_banned=True)[batch.mask > 0]

    assert torch.equal(score(picture), score(picture.copy()))
    assert (score(picture) - score(changed)).abs().max() > 1e-4


@pytest.mark.parametrize("context", list(ContextMode))
def test_supervised_gradients_reach_the_tower(context: ContextMode) -> None:
    policy = seeing(context)
    stage, state = sft_stage(policy)
    parts = seeing_part(policy, state, gradients(stage, state))
    assert len(parts) > 5
    assert sum(float(part.abs().max()) > 0 for part in parts) > 0.9 * len(parts)
    before = [parameter.detach().clone() for parameter in policy.vision_parameters()]
    first, second = run_steps(stage, state, 2)
    assert second["loss"] < first["loss"]
    moved = [not torch.equal(a, b) for a, b in zip(before, policy.vision_parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved)


@pytest.mark.parametrize("context", list(ContextMode))
def test_policy_gradients_reach_the_tower(
    context: ContextMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = seeing(context)
    stage, state = grpo_with_signal(policy, monkeypatch)
    parts = seeing_part(policy, state, gradients(stage, state))
    assert sum(float(part.abs().max()) > 0 for part in parts) > 0.9 * len(parts)
    (metrics,) = run_steps(stage, state, 1)
    assert metrics["grad_norm"] > 0
    assert metrics["ratio/max"] == 1.0
    assert metrics["sampler_gap/mean"] < 1e-4
    assert metrics["episodes/mean_turns"] == 2.0


@pytest.mark.parametrize("tokens", [1, 10_000])
def test_gradients_with_pictures_do_not_depend_on_the_micro_batch(tokens: int) -> None:
    wanted = gradients(*sft_stage(seeing()))
    policy = seeing()
    stage, state = sft_stage(policy)
    stage.optim = optim(1e-3, micro_batch_tokens=tokens)
    torch.testing.assert_close(gradients(stage, state), wanted, rtol=1e-3, atol=1e-5)


def vision_stage(steps: int, **env: object) -> tuple[VisionStage, TrainState, Policy]:
    policy = seeing(spread=1.0)
    config = PretrainConfig(vision_steps=steps, vision_batch_size=16, vision_lr=4e-3)
    stage = VisionStage(policy, env_config(**env), config, seed=0)
    workers = Workers("cpu")
    state = TrainState.create(policy, stage.optim, stage.budget, workers, stage.parameters)
    return stage, state, policy


def test_vision_warm_up_trains_the_eyes_and_nothing_else() -> None:
    stage, state, policy = vision_stage(3)
    ours = {id(parameter) for parameter in policy.vision_parameters()}
    before = {name: p.detach().clone() for name, p in policy.model.named_parameters()}
    run_steps(stage, state, 3)
    for name, parameter in policy.model.named_parameters():
        if id(parameter) not in ours:
            assert torch.equal(parameter, before[name]), name
    assert any(not torch.equal(p, before[n]) for n, p in policy.model.named_parameters())


@pytest.mark.slow
def test_vision_warm_up_learns_to_read_cards() -> None:
    stage, state, _ = vision_stage(500, num_cards=2, solvable_only=False, split="train")
    metrics = run_steps(stage, state, 500)
    assert metrics[0]["recognition"] < 0.1
    assert np.mean([each["recognition"] for each in metrics[-20:]]) > 0.8
