"""One GRPO update: on-policy, token exact, independent of layout, still where nothing differs."""

from collections.abc import Callable, Sequence

import gymnasium as gym
import numpy as np
import pytest
import torch
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.types import ContextMode, Episode
from cardinal_gym.training import policy_gradient
from cardinal_gym.training.advantages import AdvantageKind
from cardinal_gym.training.config import Aggregation, BudgetConfig, GrpoConfig, KLKind
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import TrainingDiverged, TrainState
from cardinal_gym.training.policy_gradient import GrpoStage
from toys import (
    BANDIT,
    GUESS,
    gradients,
    grpo_config,
    grpo_stage,
    optim,
    run_steps,
    tiny_policy,
    weights,
)

BOTH = pytest.mark.parametrize("context", list(ContextMode))


def guess() -> gym.Env:
    return gym.make(GUESS, max_turns=3)


def bandit() -> gym.Env:
    return gym.make(BANDIT)


def steady() -> gym.Env:
    return gym.make(BANDIT, rewards=(1.0, 1.0))


def noisy_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every episode gets a return of its own, by group and member: every group has a signal."""
    played = policy_gradient.rollout

    def judged(*args: object, **kwargs: object) -> list[Episode]:
        return [
            Episode(
                **{
                    **{name: getattr(e, name) for name in Episode.__slots__},
                    "episode_return": float(np.random.default_rng([e.group, e.member]).random()),
                }
            )
            for e in played(*args, **kwargs)
        ]

    monkeypatch.setattr(policy_gradient, "rollout", judged)


def gradient_of(
    config: GrpoConfig, context: ContextMode = ContextMode.concat, env: Callable = guess
) -> torch.Tensor:
    policy = tiny_policy(context=context, spread=3.0)
    return gradients(*grpo_stage(policy, env, config))


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert wanted.abs().max() > 1e-3
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-6)


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
    ordered = policy_gradient.rollout
    shuffle = np.random.default_rng(0).permutation(16)
    monkeypatch.setattr(
        policy_gradient, "rollout", lambda *a, **k: [ordered(*a, **k)[i] for i in shuffle]
    )
    assert_close(gradient_of(grpo_config(), context), wanted)


def test_both_contexts_give_a_one_turn_episode_the_same_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noisy_returns(monkeypatch)
    found = [gradient_of(grpo_config(), context, bandit) for context in ContextMode]
    assert_close(found[0], found[1])


@pytest.mark.parametrize("aggregation", list(Aggregation))
def test_the_gradient_is_that_of_reinforce_over_the_sampled_ids(
    aggregation: Aggregation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a loop over episodes that knows nothing of rows, batches or ratios."""
    noisy_returns(monkeypatch)
    played: list[Episode] = []
    rollout = policy_gradient.rollout
    monkeypatch.setattr(
        policy_gradient, "rollout", lambda *a, **k: played.extend(rollout(*a, **k)) or played
    )
    config = grpo_config(aggregation=aggregation, advantage=AdvantageKind.dr_grpo)
    policy = tiny_policy(spread=3.0)
    found = gradients(*grpo_stage(policy, guess, config))
    assert_close(found, reinforce(policy, played, aggregation, config.max_new_tokens))


def reinforce(
    policy: Policy, episodes: Sequence[Episode], aggregation: Aggregation, limit: int
) -> torch.Tensor:
    tokens = sum(episode.num_sampled_tokens for episode in episodes)
    loss = torch.zeros(())
    for episode in episodes:
        mates = [e.episode_return for e in episodes if e.group == episode.group]
        advantage = episode.episode_return - sum(mates) / len(mates)
        ids: list[int] = []
        total = torch.zeros(())
        for turn in episode.turns:
            ids += turn.prompt_ids
            for sampled in turn.completion.token_ids:
                logits = policy.model(torch.tensor([ids])).logits[0, -1]
                may_be_said = set(range(len(logits))) - set(policy.banned_ids)
                total = total + logits[sampled] - logits[list(may_be_said)].logsumexp(-1)
                ids.append(sampled)
        share = {
            Aggregation.token_mean: 1 / tokens,
            Aggregation.seq_mean: 1 / episode.num_sampled_tokens / len(episodes),
            Aggregation.const: 1 / (len(episodes) * limit),
        }[aggregation]
        loss = loss - advantage * share * total
    parameters = [p for p in policy.model.parameters() if p.requires_grad]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])


@pytest.mark.parametrize("kind", list(AdvantageKind))
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
    rollout = policy_gradient.rollout
    monkeypatch.setattr(
        policy_gradient, "rollout", lambda *a, **k: played.append(rollout(*a, **k)) or played[-1]
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
            for e in stage._rollout(state)
        ]

    alone = played(Workers("cpu"))
    for size in (2, 3):
        parts = [played(Ranked(rank, size)) for rank in range(size)]
        assert [episode for part in parts for episode in part] == alone
        assert not set(parts[0]) & set(parts[1])


