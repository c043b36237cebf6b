"""Environments: games with rules, prompts, verdicts, oracles and pictures, as gymnasium knows them.

Importing this package registers the environments and nothing more: an environment's own modules are
imported by `gym.make`.
"""

import gymnasium as gym

gym.register(
    id="cardinal/GeneralPoints-v0",
    entry_point="cardinal_gym.envs.general_points.env:GeneralPointsEnv",
)
gym.register(
    id="cardinal/StreetNav-v0",
    entry_point="cardinal_gym.envs.street_nav.env:StreetNavEnv",
)
