"""How fast this machine trains, measured with every process busy.

Two busy cores are rarely twice as fast as one, so the processes measure at the same time.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable, MutableSequence, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier

import torch

from ..agents.policy import load_policy
from .config import ExperimentConfig
from .distributed import Workers
from .failures import Failed
from .loop import TrainState
from .pretraining import broad_tasks
from .progress import progress
from .supervised import SupervisedStage

NUM_UPDATES = 8
WARM_UP = 2  # updates that are not counted
POLL_S = 0.1
BARRIER_S = 300.0  # longer than importing and building take on a slow machine

# (config, number of this process, barrier, updates done by each, seconds of each)
Measure = Callable[
    [ExperimentConfig, int, Barrier, MutableSequence[int], MutableSequence[float]], None
]


def measure_updates(
    config: ExperimentConfig,
    number: int,
    barrier: Barrier,
    done: MutableSequence[int],
    seconds: MutableSequence[float],
) -> None:
    """In process `number`: build, wait for the others, time pretraining updates.

    done, seconds: shared, one entry per process; the median goes to `seconds[number]`.
    """
    torch.set_num_threads(config.threads)
    assert config.pretrain is not None
    policy = load_policy(config.policy)
    stage = SupervisedStage(
        "pretrain",
        broad_tasks(policy, config.env, config.pretrain, seed=config.seed),
        batch_size=config.pretrain.batch_size,
        budget=config.pretrain.budget,
        optim=config.pretrain.optim,
    )
    state = TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"))
    barrier.wait(BARRIER_S)
    taken = []
    for _ in range(WARM_UP + NUM_UPDATES):
        start_s = time.monotonic()
        stage.update(state)
        state.step += 1
        taken.append(time.monotonic() - start_s)
        done[number] += 1
    seconds[number] = statistics.median(taken[WARM_UP:])


def update_seconds(
    config: ExperimentConfig, processes: int, *, measure: Measure = measure_updates
) -> float:
    """Median wall seconds of one pretraining update, over `processes` that train side by side.

    Raises Failed as soon as one of them ends early; the others are stopped.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    # Without locks: a process that dies cannot leave one held. Each writes its own entry.
    done = context.Array("i", processes, lock=False)
    seconds = context.Array("d", processes, lock=False)
    workers = [
        context.Process(target=measure, args=(config, k, barrier, done, seconds), daemon=True)
        for k in range(processes)
    ]
    try:
        for worker in workers:
            worker.start()
        _wait(workers, done)
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()
                worker.join()
    return statistics.median(seconds)


def _wait(workers: Sequence[BaseProcess], done: MutableSequence[int]) -> None:
    """Until all have ended well, with a bar over their updates."""
    shown, total = 0, len(workers) * (WARM_UP + NUM_UPDATES)
    with progress(total, "measuring this machine", "update") as bar:
        while True:
            codes = [worker.exitcode for worker in workers]
            for number, code in enumerate(codes):
                if code:
                    how = f"exit status {code}" if code > 0 else f"signal {-code}"
                    raise Failed(
                        f"calibration must finish; its process {number} ended early with {how}"
                    )
            now = sum(done)
            bar.update(now - shown)
            shown = now
            if None not in codes:
                return
            time.sleep(POLL_S)
