"""The stages that make verdicts and learn from them: `verdicts`, `reward_model`, `dpo`.

verdicts      a policy's answers with the rule's verdict on each; also as demonstrations of
              verdicts reasoned aloud, mixed with the policy's own right answers
reward_model  a head that classifies, or a judge that reasons before its verdict
dpo           the policy itself, by pairs of a right and a wrong answer to one prompt
"""

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ...agents.policy import Policy
from ...agents.types import Episode, Turn
from ...envs.general_points.config import GeneralPointsConfig
from ...envs.general_points.task import Task
from ...envs.general_points.verification import reasoned_verdict
from ..chat_records import DATA_NAME
from ..config import SftConfig
from ..demonstrations import Conversation, encode_rows
from ..files import atomic_write_json, atomic_write_text
from ..judging.agreement import agreement, by_outcome
from ..judging.config import ModelRewardConfig, RewardModelKind, VerdictsConfig
from ..judging.head import HeadModel, HeadStage
from ..judging.identity import check_identity
from ..judging.judge import JudgeModel
from ..judging.pay import Scorer
from ..judging.verdicts import (
    JudgedAnswer,
    as_answer,
    as_judgement,
    balanced,
    is_held_out,
    preference_pairs,
    read_verdicts,
    write_verdicts,
)
from ..metrics import Ledger
from ..preference import Pair, PreferenceStage
from ..rollout_metrics import played
from ..sampler import Passes
from ..sft_files import as_record
from ..supervised import SupervisedStage
from .plan import PlannedStage
from .rejection import sample_answers

AGREEMENT_NAME = "agreement.json"


def make_verdicts(
    policy: Policy, stage: PlannedStage, *, seed: int, folder: Path
) -> tuple[Ledger, dict[str, int]]:
    """Sample answers and write them with their verdicts; what it cost, and counts.

    Raises ValueError where the policy is never right or never wrong.
    """
    config, env = stage.stage.verdicts, stage.config.env
    limit = stage.config.grpo.max_new_tokens
    ledger = Ledger(num_parameters=policy.num_parameters)
    with ledger.counting_cpu():
        episodes = sample_answers(policy, env, config, max_new_tokens=limit, seed=seed)
    verdicts = [_judged(turn, each, env, config) for each in episodes for turn in each.answers]
    counts = write_verdicts(folder, verdicts, env)
    learnt = balanced(verdicts, held_out=False)
    if learnt[0].reason is not None:
        lines = _mixture(learnt, verdicts, config, stage.config.grpo.reward)
        records = [as_record(folder, each) for each in lines]
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        atomic_write_text(folder / DATA_NAME, text)
        counts["demonstrations"] = len(records)
    ledger.add(**played(episodes))
    return ledger, counts


def verdicts_of(stage: PlannedStage, folder: Path) -> list[JudgedAnswer]:
    """What a stage learns from; ValueError where it comes from another environment."""
    verdicts, found = read_verdicts(folder)
    check_identity(found, stage.config.env, f"stages.{stage.name}.data", "verdicts")
    return verdicts


def reward_model_stage(
    stage: PlannedStage, policy: Policy, verdicts: Sequence[JudgedAnswer], *, seed: int
) -> tuple[HeadStage | SupervisedStage, HeadModel | JudgeModel]:
    """The training of a reward model, and the model that it trains in place."""
    chosen, sft = stage.stage.reward_model, stage.config.sft
    reward = stage.config.grpo.reward
    learnt = balanced(verdicts, held_out=False)
    if chosen.kind is RewardModelKind.head:
        work = HeadStage(
            policy,
            learnt,
            hidden_sizes=chosen.hidden_sizes,
            batch_size=sft.batch_size,
            budget=sft.budget,
            optim=sft.optim,
            seed=seed,
        )
        return work, HeadModel(policy, work.head)
    conversations = [as_judgement(each, reward.request) for each in learnt]
    judge = JudgeModel(policy, request=reward.request, max_new_tokens=reward.max_new_tokens)
    return _sft(policy, conversations, sft, seed), judge


def preference_stage(
    stage: PlannedStage, policy: Policy, verdicts: Sequence[JudgedAnswer], *, seed: int
) -> PreferenceStage:
    """DPO from a policy, which is also the reference."""
    config, sft = stage.stage.dpo, stage.config.sft
    pairs = [
        Pair(*(encode_rows(policy, as_answer(each))[0] for each in pair))
        for pair in preference_pairs(verdicts, config.per_prompt)
    ]
    return PreferenceStage(
        policy, pairs, config, batch_size=sft.batch_size, budget=sft.budget, optim=sft.optim,
        seed=seed,
    )  # fmt: skip


def measure_reward_model(
    model: Scorer, verdicts: Sequence[JudgedAnswer], folder: Path
) -> dict[str, Any]:
    """How it agrees with the rule on held-out verdicts, balanced: `agreement.json`."""
    held = balanced(verdicts, held_out=True)
    scores = model.scores([(each.observation, each.answer) for each in held])
    right = np.array([each.success for each in held])
    found = {
        "n": len(held),
        **agreement(scores, right),
        "by_outcome": by_outcome(scores, right, [each.outcome for each in held]),
        "unread": getattr(model, "unread", 0),
    }
    atomic_write_json(folder / AGREEMENT_NAME, found)
    return found


class _Conversations:
    """Conversations in memory, in another order at each pass, without end."""

    def __init__(self, policy: Policy, conversations: Sequence[Conversation], seed: int) -> None:
        self._rows = [encode_rows(policy, each)[0] for each in conversations]
        self._passes = Passes(len(self._rows), seed, "file")

    def rows(self, indices: Sequence[int]) -> list[Any]:
        return [self._rows[self._passes.position(index)] for index in indices]


def _sft(
    policy: Policy, conversations: Sequence[Conversation], sft: SftConfig, seed: int
) -> SupervisedStage:
    return SupervisedStage(
        "sft",
        _Conversations(policy, conversations, seed),
        batch_size=sft.batch_size,
        budget=sft.budget,
        optim=sft.optim,
        aggregation=sft.aggregation,
    )


def _judged(turn: Turn, episode: Episode, env: Any, config: VerdictsConfig) -> JudgedAnswer:
    return JudgedAnswer(
        observation=turn.observation,
        answer=turn.completion.text,
        success=turn.success,
        outcome=turn.outcome,
        task_id=episode.task_id,
        reason=_reason(turn, episode, env),
        held_out=is_held_out(episode.task_id, config.held_out),
    )


def _reason(turn: Turn, episode: Episode, env: Any) -> str | None:
    """The verdict with its reasons; None for games that have no such words."""
    if not isinstance(env, GeneralPointsConfig):
        return None
    details = turn.details
    task = Task(
        ranks=tuple(details["ranks"]),
        values=tuple(details["values"]),
        rule=next(rule for rule in env.rules_in_force if rule.name == episode.rule),
        target=int(details["target"]),
    )
    return reasoned_verdict(turn.completion.text, env.answer, task)


def _mixture(
    learnt: Sequence[JudgedAnswer],
    verdicts: Sequence[JudgedAnswer],
    config: VerdictsConfig,
    reward: ModelRewardConfig,
) -> list[Conversation]:
    """Verdicts told in words, and the share of right answers to the tasks that is asked for."""
    right = [each for each in verdicts if each.success and not each.held_out]
    wanted = round(len(learnt) * config.answers / (1.0 - config.answers))
    return list(
        chain(
            (as_judgement(each, reward.request) for each in learnt),
            (as_answer(each) for each in right[:wanted]),
        )
    )
