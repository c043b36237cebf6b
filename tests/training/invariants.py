"""The invariants of group-relative training as checks that pass on the code as it is.

`planted_bugs.py` holds mistakes that each of them must catch.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from cardinal_gym.training import (
    advantages,
    credit,
    critic,
    grpo_rollout,
    grpo_rows,
    losses,
    objective,
    surrogates,
    whitening,
)
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.config import Aggregation, GrpoConfig, KLKind
from cardinal_gym.training.losses import Totals
from test_credit import PAYS, config, episodes, flat, values
from test_surrogates import ADVANTAGES, CHOICES, MASK, TOTALS, TURNS, WEIGHT
from toys import (
    gradient_of,
    grpo_config,
    grpo_stage,
    guess,
    noisy_returns,
    optim,
    run_steps,
    tiny_policy,
)

Check = Callable[[pytest.MonkeyPatch], None]
PPO: dict[str, Any] = {"advantage": AdvantageKind.gae, "credit": Credit.turn_return}


def randoms(seed: int, scale: float = 0.3) -> torch.Tensor:
    return torch.randn(3, 5, generator=torch.Generator().manual_seed(seed)) * scale


def scored(logp: torch.Tensor, old: torch.Tensor, **terms: Any) -> objective.Scored:
    """Three rows of which six tokens were sampled."""
    given = {"sampler": old, "advantages": ADVANTAGES.expand(3, 5), "mask": MASK, "turns": TURNS}
    return objective.Scored(logp=logp, old=old, **{**given, "row_weight": WEIGHT, **terms})


def gradient(logp: torch.Tensor, old: torch.Tensor, config: GrpoConfig, **terms: Any) -> Any:
    leaf = logp.clone().requires_grad_()
    loss, _ = objective.objective(scored(leaf, old, **terms), config, TOTALS)
    return torch.autograd.grad(loss, leaf)[0]


def the_ratio_is_one_at_the_first_update(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy_returns(monkeypatch)
    stage, state = grpo_stage(tiny_policy(spread=3.0), guess, grpo_config(temperature=0.7))
    (metrics,) = run_steps(stage, state, 1)
    assert metrics["ratio/max"] == 1.0
    assert metrics["clip_fraction"] == 0.0
    assert metrics["sampler_gap/mean"] < 1e-5  # temperature and banned ids on both sides


def on_policy_every_surrogate_is_reinforce(monkeypatch: pytest.MonkeyPatch) -> None:
    for choice in CHOICES:
        for kind in Aggregation:
            chosen = GrpoConfig(aggregation=kind, **choice)
            found = gradient(randoms(0), randoms(0), chosen)
            weight = {
                Aggregation.token_mean: torch.full((3, 1), 1 / 6),
                Aggregation.const: torch.full((3, 1), 1 / 8),
                Aggregation.seq_mean: (WEIGHT / MASK.sum(1) / 2)[:, None],
            }[kind]
            torch.testing.assert_close(found, -ADVANTAGES * weight * MASK, rtol=1e-4, atol=1e-7)


def the_clipped_surrogate_never_promises_more_than_the_plain_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logp, old = randoms(1, 1.0), randoms(2, 1.0)
    found, _ = surrogates.policy_loss(logp, old, ADVANTAGES.expand(3, 5), MASK, GrpoConfig())
    assert (-found <= (logp - old).exp() * ADVANTAGES + 1e-6).all()
    cap, one = torch.tensor([[40.0]]), torch.ones(1, 1)
    held, _ = surrogates.ppo(cap, -one, one, 0.2, 0.28, 3.0)
    free, _ = surrogates.ppo(cap, one, one, 0.2, 0.28, 3.0)
    assert (float(held), float(free)) == (3.0, pytest.approx(-1.28))


def the_penalty_is_zero_at_the_start_and_has_the_kls_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind in KLKind:
        assert (losses.kl_penalty(randoms(0), randoms(0), randoms(0), kind) == 0).all()
    generator = torch.Generator().manual_seed(0)
    start, other, away = torch.randn(3, 7, generator=generator, dtype=torch.float64)
    reference, old = other.log_softmax(-1), away.log_softmax(-1)
    theta = start.clone().requires_grad_()
    logp = theta.log_softmax(-1)
    (wanted,) = torch.autograd.grad((logp.exp() * (logp - reference)).sum(), theta)
    penalty = losses.kl_penalty(theta.log_softmax(-1), reference, old, KLKind.k3_is)
    (found,) = torch.autograd.grad((old.exp() * penalty).sum(), theta)
    torch.testing.assert_close(found, wanted)


def gradients_do_not_depend_on_the_micro_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in Aggregation:
        chosen, logp, old = GrpoConfig(aggregation=kind), randoms(1), randoms(2)
        whole = gradient(logp, old, chosen)
        parts = []
        for row in range(3):
            terms = {name: value[row : row + 1] for name, value in _terms(old).items()}
            leaf = logp[row : row + 1].clone().requires_grad_()
            loss, _ = objective.objective(objective.Scored(logp=leaf, **terms), chosen, TOTALS)
            parts.append(torch.autograd.grad(loss, leaf)[0])
        torch.testing.assert_close(torch.cat(parts), whole)


def _terms(old: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "old": old, "sampler": old, "advantages": ADVANTAGES.expand(3, 5), "mask": MASK,
        "turns": TURNS, "row_weight": WEIGHT,
    }  # fmt: skip


def turns_of_one_episode_weigh_as_one_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    """`seq_mean`: the last two rows are one episode, and count half each."""
    x = torch.ones(3, 5)
    found = objective.aggregate(x, MASK, WEIGHT, Aggregation.seq_mean, TOTALS)
    assert float(found) == pytest.approx(1.0)


def batch_statistics_span_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process beside another whose tokens count (n, sum, squares) = (4, 40, 36)."""
    chosen = config(advantage=AdvantageKind.reinforce_plus_plus)
    alone = flat([e.advantages for e in credit.credited(episodes(), PAYS, chosen)])
    other = {"n": 4.0, "sum": 40.0, "squares": 36.0}
    found = credit.credited(
        episodes(), PAYS, chosen, pool=lambda mine: {k: v + other[k] for k, v in mine.items()}
    )
    assert not np.allclose(flat([e.advantages for e in found]), alone)


