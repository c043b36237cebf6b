"""Settings of measuring: metrics and sizes. Part of `config.py`."""

from dataclasses import dataclass, field
from enum import Enum

from ..agents.config import SamplingConfig
from .field_checks import require_at_least_zero, require_positive


class MetricKind(str, Enum):
    """Ways to count a success; each names its sampling and its number of turns."""

    success_within_turns = "success_within_turns"  # the study's: sampled, with feedback
    sampled_single = "sampled_single"  # the first of those attempts alone
    greedy_single = "greedy_single"  # one attempt, argmax

    @property
    def is_greedy(self) -> bool:
        return self is MetricKind.greedy_single


@dataclass(kw_only=True, slots=True)
class EvaluateConfig:
    """How policies are measured.

    episodes, final_episodes: per cell and metric, at a milestone and at the end.
    max_new_tokens: of one answer.
    metrics: success_within_turns (the study's: in max_turns sampled attempts), sampled_single and
        greedy_single (in one attempt).
    temperature, top_p: of the sampled metrics (the study's evaluator uses the checkpoint's
        defaults; for Llama these).
    milestones: evaluations along each arm; the last one is final and uses `final_episodes`.
    samples: attempts at each task under the sampled metrics, each with its own random numbers, for
        pass@k; the task is dealt anew and the same.
    batch_episodes: played at once, and kept at once: what a killed `cardinal eval` may lose.
    database: file of the results that `cardinal eval` keeps; null: results.sqlite in output_dir.
    """

    episodes: int = 256
    final_episodes: int = 768
    milestones: int = 4
    samples: int = 1
    temperature: float = 0.6
    top_p: float = 0.9
    max_new_tokens: int = 64
    metrics: list[MetricKind] = field(default_factory=lambda: list(MetricKind))
    seed: int = 1_000_000  # of the evaluation hands; the same for every policy and arm
    batch_episodes: int = 256
    sample_episodes: int = 12  # kept with pictures per cell, for the report's browser
    database: str | None = None

    def __post_init__(self) -> None:
        require_positive(self, "episodes", "final_episodes", "milestones", "max_new_tokens")
        require_positive(self, "temperature", "batch_episodes", "samples")
        require_at_least_zero(self, "sample_episodes", "seed")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1]; got {self.top_p}")
        if not self.metrics:
            raise ValueError("metrics must name at least one metric; got none")

    def sampling(self, greedy: bool) -> SamplingConfig:
        """How the answers of a rollout are drawn."""
        return SamplingConfig(
            temperature=self.temperature,
            top_p=self.top_p,
            greedy=greedy,
            max_new_tokens=self.max_new_tokens,
        )

    def places(self, num_episodes: int, greedy: bool) -> list[tuple[int, int]]:
        """Number and sample of every episode of a rollout; argmax answers in one way only."""
        samples = 1 if greedy else self.samples
        return [(number, sample) for number in range(num_episodes) for sample in range(samples)]
