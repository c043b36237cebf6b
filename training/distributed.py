"""Several processes as one: which share of the work is mine, and sums over all of them.

Gradients are SUMMED over processes and every loss is divided by global counts beforehand, so one
process and many give the same update. Started by `accelerate launch`; alone, everything is a no-op.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import gather_object

T = TypeVar("T")


class Workers:
    """The processes of this run."""

    def __init__(self, device: str = "auto") -> None:
        self._state = PartialState(cpu=device == "cpu" or not torch.cuda.is_available())
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

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Add up the gradients of all processes, in place; a missing gradient counts as zero."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                dist.all_reduce(parameter.grad)

    def wait(self) -> None:
        self._state.wait_for_everyone()

    def broadcast(self, value: Any) -> Any:
        """The main process's value on every process."""
        return value if self.size == 1 else self.gather([value])[0]
