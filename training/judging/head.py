"""A reward model that classifies: a policy's body with a head on the state after the answer.

    score = sigmoid(h(state from which the answer's end token would be sampled))
    L = -log score if the answer is right, -log(1 - score) if not

Trained on the rule's verdicts, as many right as wrong. It reads the observation and the answer as
text, through its own chat template, so that it may have another tokenizer than the policy it pays.
Sources: verdicts instead of comparisons, as verifiers of answers that can be checked (Cobbe et al.
2021, arXiv 2110.14168, section 4.2, whose verifier is a body with a scalar head). Departure: one
score for the whole answer, at its end.

    <folder>/                       the body, as `save_pretrained` writes it, with its tokenizer
    <folder>/reward_model.json      kind, shape of the head, identity of the environment
    <folder>/reward_head.safetensors
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from ...agents.chat import encode_answer, encode_first
from ...agents.config import PolicyConfig
from ...agents.policy import Policy, load_policy
from ...agents.rows import Row, collate
from ...agents.scoring import batch_states
from ...envs.core import Observation
from ..batch import WeightedRow, micro_batches
from ..config import BudgetConfig, OptimConfig
from ..critic import ValueHead, value_head_of
from ..files import atomic_write_json
from ..loop import Metrics, TrainState
from ..sampler import Passes
from .config import RewardModelKind
from .verdicts import JudgedAnswer

ABOUT_NAME = "reward_model.json"
HEAD_NAME = "reward_head.safetensors"
SCORED_TOKENS = 1 << 14  # padded, in one forward pass without gradients


class HeadModel:
    """Scores answers with a classification head. flops: spent on scores so far, 2 N a token."""

    def __init__(self, policy: Policy, head: ValueHead) -> None:
        self.policy = policy
        self.head = head
        self.flops = 0

    def scores(self, asked: Sequence[tuple[Observation, str]]) -> np.ndarray:
        """The probability that each answer is right. float64 [N]"""
        rows = [
            WeightedRow(row=answer_row(self.policy, *each), index=index)
            for index, each in enumerate(asked)
        ]
        found = np.zeros(len(rows))
        with torch.no_grad():
            for part in micro_batches(rows, SCORED_TOKENS):
                logits = answer_logits(self.policy, self.head, [each.row for each in part])
                found[[each.index for each in part]] = logits.sigmoid().cpu().numpy()
        self.flops += 2 * self.policy.num_parameters * sum(row.num_tokens for row in rows)
        return found

    def save(self, folder: Path, about: dict[str, Any]) -> None:
        """about: kept in `reward_model.json`, beside the head's shape."""
        self.policy.save(folder)
        save_file(self.head.state_dict(), folder / HEAD_NAME)
        linear = [layer for layer in self.head.layers if isinstance(layer, nn.Linear)]
        sizes = [layer.out_features for layer in linear[:-1]]
        kind = RewardModelKind.head.value
        atomic_write_json(folder / ABOUT_NAME, {"kind": kind, "hidden_sizes": sizes, **about})


def load_head(folder: Path, policy: PolicyConfig) -> HeadModel:
    """What `save` wrote. policy: number format, device and kernels; its path is not looked at."""
    body = load_policy(replace(policy, path=str(folder)))
    about = json.loads((folder / ABOUT_NAME).read_text(encoding="utf-8"))
    head = value_head_of(body, about["hidden_sizes"], seed=0)
    head.load_state_dict(load_file(folder / HEAD_NAME))
    return HeadModel(body, head.eval())


class HeadStage:
    """Trains body and head on verdicts, passed over again and again in new orders."""

    name = "reward_model"

    def __init__(
        self,
        policy: Policy,
        verdicts: Sequence[JudgedAnswer],
        *,
        hidden_sizes: Sequence[int],
        batch_size: int,
        budget: BudgetConfig,
        optim: OptimConfig,
        seed: int,
    ) -> None:
        """policy: the body, trained in place. verdicts: balanced. seed: of the head and orders."""
        self.budget, self.optim = budget, optim
        self.head: ValueHead = value_head_of(policy, hidden_sizes, seed=seed)
        self._batch_size = batch_size
        self._rows = [answer_row(policy, each.observation, each.answer) for each in verdicts]
        self._labels = [float(each.success) for each in verdicts]
        self._passes = Passes(len(verdicts), seed, "passes")

    def update(self, state: TrainState) -> Metrics:
        """One step on the next `batch_size` verdicts of all processes together."""
        first = state.step * self._batch_size
        places = state.workers.share(range(first, first + self._batch_size))
        rows = [
            WeightedRow(row=self._rows[place], index=place)
            for place in map(self._passes.position, places)
        ]
        sums = {"loss": 0.0, "right": 0.0}
        for part in micro_batches(rows, self.optim.micro_batch_tokens):
            logits = answer_logits(state.policy, self.head, [each.row for each in part])  # [B]
            labels = torch.tensor([self._labels[each.index] for each in part], device=logits.device)
            loss = verdict_loss(logits, labels).sum() / self._batch_size
            loss.backward()
            sums["loss"] += float(loss.detach())
            same = (logits.detach() > 0) == (labels > 0.5)
            sums["right"] += float(same.sum()) / self._batch_size
        metrics = state.apply_gradients(sums["loss"], rows)
        counts = state.workers.sum(
            {"tokens": sum(row.num_tokens for row in rows), "rows": len(rows), **sums}
        )
        state.ledger.add(train_tokens=int(counts["tokens"]), episodes=int(counts["rows"]))
        return {"loss": counts["loss"], "judge/accuracy": counts["right"], **metrics}


def verdict_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """-log sigma(logit) of a right answer (label 1), -log sigma(-logit) of a wrong one. [B]"""
    return functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")


def answer_row(policy: Policy, observation: Observation, answer: str) -> Row:
    """The observation and the answer as the model reads them; the mask is 1 on the end token."""
    prompt = encode_first(policy, observation)
    answered = encode_answer(policy, answer)
    ids = [*prompt.ids, *answered]
    mask = [0] * (len(ids) - 1) + [1]
    return Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=prompt.images)


def answer_logits(policy: Policy, head: ValueHead, rows: Sequence[Row]) -> Tensor:
    """The head's output where each row has said all but its end token, fp32. [B]"""
    states = batch_states(policy, collate(policy, rows))  # [B, T, D], padded on the right
    ends = torch.tensor([len(row.ids) - 2 for row in rows], device=states.device)
    logits: Tensor = head(states[torch.arange(len(rows), device=states.device), ends])
    return logits
