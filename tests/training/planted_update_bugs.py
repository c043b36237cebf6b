"""Mistakes within one update that `update_invariants.py` and others must catch.

As in `planted_bugs.py`, each names the invariant that it breaks and what stands in for what.
"""

import copy
import functools
from dataclasses import replace
from typing import Any

import invariants as holds
import numpy as np
import run_invariants as of_runs
import torch
import update_invariants as of_updates
from cardinal_gym.agents import running
from cardinal_gym.agents.types import StreamKey
from cardinal_gym.training import (
    advantages,
    credit,
    distributed,
    grpo_update,
    losses,
    objective,
    policy_gradient,
    shaping,
    surrogates,
)
from cardinal_gym.training.advantages import AdvantageKind
from cardinal_gym.training.config import Aggregation
from planted_bugs import Bug

MEASURE, REFERENCE, STATES = (
    policy_gradient.measure, grpo_update._reference, grpo_update.states_logprobs
)  # fmt: skip
LOGPROBS, UNIFORMS, AS_INTS = grpo_update.token_logprobs, running.uniforms, StreamKey.as_ints
WITH_SIGNAL, GROUP, AGGREGATE = (
    policy_gradient.rows_with_signal, advantages.group_advantages, losses.aggregate
)  # fmt: skip
POOLED, FINED, SAPO = credit.pooled_std, shaping.fined, surrogates.sapo
SUM, AGENT = distributed._sum_in_place, policy_gradient.PolicyAgent


def _at_one(score: Any, policy: Any, batch: Any, config: Any) -> Any:
    return score(policy, batch, replace(config, temperature=1.0))


def _without(place: int) -> Any:
    """The stream's name with one of its parts left out."""

    def as_ints(key: StreamKey) -> Any:
        words = list(AS_INTS(key))
        words[place] = 0
        return tuple(words)

    return as_ints


def _by_place(streams: Any, length: int) -> Any:
    return UNIFORMS([replace(key, group=place) for place, key in enumerate(streams)], length)


def _every_row(episodes: Any, rows: Any, credits: Any) -> Any:
    kept = WITH_SIGNAL(episodes, rows, credits)
    silent = [replace(row, advantages=[0.0] * row.num_tokens) for each in rows for row in each]
    return kept or silent


def _without_detach(logp: Any, old: Any, adv: Any, mask: Any, cap: float) -> Any:
    loss = -(logp - old).exp().clamp(max=cap) * adv * logp
    return loss, surrogates.ppo((logp - old).exp(), adv, mask, 0.2, 0.2)[1]


def _undivided(values: Any, mask: Any, weight: Any, kind: Any, totals: Any) -> Any:
    """The sum over a row where its mean is asked for."""
    if kind is not Aggregation.seq_mean:
        return AGGREGATE(values, mask, weight, kind, totals)
    return AGGREGATE(values * mask.sum(1, keepdim=True), mask, weight, kind, totals)


def _averaged(tensors: Any) -> None:
    SUM(tensors)
    for tensor in tensors:
        tensor /= 2


def _by_variance(returns: Any, groups: Any, kind: Any, **options: Any) -> Any:
    found = GROUP(returns, groups, kind, **options)
    if kind is not AdvantageKind.grpo:
        return found
    centred = GROUP(returns, groups, AdvantageKind.dr_grpo, **options).values
    spread = np.array([np.ptp(np.asarray(returns)[np.asarray(groups) == g]) for g in groups])
    return replace(found, values=centred / spread**2)


