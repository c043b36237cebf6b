"""A run on walks that is stopped, or killed, ends bit for bit as an undisturbed one."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from cardinal_gym.agents.config import Family
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.training.config import BudgetConfig
from cardinal_gym.training.demonstrations import OracleDemonstrations
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import Stage, TrainState, train
from cardinal_gym.training.metrics import read_jsonl
from cardinal_gym.training.supervised import SupervisedStage
from resume_harness import VOLATILE, check_resume, compare_folders
from toys import grpo_config, grpo_stage, noisy_returns, optim
from walks import SMALL, led, shown, streets_policy, told

Make = Callable[[], tuple[Stage, TrainState]]
TINY_RUN = (
    *SMALL, "experiment=nav_l", "name=tiny", "trackers=[]", "policy.build.hidden_size=16",
    "policy.build.num_layers=1", "policy.build.num_heads=2", "pretrain.budget.steps=4",
    "pretrain.batch_size=4", "pretrain.streets.num_cities=1", "warmup.budget.steps=3",
    "warmup.batch_size=4", "sft.budget.steps=6", "sft.budget.tflops=null", "sft.batch_size=4",
    "grpo.budget.steps=6", "grpo.budget.tflops=null", "grpo.groups_per_step=2",
    "grpo.group_size=3", "evaluate.milestones=2", "evaluate.episodes=4",
    "evaluate.final_episodes=6", "evaluate.sample_episodes=2", "checkpoint_every=2",
)  # fmt: skip
TIMED = ("*.timing.json", "*spent.json", "*evals.jsonl", "*report/*", "*report.*")


def sft() -> tuple[Stage, TrainState]:
    """In words, a whole walk in a row, each demonstration several times."""
    policy = streets_policy()
    rows = OracleDemonstrations(
        policy, told().env, stream="sft", seed=0, revision_fraction=0.5, max_wrong_attempts=2,
        count=7,
    )  # fmt: skip
    stage = SupervisedStage(
        "sft", rows, batch_size=3, budget=BudgetConfig(steps=5), optim=optim(1e-3)
    )
    return stage, TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"))


def grpo() -> tuple[Stage, TrainState]:
    """In pictures, a new one at every turn."""
    config = grpo_config(
        5, groups_per_step=2, group_size=2, max_new_tokens=3, epochs=2, optim=optim(1e-3)
    )
    policy = streets_policy(Family.mllama, ContextMode.single_turn)
    make_env: Callable[[], gym.Env] = led(shown().env)
    return grpo_stage(policy, make_env, config)


def run(make: Make, folder: Path) -> TrainState:
    stage, state = make()
    return train(stage, state, folder, checkpoint_every=2, keep_checkpoints=2)


@pytest.mark.parametrize("make", [sft, grpo])
def test_a_stage_on_walks_stopped_within_a_step_ends_the_same(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    run(make, tmp_path / "whole")
    apply = TrainState.apply_gradients

    def interrupted(self: TrainState, *args: Any) -> dict[str, float]:
        found = apply(self, *args)
        if self.step == 3:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch:
        patch.setattr(TrainState, "apply_gradients", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(make, tmp_path / "stopped")
    state = run(make, tmp_path / "stopped")
    assert compare_folders(tmp_path / "whole", tmp_path / "stopped") == []
    assert state.ledger.updates >= 5
    lines = read_jsonl(tmp_path / "stopped" / "metrics.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "part"), [("sft", "sft"), ("grpo", "grpo")])
def test_a_killed_run_of_nav_l_ends_the_same(command: str, part: str, tmp_path: Path) -> None:
    check_resume(
        [sys.executable, "-m", f"cardinal_gym.training.{command}", *TINY_RUN], tmp_path,
        run_folder="runs/nav_l/tiny", kills=2, seed=3, metrics=f"seed_0/{part}/metrics.jsonl",
        volatile=(*VOLATILE, *TIMED),
    )  # fmt: skip
