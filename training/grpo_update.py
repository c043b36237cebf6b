"""The updates of one rollout: forward and backward passes over its rows, and what is logged.

With one update per rollout the old log-probabilities are the detached present ones (exactly r = 1);
with several they are fixed before the first, and so are a critic's values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..agents.policy import Policy
from ..agents.rows import Batch, collate
from ..agents.scoring import batch_states, states_logprobs, token_logprobs
from .batch import WeightedRow, column, padded
from .critic import ValueHead, token_values
from .grpo_config import GrpoConfig, KLPlace
from .loop import Metrics, TrainState
from .losses import Totals
from .objective import Fit, Scored, objective
from .optim_config import OptimConfig
from .sharding import computing, even
from .shared_prompts import chosen_batches

if TYPE_CHECKING:
    from .distributed import Workers


@dataclass(frozen=True, slots=True)
class Models:
    """What is looked at beside the policy that is trained: a frozen reference, a value head."""

    reference: Policy | None = None
    head: ValueHead | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """Of each row, by its index, numbers per id that stay fixed during the updates. [T] each"""

    old: dict[int, Tensor] = field(default_factory=dict)
    reference: dict[int, Tensor] = field(default_factory=dict)
    values: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainRows:
    """The rows of one or several updates of this process, and the counts of all processes."""

    rows: list[WeightedRow]
    totals: Totals
    measured: Measured


@dataclass(slots=True)
class UpdateSums:
    """Sums over the micro-batches of one process; `largest`: what is a maximum instead."""

    sums: dict[str, float] = field(default_factory=dict)
    largest: dict[str, float] = field(
        default_factory=lambda: {"ratio/max": 1.0, "sampler_gap/max": 0.0}
    )
    updates: int = 0
    skipped: float = 0.0

    def add(self, found: dict[str, float]) -> None:
        for name, value in found.items():
            if name in self.largest:
                self.largest[name] = max(self.largest[name], value)
            else:
                self.sums[name] = self.sums.get(name, 0.0) + value


def count_totals(
    rows: Sequence[WeightedRow], max_tokens: int, workers: "Workers", **counts: float
) -> tuple[Totals, dict[str, float]]:
    """The denominators of an update over all processes, and the sums of further counts."""
    found = workers.sum(
        {
            "rows": sum(row.weight for row in rows),
            "sampled": sum(row.num_sampled for row in rows),
            "targets": sum(row.num_targets for row in rows),
            **counts,
        }
    )
    totals = Totals(
        tokens=found["sampled"],
        rows=found["rows"],
        max_tokens=max_tokens,
        targets=found["targets"],
    )
    return totals, found


def measure(
    rows: Sequence[WeightedRow],
    policy: Policy,
    config: GrpoConfig,
    models: Models,
    workers: "Workers",
    *,
    reference: bool = False,
) -> Measured:
    """What the updates hold fixed, without gradients: where there are several, log-probabilities
    before the first; with a critic, values; on demand, the reference's log-probabilities.
    """
    found = Measured()
    several = config.epochs * config.minibatches > 1
    parts, share = _in_step(rows, config.optim, workers, policy)
    for part, counts in parts:
        packed = collate(policy, [row.row for row in part], share_prompts=share)
        grids: list[tuple[dict[int, Tensor], Tensor]] = []
        with torch.no_grad():
            if several or models.head is not None:
                logp, _, values = _forward(policy, packed, config, models.head)
                grids.append((found.old, logp))
                if values is not None:
                    grids.append((found.values, values))
            if reference and models.reference is not None:
                grids.append((found.reference, _reference(models.reference, packed, config)))
        for store, grid in grids if counts else ():
            for row, numbers in zip(part, grid, strict=True):
                store[row.index] = numbers[: row.num_tokens]
    return found


def minibatches(
    batch: TrainRows, config: GrpoConfig, state: TrainState, *, run_seed: int, epoch: int
) -> list[TrainRows]:
    """Split a pass over the rollout into updates; the order is keyed by (seed, step, epoch).

    The rows of all processes are permuted together: how many there are makes no difference.
    """
    count = config.minibatches
    if count == 1:
        return [batch]
    sizes = state.workers.gather([len(batch.rows)])
    first = sum(sizes[: state.workers.rank])
    order = np.random.default_rng([run_seed, state.step, epoch]).permutation(sum(sizes))
    parts = []
    for chosen in np.array_split(order, count):
        rows = [batch.rows[i - first] for i in chosen if 0 <= i - first < len(batch.rows)]
        totals, _ = count_totals(rows, batch.totals.max_tokens, state.workers)
        if totals.tokens > 0:  # fewer rows than updates: momentum alone must move nothing
            parts.append(TrainRows(rows=rows, totals=totals, measured=batch.measured))
    return parts


def train_on(
    batch: TrainRows, config: GrpoConfig, state: TrainState, models: Models, sums: UpdateSums
) -> Metrics:
    """One update: gradients over all micro-batches, one optimizer step."""
    seen = 0.0  # the loss of this process's rows
    parts, share = _in_step(batch.rows, config.optim, state.workers, state.policy)
    for rows, counts in parts:
        fixed = batch if counts else replace(batch, measured=_blank(rows))
        packed = collate(state.policy, [row.row for row in rows], share_prompts=share)
        scored = _score(rows, packed, fixed, config, state.policy, models)
        loss, found = objective(scored, config, batch.totals)
        if not counts:
            state.backward(0.0 * loss)
            continue
        state.backward(loss)
        seen += found["loss"]
        sums.add(found)
    metrics = state.apply_gradients(seen, batch.rows)
    sums.updates += 1
    sums.skipped += metrics["updates/skipped"]
    return metrics


def update_metrics(sums: UpdateSums, workers: "Workers") -> Metrics:
    """Means over all trained tokens of all processes."""
    names = ("loss", "clipped", "ratio", "entropy", "gap", "trained")
    total = workers.sum({**dict.fromkeys(names, 0.0), **sums.sums})
    tokens = max(total["trained"], 1.0)
    metrics = {
        "loss": total["loss"] / max(sums.updates, 1),
        "updates/skipped": sums.skipped,
        "clip_fraction": total["clipped"] / tokens,
        "entropy": total["entropy"] / tokens,
        "sampler_gap/mean": total["gap"] / tokens,
        "ratio/mean": total["ratio"] / tokens,
        **greatest(workers.gather([sums.largest])),
    }
    if "kl" in total:
        metrics["kl"] = total["kl"] / tokens
    if "sampler_weight" in total:
        metrics["sampler_weight/mean"] = total["sampler_weight"] / tokens
    if "value_loss" in total:
        metrics["value/loss"] = total["value_loss"] / max(total["targets"], 1.0)
    return metrics


def greatest(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Name by name the largest number of all parts, which have the same names."""
    return {name: max(part[name] for part in parts) for name in parts[0]}


