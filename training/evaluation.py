"""`cardinal eval`: one policy, or a baseline, on every cell of a suite."""

from pathlib import Path

import torch

from ..agents.baselines import OracleAgent, RandomAgent
from ..agents.config import PolicyConfig
from ..agents.policy import load_policy
from ..agents.policy_agent import PolicyAgent
from .arms import SeedRun, collect_evals, seed_folder
from .config import ExperimentConfig
from .distributed import Workers
from .evaluate import MakeAgent
from .kept_results import kept_results
from .progress import ProgressReporter
from .runs import check, finish, opened

BASELINES: dict[str, type[RandomAgent | OracleAgent]] = {
    "random": RandomAgent,
    "oracle": OracleAgent,
}


def run_evaluation(config: ExperimentConfig) -> Path:
    """Measure and write the report; what the results database holds is not played again.

    Raises ValueError for a policy that names neither a folder, a hub name nor a baseline, and for
    what `runs.check` finds, before the policy is loaded.
    """
    _check_named(config.policy)
    torch.set_num_threads(config.threads)
    workers = Workers(config.policy.device)
    if workers.is_main:
        check(config, "eval")
    make_agent, parameters = _agent(config.policy)
    with (
        kept_results(config, workers) as kept,
        opened(config, "eval", workers, is_checked=True) as folder,
    ):
        with ProgressReporter(None) as reporter:
            part = seed_folder(folder.root, config.seed)
            if kept is not None:
                kept.refuse_mixing(part / "evals")
            run = SeedRun(config, part, config.seed, workers, reporter, kept)
            run.measure_base(make_agent, parameters)
        if workers.is_main:
            collect_evals(run.folder)
            finish(folder, {"command": "eval", "policy": config.policy.name})
    return folder.root


def _check_named(policy: PolicyConfig) -> None:
    if policy.path is None and policy.name not in BASELINES:
        raise ValueError(
            "policy.path must name a checkpoint folder or a hub model to evaluate (or choose "
            f"policy=random or policy=oracle); got none for {policy.name}"
        )


def _agent(policy_config: PolicyConfig) -> tuple[MakeAgent, int]:
    """How to make the agent that is measured, and its number of parameters."""
    if policy_config.path is None:
        baseline = BASELINES[policy_config.name]
        return lambda _: baseline(), 0
    policy = load_policy(policy_config)
    return lambda sampling: PolicyAgent(policy, sampling), policy.num_parameters
