"""Asks for a number of tokens in the prompt, for rewards that compare with it (L1).

Source: L1 (arXiv 2503.04697, section 3): "Think for n tokens", n drawn uniformly for each task.
Departure: n belongs to the task's seed, so the members of a group are asked alike.
"""

from typing import Any

import gymnasium as gym
import numpy as np

from .grpo_config import LengthConfig
from .shaping import ASKED_TOKENS

_STREAM = 1  # of the episode's seed; the environment's own stream stays as it is


def with_length_requests(env: gym.Env[Any, Any], config: LengthConfig) -> gym.Env[Any, Any]:
    """The environment as it is, or one whose prompts ask for a length if rewards need it."""
    return LengthRequest(env, config) if config.asks else env


class LengthRequest(gym.Wrapper[Any, Any, Any, Any]):
    """Adds the request to the text, and to `info` as `asked_tokens`.

    A running conversation hears it once; the self-contained text repeats it at every turn.
    """

    def __init__(self, env: gym.Env[Any, Any], config: LengthConfig) -> None:
        super().__init__(env)
        self._config = config
        self._asked = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observed, info = self.env.reset(seed=seed, options=options)
        low, high = self._config.asked_tokens
        rng = np.random.default_rng(None if seed is None else [seed, _STREAM])
        self._asked = int(rng.integers(low, high + 1))
        return self._add(observed, "text", "update"), {**info, ASKED_TOKENS: self._asked}

    def step(self, action: str) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observed, reward, terminated, truncated, info = self.env.step(action)
        told = {**info, ASKED_TOKENS: self._asked}
        return self._add(observed, "text"), float(reward), terminated, truncated, told

    def _add(self, observed: dict[str, Any], *names: str) -> dict[str, Any]:
        request = self._config.request.format(tokens=self._asked)
        return {**observed, **{name: f"{observed[name]} {request}" for name in names}}
