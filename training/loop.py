"""The training loop that every stage shares: resume, update, log, checkpoint, measure.

A stage only says what one update is. The loop stops at the stage's budget, saves a checkpoint every
few steps and at every milestone, and, started again in the same folder, goes on from the newest
sound checkpoint so that the result is the same, bit for bit on a CPU, as without the interruption:
every random draw is either keyed by (seed, step, …) or part of the checkpoint. Checkpoints lie
between steps; a stage that makes many updates of one rollout may ask for more of them in between,
which then hold the rollout (`TrainState.updated`).
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from ..agents.policy import Policy
from .bad_updates import FOLDER, keep_for_study
from .batch import WeightedRow
from .config import BudgetConfig, OptimConfig, Schedule
from .deepspeed_zero import Zero
from .distributed import Workers
from .distributed_config import STAGES, DistributedConfig
from .exact_adamw import ExactAdamW, is_coarse
from .metrics import Ledger
from .progress import ProgressReporter
from .rng import seed_rng
from .saving import resume, save
from .step_logs import StepLogs

logger = logging.getLogger(__name__)

Metrics = dict[str, float]


class TrainingDiverged(ValueError):
    """Too many non-finite updates in a row; the message says what to turn down."""


class Stage(Protocol):
    """One kind of training: what an update is, and how long it goes on."""

    name: str
    budget: BudgetConfig
    optim: OptimConfig

    @property
    def head(self) -> nn.Module | None:
        """Modules beside the policy, saved in its checkpoints and trained where they can be."""

    def update(self, state: "TrainState") -> Metrics:
        """Do step `state.step`: gradients, `state.apply_gradients`, counts in the ledger."""
        ...


@dataclass(slots=True)
class TrainState:
    """What changes during training, all of it in the checkpoint."""

    policy: Policy
    optimizer: torch.optim.Optimizer | ExactAdamW
    optim: OptimConfig
    budget: BudgetConfig
    workers: Workers
    ledger: Ledger
    step: int = 0
    bad_updates: int = 0
    milestones_done: int = 0
    parameters: list[torch.nn.Parameter] = field(default_factory=list)
    unfinished: dict[str, Any] | None = None  # of a resumed step: what its stage has left to do
    zero: Zero | None = None  # DeepSpeed's engine, where it exchanges gradients and steps
    # Set by `train`, in no checkpoint:
    reporter: ProgressReporter | None = None
    folder: Path | None = None  # where batches of bad updates are kept
    updated: Callable[[int, Callable[[], dict[str, Any]]], None] | None = None

    @classmethod
    def create(
        cls,
        policy: Policy,
        optim: OptimConfig,
        budget: BudgetConfig,
        workers: Workers,
        parameters: Sequence[torch.nn.Parameter] | None = None,
    ) -> "TrainState":
        """A fresh state: AdamW over `parameters`, by default all trainable ones of the policy."""
        if budget.steps is None and budget.tflops is None:
            raise ValueError("budget must give steps or tflops; got neither")
        if parameters is None:
            parameters = [p for p in policy.model.parameters() if p.requires_grad]
        ledger = Ledger(num_parameters=policy.num_parameters)
        optimizer = adamw(parameters, optim)
        return cls(policy, optimizer, optim, budget, workers, ledger, parameters=list(parameters))

    def hand_over(self, stage: Stage, distributed: DistributedConfig) -> None:
        """Let DeepSpeed exchange and step, where that is how the run is split."""
        if distributed.sharding in STAGES:
            self.zero = Zero(
                self.policy, stage.head, self.parameters, self.optim, self.workers, distributed
            )
            self.optimizer = self.zero.optimizer

    @property
    def spent(self) -> float:
        """The fraction of the budget that is used up, whichever limit is nearer."""
        steps, tflops = self.budget.steps, self.budget.tflops
        by_steps = self.step / steps if steps is not None else 0.0
        by_flops = self.ledger.flops() / (tflops * 1e12) if tflops is not None else 0.0
        return max(by_steps, by_flops)

    def tell(self, stage: str, quantity: str) -> None:
        """Show what a long step is doing, in the place of the last step's metrics."""
        if self.reporter is not None:
            done = min(self.spent, 1.0)
            self.reporter.update(stage=stage, step=self.step, done=done, quantity=quantity)

    def learning_rate(self) -> float:
        """Linear warm-up in steps, then the schedule over the spent fraction of the budget."""
        warm = min(1.0, (self.step + 1) / max(self.optim.warmup_steps, 1))
        floor, spent = self.optim.final_lr_fraction, min(self.spent, 1.0)
        left = {
            Schedule.constant: 1.0,
            Schedule.linear: 1.0 - spent * (1.0 - floor),
            Schedule.cosine: floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * spent)),
        }[self.optim.schedule]
        return self.optim.lr * warm * left

    def apply_gradients(self, loss: float = 0.0, rows: Sequence[WeightedRow] = ()) -> Metrics:
        """Sum gradients over processes, clip, step; what is not finite is skipped and counted.

        loss, rows: of this process, to judge the update by and to keep if it is bad.
        Raises TrainingDiverged after `max_bad_updates` bad ones in a row. Every process sees the
        same summed gradient and is told of a bad loss anywhere, so all of them agree.
        """
        bad_loss = not math.isfinite(loss)
        bad_somewhere = self.workers.any(bad_loss)
        learning_rate = self.learning_rate()
        step = self._step if self.zero is None else self.zero.step
        norm = step(learning_rate, refused=bad_somewhere)
        finite = math.isfinite(norm) and not bad_somewhere
        if finite:
            self.bad_updates = 0
            self.ledger.updates += 1
        else:
            self.bad_updates += 1
            if bad_loss or not bad_somewhere:
                self._keep(rows, loss, learning_rate)
        if self.bad_updates >= self.optim.max_bad_updates:
            kept = f"; their batches are in {self.folder / FOLDER}" if self.folder else ""
            raise TrainingDiverged(
                f"training stopped at step {self.step}: {self.bad_updates} non-finite updates in a "
                f"row; turn the learning rate down, or use float32{kept}"
            )
        shown = norm if finite else 0.0
        return {"grad_norm": shown, "lr": learning_rate, "updates/skipped": float(not finite)}

    def backward(self, loss: torch.Tensor) -> None:
        """Add a micro-batch's gradient; its loss is divided by counts of all processes."""
        if self.zero is None:
            loss.backward()
        else:
            self.zero.backward(loss)

    def _step(self, learning_rate: float, *, refused: bool) -> float:
        """One update, unless it is refused or its gradient is not finite; the gradient's norm."""
        self.workers.sum_gradients(self.parameters)
        norm = gradient_norm(self.parameters)
        if math.isfinite(norm) and not refused:
            most = self.optim.max_grad_norm
            nn.utils.clip_grads_with_norm_(self.parameters, most, torch.tensor(norm))
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _keep(self, rows: Sequence[WeightedRow], loss: float, learning_rate: float) -> None:
        if self.folder is not None and rows:
            keep_for_study(
                self.folder,
                rows,
                step=self.step,
                update=self.ledger.updates + self.bad_updates - 1,
                process=self.workers.rank,
                loss=loss,
                learning_rate=learning_rate,
            )


