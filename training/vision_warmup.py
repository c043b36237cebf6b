"""Supervised warm-up of a vision tower built from scratch: perceive, nothing else.

A foundation model has seen pictures before; a tiny tower has not, and joint training on answers
alone does not teach it to read in the time that a laptop has. So a linear head per question (each
card's rank; whether this is an intersection, and where the landmark is) is trained on the projected
patches, together with the tower and the projector, and then thrown away. Only looks of the
experiment's own environment are shown: what is to be new later stays unseen.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..agents.policy import Policy
from ..envs.settings import Modality
from ..envs.street_nav.config import StreetNavConfig
from .broad_streets import StreetEnvs, broad_walks
from .config import BudgetConfig, OptimConfig, PretrainConfig, Schedule
from .demonstrations import bare_env
from .loop import Metrics, TrainState
from .sampler import task_rng, task_seed


class VisionStage:
    """Cross-entropy of every question about the picture (`LanguageEnv.percepts`)."""

    name = "vision"

    def __init__(self, policy: Policy, env: Any, config: PretrainConfig, *, seed: int) -> None:
        self.budget = BudgetConfig(steps=config.vision_steps)
        self.optim = OptimConfig(
            lr=config.vision_lr, schedule=Schedule.cosine, warmup_steps=config.vision_steps // 20
        )
        self._policy = policy
        self._pictures = _Pictures(env, config, seed)
        self._batch_size = config.vision_batch_size
        self._sizes = self._pictures.sizes
        with torch.no_grad():
            features = policy.image_features([self._pictures[0][0]])  # [1, P, D]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(features[0].numel(), sum(self._sizes)).to(policy.device)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Tower, projector and head; the language model keeps still."""
        seeing = self._policy.vision_parameters()
        return [*seeing, *self.head.parameters()]

    def update(self, state: TrainState) -> Metrics:
        first = state.step * self._batch_size
        mine = state.workers.share(range(first, first + self._batch_size))
        images, answers = zip(*(self._pictures[index] for index in mine), strict=True)
        features = self._policy.image_features(images).flatten(1)  # [B, P * D]
        logits = self.head(features.float()).split(self._sizes, dim=1)  # [B, size] each
        target = torch.tensor(answers, device=features.device)  # [B, questions]
        loss = _loss(logits, target) / (self._batch_size * len(self._sizes))
        loss.backward()
        right = torch.stack([each.argmax(-1) == target[:, k] for k, each in enumerate(logits)]).all(
            dim=0
        )
        sums = state.workers.sum({"loss": float(loss.detach()), "right": float(right.sum())})
        return {
            "loss": sums["loss"],
            "recognition": sums["right"] / self._batch_size,
            **state.apply_gradients(float(loss.detach())),
        }


class _Pictures:
    """Pictures with what they show, addressed by index.

    sizes: how many answers each question has.
    """

    def __init__(self, env: Any, config: PretrainConfig, seed: int) -> None:
        self._seed = seed
        self._walks = broad_walks(env, config) if isinstance(env, StreetNavConfig) else []
        if self._walks:
            self._seen = StreetEnvs(env)
            self._told = StreetEnvs(dataclasses.replace(env, modality=Modality.text))
            self.sizes = self._seen[self._walks[0]].percept_sizes
        else:
            self._cards = bare_env(dataclasses.replace(env, split="train"))
            self.sizes = self._cards.percept_sizes

    def __getitem__(self, index: int) -> tuple[np.ndarray, tuple[int, ...]]:
        """A picture, uint8 [H, W, 3], and the answers to its questions."""
        seed = task_seed(self._seed, "vision", index)
        if not self._walks:
            observed, _ = self._cards.reset(seed=seed)
            return observed["image"], self._cards.percepts()
        rng = task_rng(self._seed, "vision", index)
        walk = self._walks[int(rng.integers(len(self._walks)))]
        _, info = self._told[walk].reset(seed=seed)  # the same route, without drawing it
        env = self._seen[walk]
        observed, _ = env.reset(seed=seed, options={"place": int(rng.integers(info["num_places"]))})
        return observed["image"], env.percepts()


def _loss(logits: Sequence[Tensor], target: Tensor) -> Tensor:
    """Summed over pictures and questions."""
    losses = [
        nn.functional.cross_entropy(each, target[:, k], reduction="sum")
        for k, each in enumerate(logits)
    ]
    return torch.stack(losses).sum()
