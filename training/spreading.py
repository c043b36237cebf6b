"""One job as several processes, by torch's elastic launcher: what `torchrun --standalone` does.

The launcher starts a process for each device, tells it its rank, and ends all when one ends badly.
It runs inside the job's own process, so that the parent of the jobs sees one process for each, and
whatever dies takes what it has started with it:

    cardinal compare      run_jobs, one process for each job
      seed 0 grpo         this launcher
        rank 0, 1, ...    the job's work: Workers finds its rank in the environment

Docs: https://docs.pytorch.org/docs/stable/elastic/run.html
"""

import gc
import json
import logging
import os
import signal
import tempfile
import threading
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from tqdm import tqdm

from .config import ExperimentConfig
from .failures import FAILURE, USAGE, Failed, exit_status, words
from .jobs import BUG, end_with
from .peers import ADVICE

LOOK_EVERY_S = 0.2
LOCAL = "127.0.0.1"


def check_spreading(config: ExperimentConfig, command: str) -> None:
    """Whether the jobs of a command can be spread over this machine as they are asked to be.

    Raises ValueError in one line for a command that was started several times itself, for several
    nodes, for more processes than devices, and for sharding with nothing to split over.
    """
    spread, processes = config.distributed, config.processes or 1
    spread.check_jobs(command)
    devices = len(shared_devices(config))
    if spread.num_processes > 1 and 0 < devices < spread.num_processes * processes:
        raise ValueError(
            f"distributed.num_processes times processes must be at most {devices}, the devices of "
            f"this machine; got {spread.num_processes} x {processes}"
        )


def shared_devices(config: ExperimentConfig) -> list[str]:
    """Accelerators that the jobs of a command share out; none on a CPU, or where one is named."""
    return visible_devices() if config.policy.device in ("auto", "cuda") else []


def visible_devices() -> list[str]:
    """The accelerators of this process, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    known = [name.strip() for name in named.split(",") if name.strip()]
    return (known or [str(index) for index in range(count)])[:count]


def launch_config(num_processes: int, folder: Path) -> LaunchConfig:
    """`torchrun --standalone --nproc_per_node <num_processes> --max_restarts 0`.

    No restarts: a run goes on from its checkpoint when the user says so. folder: for its logs.
    """
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # any free port
        run_id=str(uuid.uuid4()),
        max_restarts=0,
        monitor_interval=LOOK_EVERY_S,
        start_method="spawn",
        local_addr=LOCAL,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder)),
    )


def run_spread(
    work: Callable[..., None], arguments: tuple[Any, ...], status: Path, num_processes: int
) -> None:
    """`work(*arguments, status)` in every one of `num_processes`, started and watched from here.

    Raises what the process that ended first is to blame for: ValueError for the user's mistake,
    Failed where it was killed, RuntimeError with its traceback for a bug.
    """
    with tempfile.TemporaryDirectory(prefix="cardinal_") as place:
        told = Path(place)
        config = launch_config(num_processes, told / "elastic")
        blamed: Exception | None = None
        try:
            elastic_launch(config, _as_rank)(work, arguments, status, told, os.getpid())
        except ChildFailedError as error:
            blamed = _blamed(error.get_first_failure()[1], told, num_processes)
        except SignalException as error:  # this process is told to end
            blamed = Failed(f"stopped by {error.sigval.name}; {ADVICE}")
        if blamed is not None:
            gc.collect()  # the launcher's queues, whose semaphores would outlive this process
            raise blamed


def _as_rank(
    work: Callable[..., None],
    arguments: tuple[Any, ...],
    status: Path,
    told: Path,
    parent: int,
) -> None:
    """In a started process: do the work; only the main one reports and logs how it goes."""
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaves behind
    rank = int(os.environ["RANK"])
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, force=True)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    try:
        work(*arguments, status if rank == 0 else told / f"{rank}.status.json")
        if dist.is_initialized():
            dist.destroy_process_group()
    except BaseException as error:
        traceback.print_exc()
        code = exit_status(error)
        said = traceback.format_exc() if code is None else words(error)
        code = BUG if code is None else code
        (told / f"{rank}.json").write_text(json.dumps({"code": code, "said": said}))
        os._exit(code)  # a backend's own end may wait for the others


def _blamed(failure: ProcessFailure, told: Path, size: int) -> Exception:
    who = f"process {failure.local_rank} of {size}"
    path = told / f"{failure.local_rank}.json"
    if not path.exists():
        how = f"ended with status {failure.exitcode}"
        if failure.exitcode < 0:
            how = f"was killed by {signal.Signals(-failure.exitcode).name}"
        return Failed(f"{who} {how}; {ADVICE}")
    last = json.loads(path.read_text())
    if last["code"] == USAGE:
        return ValueError(last["said"])
    if last["code"] == FAILURE:
        return Failed(last["said"])
    return RuntimeError(f"{who} crashed\n{last['said']}")
