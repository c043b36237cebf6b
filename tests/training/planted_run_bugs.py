"""Mistakes in sampling, rows, scoring and sharing that checks must catch.

They are in `row_invariants.py` and `run_invariants.py`. As in `planted_bugs.py`, each bug names the
invariant that it breaks and what stands in for what.
"""

import functools
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import row_invariants as of_rows
import run_invariants as of_runs
import torch
from cardinal_gym.agents import adapters, engine, policy_agent, prefill, rows, running, scoring
from cardinal_gym.agents.chat import decode_answer, encode_answer
from cardinal_gym.agents.families import qwen_vl
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.types import Episode, Turn
from cardinal_gym.training import (
    advantages,
    distributed,
    grpo_rollout,
    grpo_rows,
    grpo_update,
    policy_gradient,
    surrogates,
)
from cardinal_gym.training.advantages import Credit
from cardinal_gym.training.grpo_update import TrainRows
from planted_bugs import Bug
from two_processes import OneOf

HIDDEN, DRAW, STATES = running.hidden_states, running.draw, scoring.batch_states
PLACES, BATCH = prefill.PromptStore.places, qwen_vl.QwenVision.batch
ROW, ROWS, NEXT = rows._row, grpo_rows.rows_from_episode, policy_agent.encode_next
GROUP, PPO_LOSS, CREDITED = advantages.group_advantages, surrogates.ppo, policy_gradient.credited
TASK_SEED, PLAY = grpo_rollout.task_seed, grpo_rollout.GroupSampler.play
SHARE = distributed.Workers.share


def _in_train_mode(model: Any) -> None:
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()


def _shifted(model: Any, ids: Any, *, position_ids: Any, cache: Any, **more: Any) -> Any:
    return HIDDEN(model, ids, position_ids=position_ids + 1, cache=cache, **more)


def _at_temperature_one(logits: Any, uniform: Any, banned: Any, sampling: Any) -> Any:
    plain = replace(sampling, temperature=1.0)
    ids, _ = DRAW(logits, uniform, banned, sampling)
    return ids, DRAW(logits, uniform, banned, plain)[1]


def _padding_seen(policy: Any, batch: Any, cache: Any = None) -> Any:
    return STATES(policy, replace(batch, padded_left=False, vision={}), cache)


def _spoken(turn: Turn, policy: Policy) -> Turn:
    """The turn with its answer decoded and encoded again."""
    ids = tuple(encode_answer(policy, decode_answer(policy, turn.completion.token_ids)))
    done = replace(turn.completion, token_ids=ids, logprobs=(0.0,) * len(ids))
    return replace(turn, completion=done)


def _encoded_again(episode: Episode, policy: Policy) -> Any:
    turns = tuple(_spoken(turn, policy) for turn in episode.turns)
    return ROWS(replace(episode, turns=turns), policy)


def _rendered_again(policy: Policy, history: Any, observation: Any, room: int) -> Any:
    return NEXT(policy, [_spoken(turn, policy) for turn in history], observation, room)


def _without_ends(turns: Any, images: Any) -> Any:
    row = ROW(turns, images)
    later = [*row.mask[1:], 0]
    return replace(row, mask=[int(a and b) for a, b in zip(row.mask, later, strict=True)])


def _without_baseline(returns: Any, groups: Any, kind: Any, **options: Any) -> Any:
    found = GROUP(returns, groups, kind, **options)
    return replace(found, values=found.values + returns)


def _shuffled_alone(batch: Any, config: Any, state: Any, **keys: Any) -> Any:
    """Every process cuts its own rows by itself; the counts are of all."""
    order = np.random.default_rng(state.step).permutation(len(batch.rows))
    parts = []
    for chosen in np.array_split(order, config.minibatches):
        rows = [batch.rows[i] for i in chosen]
        totals, _ = grpo_update.count_totals(rows, batch.totals.max_tokens, state.workers)
        parts.append(TrainRows(rows=rows, totals=totals, measured=batch.measured))
    return parts


def _members_dealt_out(sampler: Any, state: Any) -> Any:
    episodes = PLAY(sampler, replace(state, workers=OneOf(0, 1)))
    return state.workers.share(episodes)


