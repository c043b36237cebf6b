"""DPO: its loss against an independent one, its invariants, and that it learns."""

import math

import pytest
import torch
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Row, row_from_answer
from cardinal_gym.training.config import BudgetConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.judging.config import DpoConfig
from cardinal_gym.training.loop import TrainState
from cardinal_gym.training.losses import preference_loss
from cardinal_gym.training.preference import Pair, PreferenceStage, log_odds
from toys import gradients, optim, run_steps, tiny_policy, weights

PROMPTS = ("target 1", "target 7 cards cards", "target 24 cards A J")


def pairs(policy: Policy) -> list[Pair]:
    """Three prompts with a right and a wrong answer of unequal lengths."""
    return [Pair(row(policy, prompt, "77"), row(policy, prompt, "1 + 2 - 3")) for prompt in PROMPTS]


def row(policy: Policy, prompt: str, answer: str) -> Row:
    return row_from_answer(policy, policy.tokenizer.encode(prompt), answer)


def stage(
    policy: Policy, learnt: list[Pair], *, batch_size: int = 3, **settings: float
) -> tuple[PreferenceStage, TrainState]:
    micro_batch_tokens = int(settings.pop("micro_batch_tokens", 4096))
    made = PreferenceStage(
        policy, learnt, DpoConfig(**settings), batch_size=batch_size,
        budget=BudgetConfig(steps=100), seed=0,
        optim=optim(1e-3, micro_batch_tokens=micro_batch_tokens),
    )  # fmt: skip
    return made, TrainState.create(policy, made.optim, made.budget, Workers("cpu"))


def logprob_by_hand(policy: Policy, sequence: Row) -> float:
    """The log-probability of a row's answer, one token after the other, over allowed ids alone."""
    total = 0.0
    for t in range(1, len(sequence.ids)):
        if sequence.mask[t]:
            logits = policy.model(torch.tensor([sequence.ids[:t]])).logits[0, -1].tolist()
            allowed = [x for i, x in enumerate(logits) if i not in policy.banned_ids]
            total += logits[sequence.ids[t]] - math.log(sum(math.exp(x) for x in allowed))
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_that_of_the_paper_in_plain_arithmetic(smoothing: float) -> None:
    """-log of the chance that Bradley and Terry give the label, of both labels by their shares."""
    margins = [-3.0, 0.0, 0.4, 9.0]
    found = preference_loss(torch.tensor(margins), 0.3, smoothing).tolist()
    for margin, loss in zip(margins, found, strict=True):
        odds = math.exp(0.3 * margin)
        wanted = -(1 - smoothing) * math.log(odds / (1 + odds)) - smoothing * math.log(
            1 / (1 + odds)
        )
        assert loss == pytest.approx(wanted, rel=1e-5)


def test_the_loss_is_least_where_the_policy_has_the_odds_of_the_labels() -> None:
    margin = torch.linspace(-10, 10, 4001)
    best = float(margin[preference_loss(margin, 0.5, 0.1).argmin()])
    assert best == pytest.approx(math.log(0.9 / 0.1) / 0.5, abs=0.01)


def test_far_margins_stay_finite() -> None:
    margin = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = preference_loss(margin, 1.0)
    loss.sum().backward()
    assert loss.tolist() == [1e4, 0.0]
    assert margin.grad.tolist() == [-1.0, 0.0]


def test_odds_are_those_of_whole_answers_token_by_token() -> None:
    policy = tiny_policy(spread=3.0)
    learnt = pairs(policy)
    with torch.no_grad():
        found = log_odds(policy, learnt).tolist()
        for pair, value in zip(learnt, found, strict=True):
            wanted = logprob_by_hand(policy, pair.chosen) - logprob_by_hand(policy, pair.rejected)
            assert value == pytest.approx(wanted, abs=1e-3)


def test_at_the_start_the_loss_is_log_two_and_no_pair_is_preferred() -> None:
    policy = tiny_policy(spread=3.0)
    work, state = stage(policy, pairs(policy))
    (metrics,) = run_steps(work, state, 1)
    assert metrics["loss"] == pytest.approx(math.log(2))
    assert metrics["dpo/margin"] == pytest.approx(0.0, abs=1e-5)


def test_gradients_do_not_depend_on_micro_batches() -> None:
    found = []
    for tokens in (1, 4096):
        policy = tiny_policy(spread=3.0)
        found.append(gradients(*stage(policy, pairs(policy), micro_batch_tokens=tokens)))
    assert found[0].abs().max() > 1e-3
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_the_prompt_is_not_learnt() -> None:
    """Only the answer's tokens count: with equal answers there is nothing to prefer."""
    policy = tiny_policy(spread=3.0)
    same = [Pair(row(policy, prompt, "77"), row(policy, prompt, "77")) for prompt in PROMPTS]
    assert gradients(*stage(policy, same)).abs().max() < 1e-6


def test_exchanging_chosen_and_rejected_turns_the_gradient_round() -> None:
    found = []
    for turned in (False, True):
        policy = tiny_policy(spread=3.0)
        learnt = [Pair(p.rejected, p.chosen) if turned else p for p in pairs(policy)]
        found.append(gradients(*stage(policy, learnt)))
    torch.testing.assert_close(found[0], -found[1], rtol=1e-4, atol=1e-6)


def test_right_answers_gain_on_wrong_ones_and_the_reference_stays() -> None:
    policy = tiny_policy()
    learnt = pairs(policy)
    work, state = stage(policy, learnt, beta=0.5)
    before, start = weights(policy), log_odds(policy, learnt).detach()
    metrics = run_steps(work, state, 20)
    assert metrics[-1]["loss"] < 0.5 * metrics[0]["loss"]
    assert metrics[-1]["dpo/accuracy"] == 1.0
    assert (log_odds(policy, learnt) > start + 1).all()
    assert not torch.equal(before, weights(policy))
    torch.testing.assert_close(torch.tensor(work._reference), start)
    tokens = sum(len(each.ids) for pair in learnt for each in (pair.chosen, pair.rejected))
    assert state.ledger.train_tokens == 20 * tokens


def test_without_pairs_there_is_nothing_to_learn() -> None:
    with pytest.raises(ValueError, match=r"dpo must have pairs .*; got none: sample more"):
        stage(tiny_policy(), [])


@pytest.mark.parametrize("given", [{"beta": 0.0}, {"label_smoothing": 0.5}, {"per_prompt": 0}])
def test_settings_of_dpo_are_checked(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        DpoConfig(**given)
