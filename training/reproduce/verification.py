"""Measures policies that another run has trained, with more attempts than they were trained with.

One evaluation with the largest number of attempts tells all smaller ones: an episode that its third
answer solves is one that three attempts solve, and no prompt says how many are left.
"""

from dataclasses import replace
from pathlib import Path

import torch

from ...agents.config import SamplingConfig
from ...agents.policy import load_policy
from ...agents.policy_agent import PolicyAgent
from ..arms import SeedRun, seed_folder
from ..config import ExperimentConfig
from ..distributed import Workers
from ..files import atomic_write_json, remove_leftovers
from ..jobs import Job
from ..locks import FolderLock
from ..metrics import Ledger
from ..progress import ProgressReporter
from .config import BASE
from .plan import PlannedRun


def measuring_jobs(run: PlannedRun, source: Path, *, needs: bool) -> list[Job]:
    """One job for each policy of each seed. source: the run folder that has trained them.

    needs: whether jobs of the same plan train them.
    """
    return [
        Job(
            name=f"{run.label} seed {seed} {arm}",
            work=measure_trained,
            arguments=(run.config, run.root, source, seed, arm),
            needs=(f"{run.policies_of} seed {seed} {arm}",) if needs else (),
        )
        for seed in run.train_seeds
        for arm in (BASE, *run.arms)
    ]


def measure_trained(
    config: ExperimentConfig,
    root: Path,
    source: Path,
    seed: int,
    arm: str,
    status: Path | None = None,
) -> None:
    """One policy of one seed on every cell, in this process; what is done is left alone.

    Raises ValueError where the source has no such policy.
    """
    torch.set_num_threads(config.threads)
    folder = seed_folder(root, seed)
    path = seed_folder(source, seed) / arm / "policy"
    if not path.is_dir():
        raise ValueError(f"{source} must hold the policy {arm} of seed {seed}; got no {path}")
    (folder / arm).mkdir(parents=True, exist_ok=True)
    with FolderLock(folder / arm, wait_s=30), ProgressReporter(status) as reporter:
        done = folder / arm / "done.json"
        if done.exists():
            return
        remove_leftovers(folder / arm)
        policy = load_policy(replace(config.policy, path=str(path)))
        run = SeedRun(config, folder, seed, Workers(config.policy.device), reporter)

        def agent(sampling: SamplingConfig) -> PolicyAgent:
            return PolicyAgent(policy, sampling)

        run.measure(agent, arm, 0, Ledger(num_parameters=policy.num_parameters), final=True)
        atomic_write_json(done, {"policy": str(path)})
