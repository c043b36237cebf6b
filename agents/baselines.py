"""Agents without a policy: random answers and the oracle. Nothing here needs torch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .types import Completion, ContextMode, Reply, Request, StreamKey

MAX_WORDS = 12


class RandomAgent:
    """Answers with words drawn at random from the observation: the floor of every table."""

    context = ContextMode.single_turn

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        return [_reply(_random_words(r.observation.text, r.stream)) for r in requests]


class OracleAgent:
    """Answers with the environment's own solution: the ceiling, and the source of SFT data."""

    context = ContextMode.single_turn

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """Raises ValueError for a request without an `oracle`."""
        return [_reply(_oracle_of(request)()) for request in requests]


def _oracle_of(request: Request) -> Callable[[], str]:
    oracle: Any = request.oracle
    if oracle is None:
        raise ValueError("the environment must have an oracle_action() for the oracle agent")
    return oracle


def _random_words(text: str, stream: StreamKey) -> str:
    random = np.random.default_rng(list(stream.as_ints()))
    words = text.split() or [""]
    return " ".join(random.choice(words, size=int(random.integers(1, MAX_WORDS + 1))))


def _reply(text: str) -> Reply:
    return Reply(completion=Completion(text=text))
