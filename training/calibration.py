"""How fast this machine trains, measured with every process busy.

Two busy cores are rarely twice as fast as one, so the processes measure at the same time.
"""

import multiprocessing
import statistics
import time
from multiprocessing.synchronize import Barrier

import torch

from ..agents.policy import load_policy
from .config import ExperimentConfig
from .distributed import Workers
from .loop import TrainState
from .pretraining import BroadTasks
from .supervised import SupervisedStage

NUM_UPDATES = 8
WARM_UP = 2  # updates that are not counted


def update_seconds(config: ExperimentConfig, processes: int) -> float:
    """Median wall seconds of one pretraining update, over `processes` that train side by side."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.SimpleQueue()
    workers = [
        context.Process(target=_measure, args=(config, barrier, results), daemon=True)
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if results.empty():
        raise ValueError("calibration must finish; every measuring process ended early")
    taken = []
    while not results.empty():
        taken.append(results.get())
    return statistics.median(taken)


def _measure(config: ExperimentConfig, barrier: Barrier, results: object) -> None:
    torch.set_num_threads(config.threads)
    assert config.pretrain is not None
    policy = load_policy(config.policy)
    stage = SupervisedStage(
        "pretrain",
        BroadTasks(policy, config.env, config.pretrain, seed=config.seed),
        batch_size=config.pretrain.batch_size,
        budget=config.pretrain.budget,
        optim=config.pretrain.optim,
    )
    state = TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"))
    barrier.wait()
    taken = []
    for _ in range(WARM_UP + NUM_UPDATES):
        start_s = time.monotonic()
        stage.update(state)
        state.step += 1
        taken.append(time.monotonic() - start_s)
    results.put(statistics.median(taken[WARM_UP:]))  # type: ignore[attr-defined]
