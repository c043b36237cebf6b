"""Hydra's launchers for sweeps, an extra: joblib on one machine, submitit on a cluster."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cardinal_gym.training.schema import register
from hydra import compose, initialize_config_module

SWEEP = (
    "experiment=gp_l", "export.count=2", "seed=3,4", "-m", "hydra/launcher=joblib",
    "hydra.launcher.n_jobs=2",
)  # fmt: skip


@pytest.mark.parametrize(
    ("launcher", "module", "settings"),
    [
        ("joblib", "hydra_joblib_launcher", ["hydra.launcher.n_jobs=2"]),
        (
            "submitit_slurm", "hydra_submitit_launcher",
            ["hydra.launcher.partition=gpu", "hydra.launcher.gpus_per_node=1"],
        ),
    ],
)  # fmt: skip
def test_a_launcher_composes_with_every_command(
    launcher: str, module: str, settings: list[str]
) -> None:
    pytest.importorskip(f"hydra_plugins.{module}")
    register()
    overrides = ["experiment=gp_l", f"hydra/launcher={launcher}", *settings]
    with initialize_config_module("cardinal_gym.conf", version_base="1.3"):
        for command in ("grpo", "sft", "eval"):
            found = compose(command, overrides=overrides, return_hydra_config=True)
            assert module in found.hydra.launcher._target_
            assert found.hydra.sweep.dir == "runs/.multirun"


@pytest.mark.slow
def test_joblib_runs_the_jobs_of_a_sweep_each_in_a_folder_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    command = [sys.executable, "-m", "cardinal_gym.training.export", *SWEEP]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = sorted((tmp_path / "runs" / "gp_l").glob("*/train.jsonl"))
    assert [path.parent.name for path in written] == [
        "export.count=2,seed=3",
        "export.count=2,seed=4",
    ]
    lines = [path.read_text(encoding="utf-8").splitlines() for path in written]
    assert [len(each) for each in lines] == [2, 2]
    assert all(json.loads(line)["messages"] for each in lines for line in each)
    assert lines[0] != lines[1]