UPDATE_BUGS: tuple[Bug, ...] = (
    Bug(
        "the old log-probabilities are those at temperature 1",
        of_updates.one_temperature_for_sampler_present_old_and_reference, policy_gradient,
        "measure",
        lambda rows, policy, config, *more, **options: MEASURE(
            rows, policy, replace(config, temperature=1.0), *more, **options
        ),
    ),
    Bug(
        "the reference's log-probabilities are those at temperature 1",
        of_updates.one_temperature_for_sampler_present_old_and_reference, grpo_update,
        "_reference", functools.partial(_at_one, REFERENCE),
    ),
    Bug(
        "beside a critic the trainer forgets the temperature",
        of_updates.one_temperature_for_sampler_present_old_and_reference, grpo_update,
        "states_logprobs", lambda policy, batch, states, temperature: STATES(policy, batch, states),
    ),
    Bug(
        "with an entropy bonus the trainer forgets the temperature",
        of_updates.one_temperature_for_sampler_present_old_and_reference, grpo_update,
        "token_logprobs",
        lambda policy, batch, temperature, with_entropy=False: LOGPROBS(
            policy, batch, 1.0 if with_entropy else temperature, with_entropy=with_entropy
        ),
    ),
    Bug(
        "the sampler is never given new weights",
        of_updates.what_is_sampled_after_an_update_is_of_the_new_weights, policy_gradient,
        "PolicyAgent", lambda policy, sampling: AGENT(copy.deepcopy(policy), sampling),
    ),
    *(
        Bug(
            f"equal draws for every {name}",
            of_updates.a_row_draws_from_a_stream_of_its_own, StreamKey, "as_ints",
            _without(place),
        )
        for place, name in enumerate(("run", "step", "group", "member", "turn"))
    ),
    Bug(
        "a row draws by its place in the batch",
        of_updates.a_row_draws_from_a_stream_of_its_own, running, "uniforms", _by_place,
    ),
    Bug(
        "a row draws by its place in the batch, seen from two processes",
        of_runs.two_processes_play_the_episodes_of_one, running, "uniforms", _by_place,
    ),
    Bug(
        "a turn is paid its own reward alone",
        of_updates.a_late_reward_reaches_the_answer_that_earned_it, advantages, "returns_to_go",
        lambda rewards, discount: list(rewards),
    ),
    Bug(
        "rows without a signal are trained on",
        of_updates.a_constant_reward_moves_no_weights, policy_gradient, "rows_with_signal",
        _every_row,
    ),
    Bug(
        "the variance divides for the deviation",
        of_updates.a_scale_of_all_rewards_changes_nothing_where_a_deviation_divides, advantages,
        "group_advantages", _by_variance,
    ),
    Bug(
        "the batch's variance divides for its deviation",
        of_updates.a_scale_of_all_rewards_changes_nothing_where_a_deviation_divides, credit,
        "pooled_std", lambda values, pool: POOLED(values, pool) ** 2,
    ),
    Bug(
        "the batch's mean is taken away, and nothing divides",
        of_updates.a_scale_of_all_rewards_changes_nothing_where_a_deviation_divides, credit,
        "whiten",
        lambda values, pool: [each - np.concatenate(values).mean() for each in values],
    ),
    Bug(
        "a token is fined for those before it",
        of_updates.a_penalty_in_the_reward_falls_on_its_token_and_those_before, credit,
        "token_returns", lambda base, fines, later=0.0: base - np.cumsum(fines) - later,
    ),
    Bug(
        "a penalty is paid out",
        of_updates.a_penalty_in_the_reward_falls_on_its_token_and_those_before, shaping, "fined",
        lambda pays, fines: FINED(pays, [[-turn for turn in each] for each in fines]),
    ),
    Bug(
        "a penalty compares with the reference at temperature 1",
        of_updates.a_penalty_in_the_reward_falls_on_its_token_and_those_before, grpo_update,
        "_reference", functools.partial(_at_one, REFERENCE),
    ),
    Bug(
        "the weight of CISPO keeps its gradient",
        holds.on_policy_every_surrogate_is_reinforce, surrogates, "cispo", _without_detach,
    ),
    Bug(
        "the gates of SAPO have no 4 / tau",
        holds.on_policy_every_surrogate_is_reinforce, surrogates, "sapo",
        lambda ratio, adv, mask, above, below: (
            SAPO(ratio, adv, mask, above, below)[0] * torch.where(adv > 0, above, below) / 4,
            SAPO(ratio, adv, mask, above, below)[1],
        ),
    ),
    Bug(
        "a row's sum counts for its mean",
        holds.on_policy_every_surrogate_is_reinforce, objective, "aggregate", _undivided,
    ),
    Bug(
        "gradients are averaged over processes, though the losses were divided",
        of_runs.shares_of_two_processes_add_up_to_the_gradient_of_one, distributed,
        "_sum_in_place", _averaged,
    ),
)  # fmt: skip
