"""Runs every stage of every seed, each in a process of its own, then writes the summary.

A stage starts as soon as the stages that it reads are done, so arms that do not depend on each
other run side by side where cores allow. One process a stage also makes its memory its own. After
an interruption the same command with `resume=true` goes on: what is done is left alone, and a
training stage begins at its newest checkpoint.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from ..arms import seed_folder
from ..checks import check_policy
from ..comparison import num_processes
from ..distributed import Workers
from ..files import remove_leftovers
from ..jobs import Job, run_jobs
from ..locks import FolderLock
from ..progress import ProgressReporter
from ..run_folder import RunFolder, defaults_of
from ..run_place import run_root
from ..trackers import check_trackers
from .config import RecipeConfig
from .outline import outline_of
from .plan import PlannedStage, check_plan, planned
from .report import INDEX, write_report
from .stages import SeedPipeline


def run_recipe(config: RecipeConfig) -> Path:
    """Run a recipe, or go on with it; returns its folder.

    Raises ValueError in one line for what cannot work, before anything is written.
    """
    config.distributed.refuse_spreading("run")
    plan = planned(config)
    check_trackers(config.trackers)
    check_policy(config.policy)
    check_plan(plan)
    root = run_root(config)
    RunFolder(root).check_free(config.resume)
    stored = {"command": "run", **dataclasses.asdict(config), "resume": False}
    with RunFolder.open(
        root, resume=config.resume, config=stored, defaults=defaults_of(config)
    ) as folder:
        jobs = recipe_jobs(config, plan, root)
        processes = num_processes(config)
        run_jobs(jobs, processes=processes, folder=root / "jobs", threads=config.threads)
        text = write_report(outline_of(config, plan), root)
        folder.mark_done({"command": "run", "seeds": config.seeds})
    sys.stdout.write(f"\n{text}\nsummary: {root / 'recipe.md'}\nreport: {root / INDEX}\n")
    sys.stdout.flush()
    return root


def recipe_jobs(config: RecipeConfig, plan: Sequence[PlannedStage], root: Path) -> list[Job]:
    """One job for each stage of each seed, which needs the stages that it reads."""
    return [
        Job(
            name=f"seed {seed} {stage.name}",
            work=run_stage,
            arguments=(config, root, seed, stage.name),
            needs=tuple(f"seed {seed} {name}" for name in stage.needs),
        )
        for seed in range(config.seed, config.seed + config.seeds)
        for stage in plan
    ]


def run_stage(
    config: RecipeConfig, root: Path, seed: int, name: str, status: Path | None = None
) -> None:
    """One stage of one seed, in this process."""
    torch.set_num_threads(config.threads)
    plan = planned(config)
    folder = seed_folder(root, seed)
    locked = folder / name
    locked.mkdir(parents=True, exist_ok=True)
    # A job whose parent was killed lives on for a moment: its successor waits for its end.
    with FolderLock(locked, wait_s=30), ProgressReporter(status) as reporter:
        remove_leftovers(locked)
        pipeline = SeedPipeline(plan, folder, seed, Workers(config.policy.device), reporter)
        pipeline.run_stage(next(stage for stage in plan if stage.name == name))
