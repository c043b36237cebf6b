"""Toy environments and tiny policies for the tests of learning: seconds, not minutes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from cardinal_gym.agents.config import BuildConfig, Family, PolicyConfig
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.types import ContextMode, Episode
from cardinal_gym.envs.core import FreeText, LanguageEnv, Observation, Verdict
from cardinal_gym.training import grpo_rollout
from cardinal_gym.training.config import BudgetConfig, ExperimentConfig, GrpoConfig, OptimConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import Stage, TrainState, trained_parameters
from cardinal_gym.training.override_errors import to_config
from cardinal_gym.training.policy_gradient import GrpoStage
from cardinal_gym.training.schema import register
from cardinal_gym.training.sharding import shard, shard_head
from hydra import compose, initialize_config_module
from torch.distributed.tensor import DTensor

SECRETS = ("A", "J", "Q", "K")
BANDIT, GUESS, LATE = "toy/Bandit-v0", "toy/Guess-v0", "toy/Late-v0"


class ToyEnv(LanguageEnv):
    """What the toys share: text alone, one reward term, the return is the last reward."""

    max_turns = 1

    def __init__(self) -> None:
        self.action_space = FreeText()
        self.observation_space = gym.spaces.Dict({"text": FreeText(), "update": FreeText()})

    def oracle_action(self) -> str:
        raise NotImplementedError

    def _verdict(self, right: bool, reward: float) -> Verdict:
        outcome = "correct" if right else "wrong_value"
        return Verdict(
            outcome=outcome, success=right, reward=reward, terms={"accuracy": reward}, feedback=""
        )

    def _task_info(self) -> dict[str, Any]:
        return {"task_id": "toy", "split": "all", "rule": "toy", "visual": "none"}

    def _verdict_info(self, verdict: Verdict) -> dict[str, Any]:
        return {**super()._verdict_info(verdict), "episode_return": verdict.reward}


class BanditEnv(ToyEnv):
    """Two actions: a number from 50 to 99 is one, everything else the other.

    rewards: of the other action and of the number.
    """

    def __init__(self, rewards: tuple[float, float] = (0.0, 1.0)) -> None:
        super().__init__()
        self.rewards = rewards

    def oracle_action(self) -> str:
        return "77"

    def _deal(self, options: dict[str, Any]) -> None:
        self.number = int(self.np_random.integers(10))

    def _observe(self, verdict: Verdict | None) -> Observation:
        text = " ".join(["target", "1"] + ["cards"] * self.number)  # unequal lengths
        return Observation(text=text, update=text)

    def _judge(self, action: str) -> Verdict:
        right = is_high_number(action)
        return self._verdict(right, self.rewards[right])


class GuessEnv(ToyEnv):
    """Name the secret, one of four; after a wrong answer the feedback names it.

    honest: false gives the feedback of another secret.
    """

    def __init__(self, max_turns: int = 2, honest: bool = True) -> None:
        super().__init__()
        self.max_turns = max_turns
        self.honest = honest

    def oracle_action(self) -> str:
        return self.secret

    def _deal(self, options: dict[str, Any]) -> None:
        place = int(self.np_random.integers(len(SECRETS)))
        self.secret = SECRETS[place]
        self.said = self.secret if self.honest else SECRETS[(place + 1) % len(SECRETS)]

    def _observe(self, verdict: Verdict | None) -> Observation:
        if verdict is None:
            return Observation(text="target 7", update="target 7")
        return Observation(text=f"target 7 last wrong {self.said}", update=f"wrong {self.said}")

    def _judge(self, action: str) -> Verdict:
        right = action == self.secret
        return self._verdict(right, float(right))


class LateEnv(ToyEnv):
    """Two answers, of which only the first matters: the bandit's two actions.

    paid_late: true pays nothing at once, and the second answer, whatever it is, 1 if the first was
        a number. False ends the episode with 1 after a number, and pays 1 for any second answer.
    """

    max_turns = 2

    def __init__(self, paid_late: bool) -> None:
        super().__init__()
        self.paid_late = paid_late

    def _deal(self, options: dict[str, Any]) -> None:
        self.first_is_right = False

    def _observe(self, verdict: Verdict | None) -> Observation:
        if verdict is None:
            return Observation(text="target 1", update="target 1")
        return Observation(text="target 1 last wrong", update="wrong")

    def _judge(self, action: str) -> Verdict:
        if self._turn == 1:
            self.first_is_right = is_high_number(action)
            right = self.first_is_right and not self.paid_late
        else:
            right = self.first_is_right or not self.paid_late
        return self._verdict(right, float(right))


def is_high_number(action: str) -> bool:
    """Whether an answer begins with a number from 50 to 99."""
    first = action[:2]
    return first.isdecimal() and 50 <= int(first) <= 99


register()
for env_id, entry in ((BANDIT, BanditEnv), (GUESS, GuessEnv), (LATE, LateEnv)):
    gym.register(id=env_id, entry_point=entry)


def experiment(*overrides: str) -> ExperimentConfig:
    """The configuration of `cardinal compare` with these overrides."""
    with initialize_config_module("cardinal_gym.conf", version_base="1.3"):
        return to_config(compose("compare", overrides=list(overrides)))


def tiny_policy(
    family: Family = Family.text,
    context: ContextMode = ContextMode.concat,
    *,
    seed: int = 0,
    spread: float = 1.0,
    tile_size: int = 28,
) -> Policy:
    """Two layers of width 32. `spread` multiplies the weight matrices: far from uniform answers."""
    torch.set_num_threads(1)
    build = BuildConfig(
        family=family, hidden_size=32, num_layers=2, num_heads=2, vision_hidden_size=16,
        vision_layers=1, tile_size=tile_size, seed=seed, max_position=256,
    )  # fmt: skip
    policy = load_policy(PolicyConfig(name="tiny", build=build, device="cpu", context=context))
    return spread_out(policy, spread)


def spread_out(policy: Policy, factor: float) -> Policy:
    """The policy with larger weight matrices: its answers are far from uniform."""
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(factor)
    return policy


def optim(lr: float = 1e-2, **settings: Any) -> OptimConfig:
    """A constant learning rate without warm-up."""
    return OptimConfig(lr=lr, **{"warmup_steps": 0, **settings})


def grpo_config(steps: int = 1, **settings: Any) -> GrpoConfig:
    defaults: dict[str, Any] = {"groups_per_step": 4, "group_size": 4, "max_new_tokens": 3}
    return GrpoConfig(
        budget=BudgetConfig(steps=steps), **{**defaults, "optim": optim(), **settings}
    )


def grpo_stage(
    policy: Policy,
    make_env: Callable[[], gym.Env],
    config: GrpoConfig,
    *,
    sharded: bool = False,
    **settings: Any,
) -> tuple[GrpoStage, TrainState]:
    """sharded: split policy, reference and critic over the processes."""
    workers = Workers("cpu")
    for split in (policy, settings.get("reference")) if sharded else ():
        if split is not None:
            shard(split, workers)
    stage = GrpoStage(config, make_env, policy, run_seed=0, **settings)
    if sharded:
        shard_head(stage.head, workers)
    parameters = trained_parameters(policy, stage)
    return stage, TrainState.create(policy, stage.optim, stage.budget, workers, parameters)


def run_steps(stage: Stage, state: TrainState, count: int) -> list[dict[str, float]]:
    """The metrics of `count` updates, without checkpoints."""
    metrics = []
    for _ in range(count):
        metrics.append(stage.update(state))
        state.step += 1
    return metrics


def guess() -> gym.Env:
    return gym.make(GUESS, max_turns=3)


def bandit() -> gym.Env:
    return gym.make(BANDIT)


def noisy_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every episode gets a return of its own, by group and member: every group has a signal."""
    played = grpo_rollout.rollout

    def judged(*args: object, **kwargs: object) -> list[Episode]:
        return [_noisy(episode) for episode in played(*args, **kwargs)]

    monkeypatch.setattr(grpo_rollout, "rollout", judged)


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Episode]:
    """A list that all episodes played from now on are added to."""
    played: list[Episode] = []
    rollout = grpo_rollout.rollout

    def play(*args: Any, **kwargs: Any) -> list[Episode]:
        fresh = rollout(*args, **kwargs)
        played.extend(fresh)
        return fresh

    monkeypatch.setattr(grpo_rollout, "rollout", play)
    return played


