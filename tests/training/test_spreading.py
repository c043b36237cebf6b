"""Jobs that several processes do together: what starts, what is refused, and the same result."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from cardinal_gym.training import spreading
from cardinal_gym.training.comparison import comparison_jobs, num_processes, run_comparison
from cardinal_gym.training.config import BudgetConfig, ExperimentConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.failures import Failed
from cardinal_gym.training.files import atomic_write_json
from cardinal_gym.training.jobs import devices_of
from cardinal_gym.training.spreading import check_spreading, launch_config, run_spread
from safetensors.torch import load_file
from torch.distributed.elastic.multiprocessing.api import SignalException
from toys import experiment

TOY = (
    "env=gp_text", "policy.build.hidden_size=16", "policy.build.num_layers=1",
    "policy.build.num_heads=2", "trackers=[]", "policy.device=cpu", "pretrain=null",
    "warmup.budget.steps=1", "warmup.batch_size=2", "sft.batch_size=2", "sft.budget.steps=2",
    "grpo.budget.steps=1", "grpo.groups_per_step=2", "grpo.group_size=2", "grpo.max_new_tokens=6",
    "evaluate.max_new_tokens=6", "evaluate.milestones=1", "evaluate.final_episodes=4",
    "evaluate.sample_episodes=1",
)  # fmt: skip


def toy(*overrides: str) -> ExperimentConfig:
    return experiment(*TOY, *overrides)


def test_the_launcher_is_torchrun_standalone_without_restarts(tmp_path: Path) -> None:
    made = launch_config(4, tmp_path)
    assert (made.min_nodes, made.max_nodes, made.nproc_per_node) == (1, 1, 4)
    assert (made.rdzv_backend, made.rdzv_endpoint) == ("c10d", "localhost:0")
    assert (made.max_restarts, made.local_addr) == (0, "127.0.0.1")


def test_every_job_of_a_comparison_is_spread_and_has_the_machine_to_itself(tmp_path: Path) -> None:
    config = toy("distributed.num_processes=2")
    assert {job.num_processes for job in comparison_jobs(config, tmp_path)} == {2}
    assert num_processes(config) == 1
    assert num_processes(replace(config, processes=3)) == 3


@pytest.mark.parametrize(
    ("place", "size", "devices", "own"),
    [
        (0, 4, "01234567", "0123"),
        (1, 4, "01234567", "4567"),
        (3, 1, "01", "1"),  # more jobs than devices: they take turns
        (0, 2, "", ""),
    ],
)
def test_jobs_side_by_side_share_out_the_devices(
    place: int, size: int, devices: str, own: str
) -> None:
    assert devices_of(place, size, list(devices)) == list(own)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["hardware=multi_node"], r"distributed.num_nodes must be 1 for compare, .* got 2: train"),
        (["distributed.sharding=fsdp2"], "distributed.sharding must be none for compare with one"),
        (["distributed.num_processes=0"], "distributed.num_processes must be positive"),
        (
            ["distributed.num_processes=4", "processes=3", "policy.device=auto"],
            "distributed.num_processes times processes must be at most 8, .* got 4 x 3",
        ),
    ],
)
def test_what_cannot_be_spread_here_is_refused_in_one_line(
    settings: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreading, "visible_devices", lambda: list("01234567"))
    check_spreading(toy("hardware=8xh100", "policy.device=auto"), "compare")
    with pytest.raises(ValueError, match=said) as caught:
        check_spreading(toy(*settings), "compare")
    assert "\n" not in str(caught.value)


def test_what_starts_processes_is_itself_started_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    with pytest.raises(ValueError, match=r"^reproduce must be started once, .* got 8 processes"):
        check_spreading(toy(), "reproduce")


def tell_rank(folder: Path, status: Path) -> None:
    workers = Workers("cpu")
    told = {"size": workers.size, "sum": workers.sum({"x": 1.0 + workers.rank})["x"]}
    atomic_write_json(folder / f"{workers.rank}.json", told)


def mistake(folder: Path, status: Path) -> None:
    if os.environ["RANK"] == "1":
        BudgetConfig(steps=0)
    Workers("cpu").wait()


def die(folder: Path, status: Path) -> None:
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    Workers("cpu").wait()


def test_a_job_that_is_told_to_end_says_so_and_is_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Any:
        raise SignalException("got signal", sigval=signal.SIGINT)

    monkeypatch.setattr(spreading, "elastic_launch", lambda *_: interrupted)
    with pytest.raises(Failed, match=r"^stopped by SIGINT; the same command with resume=true"):
        run_spread(tell_rank, (tmp_path,), tmp_path / "status.json", 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_processes_know_each_other(tmp_path: Path) -> None:
    run_spread(tell_rank, (tmp_path,), tmp_path / "status.json", 2)
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert told == [{"size": 2, "sum": 3.0}] * 2


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("work", "kind", "said"),
    [
        (mistake, ValueError, "^steps must be positive or null; got 0$"),
        (die, Failed, "^process 1 of 2 was killed by SIGKILL; the same command with resume=true"),
    ],
)
def test_what_one_process_ends_with_is_told_of_all(
    work: Any, kind: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=said):
        run_spread(work, (tmp_path,), tmp_path / "status.json", 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_comparison_by_two_processes_an_arm_is_that_by_one(tmp_path: Path) -> None:
    told, weights = [], []
    for size in (1, 2):
        root = tmp_path / str(size)
        run_comparison(toy(f"distributed.num_processes={size}", "processes=1"), root)
        part = root / "seed_0"
        rows = [json.loads(line) for line in (part / "evals.jsonl").read_text().splitlines()]
        keys = ("arm", "step", "cell", "n", "successes", "mean_tokens", "outcomes", "train_tokens")
        told.append([[row[key] for key in keys] for row in rows])
        weights.append(load_file(part / "sft" / "policy" / "model.safetensors"))
        assert all((part / arm / "done.json").exists() for arm in ("base", "sft", "grpo"))
    assert told[0] == told[1]
    assert {row[0] for row in told[0]} == {"base", "sft", "grpo"}
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-4, atol=1e-6)
