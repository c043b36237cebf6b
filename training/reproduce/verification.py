"""Measures policies that another run has trained, with more attempts than they were trained with.

One evaluation with the largest number of attempts tells all smaller ones: an episode that its third
answer solves is one that three attempts solve, and no prompt says how many are left.
"""

from dataclasses import replace
from pathlib import Path

from ...agents.config import SamplingConfig
from ...agents.policy import load_policy
from ...agents.policy_agent import PolicyAgent
from ..arms import seed_folder
from ..comparison import part_of
from ..config import ExperimentConfig
from ..files import atomic_write_json
from ..jobs import Job
from ..metrics import Ledger
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
            num_processes=run.config.distributed.num_processes,
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
    """One policy of one seed on every cell; what is done is left alone.

    In this process, or in all processes of a launch. Raises ValueError where the source has no such
    policy.
    """
    folder = seed_folder(root, seed)
    path = seed_folder(source, seed) / arm / "policy"
    if not path.is_dir():
        raise ValueError(f"{source} must hold the policy {arm} of seed {seed}; got no {path}")
    with part_of(config, folder, arm, seed, status) as run:
        done = folder / arm / "done.json"
        if done.exists():
            return
        policy = load_policy(replace(config.policy, path=str(path)))

        def agent(sampling: SamplingConfig) -> PolicyAgent:
            return PolicyAgent(policy, sampling)

        run.measure(agent, arm, 0, Ledger(num_parameters=policy.num_parameters), final=True)
        if run.workers.is_main:
            atomic_write_json(done, {"policy": str(path)})
        run.workers.wait()