def needed(config: GrpoConfig) -> dict[str, Any]:
    """What a stage of this configuration is given beside the policy."""
    return {"reference": tiny_policy(spread=3.0)} if config.kl_coef > 0 else {}


def _noisy(episode: Episode) -> Episode:
    random = np.random.default_rng([episode.group, episode.member])
    value = float(random.random())
    played = episode.turns[: int(random.integers(1, len(episode.turns) + 1))]  # unequal lengths
    turns = tuple(replaced(turn, reward=float(random.random())) for turn in played)
    return replaced(episode, episode_return=value, turns=turns)


def gradient_of(
    config: GrpoConfig,
    context: ContextMode = ContextMode.concat,
    env: Callable[[], gym.Env] = guess,
) -> torch.Tensor:
    policy = tiny_policy(context=context, spread=3.0)
    return gradients(*grpo_stage(policy, env, config))


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert wanted.abs().max() > 1e-3
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-6)


def gradients(stage: Stage, state: TrainState) -> torch.Tensor:
    """The gradient of one update, before clipping; the weights stay as they are. [parameters]"""
    caught: list[torch.Tensor] = []

    def catch(self: TrainState, *_: Any) -> dict[str, float]:
        self.workers.sum_gradients(self.parameters)
        caught.append(torch.cat([_flat_gradient(p) for p in self.parameters]))
        self.optimizer.zero_grad(set_to_none=True)
        return {"updates/skipped": 0.0}

    original, TrainState.apply_gradients = TrainState.apply_gradients, catch
    try:
        stage.update(state)
    finally:
        TrainState.apply_gradients = original
    (gradient,) = caught
    return gradient


def replaced(config: Any, **changes: Any) -> Any:
    """A frozen or slotted dataclass with some fields changed."""
    return dataclasses.replace(config, **changes)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def weights(policy: Policy) -> torch.Tensor:
    """All weights in one vector, a copy; of a sharded policy, all processes must ask."""
    return torch.cat([_whole(p.detach()).flatten().clone() for p in policy.model.parameters()])


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _flat_gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    return _whole(gradient).flatten().clone()
