"""Runs that are killed, interrupted or out of disk go on to the very result of undisturbed ones."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from cardinal_gym.agents.config import PolicyConfig
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.training import checkpoint, metrics
from cardinal_gym.training.checkpoint import latest_checkpoint
from cardinal_gym.training.config import BudgetConfig
from cardinal_gym.training.demonstrations import OracleDemonstrations
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import Stage, TrainState, train
from cardinal_gym.training.metrics import read_jsonl
from cardinal_gym.training.pretraining import _digest, _recipe
from cardinal_gym.training.supervised import SupervisedStage
from resume_harness import VOLATILE, check_resume, compare_folders
from toys import experiment, grpo_config, grpo_stage, optim, run_steps, tiny_policy

# Two cards that make 12: what a policy of two layers learns to answer within two seconds.
GAME = (
    "env=gp_text", "suite=general_points", "env.num_cards=2", "env.target=12", "env.max_turns=2",
    "env.solvable_under=[]", "env.held_out_fraction=0.3",
    # The suite's hands hold a face card: here that leaves one task, which is not held out.
    "suite.cells.id.shift.require_face_card=false",
    "suite.cells.ood_ranks.shift.require_face_card=false",
)  # fmt: skip
SMALL = (
    *GAME, "name=tiny", "trackers=[]", "policy.build.hidden_size=16", "policy.build.num_layers=1",
    "policy.build.num_heads=2", "pretrain.budget.steps=8", "pretrain.batch_size=8",
    "pretrain.card_counts=[2]", "warmup.budget.steps=4", "warmup.batch_size=8",
    "sft.budget.steps=8", "sft.batch_size=8", "grpo.budget.steps=8", "grpo.groups_per_step=3",
    "grpo.group_size=4", "grpo.max_new_tokens=20", "grpo.epochs=2", "evaluate.max_new_tokens=20",
    "evaluate.milestones=2", "evaluate.episodes=8", "evaluate.final_episodes=12",
    "evaluate.sample_episodes=2", "checkpoint_every=3",
)  # fmt: skip
RUN = "runs/scratch/tiny"
# CPU seconds differ between any two runs; everything else must not.
TIMED = ("*.timing.json", "*spent.json", "*evals.jsonl", "*report/*", "*report.*")


def cardinal(command: str, *overrides: str) -> list[str]:
    return [sys.executable, "-m", f"cardinal_gym.training.{command}", *SMALL, *overrides]


def demonstrations(policy: Policy) -> OracleDemonstrations:
    return OracleDemonstrations(
        policy, experiment(*GAME).env, stream="warmup", seed=0, revision_fraction=0.3,
        max_wrong_attempts=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that solves some of the hands, so that GRPO has a signal."""
    policy = tiny_policy(spread=4.0)
    stage = supervised(policy, steps=48, lr=6e-3)
    run_steps(stage, created(stage, policy), 48)
    folder = tmp_path_factory.mktemp("base")
    policy.save(folder)
    return folder


def supervised(policy: Policy, steps: int = 7, lr: float = 1e-3) -> SupervisedStage:
    return SupervisedStage(
        "sft", demonstrations(policy), batch_size=16, budget=BudgetConfig(steps=steps),
        optim=optim(lr),
    )  # fmt: skip


def created(stage: Stage, policy: Policy) -> TrainState:
    return TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"))


def sft(base: Path) -> tuple[Stage, TrainState]:
    policy = tiny_policy()
    stage = supervised(policy)
    return stage, created(stage, policy)


def grpo(base: Path) -> tuple[Stage, TrainState]:
    env = experiment(*GAME).env
    config = grpo_config(
        7, groups_per_step=3, max_new_tokens=20, epochs=2, minibatches=2, optim=optim(1e-3)
    )
    policy = load_policy(PolicyConfig(name="base", path=str(base), device="cpu"))
    return grpo_stage(policy, lambda: gym.make(env.id, config=env), config)


Make = Callable[[Path], tuple[Stage, TrainState]]


def run(make: Make, base: Path, folder: Path, reached: list[int] | None = None) -> TrainState:
    stage, state = make(base)
    marks = reached if reached is not None else []
    return train(
        stage, state, folder, checkpoint_every=2, keep_checkpoints=2, num_milestones=2,
        on_milestone=lambda state, k: marks.append(k),
    )  # fmt: skip


