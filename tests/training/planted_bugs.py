"""Mistakes, most of them seen in public trainers, that the checks of `invariants.py` must catch.

Each names the invariant that it breaks and what stands in for what while it is planted;
`test_invariants.py` plants every one under its check, which must fail.
"""

from dataclasses import dataclass
from typing import Any

import invariants as holds
import numpy as np
import torch
from cardinal_gym.training import (
    advantages,
    credit,
    critic,
    grpo_rollout,
    grpo_rows,
    grpo_update,
    losses,
    objective,
    policy_gradient,
    surrogates,
    whitening,
)
from cardinal_gym.training.config import KLKind
from cardinal_gym.training.losses import Totals
from invariants import Check


@dataclass(frozen=True)
class Bug:
    """A mistake: what it is, the invariant that it breaks, and what stands in for what."""

    name: str
    breaks: Check
    module: Any
    attribute: str
    planted: Any


AGGREGATE, PPO_LOSS = losses.aggregate, surrogates.ppo
UNIT_RATIO, KL, TOKEN_LOGPROBS = (
    surrogates.unit_ratio,
    losses.kl_penalty,
    grpo_update.token_logprobs,
)
GROUP, BY_ROW, GAE, WHITEN = (
    advantages.group_advantages, grpo_rows._by_row, credit.gae, whitening.whiten
)  # fmt: skip


def _micro_batch_mean(values: Any, mask: Any, weight: Any, kind: Any, totals: Any) -> Any:
    own = Totals(float(mask.sum()), float(weight.sum()), totals.max_tokens)
    return AGGREGATE(values, mask, weight, kind, own)


def _mask_by_product(values: Any, mask: Any, weight: Any, kind: Any, totals: Any) -> Any:
    return (values * mask).sum() / max(totals.tokens, 1.0)


def _no_clamp(values: Any, mask: Any, weight: Any, kind: Any, totals: Any) -> Any:
    return (values * mask).sum() / mask.sum()


def _unclipped_direction(
    ratio: Any, adv: Any, mask: Any, low: Any, high: Any, dual: Any = None
) -> Any:
    clipped = ratio.clamp(1 - low, 1 + high)
    return -torch.maximum(ratio * adv, clipped * adv), PPO_LOSS(ratio, adv, mask, low, high)[1]


def _z_score(returns: Any, groups: Any, kind: Any, **options: Any) -> Any:
    """The deviation decides whether a group is silent, and a group of one keeps its return."""
    returns, groups = np.asarray(returns), np.asarray(groups)
    found = np.array(returns)
    for group in np.unique(groups):
        mine = groups == group
        if mine.sum() > 1:
            centred = returns[mine] - returns[mine].mean()
            found[mine] = centred / (returns[mine].std() + 1e-30) if centred.std() else 0.0
    return advantages.GroupAdvantages(found, len(set(groups.tolist())), 0)


