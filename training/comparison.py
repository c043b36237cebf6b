"""SFT against GRPO from one warmed-up base, at equal compute, over several seeds.

For every seed: base (pretraining and warm-up), then both arms from it, each to the same budget. The
arms are independent, so they run side by side where cores allow. The result of a seed does not
depend on how many run together.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from .arms import ARMS, SeedRun, seed_folder
from .config import ExperimentConfig
from .distributed import Workers
from .files import remove_leftovers
from .jobs import Job, run_jobs
from .locks import FolderLock
from .peers import watched
from .progress import ProgressReporter
from .sharding import check_sharding
from .spreading import shared_devices


def run_comparison(config: ExperimentConfig, root: Path, arms: Sequence[str] = ARMS) -> None:
    """Run every seed and arm that is not finished yet, in processes of their own."""
    jobs = comparison_jobs(config, root, arms)
    run_jobs(
        jobs,
        processes=num_processes(config),
        folder=root / "jobs",
        threads=config.threads,
        devices=shared_devices(config),
    )


def comparison_jobs(
    config: ExperimentConfig, root: Path, arms: Sequence[str] = ARMS, *, prefix: str = ""
) -> list[Job]:
    """One job for the base of each seed and one for each arm, which needs the base."""
    jobs = []
    for seed in range(config.seed, config.seed + config.seeds):
        base = f"{prefix}seed {seed} base"
        for part in ("base", *arms):
            jobs.append(
                Job(
                    name=f"{prefix}seed {seed} {part}",
                    work=run_part,
                    arguments=(config, root, seed, part),
                    needs=() if part == "base" else (base,),
                    num_processes=config.distributed.num_processes,
                )
            )
    return jobs


def num_processes(config: ExperimentConfig) -> int:
    """How many jobs run at the same time; one that is spread over processes has all to itself."""
    if config.distributed.num_processes > 1:
        return config.processes or 1
    return config.processes or max(1, available_cores() // config.threads)


def run_part(
    config: ExperimentConfig, root: Path, seed: int, part: str, status: Path | None = None
) -> None:
    """The base or one arm of one seed, in this process, or in all processes of a launch."""
    with part_of(config, seed_folder(root, seed), part, seed, status) as run:
        if part == "base":
            run.run_base()
        else:
            run.run_arm(part)


@contextmanager
def part_of(
    config: ExperimentConfig, folder: Path, part: str, seed: int, status: Path | None
) -> Iterator[SeedRun]:
    """What one job of a seed works with; its part of the folder is its own meanwhile.

    folder: of the seed. Raises ValueError where another process holds the part.
    """
    torch.set_num_threads(config.threads)
    spread = config.distributed
    workers = Workers(config.policy.device, timeout_s=spread.collective_timeout_s)
    check_sharding(spread.sharding, workers)
    with (
        _held(folder / part, workers),
        watched(workers, timeout_s=spread.peer_timeout_s),
        ProgressReporter(status) as reporter,
    ):
        yield SeedRun(config, folder, seed, workers, reporter)


@contextmanager
def _held(folder: Path, workers: Workers) -> Iterator[None]:
    """Lock and clean a folder on the main process; the others wait for it."""
    if not workers.is_main:
        workers.wait()
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    # A job whose parent was killed lives on for a moment: its successor waits for its end.
    with FolderLock(folder, wait_s=30):
        remove_leftovers(folder)
        workers.wait()
        yield


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