@pytest.mark.parametrize(("make", "stop"), [(sft, 4), (grpo, 0), (grpo, 4), (grpo, 6)])
def test_a_stage_stopped_within_a_step_ends_the_same(
    make: Make, stop: int, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After gradients of half a step, with a momentum and a rollout that nobody saved."""
    reached: list[int] = []
    run(make, base, tmp_path / "whole")
    apply = TrainState.apply_gradients

    def interrupted(self: TrainState, *args: Any) -> dict[str, float]:
        found = apply(self, *args)
        if self.step == stop:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(TrainState, "apply_gradients", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(make, base, tmp_path / "stopped", reached)
    monkeypatch.setattr(TrainState, "apply_gradients", apply)
    state = run(make, base, tmp_path / "stopped", reached)
    assert compare_folders(tmp_path / "whole", tmp_path / "stopped") == []
    assert list(dict.fromkeys(reached)) == [1, 2]  # one that a checkpoint missed is reached again
    assert state.ledger.updates > 5
    lines = read_jsonl(tmp_path / "stopped" / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 8))


def test_a_milestone_that_was_not_reached_is_reached_again(base: Path, tmp_path: Path) -> None:
    stage, state = sft(base)
    reached: list[tuple[int, int]] = []

    def measure(state: TrainState, milestone: int) -> None:
        reached.append((state.step, milestone))
        if len(reached) == 1:
            raise KeyboardInterrupt

    settings = {"checkpoint_every": 100, "keep_checkpoints": 1, "num_milestones": 2}
    with pytest.raises(KeyboardInterrupt):
        train(stage, state, tmp_path, on_milestone=measure, **settings)
    train(*sft(base), tmp_path, on_milestone=measure, **settings)
    assert reached == [(4, 1), (4, 1), (7, 2)]


@pytest.mark.parametrize(("make", "victim"), [(grpo, "checkpoint"), (sft, "metrics")])
def test_a_full_disk_leaves_what_was_finished(
    make: Make, victim: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(make, base, tmp_path / "whole")
    fill_disk(monkeypatch, victim)
    with pytest.raises(OSError, match="disk is full; what was finished is intact") as raised:
        run(make, base, tmp_path / "full")
    assert raised.value.errno == errno.ENOSPC
    monkeypatch.undo()
    saved = latest_checkpoint(tmp_path / "full" / "checkpoints")
    assert saved is not None
    assert set(saved.load()) >= {"model", "optimizer", "step", "ledger", "rng"}
    lines = read_jsonl(tmp_path / "full" / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert len(lines) >= saved.step == 2
    run(make, base, tmp_path / "full")
    assert compare_folders(tmp_path / "whole", tmp_path / "full") == []


def fill_disk(monkeypatch: pytest.MonkeyPatch, victim: str) -> None:
    """From the fourth step on nothing more can be written there."""
    calls: list[int] = []
    module, name, free = {
        "checkpoint": (checkpoint, "_save_state", 1),
        "metrics": (metrics, "write_all", 6),  # two files
    }[victim]
    write = getattr(module, name)

    def full(*args: object) -> None:
        calls.append(1)
        if len(calls) > free:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*args)

    monkeypatch.setattr(module, name, full)


@pytest.mark.slow  # the harness kills stages at random in the default run
def test_a_killed_run_of_the_command_ends_the_same(base: Path, tmp_path: Path) -> None:
    quick = ("evaluate.milestones=1", "evaluate.metrics=[success_within_turns]")
    command = cardinal("grpo", f"policy.path={base}", "grpo.budget.steps=6", *quick)
    report = check_resume(
        command, tmp_path, run_folder=RUN, kills=1, seed=1, metrics="seed_0/grpo/metrics.jsonl",
        volatile=(*VOLATILE, *TIMED),
    )  # fmt: skip
    assert report.starts == 2
    seed = tmp_path / "killed" / RUN / "seed_0"
    lines = read_jsonl(seed / "grpo" / "metrics.jsonl")
    assert lines[-1]["updates"] > 4  # there was something to learn
    assert_same_evals(tmp_path, f"{RUN}/seed_0/evals.jsonl")


def assert_same_evals(workspace: Path, path: str) -> None:
    sides = []
    for side in ("whole", "killed"):
        records = read_jsonl(workspace / side / path)
        sides.append([{k: v for k, v in r.items() if k != "cpu_s"} for r in records])
    assert sides[0] == sides[1]
    assert len(sides[0]) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("command", "part"), [("sft", "sft"), ("grpo", "base"), ("compare", "grpo")]
)
def test_runs_killed_again_and_again_end_the_same(
    command: str, part: str, seed: int, base: Path, tmp_path: Path
) -> None:
    """Of `grpo` the kills strike the warm-up, of `compare` both arms in their processes."""
    more = [f"policy.path={base}"] if command == "compare" else []
    check_resume(
        cardinal(command, *more), tmp_path, run_folder=RUN, kills=3, seed=seed,
        metrics=f"seed_0/{part}/metrics.jsonl", volatile=(*VOLATILE, *TIMED),
    )  # fmt: skip
    assert_same_evals(tmp_path, f"{RUN}/seed_0/evals.jsonl")


@pytest.mark.slow
def test_a_killed_pretraining_ends_the_same(tmp_path: Path) -> None:
    cache = f"../../.cache/pretrain/{_digest(_recipe(experiment(*SMALL), 0))}"
    check_resume(
        cardinal("pretrain"), tmp_path, run_folder=RUN, kills=3, seed=0,
        metrics=f"{cache}/metrics.jsonl", volatile=(*VOLATILE, *TIMED),
    )  # fmt: skip
    sides = [tmp_path / side / RUN / cache for side in ("whole", "killed")]
    assert compare_folders(*sides, (*VOLATILE, *TIMED)) == []
    assert (sides[0] / "policy" / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [True, False])
def test_ctrl_c_ends_in_one_line_and_leaves_a_run_that_goes_on(
    whole_group: bool, base: Path, tmp_path: Path
) -> None:
    """A terminal signals every process of the command; a supervisor only the first."""
    command = cardinal("compare", f"policy.path={base}", "grpo.budget.steps=60")
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # Tests that a shell runs in its background are deaf to it, and so would be their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    log = tmp_path / RUN / "seed_0" / "grpo" / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (log.exists() and len(read_jsonl(log)) > 4) and time.monotonic() < deadline:
        time.sleep(0.05)
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith("cardinal compare: interrupted; the same command with resume=true")
    assert "Traceback" not in errors
    found = latest_checkpoint(log.parent / "checkpoints")
    assert found is not None
    assert all(torch.isfinite(p).all() for p in found.load()["model"].values())
    done = subprocess.run([*command, "resume=true"], cwd=tmp_path, timeout=300, check=False)
    assert done.returncode == 0
    assert json.loads((tmp_path / RUN / "done.json").read_text(encoding="utf-8"))
