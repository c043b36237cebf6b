"""Small cities and tiny policies for the tests of navigation: short routes, views of 28 px."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from cardinal_gym.agents.config import BuildConfig, Family, PolicyConfig, Vocabulary
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.envs.core import LanguageEnv
from cardinal_gym.envs.street_nav.actions import Rule
from cardinal_gym.envs.street_nav.config import StreetNavConfig
from cardinal_gym.envs.street_nav.env import StreetNavEnv
from cardinal_gym.envs.street_nav.wording import Wording
from cardinal_gym.training.config import ExperimentConfig
from toys import experiment, spread_out

PAIRS = [(rule.value, wording.value) for rule in Rule for wording in Wording]
SMALL = (
    "env.city.num_blocks=4", "env.city.num_landmarks=40", "env.city.num_parks=1",
    "env.routes.pool_size=64",
)  # fmt: skip
TINY = (
    "env.views.size=28", "env.routes.min_turns=0", "env.routes.max_turns=1",
    "env.routes.drop_rate=1", "env.routes.max_crossings=0",
)  # fmt: skip


@cache  # composing takes a quarter of a second; nobody changes what it gives
def told(*overrides: str) -> ExperimentConfig:
    """`experiment=nav_l` in a small city."""
    return experiment("experiment=nav_l", *SMALL, *overrides)


@cache
def shown(*overrides: str) -> ExperimentConfig:
    """`experiment=nav_vl` in a small city, with tiny views and routes of two or three places."""
    return experiment("experiment=nav_vl", *SMALL, *TINY, *overrides)


def open_walk(config: StreetNavConfig) -> StreetNavEnv:
    return StreetNavEnv(config)


def streets_policy(
    family: Family = Family.text, context: ContextMode = ContextMode.concat, spread: float = 3.0
) -> Policy:
    """Two layers of width 32 that know the words of streets; far from uniform answers."""
    torch.set_num_threads(1)
    build = BuildConfig(
        family=family, vocabulary=Vocabulary.streets, hidden_size=32, num_layers=2, num_heads=2,
        vision_hidden_size=16, vision_layers=1, tile_size=56, max_tiles=1,
    )  # fmt: skip
    policy = load_policy(PolicyConfig(name="tiny", build=build, device="cpu", context=context))
    return spread_out(policy, spread)


class Led(gym.Wrapper[dict[str, Any], str, dict[str, Any], str]):
    """Walks on whatever is answered, so that an untrained policy sees a picture at every turn."""

    def step(self, action: str) -> tuple[dict[str, Any], Any, bool, bool, dict[str, Any]]:
        env = self.env.unwrapped
        assert isinstance(env, LanguageEnv)
        return self.env.step(env.oracle_action())


def led(config: StreetNavConfig) -> Callable[[], gym.Env[Any, Any]]:
    return lambda: Led(gym.make(config.id, config=config))


def seeds_of(config: StreetNavConfig, num_places: int, count: int) -> list[int]:
    """The first seeds whose routes have so many places; dealt in words."""
    env = open_walk(config.shifted(modality="text"))
    found: list[int] = []
    seed = 0
    while len(found) < count:
        if env.reset(seed=seed)[1]["num_places"] == num_places:
            found.append(seed)
        seed += 1
    return found


def walked(env: StreetNavEnv, seed: int, places: int) -> dict[str, Any]:
    """The observation after so many of the oracle's answers."""
    observed, _ = env.reset(seed=seed)
    for _ in range(places):
        observed, *_ = env.step(env.oracle_action())
    return observed


def differ(pictures: Sequence[np.ndarray]) -> bool:
    return len({picture.tobytes() for picture in pictures}) == len(pictures)
