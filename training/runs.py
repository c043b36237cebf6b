"""Opens the run folder of a command and closes it with a report."""

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from .arms import SeedRun, collect_evals, seed_folder
from .checks import check_run
from .config import ExperimentConfig
from .distributed import Workers
from .progress import ProgressReporter
from .report import report
from .run_folder import RunFolder

logger = logging.getLogger(__name__)


def run_root(config: ExperimentConfig) -> Path:
    return Path(config.output_dir) / config.experiment / config.name


@contextmanager
def opened(
    config: ExperimentConfig, command: str, workers: Workers | None = None
) -> Iterator[RunFolder]:
    """The run folder, written by the main process alone; other processes only read it.

    workers: of this launch; None: this process is the only one.
    """
    root = run_root(config)
    workers = workers or Workers("cpu")
    if not workers.is_main:
        workers.wait()
        yield RunFolder(root)
        return
    check_run(config, command)
    plain = {"command": command, **dataclasses.asdict(config), "resume": False}
    with RunFolder.open(root, resume=config.resume, config=plain) as folder:
        workers.wait()
        yield folder


def run_single(config: ExperimentConfig, command: str, arm: str | None) -> Path:
    """`pretrain`, `sft` and `grpo`: one seed in this process (or in all processes of a launch).

    arm: what to train after the base; None stops there. A policy given by path is the base as it
    is; otherwise the base is pretrained and warmed up first.
    """
    torch.set_num_threads(config.threads)
    workers = Workers(config.policy.device)
    with opened(config, command, workers) as folder, ProgressReporter(None) as reporter:
        run = SeedRun(config, seed_folder(folder.root, config.seed), config.seed, workers, reporter)
        run.run_base(warm_up=arm is not None and config.policy.path is None)
        if arm is not None:
            run.run_arm(arm)
        if workers.is_main:
            collect_evals(run.folder)
            finish(folder, {"command": command, "seed": config.seed})
    return folder.root


def finish(folder: RunFolder, summary: dict[str, Any]) -> Path:
    """Mark the run as done and write its report; returns the page's path."""
    folder.mark_done(summary)
    page = report(folder.root)
    logger.info("report: %s", page)
    return page
