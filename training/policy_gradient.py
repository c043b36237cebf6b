"""Multi-turn GRPO: one update, from tasks to gradients.

    groups of G episodes on one reset seed -> returns -> advantages within the group
    -> rows (ids as sampled, mask from lengths) -> clipped surrogate -> one optimizer step

Source: DeepSeekMath (arXiv 2402.03300), with the choices of Dr. GRPO (arXiv 2503.20783: no division
by the group's deviation) and DAPO (arXiv 2503.14476: token mean, asymmetric clip, no KL) as
defaults. Departures: groups without variance are dropped before the forward pass and counted; with
one update per rollout the old log-probabilities are the detached present ones (exactly r = 1) and
the sampler's are only compared with them (`sampler_gap/mean`); credit may go by turn, so that a
first answer is not blamed for the ones that follow it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from ..agents.config import SamplingConfig
from ..agents.policy import Policy
from ..agents.policy_agent import PolicyAgent
from ..agents.rollout import rollout
from ..agents.rows import collate
from ..agents.scoring import token_logprobs
from ..agents.types import Episode
from .batch import WeightedRow, column, micro_batches, padded
from .config import GrpoConfig
from .grpo_rows import advantages_by_turn, played, rollout_sums, rows_with_signal
from .loop import Metrics, TrainState
from .losses import Totals, aggregate, kl_penalty, policy_loss
from .rollout_progress import RolloutProgress
from .sampler import task_seed


@dataclass(slots=True)
class _Sums:
    """Token sums over the micro-batches of one process."""

    loss: float = 0.0
    clipped: float = 0.0
    kl: float = 0.0
    entropy: float = 0.0
    gap: float = 0.0
    trained: float = 0.0
    ratio_max: float = 1.0
    updates: int = 0
    skipped: float = 0.0


@dataclass(slots=True)
class _Rollout:
    """What one rollout leaves for its updates. `old`: log-probabilities by row index. [T] each"""

    rows: list[WeightedRow]
    totals: Totals
    old: dict[int, Tensor] = field(default_factory=dict)


class GrpoStage:
    """The GRPO arm. `reference` is needed when `kl_coef` is positive."""

    name = "grpo"
    head: nn.Module | None = None

    def __init__(
        self,
        config: GrpoConfig,
        make_env: Callable[[], gym.Env],
        policy: Policy,
        *,
        run_seed: int,
        reference: Policy | None = None,
    ) -> None:
        if config.kl_coef > 0 and reference is None:
            raise ValueError("kl_coef > 0 needs a reference policy; got None")
        self.budget, self.optim = config.budget, config.optim
        self._config = config
        self._make_env = make_env
        self._run_seed = run_seed
        self._reference = reference
        sampling = SamplingConfig(
            temperature=config.temperature, max_new_tokens=config.max_new_tokens
        )
        self._agent = PolicyAgent(policy, sampling)
        self._envs: list[gym.Env] = []  # made once, used by every rollout

    def update(self, state: TrainState) -> Metrics:
        """Roll out `groups_per_step` groups over all processes and train on them."""
        episodes = self._rollout(state)
        advantages = advantages_by_turn(episodes, self._config)
        rollout_metrics = self._describe(episodes, advantages, state)
        batch = self._rows(episodes, advantages, state)
        if batch.totals.tokens == 0:  # nothing to learn: momentum and decay may not move weights
            return rollout_metrics
        if self._config.epochs * self._config.minibatches > 1:
            self._remember_old(state, batch)
        sums, metrics = _Sums(), {}
        for epoch in range(self._config.epochs):
            for part in self._minibatches(batch, epoch, state):
                metrics = self._train(state, part, sums)
        return {**rollout_metrics, **metrics, **self._reduce(sums, state)}

    def _rollout(self, state: TrainState) -> list[Episode]:
        config = self._config
        first = state.step * config.groups_per_step
        groups = state.workers.share(range(first, first + config.groups_per_step))
        places = [(group, member) for group in groups for member in range(config.group_size)]
        progress = RolloutProgress(lambda quantity: state.tell(self.name, quantity))
        self._agent.on_tokens = progress.tokens
        return rollout(
            self._make_env,
            self._agent,
            [task_seed(self._run_seed, "grpo", group) for group, _ in places],
            groups=[group for group, _ in places],
            members=[member for _, member in places],
            run_seed=self._run_seed,
            step=state.step,
            on_progress=progress.episodes,
            pool=self._envs,
        )

    def _rows(
        self, episodes: Sequence[Episode], advantages: Sequence[np.ndarray], state: TrainState
    ) -> _Rollout:
        """Rows with a signal, and the global counts that the loss is divided by."""
        offset = state.workers.rank * 1_000_000  # an index names a row on all processes together
        rows = rows_with_signal(episodes, advantages, state.policy, first_index=offset)
        counts = state.workers.sum(
            {
                "rows": sum(row.weight for row in rows),
                "sampled": sum(row.num_sampled for row in rows),
                "trained": sum(row.num_tokens for row in rows),
                **played(episodes),
            }
        )
        state.ledger.add(
            train_tokens=int(counts["trained"]) * self._config.epochs,
            **{name: int(counts[name]) for name in played(())},
        )
        totals = Totals(
            tokens=counts["sampled"], rows=counts["rows"], max_tokens=self._config.max_new_tokens
        )
        return _Rollout(rows=rows, totals=totals)

    def _minibatches(self, batch: _Rollout, epoch: int, state: TrainState) -> list[_Rollout]:
        """Split a pass over the rollout into updates; the order is keyed by (seed, step, epoch).

        The rows of all processes are permuted together: how many there are makes no difference.
        """
        count = self._config.minibatches
        if count == 1:
            return [batch]
        sizes = state.workers.gather([len(batch.rows)])
        first = sum(sizes[: state.workers.rank])
        order = np.random.default_rng([self._run_seed, state.step, epoch]).permutation(sum(sizes))
        parts = []
        for chosen in np.array_split(order, count):
            rows = [batch.rows[i - first] for i in chosen if 0 <= i - first < len(batch.rows)]
            sums = state.workers.sum(
                {
                    "tokens": sum(row.num_sampled for row in rows),
                    "rows": sum(row.weight for row in rows),
                }
            )
            totals = Totals(
                tokens=sums["tokens"], rows=sums["rows"], max_tokens=batch.totals.max_tokens
            )
            if totals.tokens > 0:  # fewer rows than updates: momentum alone must move nothing
                parts.append(_Rollout(rows=rows, totals=totals, old=batch.old))
        return parts

    def _train(self, state: TrainState, batch: _Rollout, sums: _Sums) -> Metrics:
        for rows in micro_batches(batch.rows, self.optim.micro_batch_tokens):
            self._backward(state, rows, batch, sums)
        metrics = state.apply_gradients()
        sums.updates += 1
        sums.skipped += metrics["updates/skipped"]
        return metrics

    def _remember_old(self, state: TrainState, batch: _Rollout) -> None:
        """Fix the log-probabilities that ratios are taken against, before the first update."""
        for rows in micro_batches(batch.rows, self.optim.micro_batch_tokens):
            packed = collate(state.policy, [row.row for row in rows])
            with torch.no_grad():
                logp = token_logprobs(state.policy, packed, self._config.temperature)
            for row, values in zip(rows, logp, strict=True):
                batch.old[row.index] = values[: row.num_tokens]

    def _backward(
        self, state: TrainState, rows: Sequence[WeightedRow], rollout: _Rollout, sums: _Sums
    ) -> None:
        config = self._config
        batch = collate(state.policy, [row.row for row in rows])
        logp = token_logprobs(state.policy, batch, config.temperature)  # [B, T]
        old = logp.detach()
        if rollout.old:
            old = padded([rollout.old[row.index] for row in rows], logp)
        surrogate, metrics = policy_loss(
            logp,
            old,
            padded([row.advantages for row in rows], logp),
            batch.mask,
            clip_low=config.clip_low,
            clip_high=config.clip_high,
        )
        if config.kl_coef > 0 and self._reference is not None:
            with torch.no_grad():
                ref = token_logprobs(self._reference, batch, config.temperature)
            penalty = kl_penalty(logp, ref, old, config.kl_kind)
            surrogate = surrogate + config.kl_coef * penalty
            sums.kl += float((penalty * batch.mask).sum().detach())
        weight = column([row.weight for row in rows], logp.device)[:, 0]
        loss = aggregate(surrogate, batch.mask, weight, config.aggregation, rollout.totals)
        loss.backward()
        sums.loss += float(loss.detach())
        sums.clipped += float(metrics["clip_fraction"])
        sums.ratio_max = max(sums.ratio_max, float(metrics["ratio/max"]))
        sums.entropy -= float((logp * batch.mask).sum().detach())
        sums.gap += float(((old - batch.logprobs).abs() * batch.mask).sum())
        sums.trained += float(batch.mask.sum())

    def _reduce(self, sums: _Sums, state: TrainState) -> Metrics:
        total = state.workers.sum(
            {
                "loss": sums.loss,
                "clipped": sums.clipped,
                "kl": sums.kl,
                "entropy": sums.entropy,
                "gap": sums.gap,
                "trained": sums.trained,
            }
        )
        tokens = max(total["trained"], 1.0)
        metrics = {
            "loss": total["loss"] / max(sums.updates, 1),
            "updates/skipped": sums.skipped,
            "clip_fraction": total["clipped"] / tokens,
            "entropy": total["entropy"] / tokens,
            "sampler_gap/mean": total["gap"] / tokens,
            "ratio/max": max(state.workers.gather([sums.ratio_max])),
        }
        return {**metrics, "kl": total["kl"] / tokens} if self._config.kl_coef > 0 else metrics

    def _describe(
        self, episodes: Sequence[Episode], advantages: Sequence[np.ndarray], state: TrainState
    ) -> Metrics:
        """Means over all episodes of the step, whichever process played them."""
        total = state.workers.sum(rollout_sums(episodes, advantages))
        count = max(total.pop("n"), 1.0)
        silent = total.pop("groups/zero_variance")
        means = {name: value / count for name, value in sorted(total.items())}
        groups = self._config.groups_per_step
        return {**means, "groups/zero_variance": silent, "groups/total": float(groups)}
