"""Invariants of single updates: one temperature, draws of their own, late rewards, silent rewards.

`run_invariants.py` has those that span processes; `planted_update_bugs.py` holds the mistakes.
"""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from cardinal_gym.agents import running, scoring
from cardinal_gym.agents.rows import collate
from cardinal_gym.agents.types import StreamKey
from cardinal_gym.training import advantages, credit, grpo_update, shaping
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.grpo_config import KLPlace
from cardinal_gym.training.objective import Scored
from invariants import Check
from row_invariants import rows_of
from test_credit import LENGTHS, PAYS, config, episodes, flat
from toys import (
    BANDIT,
    LATE,
    bandit,
    grpo_config,
    grpo_stage,
    guess,
    noisy_returns,
    optim,
    recorded,
    run_steps,
    tiny_policy,
    weights,
)

# What decides which forward pass is made: none, an entropy bonus, a critic.
PASSES: tuple[dict[str, Any], ...] = (
    {},
    {"entropy_coef": 0.1},
    {"advantage": AdvantageKind.gae, "credit": Credit.turn_return},
)


def one_temperature_for_sampler_present_old_and_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first of several updates, towards a reference that is the policy."""
    noisy_returns(monkeypatch)
    scored: list[Scored] = []
    objective = grpo_update.objective
    monkeypatch.setattr(
        grpo_update, "objective", lambda *args: scored.append(args[0]) or objective(*args)
    )
    for more in PASSES:
        scored.clear()
        policy, reference = tiny_policy(spread=3.0), tiny_policy(spread=3.0)
        small = grpo_config(
            groups_per_step=1, group_size=3, temperature=0.7, epochs=2, kl_coef=0.1, **more
        )
        run_steps(*grpo_stage(policy, guess, small, reference=reference), 1)
        first, *_ = scored
        assert first.reference is not None
        sampled = first.mask > 0
        for other in (first.sampler, first.old, first.reference):
            torch.testing.assert_close(
                other[sampled], first.logp.detach()[sampled], rtol=1e-4, atol=1e-4
            )


def what_is_sampled_after_an_update_is_of_the_new_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """In environments that were played before, from prompts that were read before."""
    noisy_returns(monkeypatch)
    small = grpo_config(groups_per_step=2, group_size=2, optim=optim(0.1))
    first, second = run_steps(*grpo_stage(tiny_policy(spread=3.0), guess, small), 2)
    assert first["grad_norm"] > 0
    assert second["sampler_gap/max"] < 1e-4


def a_row_draws_from_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its run, step, group, member and turn alone, wherever it stands."""
    key = StreamKey(seed=1, step=2, group=3, member=4, turn=5)
    others = [replace(key, **{name: 9}) for name in ("seed", "step", "group", "member", "turn")]
    drawn = running.uniforms([key, *others], 4)
    assert len({tuple(row) for row in drawn.tolist()}) == 6
    assert torch.equal(running.uniforms([*others, key], 4)[-1], drawn[0])


def a_late_reward_reaches_the_answer_that_earned_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer is paid, whatever it says, where the first was right."""
    played = recorded(monkeypatch)
    for kind in (Credit.trajectory, Credit.turn_return):
        policy = tiny_policy()
        small = grpo_config(group_size=8, max_new_tokens=1, credit=kind, discount=0.5)
        played.clear()
        run_steps(*grpo_stage(policy, lambda: gym.make(LATE, paid_late=True), small), 1)
        rows = rows_of(policy, played)
        with torch.no_grad():
            logp = scoring.token_logprobs(policy, collate(policy, rows))
        firsts = [row.mask.index(1) for row in rows]
        gain = np.array(
            [float(logp[i, t]) - rows[i].logprobs[t] for i, t in enumerate(firsts)]
        )  # of the first answer
        right = np.array([episode.success for episode in played])
        assert gain[right].mean() > gain[~right].mean() + 1e-3


def a_constant_reward_moves_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does momentum of earlier updates, nor the decay of weights."""
    policy = tiny_policy()
    moving = grpo_config(group_size=8, max_new_tokens=1, optim=optim(weight_decay=0.1))
    stage, state = grpo_stage(policy, bandit, moving)
    before = weights(policy)
    run_steps(stage, state, 1)
    moved = weights(policy)
    assert not torch.equal(moved, before)
    steady, _ = grpo_stage(policy, lambda: gym.make(BANDIT, rewards=(1.0, 1.0)), moving)
    run_steps(steady, state, 1)
    assert torch.equal(weights(policy), moved)


def a_scale_of_all_rewards_changes_nothing_where_a_deviation_divides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    returns, groups = np.array([0.0, 1.0, 0.5, 3.0]), [0, 0, 1, 1]
    found = advantages.group_advantages(returns, groups, AdvantageKind.grpo).values
    scaled = advantages.group_advantages(100 * returns, groups, AdvantageKind.grpo).values
    np.testing.assert_allclose(scaled, found, rtol=1e-4)
    larger = [replace(pay, total=100 * pay.total) for pay in PAYS]
    for kind in (AdvantageKind.batch_std, AdvantageKind.reinforce_plus_plus):
        one, other = (
            flat([e.advantages for e in credit.credited(episodes(), pays, config(advantage=kind))])
            for pays in (PAYS, larger)
        )
        assert np.abs(one).max() > 0.1
        np.testing.assert_allclose(other, one, rtol=1e-4)


def a_penalty_in_the_reward_falls_on_its_token_and_those_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is 0 where the policy is the reference, and lowers returns, not values to come."""
    noisy_returns(monkeypatch)
    small = grpo_config(
        groups_per_step=1, temperature=0.7, kl_coef=0.5, kl_in=KLPlace.reward,
        advantage=AdvantageKind.reinforce_plus_plus,
    )  # fmt: skip
    reference = tiny_policy(spread=3.0)
    stage, state = grpo_stage(tiny_policy(spread=3.0), guess, small, reference=reference)
    (metrics,) = run_steps(stage, state, 1)
    assert abs(metrics["kl"]) < 1e-5
    monkeypatch.setattr(credit, "whiten", lambda values, pool: list(values))
    fines = [[np.zeros(length) for length in each] for each in LENGTHS]
    plain = credit.credited(episodes(), PAYS, small, penalties=fines)
    fines[0][0][1] = 1.0  # the second token of the first turn, which has two; a turn follows
    found = credit.credited(episodes(), PAYS, small, penalties=fines)
    change = flat([e.advantages for e in found]) - flat([e.advantages for e in plain])
    np.testing.assert_allclose(change, [-1.0, -1.0] + [0.0] * 9)
    assert [pay.total for pay in shaping.fined(PAYS, fines)] == [0.0, 0.5, 0.0, 1.0]
    assert shaping.fined(PAYS, fines)[0].rewards == (-1.0, 1.0)


UPDATE_INVARIANTS: tuple[Check, ...] = (
    one_temperature_for_sampler_present_old_and_reference,
    what_is_sampled_after_an_update_is_of_the_new_weights,
    a_row_draws_from_a_stream_of_its_own,
    a_late_reward_reaches_the_answer_that_earned_it,
    a_constant_reward_moves_no_weights,
    a_scale_of_all_rewards_changes_nothing_where_a_deviation_divides,
    a_penalty_in_the_reward_falls_on_its_token_and_those_before,
)
