"""Agents without a policy: random answers and the oracle. Nothing here needs torch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .types import Completion, ContextMode, Reply, Request


class RandomAgent:
    """Answers with legal answers drawn at random: the floor of every table.

    The environment draws them (`LanguageEnv.random_action`), from the stream of the request: one
    seed gives the same answers in any batch.
    """

    context = ContextMode.single_turn

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """Raises ValueError for a request without `random`."""
        return [
            _reply(_made_by(r.random, "random")(np.random.default_rng(r.stream.as_ints())))
            for r in requests
        ]


class OracleAgent:
    """Answers with the environment's own solution: the ceiling, and the source of SFT data."""

    context = ContextMode.single_turn

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """Raises ValueError for a request without an `oracle`."""
        return [_reply(_made_by(request.oracle, "oracle")()) for request in requests]


def _made_by(source: Any, name: str) -> Callable[..., str]:
    if source is None:
        raise ValueError(f"the environment must have {name}_action() for the {name} agent")
    made: Callable[..., str] = source
    return made


def _reply(text: str) -> Reply:
    return Reply(completion=Completion(text=text))
