"""One GRPO update: on-policy, token exact, independent of layout, still where nothing differs."""

from collections.abc import Callable, Sequence

import gymnasium as gym
import numpy as np
import pytest
import torch
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.types import ContextMode, Episode
from cardinal_gym.envs.general_points.config import GeneralPointsConfig, RewardConfig
from cardinal_gym.training import grpo_rollout
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.config import Aggregation, ExperimentConfig
from cardinal_gym.training.distributed import Workers
from toys import (
    BANDIT,
    assert_close,
    bandit,
    gradient_of,
    gradients,
    grpo_config,
    grpo_stage,
    guess,
    noisy_returns,
    optim,
    run_steps,
    tiny_policy,
    weights,
)

BOTH = pytest.mark.parametrize("context", list(ContextMode))


def steady() -> gym.Env:
    return gym.make(BANDIT, rewards=(1.0, 1.0))


@BOTH
def test_at_the_first_update_the_ratio_is_one_and_sampler_and_trainer_agree(
    context: ContextMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    policy = tiny_policy(context=context, spread=3.0)
    for temperature in (1.0, 0.7):
        stage, state = grpo_stage(policy, guess, grpo_config(temperature=temperature))
        (metrics,) = run_steps(stage, state, 1)
        assert metrics["ratio/max"] == 1.0
        assert metrics["clip_fraction"] == 0.0
        assert metrics["sampler_gap/mean"] < 1e-5
        assert metrics["grad_norm"] > 0


@BOTH
@pytest.mark.parametrize("aggregation", list(Aggregation))
def test_gradients_do_not_depend_on_the_micro_batch(
    context: ContextMode, aggregation: Aggregation, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    found = [
        gradient_of(
            grpo_config(aggregation=aggregation, optim=optim(micro_batch_tokens=tokens)), context
        )
        for tokens in (1, 60, 100_000)
    ]
    assert_close(found[0], found[2])
    assert_close(found[1], found[2])


@BOTH
def test_gradients_do_not_depend_on_the_order_of_episodes(
    context: ContextMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    wanted = gradient_of(grpo_config(), context)
    ordered = grpo_rollout.rollout
    shuffle = np.random.default_rng(0).permutation(16)
    monkeypatch.setattr(
        grpo_rollout, "rollout", lambda *a, **k: [ordered(*a, **k)[i] for i in shuffle]
    )
    assert_close(gradient_of(grpo_config(), context), wanted)


def test_both_contexts_give_a_one_turn_episode_the_same_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noisy_returns(monkeypatch)
    found = [gradient_of(grpo_config(), context, bandit) for context in ContextMode]
    assert_close(found[0], found[1])


@pytest.mark.parametrize("credit", [Credit.trajectory, Credit.turn_return])
@pytest.mark.parametrize("aggregation", list(Aggregation))
def test_the_gradient_is_that_of_reinforce_over_the_sampled_ids(
    aggregation: Aggregation, credit: Credit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a loop over episodes that knows nothing of rows, batches or ratios."""
    noisy_returns(monkeypatch)
    played: list[Episode] = []
    rollout = grpo_rollout.rollout
    monkeypatch.setattr(
        grpo_rollout, "rollout", lambda *a, **k: played.extend(rollout(*a, **k)) or played
    )
    config = grpo_config(
        aggregation=aggregation, advantage=AdvantageKind.dr_grpo, credit=credit, discount=0.5
    )
    policy = tiny_policy(spread=3.0)
    found = gradients(*grpo_stage(policy, guess, config))
    assert len({len(episode.turns) for episode in played}) > 1
    value = to_go if credit is Credit.turn_return else whole
    assert_close(found, reinforce(policy, played, aggregation, config.max_new_tokens, value))


def whole(episode: Episode, turn: int) -> float:
    return episode.episode_return


def to_go(episode: Episode, turn: int) -> float:
    return sum(0.5**k * later.reward for k, later in enumerate(episode.turns[turn:]))


def reinforce(
    policy: Policy,
    episodes: Sequence[Episode],
    aggregation: Aggregation,
    limit: int,
    value: Callable[[Episode, int], float],
) -> torch.Tensor:
    tokens = sum(episode.num_sampled_tokens for episode in episodes)
    loss = torch.zeros(())
    for episode in episodes:
        group = [mate for mate in episodes if mate.group == episode.group]
        ids: list[int] = []
        total = torch.zeros(())
        for place, turn in enumerate(episode.turns):
            there = [mate for mate in group if value is whole or len(mate.turns) > place]
            mates = [value(mate, place) for mate in there]
            advantage = value(episode, place) - sum(mates) / len(mates)
            ids += turn.prompt_ids
            for sampled in turn.completion.token_ids:
                logits = policy.model(torch.tensor([ids])).logits[0, -1]
                may_be_said = set(range(len(logits))) - set(policy.banned_ids)
                logp = logits[sampled] - logits[list(may_be_said)].logsumexp(-1)
                total = total + advantage * logp
                ids.append(sampled)
        share = {
            Aggregation.token_mean: 1 / tokens,
            Aggregation.seq_mean: 1 / episode.num_sampled_tokens / len(episodes),
            Aggregation.const: 1 / (len(episodes) * limit),
        }[aggregation]
        loss = loss - share * total
    parameters = [p for p in policy.model.parameters() if p.requires_grad]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])


@pytest.mark.parametrize("kind", [kind for kind in AdvantageKind if kind is not AdvantageKind.gae])
def test_a_constant_reward_leaves_the_weights_bit_for_bit(kind: AdvantageKind) -> None:
    policy = tiny_policy()
    before = weights(policy)
    moving = optim(weight_decay=0.1)
    stage, state = grpo_stage(policy, bandit, grpo_config(optim=moving))
    run_steps(stage, state, 2)  # momentum that must not move weights either
    moved = weights(policy)
    assert not torch.equal(before, moved)
    still, _ = grpo_stage(policy, steady, grpo_config(advantage=kind, optim=moving))
    (metrics,) = run_steps(still, state, 1)
    assert torch.equal(weights(policy), moved)
    assert metrics["groups/zero_variance"] == metrics["groups/total"] == 4
    assert metrics["reward/mean"] == 1.0
    assert state.ledger.episodes == 3 * 16  # played, though not learnt from


def test_silent_groups_are_dropped_before_the_forward_pass_and_counted() -> None:
    policy = tiny_policy()
    stage, state = grpo_stage(policy, bandit, grpo_config(group_size=2, groups_per_step=8))
    (metrics,) = run_steps(stage, state, 1)
    silent = metrics["groups/zero_variance"]
    assert 0 < silent < 8
    assert state.ledger.train_tokens < state.ledger.prompt_tokens + state.ledger.sampled_tokens


def test_members_and_steps_draw_differently_and_share_their_groups_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played: list[list[Episode]] = []
    rollout = grpo_rollout.rollout
    monkeypatch.setattr(
        grpo_rollout, "rollout", lambda *a, **k: played.append(rollout(*a, **k)) or played[-1]
    )
    stage, state = grpo_stage(tiny_policy(), steady, grpo_config())
    run_steps(stage, state, 2)  # a constant reward: both steps sample from one policy
    first, second = played
    answers = [tuple(turn.completion.token_ids for turn in e.turns) for e in (*first, *second)]
    assert len(set(answers)) == len(answers)
    seeds = [{e.seed for e in first + second if e.group == group} for group in range(8)]
    assert all(len(seed) == 1 for seed in seeds)
    assert len(set.union(*seeds)) == 8


class Ranked(Workers):
    """One rank of several, for looking at what it would play."""

    def __init__(self, rank: int, size: int) -> None:
        super().__init__("cpu")
        self.rank, self.size = rank, size


def test_what_is_played_does_not_depend_on_the_number_of_processes() -> None:
    policy = tiny_policy()
    stage, state = grpo_stage(policy, guess, grpo_config())

    def played(workers: Workers) -> list[tuple]:
        state.workers = workers
        return [
            (e.seed, e.group, e.member, e.turns[0].completion.token_ids)
            for e in stage._sampler.play(state)
        ]

    alone = played(Workers("cpu"))
    for size in (2, 3):
        parts = [played(Ranked(rank, size)) for rank in range(size)]
        assert [episode for part in parts for episode in part] == alone
        assert not set(parts[0]) & set(parts[1])


def test_what_is_never_sampled_stands_outside_the_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise lowering what was said raises what cannot be said, and nothing answers for it."""
    noisy_returns(monkeypatch)
    policy = tiny_policy(spread=3.0)
    wanted = gradients(*grpo_stage(policy, guess, grpo_config()))
    bonus = torch.zeros(len(policy.tokenizer))
    bonus[list(policy.banned_ids)] = 12.0
    policy.model.get_output_embeddings().register_forward_hook(lambda *call: call[2] + bonus)
    stage, state = grpo_stage(policy, guess, grpo_config())
    assert torch.equal(gradients(stage, state), wanted)
    (metrics,) = run_steps(stage, state, 1)
    assert metrics["sampler_gap/mean"] < 1e-5
    assert metrics["entropy"] < np.log(len(policy.tokenizer))


def test_credit_by_turn_refuses_pay_for_wrong_answers() -> None:
    """Else answering wrongly on purpose, and rightly later, would earn more."""
    by_turn = grpo_config(credit=Credit.turn_return, discount=0.9)
    with pytest.raises(ValueError, match=r"grpo.credit=turn_return must not add up paid wrong"):
        ExperimentConfig(env=GeneralPointsConfig(), grpo=by_turn)
    unpaid = RewardConfig(weights={"accuracy": 1.0, "format": 0.0})
    ExperimentConfig(env=GeneralPointsConfig(reward=unpaid), grpo=by_turn)
    ExperimentConfig(env=GeneralPointsConfig(max_turns=1), grpo=by_turn)
