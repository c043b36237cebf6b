"""Several updates on one rollout, the penalty towards a reference, and updates that go wrong."""

from typing import Any

import pytest
import torch
from cardinal_gym.training import objective, policy_gradient
from cardinal_gym.training.config import BudgetConfig, KLKind
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.grpo_update import TrainRows
from cardinal_gym.training.loop import TrainingDiverged, TrainState
from toys import (
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


@pytest.mark.parametrize(("epochs", "minibatches"), [(3, 1), (2, 3)])
def test_inner_updates_compare_with_what_was_before_the_first(
    epochs: int, minibatches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy_returns(monkeypatch)
    olds: list[dict[int, torch.Tensor]] = []
    ratios: list[float] = []
    loss, trained = objective.policy_loss, policy_gradient.train_on

    def remember(batch: TrainRows, *rest: Any) -> dict[str, float]:
        olds.append({index: old.clone() for index, old in batch.measured.old.items()})
        return trained(batch, *rest)

    def watch(*args: Any) -> tuple:
        surrogate, metrics = loss(*args)
        ratios.append(float(metrics["ratio/max"]))
        return surrogate, metrics

    monkeypatch.setattr(policy_gradient, "train_on", remember)
    monkeypatch.setattr(objective, "policy_loss", watch)
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
    config = grpo_config(minibatches=5)
    stage, state = grpo_stage(tiny_policy(), guess, config)
    batches: list[TrainRows] = []
    passed = policy_gradient.minibatches
    monkeypatch.setattr(
        policy_gradient,
        "minibatches",
        lambda batch, *a, **k: batches.append(batch) or passed(batch, *a, **k),
    )
    run_steps(stage, state, 1)
    (batch,) = batches
    parts = passed(batch, config, state, run_seed=0, epoch=0)
    again = passed(batch, config, state, run_seed=0, epoch=1)
    assert sorted(row.index for part in parts for row in part.rows) == list(range(16))
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
        TrainState.apply_gradients = lambda self, *args: (  # type: ignore[method-assign]
            steps.append(weights(policy)),
            moved.append(any(p.grad is not None for p in self.parameters)),
            apply(self, *args),
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
    broken = objective.aggregate
    monkeypatch.setattr(
        objective, "aggregate", lambda *args: broken(*args) * torch.tensor(float("nan"))
    )
    for count in (1, 2):
        (metrics,) = run_steps(stage, state, 1)
        assert metrics["updates/skipped"] == 1.0
        assert state.bad_updates == count
    monkeypatch.setattr(objective, "aggregate", broken)
    assert torch.equal(weights(policy), before)
    assert state.ledger.updates == 0
    (metrics,) = run_steps(stage, state, 1)  # a good one: counting starts again
    assert (metrics["updates/skipped"], state.bad_updates, state.ledger.updates) == (0.0, 0, 1)


def test_bad_updates_are_counted_over_all_updates_of_a_rollout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noisy_returns(monkeypatch)
    stage, state = grpo_stage(tiny_policy(), bandit, grpo_config(epochs=3))
    good, calls = objective.aggregate, []
    monkeypatch.setattr(
        objective,
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
        objective, "policy_loss", lambda logp, *_, **__: (logp * float("inf"), _no_metrics())
    )
    run_steps(stage, state, 1)
    with pytest.raises(TrainingDiverged, match="2 non-finite updates in a row; turn the learning"):
        run_steps(stage, state, 1)


def _no_metrics() -> dict[str, torch.Tensor]:
    return dict.fromkeys(("clip_fraction", "ratio/mean", "ratio/max"), torch.ones(()))


def test_a_budget_must_have_an_end() -> None:
    with pytest.raises(ValueError, match="budget must give steps or tflops"):
        TrainState.create(tiny_policy(), optim(), BudgetConfig(), Workers("cpu"))
