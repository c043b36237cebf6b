"""Environments for the tests: on a chessboard of streets, or in a small city."""

from typing import Any

import cardinal_gym.envs  # noqa: F401  (registers the environments)
import gymnasium as gym
from cardinal_gym.envs.street_nav.env import StreetNavEnv
from grid_world import GridWorld

ID = "cardinal/StreetNav-v0"
SMALL = {"num_blocks": 4, "num_landmarks": 60}
WORLD = GridWorld()
WRONG = '{"current observation": "nothing", "current instruction": "1", "action": "stop()"}'


def make(**fields: Any) -> gym.Env:
    """In a small procedural city."""
    return gym.make(ID, city=SMALL, **fields)


def on_board(world: GridWorld = WORLD, **fields: Any) -> StreetNavEnv:
    return StreetNavEnv(streets=world, split="all", **fields)
