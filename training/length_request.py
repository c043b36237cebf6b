"""Asks for a number of tokens in the prompt: of RL (L1), and of demonstrations before it.

Source: L1 (arXiv 2503.04697, section 3): "Think for n tokens", n drawn uniformly for each task.
Departure: n belongs to the task's seed, so the members of a group are asked alike.

L1 begins with a model that reads numbers and thinks at length. A policy built here has met neither,
and reward alone does not teach it what the number means; so supervised stages may ask as well, each
demonstration for the length that it has: hindsight relabelling (arXiv 1707.01495, section 3.2),
which no demonstration can fail and which needs no oracle that counts tokens.
"""

import dataclasses
from typing import Any

import gymnasium as gym
import numpy as np

from ..agents.chat import encode_answer
from ..agents.policy import Policy
from .config import LengthConfig, SftConfig
from .demonstrations import Conversation
from .sampler import task_rng
from .shaping import ASKED_TOKENS

_STREAM = 1  # of the episode's seed; the environment's own stream stays as it is


def hindsight_requests(
    policy: Policy, sft: SftConfig, length: LengthConfig, *, seed: int
) -> "HindsightRequests | None":
    """What a supervised stage's demonstrations are asked for; None: nothing.

    seed: says which of them are asked, where not all are.
    """
    if not sft.length_requests:
        return None
    return HindsightRequests(
        policy=policy, request=length.request, share=sft.length_requests, seed=seed
    )


def with_length_requests(env: gym.Env[Any, Any], config: LengthConfig) -> gym.Env[Any, Any]:
    """The environment as it is, or one whose prompts ask for a length if rewards need it."""
    return LengthRequest(env, config) if config.asks else env


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HindsightRequests:
    """Demonstrations that are asked for the length that they have.

    policy: its tokenizer counts, as it would in a rollout. request: the words, with `{tokens}`.
    share: of the demonstrations. seed: with a demonstration's number it says whether it is asked.
    """

    policy: Policy
    request: str
    share: float
    seed: int

    def asked(self, conversation: Conversation, number: int) -> Conversation:
        """Demonstration `number` with the request in its prompt, or as it is."""
        if task_rng(self.seed, "requests", number).random() >= self.share:
            return conversation
        count = sum(len(encode_answer(self.policy, answer)) for answer in conversation.answers)
        request = self.request.format(tokens=count)
        observations = [
            dataclasses.replace(each, text=_with(each.text, request))
            for each in conversation.observations
        ]
        first = observations[0]
        observations[0] = dataclasses.replace(first, update=_with(first.update, request))
        return dataclasses.replace(conversation, observations=tuple(observations))


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
        return {**observed, **{name: _with(observed[name], request) for name in names}}


def _with(text: str, request: str) -> str:
    return f"{text} {request}"
