"""Supervised rows from the environments' own oracles; nothing is shipped, everything is generated.

A demonstration may begin with wrong attempts and the verifier's answer to them. Those attempts are
part of what the policy reads and are never imitated: the loss mask covers the last answer alone.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator

from ..agents.chat import encode_answer, encode_next
from ..agents.policy import Policy
from ..agents.rollout import turn_from_step
from ..agents.rows import Row, row_from_answer
from ..agents.types import Completion, Turn
from ..envs.core import LanguageEnv, Observation
from .sampler import task_rng, task_seed


class OracleDemonstrations:
    """Demonstrations in one environment.

    env: its configuration dataclass. stream: names the seeds, e.g. "sft".
    revision_fraction: share of demonstrations with 1 to `max_wrong_attempts` wrong attempts first.
    """

    def __init__(
        self,
        policy: Policy,
        env: Any,
        *,
        stream: str,
        seed: int,
        revision_fraction: float,
        max_wrong_attempts: int,
    ) -> None:
        self._policy = policy
        self._env = bare_env(env)
        self._stream = stream
        self._seed = seed
        self._revision_fraction = revision_fraction
        self._max_wrong = min(max_wrong_attempts, env.max_turns - 1)

    def rows(self, indices: Sequence[int]) -> list[Row]:
        return [self._row(index) for index in indices]

    def _row(self, index: int) -> Row:
        rng = task_rng(self._seed, self._stream, index)
        wrong = num_wrong_attempts(rng, self._revision_fraction, self._max_wrong)
        return demonstrate(
            self._policy, self._env, task_seed(self._seed, self._stream, index), wrong
        )


def bare_env(env: Any) -> LanguageEnv:
    """The environment of a configuration without gymnasium's wrappers (oracle and flaws included)."""
    entry = gym.spec(env.id).entry_point
    assert isinstance(entry, str)
    made = load_env_creator(entry)(config=env)  # a tenth of the cost of gym.make
    assert isinstance(made, LanguageEnv)
    return made


def num_wrong_attempts(rng: np.random.Generator, fraction: float, most: int) -> int:
    """0, or with probability `fraction` a number from 1 to `most`."""
    wants = rng.random() < fraction
    return int(rng.integers(1, most + 1)) if wants and most > 0 else 0


def demonstrate(
    policy: Policy, env: LanguageEnv, seed: int, num_wrong: int, **options: Any
) -> Row:
    """Play `num_wrong` flawed answers, then the oracle's: the row that teaches the last one.

    options: of the environment's reset.
    """
    observed, _ = env.reset(seed=seed, options=options)
    history: list[Turn] = []
    for _ in range(num_wrong):
        answer = env.flawed_action()
        if answer is None:  # nothing wrong can be said about this task in the right form
            break
        observation = Observation(**observed)
        prompt = encode_next(policy, history, observation)
        completion = Completion(text=answer, token_ids=encode_answer(policy, answer))
        observed, reward, terminated, _, info = env.step(answer)
        assert not terminated, "a flawed answer must not end the game"
        history.append(turn_from_step(observation, prompt.new_ids, completion, reward, info))
    prompt = encode_next(policy, history, Observation(**observed))
    return row_from_answer(policy, prompt.ids, env.oracle_action(), prompt.images)
