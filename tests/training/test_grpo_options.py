"""Whole updates with what the literature adds: critics, penalties in the reward, fresh groups."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from cardinal_gym.agents.rows import collate, rows_from_episode
from cardinal_gym.agents.scoring import token_logprobs
from cardinal_gym.agents.types import Episode
from cardinal_gym.training import grpo_rollout, objective
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.config import Aggregation, GrpoConfig, LengthConfig
from cardinal_gym.training.grpo_config import KLPlace, RatioUnit, Surrogate
from cardinal_gym.training.grpo_config import SamplerCorrection as Correction
from cardinal_gym.training.metrics import definition_of
from toys import (
    BANDIT,
    assert_close,
    bandit,
    gradient_of,
    gradients,
    grpo_config,
    grpo_stage,
    guess,
    needed,
    noisy_returns,
    optim,
    recorded,
    replaced,
    run_steps,
    tiny_policy,
    weights,
)

README = Path(grpo_rollout.__file__).parent / "README.md"
PPO: dict[str, Any] = {
    "advantage": AdvantageKind.gae, "credit": Credit.turn_return, "ratio_unit": RatioUnit.turn,
    "group_size": 1, "groups_per_step": 8,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "gspo": {"surrogate": Surrogate.gspo, "ratio_unit": RatioUnit.turn, "minibatches": 2},
    "cispo": {"surrogate": Surrogate.cispo, "advantage": AdvantageKind.batch_std},
    "sapo": {"surrogate": Surrogate.sapo, "sampler_correction": Correction.truncate},
    "gigpo": {"credit": Credit.gigpo, "advantage": AdvantageKind.grpo, "entropy_coef": 0.01},
    "plus": {
        "advantage": AdvantageKind.reinforce_plus_plus, "kl_in": KLPlace.reward, "kl_coef": 0.1,
    },
    "ppo": PPO,
    "vagen": {**PPO, "credit": Credit.bilevel, "kl_in": KLPlace.reward, "kl_coef": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_do_not_depend_on_the_micro_batch(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    found = []
    for tokens in (60, 100_000):
        settings = {**VARIANTS[name], "minibatches": 1}
        config = grpo_config(**settings, optim=optim(micro_batch_tokens=tokens))
        policy = tiny_policy(spread=3.0)
        found.append(gradients(*grpo_stage(policy, guess, config, **needed(config))))
    assert_close(found[0], found[1])


@pytest.mark.parametrize("name", VARIANTS)
def test_every_metric_of_an_update_is_defined_and_explained(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    length = LengthConfig(overlong_fraction=0.2)
    config = grpo_config(**VARIANTS[name], length=length)
    policy = tiny_policy(spread=3.0)
    stage, state = grpo_stage(policy, guess, config, **needed(config))
    (metrics,) = run_steps(stage, state, 1)
    text = README.read_text(encoding="utf-8")
    for metric in metrics:
        assert definition_of(metric) is not None
        patterns = [metric, *(f"{metric[: i + 1]}*" for i, c in enumerate(metric) if c == "/")]
        assert any(f"`{each}`" in text for each in patterns), metric
    assert metrics["time/rollout"] > 0
    assert metrics["memory/peak_mib"] > 10


def test_the_reference_becomes_the_policy_every_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy_returns(monkeypatch)
    policy, reference = tiny_policy(spread=3.0), tiny_policy(spread=3.0)
    config = grpo_config(kl_coef=0.1, reference_every=2)
    stage, state = grpo_stage(policy, guess, config, reference=reference)
    kl = [metrics["kl"] for metrics in run_steps(stage, state, 4)]
    assert kl[0] == pytest.approx(0.0, abs=1e-6)
    assert kl[2] == pytest.approx(0.0, abs=1e-6)
    assert kl[1] > 1e-4 < kl[3]
    assert not torch.equal(weights(reference), weights(policy))


def test_a_penalty_in_the_reward_is_what_the_reference_would_not_have_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against returns less beta * (log-probability of the answer - that of the reference)."""
    noisy_returns(monkeypatch)
    policy, reference = tiny_policy(spread=3.0), tiny_policy(spread=3.0, seed=1)
    played = recorded(monkeypatch)
    config = grpo_config(kl_coef=0.05, kl_in=KLPlace.reward)
    found = gradients(*grpo_stage(policy, guess, config, reference=reference))

    def fine(episode: Episode) -> Episode:
        (row,) = rows_from_episode(episode, policy)
        batch = collate(policy, [row])
        with torch.no_grad():
            gap = token_logprobs(policy, batch) - token_logprobs(reference, batch)
        cost = 0.05 * float((gap * batch.mask).sum())
        return replaced(episode, episode_return=episode.episode_return - cost)

    cheaper = [fine(episode) for episode in played]
    monkeypatch.setattr(grpo_rollout, "rollout", lambda *a, **k: cheaper)
    assert_close(found, gradients(*grpo_stage(policy, guess, grpo_config())))


