"""What the main process writes of each step: `metrics.jsonl`, and apart from it `timings.jsonl`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .metrics import MetricsLog

COSTS = ("time/", "memory/")  # metrics that differ between repetitions


@dataclass(frozen=True, slots=True)
class StepLogs:
    """The log of numbers that a repetition reproduces, and that of times."""

    metrics: MetricsLog
    timings: MetricsLog

    @classmethod
    def open(cls, folder: Path) -> "StepLogs":
        return cls(MetricsLog(folder / "metrics.jsonl"), MetricsLog(folder / "timings.jsonl"))

    def write(
        self,
        step: int,
        values: Mapping[str, float],
        *,
        wall_s: float,
        cpu_s: float,
        num_tokens: int,
    ) -> None:
        """num_tokens: trained and sampled in this step, of all processes; 0: there is no rate."""
        costs = {name: value for name, value in values.items() if name.startswith(COSTS)}
        steady = {name: value for name, value in values.items() if name not in costs}
        if num_tokens:
            costs["tokens_per_s"] = num_tokens / max(wall_s, 1e-9)
        self.metrics.log({"kind": "train", "step": step, **steady})
        self.timings.log({"step": step, "wall_s": wall_s, "cpu_s": cpu_s, **costs})