def _in_step(
    rows: Sequence[WeightedRow], optim: OptimConfig, workers: "Workers", policy: Policy
) -> tuple[list[tuple[list[WeightedRow], bool]], bool]:
    """Micro-batches, whether each counts (`sharding.even`), and whether prompts are shared."""
    parts, share = chosen_batches(rows, optim, policy)
    return even(parts, workers, policy.model), share


def _blank(rows: Sequence[WeightedRow]) -> Measured:
    """Numbers for rows that another process has measured and that do not count here."""
    zeros = {row.index: torch.zeros(row.num_tokens) for row in rows}
    return Measured(old=zeros, values=zeros)


def _score(
    rows: Sequence[WeightedRow],
    packed: Batch,
    batch: TrainRows,
    config: GrpoConfig,
    policy: Policy,
    models: Models,
) -> Scored:
    """The forward passes of one micro-batch, and its fixed numbers padded to it."""
    logp, entropy, values = _forward(policy, packed, config, models.head)  # [B, T]
    fixed = batch.measured
    reference = None
    if models.reference is not None and config.kl_coef > 0 and config.kl_in is KLPlace.loss:
        with torch.no_grad():
            reference = _reference(models.reference, packed, config)
    old = logp.detach()
    if fixed.old and config.epochs * config.minibatches > 1:
        old = padded([fixed.old[row.index] for row in rows], logp)
    fit = None
    if values is not None:
        fit = Fit(
            values=values,
            old=padded([fixed.values[row.index] for row in rows], values),
            targets=padded([row.targets for row in rows], values),
            mask=padded([row.is_target for row in rows], values),
        )
    return Scored(
        logp=logp,
        old=old,
        sampler=packed.logprobs,
        advantages=padded([row.advantages for row in rows], logp),
        mask=packed.mask,
        turns=padded([row.turns for row in rows], logp),
        row_weight=column([row.weight for row in rows], logp.device)[:, 0],
        entropy=entropy,
        reference=reference,
        fit=fit,
    )


def _forward(
    policy: Policy, batch: Batch, config: GrpoConfig, head: ValueHead | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Log-probabilities, entropies where needed, and a critic's values. [B, T] each"""

    def compute() -> tuple[Tensor, Tensor | None, Tensor | None]:
        if head is not None:
            states = batch_states(policy, batch)
            logp, entropy = states_logprobs(policy, batch, states, config.temperature)
            values = token_values(head, states, batch.mask, detach=config.critic.detach)
            return logp, entropy, values
        if config.entropy_coef > 0:
            logp, entropy = token_logprobs(policy, batch, config.temperature, with_entropy=True)
            return logp, entropy, None
        return token_logprobs(policy, batch, config.temperature), None, None

    return computing(policy, compute)


def _reference(reference: Policy, batch: Batch, config: GrpoConfig) -> Tensor:
    """The reference's log-probabilities. [B, T]"""
    return computing(reference, lambda: token_logprobs(reference, batch, config.temperature))
