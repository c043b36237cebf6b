"""Cities that many tests look at: each is built once per process."""

import tempfile
from functools import cache
from pathlib import Path

from cardinal_gym.envs.street_nav.city.builder import build_city
from cardinal_gym.envs.street_nav.city.cache import open_city
from cardinal_gym.envs.street_nav.city.config import CityConfig
from cardinal_gym.envs.street_nav.city.scene import City
from cardinal_gym.envs.street_nav.city.world import CityWorld

LAYOUTS = ("mixed", "grid", "organic")


@cache
def city_of(layout: str = "mixed", seed: int = 0, num_blocks: int = 6) -> City:
    return build_city(config_of(layout, seed, num_blocks))


@cache
def world_of(layout: str = "mixed", seed: int = 0, num_blocks: int = 6, **routes: int) -> CityWorld:
    """A world whose city is not built a second time."""
    config = config_of(layout, seed, num_blocks)
    return CityWorld(config, routes=routes, folder=_folder())


@cache
def small_city() -> City:
    return open_city(config_of("mixed", 1, 4), _folder())


def config_of(layout: str, seed: int, num_blocks: int) -> CityConfig:
    landmarks = 80 if num_blocks >= 6 else 40
    return CityConfig(layout=layout, seed=seed, num_blocks=num_blocks, num_landmarks=landmarks)


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="cities-"))
