"""PPO with a value head: its loss, what it reads, that it learns, and that it is resumed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from cardinal_gym.agents.rows import Row, collate, rows_from_episode
from cardinal_gym.agents.scoring import batch_states, states_logprobs, token_logprobs
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.checkpoint import latest_checkpoint
from cardinal_gym.training.config import CriticConfig
from cardinal_gym.training.critic import token_values, value_head_of
from cardinal_gym.training.grpo_config import RatioUnit
from cardinal_gym.training.loop import train
from cardinal_gym.training.metrics import read_jsonl
from cardinal_gym.training.step_logs import COSTS
from toys import (
    assert_close,
    bandit,
    gradients,
    grpo_config,
    grpo_stage,
    guess,
    needed,
    noisy_returns,
    optim,
    recorded,
    run_steps,
    tiny_policy,
)

PPO: dict[str, Any] = {
    "advantage": AdvantageKind.gae, "credit": Credit.turn_return, "ratio_unit": RatioUnit.turn,
    "group_size": 1, "groups_per_step": 8,
}  # fmt: skip


def test_the_critics_loss_and_gradient_are_those_of_a_loop_over_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half the squared error of a linear head on the state before each answer."""
    noisy_returns(monkeypatch)
    played = recorded(monkeypatch)
    config = grpo_config(**PPO, discount=0.5, gae_lambda=1.0)
    policy = tiny_policy(spread=3.0)
    stage, state = grpo_stage(policy, guess, config)
    found = gradients(stage, state)[-33:]  # of the head: 32 weights and a bias
    wanted, turns = torch.zeros(33), sum(len(episode.turns) for episode in played)
    for episode in played:
        (row,) = rows_from_episode(episode, policy)
        states = policy.model.model(torch.tensor([row.ids])).last_hidden_state[0]
        place = 0
        for k, turn in enumerate(episode.turns):
            place += len(turn.prompt_ids)
            target = sum(0.5**j * later.reward for j, later in enumerate(episode.turns[k:]))
            before = torch.cat([states[place - 1], torch.ones(1)]).detach()
            wanted += 0.5 * (0.0 - target) * before / turns  # a new head says 0
            place += len(turn.completion.token_ids)
    assert_close(found, wanted)


def test_a_detached_critic_leaves_the_policy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a head that is not linear in zero: its own first layers pass no gradient on."""
    noisy_returns(monkeypatch)
    found = []
    for detach, coef in ((True, 0.5), (True, 5.0), (False, 5.0)):
        critic = CriticConfig(hidden_sizes=[8], loss_coef=coef, detach=detach)
        policy = tiny_policy(spread=3.0)
        stage, state = grpo_stage(policy, guess, grpo_config(**PPO, critic=critic))
        torch.nn.init.ones_(list(stage.head.parameters())[-2])
        size = sum(p.numel() for p in policy.model.parameters())
        found.append(gradients(stage, state)[:size])
    assert_close(found[0], found[1])
    assert not torch.allclose(found[1], found[2], atol=1e-3)


def test_values_follow_the_state_before_each_token() -> None:
    """Changing token t changes the values after it, not its own."""
    policy = tiny_policy(spread=3.0)
    head = value_head_of(policy, [4], seed=1)
    torch.nn.init.ones_(list(head.parameters())[-2])
    rows = [
        Row(ids=[5, 6, 7, last, 9], mask=[0, 0, 1, 1, 1], logprobs=[0.0] * 5) for last in (8, 12)
    ]
    batch = collate(policy, rows)
    states = batch_states(policy, batch)
    one, two = token_values(head, states, batch.mask, detach=False)
    assert one[:2].tolist() == [0.0, 0.0]
    torch.testing.assert_close(one[2:4], two[2:4])
    assert one[4] != two[4]
    logp, entropy = states_logprobs(policy, batch, states)
    plain, same = token_logprobs(policy, batch, with_entropy=True)
    assert torch.equal(logp, plain)
    assert torch.equal(entropy, same)


@pytest.mark.slow
def test_ppo_with_a_critic_solves_the_bandit_and_its_values_learn() -> None:
    config = grpo_config(
        **{**PPO, "groups_per_step": 32}, max_new_tokens=1, entropy_coef=0.001, optim=optim(5e-3)
    )
    stage, state = grpo_stage(tiny_policy(), bandit, config)
    metrics = run_steps(stage, state, 40)
    assert sum(each["success"] for each in metrics[-5:]) / 5 > 0.95
    assert metrics[0]["value/mean"] == 0.0
    assert abs(metrics[-1]["value/mean"] - 1.0) < 0.3
    assert metrics[-1]["value/loss"] < metrics[0]["value/loss"]


@pytest.mark.parametrize("name", ["critic", "reference"])
def test_a_resumed_run_ends_bit_for_bit_as_an_undisturbed_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value head and its moments, and a reference that has moved, come back as well."""
    noisy_returns(monkeypatch)
    settings = {
        "critic": {**PPO, "epochs": 2, "critic": CriticConfig(hidden_sizes=[4], clip=0.2)},
        "reference": {"kl_coef": 0.5, "reference_every": 2},
    }[name]
    config = grpo_config(steps=5, **settings)

    def run(folder: Path, stop: int | None = None) -> Any:
        policy = tiny_policy(spread=3.0)
        stage, state = grpo_stage(policy, guess, config, **needed(config))
        if stop is not None:
            update = stage.update
            stage.update = lambda s: _stop() if s.step == stop else update(s)
        try:
            train(stage, state, folder, checkpoint_every=3, keep_checkpoints=2)
        except InterruptedError:
            return None
        return latest_checkpoint(folder / "checkpoints").path / "state.pt"

    whole = run(tmp_path / "whole")
    assert run(tmp_path / "cut", stop=4) is None
    resumed = run(tmp_path / "cut")
    assert resumed.read_bytes() == whole.read_bytes()
    metrics = (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    assert (tmp_path / "cut" / "metrics.jsonl").read_bytes() == metrics
    assert not any(
        name.startswith(COSTS) for name in read_jsonl(tmp_path / "whole/metrics.jsonl")[0]
    )
    assert "memory/peak_mib" in read_jsonl(tmp_path / "whole" / "timings.jsonl")[0]


def _stop() -> dict[str, float]:
    raise InterruptedError
