"""`cardinal eval`: one policy, or a baseline, on every cell of a suite."""

from contextlib import nullcontext
from pathlib import Path

import torch

from .arm_results import collect_evals
from .arms import SeedRun, seed_folder
from .config import ExperimentConfig
from .distributed import Workers
from .kept_results import is_all_kept, kept_results, key_of
from .measured import NOBODY, check_named, fitted, measured
from .peers import watched
from .result_keys import PolicyKey, is_local
from .runs import check, finish, opened


def run_evaluation(config: ExperimentConfig) -> Path:
    """Measure and write the report; what the results database holds is not played again.

    Raises ValueError for a policy that names neither a folder, a hub name, a server, a person nor a
    baseline, and for what `runs.check` finds, before the policy is loaded; Failed where a server
    gives up.
    """
    check_named(config.policy)
    config = fitted(config)
    torch.set_num_threads(config.threads)
    spread = config.distributed
    workers = Workers(config.policy.device, timeout_s=spread.collective_timeout_s)
    dealt = check(config, "eval") if workers.is_main else None
    key = _known_key(config) if workers.is_main else None
    is_played = workers.broadcast(key is not None and is_all_kept(config, key))
    with (
        watched(workers, timeout_s=spread.peer_timeout_s),
        nullcontext(NOBODY) if is_played else measured(config.policy) as who,
        kept_results(config, workers, key) as kept,
        opened(config, "eval", workers, dealt=dealt) as folder,
    ):
        try:
            with who.reporter(None) as reporter:
                part = seed_folder(folder.root, config.seed)
                if kept is not None:
                    kept.refuse_mixing(part / "evals")
                run = SeedRun(config, part, config.seed, workers, reporter, kept)
                run.measure_base(who.make_agent, who.num_parameters)
        finally:
            who.tell_usage(folder.root)
        if workers.is_main:
            collect_evals(run.folder)
            finish(folder, {"command": "eval", "policy": config.policy.name})
    return folder.root


def _known_key(config: ExperimentConfig) -> PolicyKey | None:
    """A folder's, which tells before it is loaded whether anything is left to play."""
    path = config.policy.path
    return key_of(config) if path is not None and is_local(path) else None