def adamw(
    parameters: Sequence[torch.nn.Parameter], optim: OptimConfig
) -> torch.optim.Optimizer | ExactAdamW:
    """AdamW over `parameters`; of 16 bits it steps copies of 32."""
    kind = ExactAdamW if any(map(is_coarse, parameters)) else torch.optim.AdamW
    return kind(
        parameters,
        lr=optim.lr,
        betas=(optim.betas[0], optim.betas[1]),
        eps=optim.eps,
        weight_decay=optim.weight_decay,
        fused=True,
    )


def trained_parameters(policy: Policy, stage: Stage) -> list[torch.nn.Parameter]:
    """The policy's trainable parameters, then those of the stage's head."""
    modules = [policy.model, *([stage.head] if stage.head is not None else [])]
    return [p for module in modules for p in module.parameters() if p.requires_grad]


def gradient_norm(parameters: Sequence[torch.nn.Parameter]) -> float:
    """The norm of the whole gradient; of a sharded one that of all processes together."""
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


Milestone = Callable[[TrainState, int], None]
OnMetrics = Callable[[int, Mapping[str, float]], None]


def train(
    stage: Stage,
    state: TrainState,
    folder: Path,
    *,
    checkpoint_every: int,
    keep_checkpoints: int,
    checkpoint_updates: int | None = None,
    num_milestones: int = 0,
    on_milestone: Milestone | None = None,
    on_metrics: OnMetrics | None = None,
    reporter: ProgressReporter | None = None,
    seed: int = 0,
) -> TrainState:
    """Train until the budget is spent; resume from `folder` if it holds a checkpoint.

    folder: receives `metrics.jsonl` (deterministic), `timings.jsonl`, `checkpoints/`, and
        `bad_updates/` if there are any.
    checkpoint_updates: save also after so many updates within a step; None: only between steps.
    on_milestone(state, k): called when the k-th of `num_milestones` equal parts of the budget has
        been spent, after the checkpoint; called again on resume if it did not finish.
    on_metrics: told every step's metrics and what has been spent by then (`Ledger.as_metrics`).
    seed: of the global random numbers, which only models with dropout draw from.
    """
    seed_rng(seed)  # a checkpoint holds them: two runs of one command must not differ in it
    state.reporter, state.folder = reporter, folder
    logs = StepLogs.open(folder) if state.workers.is_main else None
    metrics_log = logs.metrics if logs is not None else None
    resume(stage, state, folder, metrics_log, keep=keep_checkpoints)

    def updated(count: int, left: Callable[[], dict[str, Any]]) -> None:
        if checkpoint_updates is not None and count % checkpoint_updates == 0:
            save(
                stage, state, folder, metrics_log, keep=keep_checkpoints, update=count,
                unfinished=left(),
            )  # fmt: skip

    state.updated = updated
    _reach_milestones(state, num_milestones, on_milestone)
    while state.spent < 1.0:
        start_s, start_cpu_s = time.monotonic(), time.process_time()
        before = state.ledger.num_tokens
        metrics = stage.update(state)
        cpu_s = time.process_time() - start_cpu_s
        state.step += 1
        state.ledger.cpu_s += cpu_s
        if logs is not None:
            values = {**metrics, **state.ledger.as_metrics()}
            num_tokens = state.ledger.num_tokens - before
            wall_s = time.monotonic() - start_s
            logs.write(state.step, values, wall_s=wall_s, cpu_s=cpu_s, num_tokens=num_tokens)
            if on_metrics is not None:
                on_metrics(state.step, values)
        if reporter is not None:
            shown: dict[str, Any] = dict(metrics)
            reporter.update(stage=stage.name, done=min(state.spent, 1.0), step=state.step, **shown)
        due = _milestones_due(state, num_milestones) > state.milestones_done
        if due or state.step % checkpoint_every == 0 or state.spent >= 1.0:
            save(stage, state, folder, metrics_log, keep=keep_checkpoints)
        _reach_milestones(state, num_milestones, on_milestone)
    return state


def _milestones_due(state: TrainState, count: int) -> int:
    return min(count, int(state.spent * count + 1e-9))


def _reach_milestones(state: TrainState, count: int, reach: Milestone | None) -> None:
    while state.milestones_done < _milestones_due(state, count):
        if reach is not None:
            reach(state, state.milestones_done + 1)
        state.milestones_done += 1
