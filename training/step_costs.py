"""What the parts of one step cost: seconds, and the memory's high-water mark.

They differ between repetitions, so the loop writes them to `timings.jsonl`, not to `metrics.jsonl`.
"""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

MIB = 2**20


@dataclass(slots=True)
class StepCosts:
    """Seconds by part of the step."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add what the block takes to `time/<name>`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def as_metrics(self) -> dict[str, float]:
        """`time/<part>` in seconds and `memory/peak_mib`."""
        parts = {f"time/{name}": seconds for name, seconds in self.seconds.items()}
        return {**parts, "memory/peak_mib": peak_memory(self.device) / MIB}


def peak_memory(device: torch.device) -> int:
    """The most bytes in use so far: of the accelerator, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