def _by_trajectory(episodes: Any, pays: Any, config: Any, **more: Any) -> Any:
    return CREDITED(episodes, pays, replace(config, credit=Credit.trajectory), **more)


RUN_BUGS: tuple[Bug, ...] = (
    Bug(
        "dropout stays on where activations are computed again",
        of_rows.scores_are_not_random, adapters, "recompute_activations", _in_train_mode,
    ),
    Bug(
        "an answer's positions begin one too far",
        of_rows.the_sampler_reports_what_the_trainer_scores, running, "hidden_states", _shifted,
    ),
    Bug(
        "the sampler reports probabilities at temperature 1",
        of_rows.the_sampler_reports_what_the_trainer_scores, running, "draw", _at_temperature_one,
    ),
    Bug(
        "rows continue one another's prompts",
        of_rows.the_sampler_reports_what_the_trainer_scores, prefill.PromptStore, "places",
        lambda self, keys: [(place + 1) % len(self.known) for place in PLACES(self, keys)],
    ),
    Bug(
        "a conversation is rendered again from its texts",
        of_rows.the_sampler_reports_what_the_trainer_scores, policy_agent, "encode_next",
        _rendered_again,
    ),
    Bug(
        "a token is scored by the state after it",
        of_rows.scores_are_those_of_the_whole_model, scoring, "_ahead", lambda mask: mask > 0,
    ),
    Bug(
        "the last layer leaves out one state too many",
        of_rows.scores_are_those_of_the_whole_model, scoring, "_ahead",
        lambda mask: torch.nn.functional.pad((mask[:, 1:] * mask[:, :-1]) > 0, (0, 1)),
    ),
    Bug(
        "padding is seen, and pictures are not",
        of_rows.company_order_and_padding_do_not_change_scores, scoring, "batch_states",
        _padding_seen,
    ),
    Bug(
        "rows are given one another's pictures",
        of_rows.company_order_and_padding_do_not_change_scores, qwen_vl.QwenVision, "batch",
        lambda self, images, ids, mask: BATCH(self, images[::-1], ids, mask),
    ),
    Bug(
        "answers are decoded and encoded again",
        of_rows.rows_hold_the_very_ids_that_were_sampled, grpo_rows, "rows_from_episode",
        _encoded_again,
    ),
    Bug(
        "the last token of an answer is not trained",
        of_rows.rows_hold_the_very_ids_that_were_sampled, rows, "_row", _without_ends,
    ),
    Bug(
        "the cache outlives an update",
        of_rows.nothing_is_left_of_an_earlier_batch, engine, "PromptStore",
        functools.lru_cache(prefill.PromptStore),
    ),
    Bug(
        "the loss is maximised",
        of_runs.an_update_makes_likelier_what_was_paid, surrogates, "ppo",
        lambda ratio, adv, *rest: PPO_LOSS(ratio, -adv, *rest),
    ),
    Bug(
        "every turn is credited with the whole episode",
        of_runs.only_credit_by_turn_sees_a_reward_that_comes_early, policy_gradient, "credited",
        _by_trajectory,
    ),
    Bug(
        "the baseline is forgotten",
        of_runs.a_shift_of_all_rewards_changes_nothing, advantages, "group_advantages",
        _without_baseline,
    ),
    Bug(
        "every process divides by its own count",
        of_runs.shares_of_two_processes_add_up_to_the_gradient_of_one, distributed.Workers, "sum",
        lambda self, values: dict(values),
    ),
    Bug(
        "every process shuffles its own rows",
        of_runs.two_processes_make_the_updates_of_one, policy_gradient, "minibatches",
        _shuffled_alone,
    ),
    Bug(
        "processes share out episodes, and part groups",
        of_runs.two_processes_make_the_updates_of_one, grpo_rollout.GroupSampler, "play",
        _members_dealt_out,
    ),
    Bug(
        "every process plays the first tasks",
        of_runs.two_processes_play_the_episodes_of_one, distributed.Workers, "share",
        lambda self, items: list(items[: len(SHARE(self, items))]),
    ),
    Bug(
        "tasks are drawn from a common stream",
        of_runs.two_processes_play_the_episodes_of_one, grpo_rollout, "task_seed",
        functools.partial(lambda drawn, run_seed, stage, group: next(drawn), count()),
    ),
)  # fmt: skip
