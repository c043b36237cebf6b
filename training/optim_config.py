"""Settings that every kind of training shares: the optimizer and the budget. No torch here."""

from dataclasses import dataclass, field
from enum import Enum

from .field_checks import require_at_least_zero, require_positive


class Schedule(str, Enum):
    """Learning rate against the fraction of the budget that is spent."""

    constant = "constant"
    linear = "linear"
    cosine = "cosine"


@dataclass(kw_only=True, slots=True)
class OptimConfig:
    """AdamW with linear warm-up, a schedule over the budget, and clipping by the global norm."""

    lr: float = 1e-4
    schedule: Schedule = Schedule.constant
    warmup_steps: int = 10
    final_lr_fraction: float = 0.1  # of lr, where a schedule ends
    weight_decay: float = 0.0
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    eps: float = 1e-8
    max_grad_norm: float = 1.0
    micro_batch_tokens: int = 1024  # padded, per forward pass; small suits a CPU cache, large a GPU
    share_prompts: bool | None = False  # GRPO's rows that begin alike; null: where it costs less
    max_bad_updates: int = 5  # non-finite updates in a row before the run stops

    def __post_init__(self) -> None:
        require_positive(
            self, "lr", "eps", "max_grad_norm", "micro_batch_tokens", "max_bad_updates"
        )
        require_at_least_zero(self, "warmup_steps", "weight_decay")
        if not 0 <= self.final_lr_fraction <= 1:
            raise ValueError(
                f"final_lr_fraction must be between 0 and 1; got {self.final_lr_fraction}"
            )
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two numbers in [0, 1); got {self.betas}")


@dataclass(kw_only=True, slots=True)
class BudgetConfig:
    """Where a stage stops: at a number of steps, at a compute budget, or at whichever comes first.

    At least one must be given.

    tflops: by the study's formula, 6 N per trained and 2 N per token handled in rollouts.
    """

    steps: int | None = None
    tflops: float | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "tflops"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive or null; got {value}")
        if self.steps is None and self.tflops is None:
            raise ValueError("budget must give steps or tflops; got neither")
