"""Direct preference optimisation: of two answers to one prompt the right one is to gain.

    L = mean over pairs of -log sigma(beta [(l_w - f_w) - (l_r - f_r)])

l and f are log-probabilities of whole answers under the policy and under the reference, which is
the policy as it was at the start: its numbers are computed once, before the first update, and no
second model stays in memory. Source: Rafailov et al. 2023 (arXiv 2305.18290, section 4).
Departures: pairs come from a rule's verdicts instead of people; label smoothing is an option
(`losses.preference_loss`). As with the reference of a KL penalty, the compute of the one
pass for f is not in the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..agents.policy import Policy
from ..agents.rows import Row, collate
from ..agents.scoring import token_logprobs
from .batch import WeightedRow
from .config import BudgetConfig, OptimConfig
from .judging.config import DpoConfig
from .loop import Metrics, TrainState
from .losses import preference_loss
from .sampler import Passes


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt as rows whose masks cover the answers alone."""

    chosen: Row
    rejected: Row


class PreferenceStage:
    """DPO on a fixed list of pairs, passed over again and again in new orders.

    policy: as it is now it becomes the reference. Raises ValueError without pairs.
    """

    name = "dpo"
    head: nn.Module | None = None

    def __init__(
        self,
        policy: Policy,
        pairs: Sequence[Pair],
        config: DpoConfig,
        *,
        batch_size: int,
        budget: BudgetConfig,
        optim: OptimConfig,
        seed: int,
    ) -> None:
        """batch_size: pairs of a step, on all processes together. seed: of the orders."""
        if not pairs:
            raise ValueError(
                "dpo must have pairs of a right and a wrong answer to one task; got none: sample "
                "more answers to each task (verdicts.samples)"
            )
        self.budget, self.optim = budget, optim
        self._config, self._batch_size = config, batch_size
        self._pairs = list(pairs)
        self._passes = Passes(len(self._pairs), seed, "passes")
        self._reference = self._log_odds(policy)

    def update(self, state: TrainState) -> Metrics:
        """One step on the next `batch_size` pairs of all processes together."""
        first = state.step * self._batch_size
        places = range(first, first + self._batch_size)
        mine = [self._passes.position(index) for index in state.workers.share(places)]
        sums = {"loss": 0.0, "margin": 0.0, "right": 0.0}
        for part in _micro_batches(self._pairs, mine, self.optim.micro_batch_tokens):
            margin = self._margins(state.policy, part)  # [P]
            each = preference_loss(margin, self._config.beta, self._config.label_smoothing)
            loss = each.sum() / self._batch_size
            loss.backward()
            sums["loss"] += float(loss.detach())
            sums["margin"] += float(margin.detach().sum()) / self._batch_size
            sums["right"] += float((margin.detach() > 0).sum()) / self._batch_size
        rows = [row for place in mine for row in weighted(self._pairs[place])]
        metrics = state.apply_gradients(sums["loss"], rows)
        counts = state.workers.sum(
            {"tokens": sum(row.num_tokens for row in rows), "rows": len(rows), **sums}
        )
        state.ledger.add(train_tokens=int(counts["tokens"]), episodes=int(counts["rows"]))
        told = {"loss": counts["loss"], "dpo/margin": counts["margin"]}
        told["epoch"] = (first + self._batch_size) / len(self._pairs)
        return {**told, "dpo/accuracy": counts["right"], **metrics}

    def _margins(self, policy: Policy, places: Sequence[int]) -> Tensor:
        """By how much the policy prefers the chosen answers more than the reference does. [P]"""
        fixed = torch.tensor([self._reference[place] for place in places], device=policy.device)
        return log_odds(policy, [self._pairs[place] for place in places]) - fixed

    def _log_odds(self, policy: Policy) -> list[float]:
        """f_w - f_r of every pair."""
        found = [0.0] * len(self._pairs)
        every = range(len(self._pairs))
        with torch.no_grad():
            for part in _micro_batches(self._pairs, every, self.optim.micro_batch_tokens):
                values = log_odds(policy, [self._pairs[place] for place in part]).tolist()
                for place, value in zip(part, values, strict=True):
                    found[place] = value
        return found


def log_odds(policy: Policy, pairs: Sequence[Pair]) -> Tensor:
    """log pi(chosen) - log pi(rejected), each summed over its answer's tokens. fp32 [P]"""
    rows = [row for pair in pairs for row in (pair.chosen, pair.rejected)]
    total = token_logprobs(policy, collate(policy, rows)).sum(dim=1)  # [2 P]; 0 where mask is 0
    return total[0::2] - total[1::2]


def weighted(pair: Pair) -> list[WeightedRow]:
    """Both rows, to be counted and, where an update is bad, to be kept for study."""
    return [WeightedRow(row=pair.chosen), WeightedRow(row=pair.rejected)]


def _micro_batches(
    pairs: Sequence[Pair], places: Sequence[int], max_tokens: int
) -> list[list[int]]:
    """Places of pairs of like length together, at most `max_tokens` padded tokens each."""

    def length(place: int) -> int:
        return max(len(pairs[place].chosen.ids), len(pairs[place].rejected.ids))

    parts: list[list[int]] = []
    for place in sorted(places, key=lambda place: (length(place), place)):
        if parts and 2 * length(place) * (len(parts[-1]) + 1) <= max_tokens:
            parts[-1].append(place)
        else:
            parts.append([place])
    return parts
