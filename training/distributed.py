"""Several processes as one: which share of the work is mine, and sums over all of them.

Gradients are SUMMED over processes and every loss is divided by global counts beforehand, so one
process and many give the same update. Started by `accelerate launch`; alone, everything is a no-op.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import gather_object
from torch.distributed.tensor import DTensor

T = TypeVar("T")

BUCKET_BYTES = 1 << 26  # gradients that are summed at a time


class Workers:
    """The processes of this run.

    timeout_s: how long one may wait for the others in an exchange.
    """

    def __init__(self, device: str = "auto", *, timeout_s: float = 7200.0) -> None:
        self._state = PartialState(
            cpu=device == "cpu" or not torch.cuda.is_available(),
            timeout=timedelta(seconds=timeout_s),
        )
        self.rank: int = self._state.process_index
        self.size: int = self._state.num_processes
        self.device: torch.device = self._state.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def share(self, items: Sequence[T]) -> list[T]:
        """My part of the items: contiguous, sizes differing by at most one, in rank order."""
        start = len(items) * self.rank // self.size
        return list(items[start : len(items) * (self.rank + 1) // self.size])

    def gather(self, items: list[T]) -> list[T]:
        """Everybody's items in rank order, on every process."""
        return items if self.size == 1 else list(gather_object(items))

    def sum(self, values: Mapping[str, float]) -> dict[str, float]:
        """Key-wise sums over processes; keys may differ between them."""
        if self.size == 1:
            return dict(values)
        total: dict[str, float] = {}
        for part in self.gather([dict(values)]):
            for key, value in part.items():
                total[key] = total.get(key, 0.0) + value
        return total

    def any(self, holds: bool) -> bool:
        """Whether it holds in any process."""
        if self.size == 1:
            return holds
        told = torch.tensor(float(holds), device=self.device)
        dist.all_reduce(told, op=dist.ReduceOp.MAX)
        return bool(told > 0)

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Add up the gradients of all processes, in place; a missing gradient counts as zero.

        Those of sharded parameters have been added up in the backward pass.
        """
        if self.size == 1:
            return
        bucket: list[torch.Tensor] = []
        for parameter in parameters:
            if not parameter.requires_grad or isinstance(parameter, DTensor):
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradient = parameter.grad
            full = sum(each.nbytes for each in bucket) + gradient.nbytes > BUCKET_BYTES
            if bucket and (full or bucket[0].dtype is not gradient.dtype):
                _sum_in_place(bucket)
                bucket = []
            bucket.append(gradient)
        if bucket:
            _sum_in_place(bucket)

    def wait(self) -> None:
        self._state.wait_for_everyone()

    def broadcast(self, value: Any) -> Any:
        """The main process's value on every process."""
        return value if self.size == 1 else self.gather([value])[0]


def _sum_in_place(tensors: Sequence[torch.Tensor]) -> None:
    """All-reduce tensors of one dtype in one exchange: many small ones would cost latency."""
    if len(tensors) == 1:
        dist.all_reduce(tensors[0])
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    start = 0
    for tensor in tensors:
        tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()
