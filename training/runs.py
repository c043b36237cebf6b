"""Opens the run folder of a command and closes it with a report."""

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from .arm_results import collect_evals
from .arms import SeedRun, seed_folder
from .checks import check_run
from .config import ExperimentConfig
from .contamination import DealtTasks
from .distributed import Workers
from .overlap import write_overlap
from .peers import watched
from .progress import ProgressReporter
from .report import report, summary
from .run_folder import RunFolder, defaults_of
from .run_place import run_root
from .sharding import check_sharding


def check(config: ExperimentConfig, command: str) -> DealtTasks:
    """What can be told before a policy is loaded and anything is written; the tasks looked at.

    Raises ValueError for a configuration that cannot work, or a folder that is taken.
    """
    dealt = check_run(config, command)
    RunFolder(run_root(config)).check_free(config.resume)
    return dealt


@contextmanager
def opened(
    config: ExperimentConfig,
    command: str,
    workers: Workers | None = None,
    *,
    dealt: DealtTasks | None = None,
) -> Iterator[RunFolder]:
    """The run folder, written by the main process alone; other processes only read it.

    workers: of this launch; None: this process is the only one.
    dealt: what `check` has returned, if it has been called already.
    """
    root = run_root(config)
    workers = workers or Workers("cpu")
    if not workers.is_main:
        workers.wait()
        yield RunFolder(root)
        return
    dealt = dealt or check(config, command)
    plain = {"command": command, **dataclasses.asdict(config), "resume": False}
    with RunFolder.open(
        root, resume=config.resume, config=plain, defaults=defaults_of(config)
    ) as folder:
        write_overlap(root, dealt, config.policy)
        workers.wait()
        yield folder


def run_single(config: ExperimentConfig, command: str, arm: str | None) -> Path:
    """`pretrain`, `sft` and `grpo`: one seed in this process (or in all processes of a launch).

    arm: what to train after the base; None stops there. A policy given by path is the base as it
    is; otherwise the base is pretrained and warmed up first.
    """
    torch.set_num_threads(config.threads)
    spread = config.distributed
    workers = Workers(config.policy.device, timeout_s=spread.collective_timeout_s)
    check_sharding(spread.sharding, workers)
    with opened(config, command, workers) as folder:
        with (
            watched(workers, timeout_s=spread.peer_timeout_s),
            ProgressReporter(None) as reporter,
        ):
            part = seed_folder(folder.root, config.seed)
            run = SeedRun(config, part, config.seed, workers, reporter)
            run.run_base(warm_up=arm is not None and config.policy.path is None)
            if arm is not None:
                run.run_arm(arm)
        if workers.is_main:
            collect_evals(run.folder)
            finish(folder, {"command": command, "seed": config.seed})
    return folder.root


def finish(folder: RunFolder, outcome: dict[str, Any]) -> Path:
    """Mark the run as done, write its report and tell the rates; returns the page's path.

    The rates are the command's result, and go to standard output.
    """
    folder.mark_done(outcome)
    page = report(folder.root)
    ends = f"report: {page}\nepisodes: cardinal view {folder.root} --list\n"
    sys.stdout.write(f"\n{summary(folder.root)}\n{ends}")
    sys.stdout.flush()
    return page
