"""SFT against GRPO from one warmed-up base, at equal compute, over several seeds.

For every seed: base (pretraining and warm-up), then both arms from it, each to the same budget. The
arms are independent, so they run side by side where cores allow. The result of a seed does not
depend on how many run together.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from .arms import ARMS, SeedRun, seed_folder
from .config import ExperimentConfig
from .distributed import Workers
from .files import remove_leftovers
from .jobs import Job, run_jobs
from .locks import FolderLock
from .progress import ProgressReporter


def run_comparison(config: ExperimentConfig, root: Path, arms: Sequence[str] = ARMS) -> None:
    """Run every seed and arm that is not finished yet, in processes of their own."""
    jobs = comparison_jobs(config, root, arms)
    run_jobs(jobs, processes=num_processes(config), folder=root / "jobs", threads=config.threads)


def comparison_jobs(
    config: ExperimentConfig, root: Path, arms: Sequence[str] = ARMS, *, prefix: str = ""
) -> list[Job]:
    """One job for the base of each seed and one for each arm, which needs the base."""
    jobs = []
    for seed in range(config.seed, config.seed + config.seeds):
        base = f"{prefix}seed {seed} base"
        jobs.append(Job(name=base, work=run_part, arguments=(config, root, seed, "base")))
        jobs += [
            Job(
                name=f"{prefix}seed {seed} {arm}",
                work=run_part,
                arguments=(config, root, seed, arm),
                needs=(base,),
            )
            for arm in arms
        ]
    return jobs


def num_processes(config: ExperimentConfig) -> int:
    """How many jobs run at the same time."""
    return config.processes or max(1, available_cores() // config.threads)


def run_part(
    config: ExperimentConfig, root: Path, seed: int, part: str, status: Path | None = None
) -> None:
    """The base or one arm of one seed, in this process."""
    torch.set_num_threads(config.threads)
    folder = seed_folder(root, seed)
    locked = folder / ("base" if part == "base" else part)
    locked.mkdir(parents=True, exist_ok=True)
    # A job whose parent was killed lives on for a moment: its successor waits for its end.
    with FolderLock(locked, wait_s=30), ProgressReporter(status) as reporter:
        remove_leftovers(locked)
        workers = Workers(config.policy.device)
        run = SeedRun(config, folder, seed, workers, reporter)
        if part == "base":
            run.run_base()
        else:
            run.run_arm(part)


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