def environment_tokens_leave_the_advantages_of_actions_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Numbers stand exactly where ids were sampled, however long the prompts are."""
    noisy_returns(monkeypatch)
    policy = tiny_policy(spread=3.0)
    stage, state = grpo_stage(policy, guess, grpo_config(credit=Credit.turn_return))
    played = stage._sampler.play(state)
    rows = grpo_rows.numbered_rows(played, policy)
    marked = [
        credit.Credited([1.0 + k + np.arange(len(t.completion.token_ids)) / 10 for k, t in
                         enumerate(episode.turns)]) for episode in played
    ]  # fmt: skip
    kept = grpo_rows.rows_with_signal(played, rows, marked)
    for row, wanted in zip(kept, marked, strict=True):
        mask = np.array(row.row.mask, dtype=bool)
        assert np.array_equal(np.array(row.advantages)[mask], np.concatenate(wanted.advantages))
        assert not np.array(row.advantages)[~mask].any()
        assert [row.turns[i] for i in np.flatnonzero(mask)] == [
            k for k, each in enumerate(wanted.advantages) for _ in each
        ]


def what_was_not_sampled_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in Aggregation:
        chosen = GrpoConfig(aggregation=kind)
        old = randoms(2)
        plain = torch.where(MASK > 0, randoms(1), old)
        for bad in (3.0, math.nan):
            spoilt = torch.where(MASK > 0, plain, torch.full_like(MASK, bad))
            loss, _ = objective.objective(scored(spoilt, old), chosen, TOTALS)
            assert torch.isfinite(loss)
            found = gradient(spoilt, old, chosen)
            assert (found[MASK == 0] == 0).all()
            assert torch.equal(found, gradient(plain, old, chosen))


def an_all_masked_micro_batch_is_a_finite_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in Aggregation:
        none = torch.zeros_like(MASK)
        loss = objective.aggregate(randoms(1), none, WEIGHT, kind, Totals(0.0, 0.0, 4))
        assert float(loss) == 0.0


def the_order_of_members_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    order = [2, 0, 3, 1]
    returns, groups = np.array([0.0, 1.0, 0.5, 3.0]), np.array([0, 0, 1, 1])
    for kind in (AdvantageKind.grpo, AdvantageKind.dr_grpo, AdvantageKind.rloo):
        found = advantages.group_advantages(returns, groups, kind).values
        again = advantages.group_advantages(returns[order], groups[order], kind).values
        np.testing.assert_allclose(again, found[order])


def a_groups_rewards_concern_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [0, 0, 1, 1]
    for kind in (AdvantageKind.grpo, AdvantageKind.dr_grpo, AdvantageKind.rloo):
        one = advantages.group_advantages([0.0, 1.0, 5.0, 6.0], groups, kind).values
        two = advantages.group_advantages([0.0, 1.0, 50.0, 51.0], groups, kind).values
        np.testing.assert_allclose(one, two, atol=1e-9)


def a_constant_reward_gives_exactly_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = [0.1, float(np.nextafter(0.1, 9)), 0.1, 7.0]  # and a group of one
    for kind in (AdvantageKind.grpo, AdvantageKind.dr_grpo, AdvantageKind.rloo):
        found = advantages.group_advantages(noise, [0, 0, 0, 1], kind).values
        assert found.tolist() == [0.0] * 4
    assert all(not each.any() for each in whitening.whiten([np.array(noise[:3])]))


def nothing_is_bootstrapped_over_the_end_of_an_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = config(**PPO, gae_lambda=1.0)
    found = credit.credited(episodes(), PAYS, chosen, values=values())
    for pay, each in zip(PAYS, found, strict=True):
        assert each.targets is not None
        assert each.targets[-1][0] == pytest.approx(pay.rewards[-1])  # of the last turn: its reward


def a_late_token_does_not_change_earlier_values(monkeypatch: pytest.MonkeyPatch) -> None:
    states = torch.zeros(1, 4, 2)
    states[0, :, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    head = critic.ValueHead(2, [], seed=0)
    torch.nn.init.ones_(next(head.parameters()))
    mask = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    found = critic.token_values(head, states, mask, detach=True)
    assert found.tolist() == [[0.0, 0.0, 2.0, 3.0]]  # states that the tokens were sampled from


def an_entropy_bonus_raises_the_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    logp = randoms(1)
    entropy = randoms(3).requires_grad_()
    loss, _ = objective.objective(
        scored(logp, logp, entropy=entropy), GrpoConfig(entropy_coef=0.6), TOTALS
    )
    (found,) = torch.autograd.grad(loss, entropy)
    torch.testing.assert_close(found, -0.1 * MASK)


def members_and_steps_draw_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    rollout = grpo_rollout.rollout

    def watch(*args: Any, **kwargs: Any) -> Any:
        calls.append({**kwargs, "seeds": args[2]})
        return rollout(*args, **kwargs)

    monkeypatch.setattr(grpo_rollout, "rollout", watch)
    stage, state = grpo_stage(tiny_policy(), guess, grpo_config(groups_per_step=2, group_size=2))
    run_steps(stage, state, 2)
    keys = [
        (call["run_seed"], call["step"], group, member)
        for call in calls
        for group, member in zip(call["groups"], call["members"], strict=True)
    ]
    assert len(set(keys)) == len(keys) == 8
    by_task = {(seed, g) for c in calls for seed, g in zip(c["seeds"], c["groups"], strict=True)}
    assert len({seed for seed, _ in by_task}) == len(by_task) == 4  # one seed a group, of its own


def later_updates_compare_with_the_rollouts_probabilities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noisy_returns(monkeypatch)
    stage, state = grpo_stage(tiny_policy(spread=3.0), guess, grpo_config(epochs=2))
    (metrics,) = run_steps(stage, state, 1)
    assert metrics["ratio/max"] > 1.001


def whole_updates_do_not_depend_on_the_micro_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy_returns(monkeypatch)
    found = [
        gradient_of(grpo_config(optim=optim(micro_batch_tokens=tokens))) for tokens in (1, 9999)
    ]
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=2e-6)


INVARIANTS: tuple[Check, ...] = (
    the_ratio_is_one_at_the_first_update,
    on_policy_every_surrogate_is_reinforce,
    the_clipped_surrogate_never_promises_more_than_the_plain_one,
    the_penalty_is_zero_at_the_start_and_has_the_kls_gradient,
    gradients_do_not_depend_on_the_micro_batch,
    whole_updates_do_not_depend_on_the_micro_batch,
    turns_of_one_episode_weigh_as_one_episode,
    batch_statistics_span_all_processes,
    environment_tokens_leave_the_advantages_of_actions_alone,
    what_was_not_sampled_changes_nothing,
    an_all_masked_micro_batch_is_a_finite_zero,
    the_order_of_members_does_not_matter,
    a_groups_rewards_concern_nobody_else,
    a_constant_reward_gives_exactly_zero,
    nothing_is_bootstrapped_over_the_end_of_an_episode,
    a_late_token_does_not_change_earlier_values,
    an_entropy_bonus_raises_the_entropy,
    members_and_steps_draw_differently,
    later_updates_compare_with_the_rollouts_probabilities,
)
