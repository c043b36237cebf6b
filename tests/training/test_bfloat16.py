"""A policy in bfloat16 learns what the same policy in float32 learns, step by step."""

from collections.abc import Sequence
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from cardinal_gym.agents.config import Dtype, PolicyConfig
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.training import loop
from cardinal_gym.training.config import BudgetConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import TrainState
from cardinal_gym.training.supervised import SupervisedStage
from test_learning import Guesses, guessing, several_turns, successes
from toys import GUESS, grpo_stage, optim, run_steps, tiny_policy

pytestmark = pytest.mark.slow  # three runs of dozens of steps
WINDOW = 10  # steps that a point of a curve is the mean of
SMALL = 3e-5  # a learning rate whose steps bfloat16 alone would round away


def loaded(folder: Path, dtype: Dtype) -> Policy:
    policy = load_policy(PolicyConfig(name="base", path=str(folder), device="cpu", dtype=dtype))
    assert policy.model.dtype is getattr(torch, dtype.value)
    return policy


def imitation(policy: Policy, steps: int) -> np.ndarray:
    """The curve of the loss."""
    stage = SupervisedStage(
        "sft", Guesses(policy), batch_size=32, budget=BudgetConfig(steps=steps), optim=optim(SMALL)
    )
    state = TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"))
    return curve([metrics["loss"] for metrics in run_steps(stage, state, steps)])


def curve(values: Sequence[float]) -> np.ndarray:
    return np.array(values).reshape(-1, WINDOW).mean(axis=1)


def test_imitation_goes_as_in_32_bits_where_plain_adamw_would_stand_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_policy(spread=4.0).save(tmp_path)
    fine, coarse = (imitation(loaded(tmp_path, dtype), 60) for dtype in Dtype if dtype != "auto")
    learnt = fine[0] - fine[-1]
    assert learnt > 0.5
    np.testing.assert_allclose(coarse, fine, rtol=0, atol=0.06 * learnt)
    monkeypatch.setattr(
        loop, "adamw", lambda parameters, settings: torch.optim.AdamW(parameters, lr=settings.lr)
    )
    rounded = imitation(loaded(tmp_path, Dtype.bfloat16), 60)
    assert rounded[0] - rounded[-1] < 0.25 * learnt


def test_grpo_over_turns_goes_as_in_32_bits(tmp_path: Path) -> None:
    """The same seeds: until roundings tell, the same answers are drawn."""
    guessing(ContextMode.concat).save(tmp_path)
    curves, ends = [], []
    for dtype in (Dtype.float32, Dtype.bfloat16):
        policy = loaded(tmp_path, dtype)
        stage, state = grpo_stage(policy, lambda: gym.make(GUESS), several_turns())
        metrics = run_steps(stage, state, 40)
        gaps = [each["sampler_gap/mean"] for each in metrics if "sampler_gap/mean" in each]
        assert len(gaps) > 20  # a step without any signal makes no update
        assert max(gaps) < 0.01
        curves.append(curve([each["success"] for each in metrics]))
        ends.append(successes(policy)[1])
    assert curves[0][-1] - curves[0][0] > 0.2
    np.testing.assert_allclose(curves[1], curves[0], rtol=0, atol=0.08)
    assert min(ends) > 0.9