@pytest.mark.parametrize(("epochs", "minibatches"), [(3, 1), (2, 3)])
def test_inner_updates_compare_with_what_was_before_the_first(
    epochs: int, minibatches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    olds: list[dict[int, torch.Tensor]] = []
    ratios: list[float] = []
    loss = policy_gradient.policy_loss
    trained = GrpoStage._train

    def remember(self: GrpoStage, state: TrainState, batch: object, sums: object) -> dict:
        olds.append({index: old.clone() for index, old in batch.old.items()})  # type: ignore[attr-defined]
        return trained(self, state, batch, sums)  # type: ignore[arg-type]

    def watch(*args: torch.Tensor, **clip: float) -> tuple:
        surrogate, metrics = loss(*args, **clip)
        ratios.append(float(metrics["ratio/max"]))
        return surrogate, metrics

    monkeypatch.setattr(GrpoStage, "_train", remember)
    monkeypatch.setattr(policy_gradient, "policy_loss", watch)
    config = grpo_config(epochs=epochs, minibatches=minibatches)
    stage, state = grpo_stage(tiny_policy(spread=3.0), guess, config)
    run_steps(stage, state, 1)
    assert len(olds) == epochs * minibatches == state.ledger.updates
    assert all(len(old) == 16 for old in olds)
    for old in olds[1:]:
        assert all(torch.equal(old[i], olds[0][i]) for i in old)
    assert ratios[0] == pytest.approx(1.0, abs=1e-5)
    assert max(ratios[1:]) > 1.001


def test_a_pass_over_the_rollout_uses_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy_returns(monkeypatch)
    stage, state = grpo_stage(tiny_policy(), guess, grpo_config(minibatches=5))
    episodes = stage._rollout(state)
    batch = stage._rows(episodes, stage._advantages(episodes), state)
    parts = stage._minibatches(batch, 0, state)
    assert sorted(row.index for part in parts for row in part.rows) == list(range(16))
    again = stage._minibatches(batch, 1, state)
    assert [r.index for p in parts for r in p.rows] != [r.index for p in again for r in p.rows]


def test_a_minibatch_without_rows_moves_nothing() -> None:
    """One group with a signal, more updates than rows: the empty ones must not apply momentum."""
    policy = tiny_policy()
    config = grpo_config(groups_per_step=1, group_size=6, minibatches=9)
    stage, state = grpo_stage(policy, bandit, config)
    steps: list[torch.Tensor] = []
    apply = TrainState.apply_gradients
    moved = []
    try:
        TrainState.apply_gradients = lambda self: (  # type: ignore[method-assign]
            steps.append(weights(policy)),
            moved.append(any(p.grad is not None for p in self.parameters)),
            apply(self),
        )[-1]
        run_steps(stage, state, 1)
    finally:
        TrainState.apply_gradients = apply  # type: ignore[method-assign]
    assert moved
    assert all(moved)
    assert state.ledger.updates == len(moved) == 6


@pytest.mark.parametrize("kind", list(KLKind))
def test_a_penalty_needs_a_reference_and_pulls_towards_it(
    kind: KLKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = grpo_config(kl_coef=0.5, kl_kind=kind)
    with pytest.raises(ValueError, match="kl_coef > 0 needs a reference policy"):
        grpo_stage(tiny_policy(), bandit, config)
    noisy_returns(monkeypatch)
    policy, reference = tiny_policy(spread=3.0), tiny_policy(spread=3.0)
    frozen = weights(reference)
    stage, state = grpo_stage(policy, guess, config, reference=reference)
    first, second = run_steps(stage, state, 2)
    assert first["kl"] == pytest.approx(0.0, abs=1e-6)
    assert second["kl"] != 0.0
    assert torch.equal(weights(reference), frozen)


def test_at_the_start_the_penalty_has_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy_returns(monkeypatch)
    plain = gradient_of(grpo_config())
    policy, reference = tiny_policy(spread=3.0), tiny_policy(spread=3.0)
    held = grpo_stage(policy, guess, grpo_config(kl_coef=1.0), reference=reference)
    assert_close(gradients(*held), plain)


def test_a_gradient_that_is_not_finite_is_skipped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noisy_returns(monkeypatch)
    policy = tiny_policy()
    stage, state = grpo_stage(policy, bandit, grpo_config(optim=optim(max_bad_updates=3)))
    before = weights(policy)
    broken = policy_gradient.aggregate
    monkeypatch.setattr(
        policy_gradient, "aggregate", lambda *args: broken(*args) * torch.tensor(float("nan"))
    )
    for count in (1, 2):
        (metrics,) = run_steps(stage, state, 1)
        assert metrics["updates/skipped"] == 1.0
        assert state.bad_updates == count
    monkeypatch.setattr(policy_gradient, "aggregate", broken)
    assert torch.equal(weights(policy), before)
    assert state.ledger.updates == 0
    (metrics,) = run_steps(stage, state, 1)  # a good one: counting starts again
    assert (metrics["updates/skipped"], state.bad_updates, state.ledger.updates) == (0.0, 0, 1)


def test_bad_updates_are_counted_over_all_updates_of_a_rollout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noisy_returns(monkeypatch)
    stage, state = grpo_stage(tiny_policy(), bandit, grpo_config(epochs=3))
    good, calls = policy_gradient.aggregate, []
    monkeypatch.setattr(
        policy_gradient,
        "aggregate",
        lambda *args: good(*args) * (float("inf") if calls.append(0) or len(calls) == 1 else 1),
    )
    (metrics,) = run_steps(stage, state, 1)
    assert metrics["updates/skipped"] == 1.0
    assert state.ledger.updates == 2


def test_too_many_bad_updates_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy_returns(monkeypatch)
    stage, state = grpo_stage(tiny_policy(), bandit, grpo_config(optim=optim(max_bad_updates=2)))
    monkeypatch.setattr(
        policy_gradient, "policy_loss", lambda logp, *_, **__: (logp * float("inf"), _no_metrics())
    )
    run_steps(stage, state, 1)
    with pytest.raises(TrainingDiverged, match="2 non-finite updates in a row; turn the learning"):
        run_steps(stage, state, 1)


def _no_metrics() -> dict[str, torch.Tensor]:
    return {"clip_fraction": torch.zeros(()), "ratio/max": torch.ones(())}


def test_a_budget_must_have_an_end() -> None:
    with pytest.raises(ValueError, match="budget must give steps or tflops"):
        TrainState.create(tiny_policy(), optim(), BudgetConfig(), Workers("cpu"))


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
