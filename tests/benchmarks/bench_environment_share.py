"""What of a GRPO step is the environment, by `make bench` with this file as BENCH.

Resets, steps, parsing of answers, rewards, texts and pictures together, in CPU-seconds of the
thread that runs them, against the CPU-seconds of the whole step of the 1.8 M policy, with 8 tasks x
8 members, answers of 48 tokens and all turns. It is the worst case but for shorter answers: with a
larger policy everything else is slower, and the environments are not.
"""

import time
from typing import Any

import gymnasium as gym
import pytest
from cardinal_gym.agents.config import BuildConfig, Family, PolicyConfig, Vocabulary
from cardinal_gym.agents.policy import load_policy
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.training.config import BudgetConfig, GrpoConfig, OptimConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.launch import compose_experiment
from cardinal_gym.training.loop import TrainState, trained_parameters
from cardinal_gym.training.policy_gradient import GrpoStage
from cardinal_gym.training.schema import register
from generation_contenders import SIZE
from step_contenders import share_of_digits

MOST = 0.02  # of a step
GAMES = {
    "gp_text": (Family.text, Vocabulary.cards, ContextMode.concat),
    "gp_image": (Family.mllama, Vocabulary.cards, ContextMode.single_turn),
    "nav_text": (Family.text, Vocabulary.streets, ContextMode.single_turn),
}


class Timed(gym.Wrapper):
    """Adds up what the environment takes. seconds: one number, shared by all environments.

    Pays for digits afterwards: a policy that knows nothing earns the same everywhere, and a step
    that has nothing to learn from would leave its updates out.
    """

    def __init__(self, env: gym.Env, seconds: list[float]) -> None:
        super().__init__(env)
        self.seconds = seconds

    def reset(self, **options: Any) -> Any:
        start = time.thread_time()
        result = self.env.reset(**options)
        self.seconds[0] += time.thread_time() - start
        return result

    def step(self, action: str) -> Any:
        start = time.thread_time()
        result = self.env.step(action)
        self.seconds[0] += time.thread_time() - start
        seen, _, terminated, truncated, info = result
        reward = share_of_digits(action)
        return seen, reward, terminated, truncated, {**info, "episode_return": reward}


@pytest.mark.parametrize("game", GAMES)
def test_the_environment_takes_little_of_a_step(game: str) -> None:
    register()
    env = compose_experiment("grpo", [f"env={game}"]).env
    family, vocabulary, context = GAMES[game]
    build = BuildConfig(family=family, vocabulary=vocabulary, **SIZE)
    policy = load_policy(PolicyConfig(name="bench", build=build, device="cpu", context=context))
    policy.banned_ids = tuple(sorted({*policy.banned_ids, *policy.end_ids}))
    optim = OptimConfig(lr=1e-5, share_prompts=None)
    config = GrpoConfig(
        budget=BudgetConfig(steps=1_000), optim=optim, groups_per_step=8, group_size=8,
        max_new_tokens=48,
    )  # fmt: skip
    spent = [0.0]
    stage = GrpoStage(
        config, lambda: Timed(gym.make(env.id, config=env), spent), policy, run_seed=0
    )
    state = TrainState.create(
        policy, optim, config.budget, Workers("cpu"), trained_parameters(policy, stage)
    )
    stage.update(state)  # compiles, builds the city, fills caches
    state.step, spent[0], start = 1, 0.0, time.process_time()
    metrics = stage.update(state)
    whole = time.process_time() - start
    share = spent[0] / whole
    print(
        f"\n{game}: {spent[0] * 1e3:,.0f} ms of {whole:.2f} CPU-s a step ({share:.2%}), "
        f"{metrics['episodes/mean_turns']:.1f} turns in each of 64 episodes"
    )
    assert share < MOST
