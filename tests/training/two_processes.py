"""Runs a function in real processes over gloo, as `accelerate launch` would start them."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from cardinal_gym.training.distributed import Workers

# Importing torch and transformers costs seconds: a server does it once, and is forked.
multiprocessing.set_forkserver_preload(["toys"])


class OneOf(Workers):
    """A process among several, without the others."""

    def __init__(self, rank: int, size: int) -> None:
        super().__init__("cpu")
        self.rank, self.size = rank, size


def in_processes(
    work: Callable[..., Any], folder: Path, *arguments: Any, size: int = 2
) -> list[Any]:
    """What `work(workers, *arguments)` returned in each process; it must be importable."""
    torch.multiprocessing.start_processes(
        _child,
        (size, free_port(), str(folder), work, arguments),
        nprocs=size,
        start_method="forkserver",
    )
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(size)]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def as_process(rank: int, size: int, port: int) -> dict[str, str]:
    """The environment variables by which a process knows its place."""
    return {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip


def _child(
    rank: int, size: int, port: int, folder: str, work: Callable[..., Any], arguments: Any
) -> None:
    os.environ.update(as_process(rank, size, port))
    torch.set_num_threads(1)
    workers = Workers("cpu")
    assert (workers.rank, workers.size) == (rank, size)
    torch.save(work(workers, *arguments), Path(folder) / f"rank{rank}.pt")
    workers.wait()
    torch.distributed.destroy_process_group()