def test_groups_without_variance_are_drawn_again_up_to_a_limit() -> None:
    stage, state = grpo_stage(
        tiny_policy(), bandit, grpo_config(group_size=2, groups_per_step=8, dynamic_sampling=20)
    )
    (metrics,) = run_steps(stage, state, 1)
    good = metrics["groups/total"] - metrics["groups/zero_variance"]
    assert good == 8
    assert metrics["groups/total"] > 8
    assert state.ledger.episodes == 2 * metrics["groups/total"]


def test_a_task_that_can_teach_nothing_is_replaced_only_so_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds: list[list[int]] = []
    rollout = grpo_rollout.rollout
    monkeypatch.setattr(
        grpo_rollout, "rollout", lambda *a, **k: seeds.append(a[2]) or rollout(*a, **k)
    )
    policy = tiny_policy()
    before = weights(policy)
    config = grpo_config(group_size=2, groups_per_step=3, dynamic_sampling=2)
    stage, state = grpo_stage(policy, lambda: gym.make(BANDIT, rewards=(1.0, 1.0)), config)
    first, _ = run_steps(stage, state, 2)
    assert first["groups/total"] == first["groups/zero_variance"] == 9
    assert torch.equal(weights(policy), before)
    tasks = {seed for each in seeds for seed in each}
    assert len(seeds) == 6
    assert len(tasks) == 18  # no task comes twice


def test_the_entropy_bonus_is_the_gradient_of_the_mean_entropy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noisy_returns(monkeypatch)
    played = recorded(monkeypatch)
    plain = gradient_of(grpo_config())
    with_bonus = gradient_of(grpo_config(entropy_coef=0.5))
    policy = tiny_policy(spread=3.0)
    half = played[: len(played) // 2]
    total, count = torch.zeros(()), 0
    for episode in half:
        (row,) = rows_from_episode(episode, policy)
        logits = policy.model(torch.tensor([row.ids])).logits[0]
        said = [i for i in range(logits.shape[1]) if i not in policy.banned_ids]
        logp = logits[:-1, said].log_softmax(-1)
        sampled = torch.tensor(row.mask[1:]) > 0
        total = total - (logp.exp() * logp).sum(-1)[sampled].sum()
        count += int(sampled.sum())
    parameters = [p for p in policy.model.parameters() if p.requires_grad]
    grads = torch.autograd.grad(total / count, parameters)
    assert_close(with_bonus - plain, -0.5 * torch.cat([g.flatten() for g in grads]))


def test_rewards_for_length_are_trained_on_and_logged_apart() -> None:
    length = LengthConfig(overlong_fraction=0.5)
    config = grpo_config(max_new_tokens=4, length=length)
    stage, state = grpo_stage(tiny_policy(), lambda: gym.make(BANDIT, rewards=(1.0, 1.0)), config)
    (metrics,) = run_steps(stage, state, 1)
    assert metrics["reward/mean"] == 1.0
    assert 0.0 <= metrics["reward/shaped"] < 1.0


@pytest.mark.parametrize("aggregation", list(Aggregation))
def test_an_all_masked_micro_batch_gives_a_finite_zero(aggregation: Aggregation) -> None:
    zeros = torch.zeros(2, 3)
    logp = torch.randn(2, 3, requires_grad=True)
    scored = objective.Scored(
        logp=logp, old=logp.detach(), sampler=zeros, advantages=zeros + 1, mask=zeros, turns=zeros,
        row_weight=torch.ones(2), entropy=logp * 2, reference=zeros,
    )  # fmt: skip
    config = GrpoConfig(aggregation=aggregation, kl_coef=0.1, entropy_coef=0.1)
    loss, sums = objective.objective(scored, config, objective.Totals(0.0, 0.0, 4))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert (logp.grad == 0).all()
    assert np.isfinite(list(sums.values())).all()
