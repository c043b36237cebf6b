"""Supervised fine-tuning on demonstrations: one clear update.

The loss is the negative log-likelihood of assistant tokens (the end token included), divided by a
count over the whole step, through the same `aggregate` as GRPO. The arm's data never repeat: step k
takes demonstrations k * B ... (k + 1) * B - 1 of an endless stream that is addressed by index, so
order, micro-batch size and number of processes do not change what is learnt from.

Source: *SFT Memorizes, RL Generalizes* (arXiv 2501.17161), section 4 (SFT on expert answers).
"""

from collections.abc import Sequence, Sized
from typing import Protocol

import torch
from torch import nn

from ..agents.rows import Row, collate
from ..agents.scoring import imitation_logprobs
from .batch import WeightedRow, column, micro_batches
from .config import Aggregation, BudgetConfig, OptimConfig
from .loop import Metrics, TrainState
from .losses import Totals, aggregate
from .sharding import computing, even


class Demonstrations(Protocol):
    """An endless stream of demonstrations, addressed by index; each is one row or several.

    One with a length passes over so many, again and again.
    """

    def rows(self, indices: Sequence[int]) -> list[Row]: ...


class SupervisedStage:
    """Pretraining, SFT warm-up and SFT: they differ in their demonstrations and budgets only."""

    head: nn.Module | None = None

    def __init__(
        self,
        name: str,
        demonstrations: Demonstrations,
        *,
        batch_size: int,
        budget: BudgetConfig,
        optim: OptimConfig,
        aggregation: Aggregation = Aggregation.token_mean,
    ) -> None:
        self.name = name
        self.budget = budget
        self.optim = optim
        self._demonstrations = demonstrations
        self._batch_size = batch_size
        self._aggregation = aggregation

    def update(self, state: TrainState) -> Metrics:
        """One step on the next `batch_size` demonstrations of all processes together."""
        first = state.step * self._batch_size
        mine = state.workers.share(range(first, first + self._batch_size))
        rows = [
            WeightedRow(row=row, index=index)
            for index, row in enumerate(self._demonstrations.rows(mine))
        ]
        counts = state.workers.sum(
            {
                "rows": len(rows),
                "sampled": sum(row.num_sampled for row in rows),
                "tokens": sum(row.num_tokens for row in rows),
            }
        )
        longest = max(state.workers.gather([max((row.num_sampled for row in rows), default=0)]))
        totals = Totals(tokens=counts["sampled"], rows=counts["rows"], max_tokens=longest)
        loss, hits = 0.0, 0.0
        parts = list(micro_batches(rows, self.optim.micro_batch_tokens))
        for batch, counts_too in even(parts, state.workers, state.policy.model):
            more = self._backward(state, batch, totals, share=float(counts_too))
            loss, hits = loss + more[0], hits + more[1]
        metrics = state.apply_gradients(loss, rows)
        state.ledger.add(train_tokens=int(counts["tokens"]), episodes=int(counts["rows"]))
        sums = state.workers.sum({"loss": loss, "hits": hits})
        told = {"loss": sums["loss"], "token_accuracy": sums["hits"] / max(totals.tokens, 1.0)}
        if isinstance(self._demonstrations, Sized):
            told["epoch"] = (first + self._batch_size) / len(self._demonstrations)
        return {**told, **metrics}

    def _backward(
        self, state: TrainState, rows: Sequence[WeightedRow], totals: Totals, share: float
    ) -> tuple[float, float]:
        """The loss, and how many tokens were the likeliest.

        share: 1, or 0 for rows that only keep the processes in step.
        """
        batch = collate(state.policy, [row.row for row in rows])
        logp, hits = computing(
            state.policy, lambda: imitation_logprobs(state.policy, batch)
        )  # [B, T] each
        weight = column([row.weight for row in rows], logp.device)[:, 0]
        loss = share * aggregate(-logp, batch.mask, weight, self._aggregation, totals)
        state.backward(loss)
        seen, right = torch.stack([loss.detach(), share * hits.sum()]).tolist()
        return seen, right
