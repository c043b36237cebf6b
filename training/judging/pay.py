"""What GRPO is paid by a model, with the rule's verdict kept beside it.

Every answer is scored alone, with the observation that it answers; calls of tools are no answers
and earn nothing. The episode is worth its last answer's score, as a card game's is by default.
`success`, the outcomes and the terms of the environment stay as the rule has them, so that every
logged step shows both: `reward/model` is paid, `reward/rule` would have been, `success` is true,
and `judge/*` says how far they go together.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...agents.config import PolicyConfig
from ...agents.policy import Policy, load_policy
from ...agents.types import Episode, Turn
from ...envs.core import Observation
from ..config import ExperimentConfig
from ..distributed import Workers
from ..loop import Metrics
from .agreement import agreement
from .config import SOURCE_OF, ModelRewardConfig, RewardModelKind, RewardSource
from .head import ABOUT_NAME, load_head
from .identity import check_identity
from .judge import JudgeModel

MODEL, RULE = "model", "rule"  # reward terms of an answer that a model has paid


class Scorer(Protocol):
    """A reward model. flops: spent on scores so far."""

    flops: int

    def scores(self, asked: Sequence[tuple[Observation, str]]) -> np.ndarray:
        """How right each answer to an observation is, in [0, 1]. float64 [N]"""
        ...


class ModelPay:
    """Pays episodes by a scorer; called with what was played, before anything is compared."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._flops_told = 0

    def __call__(self, episodes: Sequence[Episode]) -> list[Episode]:
        """The same episodes with scores as rewards; terms `model` and `rule` hold both."""
        turns = [turn for episode in episodes for turn in episode.answers]
        scores = iter(
            self._scorer.scores([(turn.observation, turn.completion.text) for turn in turns])
        )
        paid = []
        for episode in episodes:
            scored = tuple(
                replace(turn, reward=0.0) if turn.is_call else _paid(turn, float(next(scores)))
                for turn in episode.turns
            )
            worth = next((turn.reward for turn in scored[::-1] if not turn.is_call), 0.0)
            paid.append(replace(episode, turns=scored, episode_return=worth))
        return paid

    def new_flops(self) -> int:
        """Spent since this was last asked."""
        found = self._scorer.flops - self._flops_told
        self._flops_told = self._scorer.flops
        return found


def pay_of(config: ExperimentConfig, policy: Policy) -> ModelPay | None:
    """Who pays in GRPO by the section `grpo.reward`; None: the environment's rule.

    policy: the one that is trained. Errors are those of `check_reward`.
    """
    reward = config.grpo.reward
    if reward.source is RewardSource.rule:
        return None
    check_reward(config)
    if reward.source is RewardSource.self:
        return ModelPay(own_judge(policy, reward))
    assert reward.path is not None
    return ModelPay(load_reward_model(Path(reward.path), config.policy))


def check_reward(config: ExperimentConfig) -> None:
    """ValueError in one line where `grpo.reward` names no model that may pay here."""
    reward = config.grpo.reward
    if reward.source in (RewardSource.rule, RewardSource.self):
        return
    where = "grpo.reward.path"
    if reward.path is None:
        raise ValueError(f"{where} must be a reward model's folder with reward.source="
                         f"{reward.source.value}; got null")  # fmt: skip
    about = read_about(Path(reward.path), where)
    if SOURCE_OF[RewardModelKind(about["kind"])] is not reward.source:
        raise ValueError(
            f"{where} must be a reward model for source={reward.source.value}; got one of kind "
            f"{about['kind']}: {reward.path}"
        )
    check_identity(about["identity"], config.env, where)


def read_about(folder: Path, where: str) -> dict[str, Any]:
    """What a reward model's folder says of it; ValueError with the key `where` for any other."""
    try:
        about = json.loads((folder / ABOUT_NAME).read_text(encoding="utf-8"))
        return {"kind": about["kind"], "identity": about["identity"], **about}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{where} must be the folder of a reward model, with {ABOUT_NAME}; got {folder}"
        ) from error


def load_reward_model(folder: Path, policy: PolicyConfig) -> Scorer:
    """A head or a judge. policy: number format, device and kernels; its path is not looked at."""
    about = read_about(folder, "a reward model")
    if about["kind"] == RewardModelKind.head.value:
        return load_head(folder, policy)
    judge = load_policy(replace(policy, path=str(folder)))
    limit = about["max_new_tokens"]
    return JudgeModel(judge, request=about["request"], max_new_tokens=limit)


def own_judge(policy: Policy, reward: ModelRewardConfig) -> JudgeModel:
    """A policy as its own judge."""
    return JudgeModel(policy, request=reward.request, max_new_tokens=reward.max_new_tokens)


def describe_agreement(episodes: Sequence[Episode], workers: Workers) -> Metrics:
    """How the model that paid agrees with the rule on last answers, as `judge/*`."""
    last = [episode.answers[-1] for episode in episodes if episode.answers]
    mine = [[turn.reward_terms[MODEL], float(turn.success)] for turn in last]
    pairs = np.array(workers.gather(mine), dtype=float).reshape(-1, 2)
    found = agreement(pairs[:, 0], pairs[:, 1] > 0)
    return {f"judge/{name}": value for name, value in found.items()}


def _paid(turn: Turn, score: float) -> Turn:
    terms = {**turn.reward_terms, RULE: turn.reward, MODEL: score}
    return replace(turn, reward=score, reward_terms=terms)
