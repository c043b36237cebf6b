"""Supervised warm-up of a vision tower built from scratch: read the cards, nothing else.

A foundation model has seen pictures before; a tiny tower has not, and joint training on formulas
alone does not teach it to read in the time that a laptop has. So a linear 13-way head per card is
trained on the projected patches, together with the tower and the projector, and then thrown away.
Only looks of the experiment's own environment are shown: what is to be new later stays unseen.
"""

import dataclasses
from typing import Any

import torch
from torch import nn

from ..agents.policy import Policy
from ..envs.general_points.cards import RANK_INDEX
from .config import BudgetConfig, OptimConfig, PretrainConfig, Schedule
from .demonstrations import bare_env
from .loop import Metrics, TrainState
from .sampler import task_seed


class VisionStage:
    """Cross-entropy of each card's rank, in the order shown."""

    name = "vision"

    def __init__(self, policy: Policy, env: Any, config: PretrainConfig, *, seed: int) -> None:
        self.budget = BudgetConfig(steps=config.vision_steps)
        self.optim = OptimConfig(
            lr=config.vision_lr, schedule=Schedule.cosine, warmup_steps=config.vision_steps // 20
        )
        self._policy = policy
        self._env = bare_env(dataclasses.replace(env, split="train"))
        self._seed = seed
        self._batch_size = config.vision_batch_size
        self._num_cards = env.num_cards
        with torch.no_grad():
            features = policy.image_features([self._env.reset(seed=0)[0]["image"]])  # [1, P, D]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            outputs = self._num_cards * len(RANK_INDEX)
            self.head = nn.Linear(features[0].numel(), outputs).to(policy.device)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Tower, projector and head; the language model keeps still."""
        seeing = self._policy.vision_parameters()
        return [*seeing, *self.head.parameters()]

    def update(self, state: TrainState) -> Metrics:
        first = state.step * self._batch_size
        mine = state.workers.share(range(first, first + self._batch_size))
        images, ranks = [], []
        for index in mine:
            observed, info = self._env.reset(seed=task_seed(self._seed, "vision", index))
            images.append(observed["image"])
            ranks.append([RANK_INDEX[rank] for rank in info["ranks"]])
        features = self._policy.image_features(images).flatten(1)  # [B, P * D]
        logits = self.head(features.float()).view(len(mine), self._num_cards, -1)  # [B, C, 13]
        target = torch.tensor(ranks, device=logits.device)  # [B, C]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum")
        loss = loss / (self._batch_size * self._num_cards)
        loss.backward()
        right = (logits.argmax(-1) == target).all(dim=1).sum()
        sums = state.workers.sum({"loss": float(loss.detach()), "right": float(right)})
        return {
            "loss": sums["loss"],
            "recognition": sums["right"] / self._batch_size,
            **state.apply_gradients(),
        }