def _by_place(returns: Any, groups: Any, kind: Any, **options: Any) -> Any:
    size = 2  # groups are taken to stand together
    return GROUP(returns, np.arange(len(returns)) // size, kind, **options)


def _one_group(returns: Any, groups: Any, kind: Any, **options: Any) -> Any:
    return GROUP(returns, np.zeros(len(returns), dtype=int), kind, **options)


BUGS: tuple[Bug, ...] = (
    Bug(
        "the trainer forgets the temperature",
        holds.the_ratio_is_one_at_the_first_update, grpo_update, "token_logprobs",
        lambda policy, batch, temperature: TOKEN_LOGPROBS(policy, batch),
    ),
    Bug(
        "the trainer's softmax has ids that are never sampled",
        holds.the_ratio_is_one_at_the_first_update, grpo_update, "token_logprobs",
        lambda policy, batch, temperature: TOKEN_LOGPROBS(
            policy, batch, temperature, with_banned=True
        ),
    ),
    Bug(
        "the ratio is detached",
        holds.on_policy_every_surrogate_is_reinforce, surrogates, "ppo",
        lambda ratio, *rest: PPO_LOSS(ratio.detach() + 0 * ratio, *rest),
    ),
    Bug(
        "a turn's product is not shared out among its tokens",
        holds.on_policy_every_surrogate_is_reinforce, surrogates, "unit_ratio",
        lambda *a, is_mean: (
            UNIT_RATIO(*a, is_mean=is_mean)[0], torch.ones_like(UNIT_RATIO(*a, is_mean=is_mean)[1])
        ),
    ),
    Bug(
        "GSPO takes the product for the mean",
        holds.on_policy_every_surrogate_is_reinforce, surrogates, "unit_ratio",
        lambda *a, is_mean: UNIT_RATIO(*a, is_mean=False),
    ),
    Bug(
        "the larger of plain and clipped is taken",
        holds.the_clipped_surrogate_never_promises_more_than_the_plain_one, surrogates, "ppo",
        _unclipped_direction,
    ),
    Bug(
        "the dual clip caps good advantages too",
        holds.the_clipped_surrogate_never_promises_more_than_the_plain_one, surrogates, "ppo",
        lambda r, a, m, lo, hi, dual=None: PPO_LOSS(r.clamp(max=dual or 99), a, m, lo, 99.0, None),
    ),
    Bug(
        "k3 has the wrong sign",
        holds.the_penalty_is_zero_at_the_start_and_has_the_kls_gradient, losses, "kl_penalty",
        lambda logp, ref, old, kind: KL(ref, logp, old, KLKind.k3),
    ),
    Bug(
        "the importance weight of the penalty is detached",
        holds.the_penalty_is_zero_at_the_start_and_has_the_kls_gradient, losses, "kl_penalty",
        lambda logp, ref, old, kind: (logp - old).exp().detach() * KL(logp, ref, old, KLKind.k3),
    ),
    Bug(
        "k1 in the loss",
        holds.the_penalty_is_zero_at_the_start_and_has_the_kls_gradient, losses, "kl_penalty",
        lambda logp, ref, old, kind: KL(logp, ref, old, KLKind.k1),
    ),
    Bug(
        "losses are averaged within the micro-batch",
        holds.gradients_do_not_depend_on_the_micro_batch, objective, "aggregate", _micro_batch_mean,
    ),
    Bug(
        "losses are averaged within the micro-batch, seen from a whole update",
        holds.whole_updates_do_not_depend_on_the_micro_batch, objective, "aggregate",
        _micro_batch_mean,
    ),
    Bug(
        "every row counts as an episode",
        holds.turns_of_one_episode_weigh_as_one_episode, objective, "aggregate",
        lambda v, m, w, kind, totals: AGGREGATE(v, m, torch.ones_like(w), kind, totals),
    ),
    Bug(
        "every process whitens for itself",
        holds.batch_statistics_span_all_processes, credit, "whiten",
        lambda values, pool: WHITEN(values),
    ),
    Bug(
        "advantages are laid over a row without its prompts",
        holds.environment_tokens_leave_the_advantages_of_actions_alone, grpo_rows, "_by_row",
        lambda episode, values: [sorted(row, reverse=True) for row in BY_ROW(episode, values)],
    ),
    Bug(
        "prompts carry advantages",
        holds.environment_tokens_leave_the_advantages_of_actions_alone, grpo_rows, "_by_row",
        lambda episode, values: [[x or 1.0 for x in row] for row in BY_ROW(episode, values)],
    ),
    Bug(
        "the mask is forgotten",
        holds.what_was_not_sampled_changes_nothing, objective, "aggregate",
        lambda v, m, w, kind, totals: AGGREGATE(v, torch.ones_like(m), w, kind, totals),
    ),
    Bug(
        "the mask is a factor: nan times 0",
        holds.what_was_not_sampled_changes_nothing, objective, "aggregate", _mask_by_product,
    ),
    Bug(
        "nothing sampled: 0 / 0",
        holds.an_all_masked_micro_batch_is_a_finite_zero, objective, "aggregate", _no_clamp,
    ),
    Bug(
        "groups are taken by place",
        holds.the_order_of_members_does_not_matter, advantages, "group_advantages", _by_place,
    ),
    Bug(
        "the batch's mean is the baseline",
        holds.a_groups_rewards_concern_nobody_else, advantages, "group_advantages", _one_group,
    ),
    Bug(
        "rounding decides that a group differs; a group of one keeps its return",
        holds.a_constant_reward_gives_exactly_zero, advantages, "group_advantages", _z_score,
    ),
    Bug(
        "the next episode's first value is carried over",
        holds.nothing_is_bootstrapped_over_the_end_of_an_episode, credit, "gae",
        lambda rewards, v, **decay: GAE(rewards, v, **decay, value_after=v[0]),
    ),
    Bug(
        "a value is read after its token",
        holds.a_late_token_does_not_change_earlier_values, critic, "token_values",
        lambda head, states, mask, detach: head(states) * mask,
    ),
    Bug(
        "the entropy is fined",
        holds.an_entropy_bonus_raises_the_entropy, objective, "aggregate",
        lambda v, m, w, kind, totals: AGGREGATE(
            -v if v.requires_grad else v, m, w, kind, totals
        ),
    ),
    Bug(
        "every step plays the same tasks",
        holds.members_and_steps_draw_differently, grpo_rollout, "task_seed",
        lambda run_seed, stream, group: group % 2,
    ),
    Bug(
        "old log-probabilities are taken anew at every update",
        holds.later_updates_compare_with_the_rollouts_probabilities, policy_gradient, "measure",
        lambda *a, **k: grpo_update.Measured(),
    ),
)  # fmt: skip
