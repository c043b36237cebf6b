"""`cardinal eval`: one policy, or a baseline, on every cell of a suite."""

from pathlib import Path

import torch

from ..agents.baselines import OracleAgent, RandomAgent
from ..agents.policy import load_policy
from ..agents.policy_agent import PolicyAgent
from .arms import SeedRun, collect_evals, seed_folder
from .config import ExperimentConfig
from .distributed import Workers
from .evaluate import MakeAgent
from .progress import ProgressReporter
from .runs import finish, opened

BASELINES: dict[str, type[RandomAgent | OracleAgent]] = {
    "random": RandomAgent,
    "oracle": OracleAgent,
}


def run_evaluation(config: ExperimentConfig) -> Path:
    """Measure and write the report; finished cells are kept when the run is resumed.

    Raises ValueError for a policy that names neither a folder, a hub name nor a baseline.
    """
    torch.set_num_threads(config.threads)
    workers = Workers(config.policy.device)
    make_agent, parameters = _agent(config)
    with opened(config, "eval", workers) as folder, ProgressReporter(None) as reporter:
        run = SeedRun(config, seed_folder(folder.root, config.seed), config.seed, workers, reporter)
        run.measure_base(make_agent, parameters)
        if workers.is_main:
            collect_evals(run.folder)
            finish(folder, {"command": "eval", "policy": config.policy.name})
    return folder.root


def _agent(config: ExperimentConfig) -> tuple[MakeAgent, int]:
    """How to make the agent that is measured, and its number of parameters."""
    policy_config = config.policy
    if policy_config.path is None and policy_config.name in BASELINES:
        baseline = BASELINES[policy_config.name]
        return lambda _: baseline(), 0
    if policy_config.path is None:
        raise ValueError(
            "policy.path must name a checkpoint folder or a hub model to evaluate (or choose "
            f"policy=random or policy=oracle); got none for {policy_config.name}"
        )
    policy = load_policy(policy_config)
    return lambda sampling: PolicyAgent(policy, sampling), policy.num_parameters
