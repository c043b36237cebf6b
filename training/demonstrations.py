"""Supervised rows from the environments' own oracles; nothing is shipped, everything is generated.

A demonstration may begin with wrong attempts and the verifier's answer to them. Those attempts are
part of what the policy reads and are never imitated: the loss mask covers the right answers alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count as count_up
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator

from ..agents.chat import encode_answer, encode_next
from ..agents.policy import Policy
from ..agents.rows import Row
from ..agents.types import Completion, Turn
from ..envs.core import LanguageEnv, Observation
from .sampler import Passes, task_rng, task_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Observations and the answers to them, as text: what a row is encoded from.

    imitated: which answers are to be learnt; the others are only read. All three have one entry per
    turn, at least one.
    """

    observations: tuple[Observation, ...]
    answers: tuple[str, ...]
    imitated: tuple[bool, ...]
    task_id: str = ""


class OracleEpisodes:
    """Conversations in one environment, addressed by index.

    env: its configuration dataclass. stream: names the seeds, e.g. "sft".
    revision_fraction: share of episodes with 1 to `max_wrong_attempts` wrong attempts first.
    count: different episodes, repeated in a new order at each pass; None: no episode comes twice.
    """

    def __init__(
        self,
        env: Any,
        *,
        stream: str,
        seed: int,
        revision_fraction: float,
        max_wrong_attempts: int,
        count: int | None = None,
    ) -> None:
        self._env = bare_env(env)
        self._stream = stream
        self._seed = seed
        self._revision_fraction = revision_fraction
        self._max_wrong = min(max_wrong_attempts, env.max_turns - 1)
        self._passes = None if count is None else Passes(count, seed, "passes")

    def position(self, index: int) -> int:
        """The number of the episode that comes at this index: the same at every pass over it."""
        return index if self._passes is None else self._passes.position(index)

    def conversation(self, index: int) -> Conversation:
        index = self.position(index)
        rng = task_rng(self._seed, self._stream, index)
        wrong = num_wrong_attempts(rng, self._revision_fraction, self._max_wrong)
        return oracle_conversation(self._env, task_seed(self._seed, self._stream, index), wrong)


class Requests(Protocol):
    """Adds to a demonstration's prompt what it is asked for; number: the episode's."""

    def asked(self, conversation: Conversation, number: int) -> Conversation: ...


class OracleDemonstrations:
    """The rows of `OracleEpisodes`; the settings are the same.

    requests: what prompts ask for beside the task; None: nothing.
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
        count: int | None = None,
        requests: Requests | None = None,
    ) -> None:
        self._policy = policy
        self._requests = requests
        self._episodes = OracleEpisodes(
            env,
            stream=stream,
            seed=seed,
            revision_fraction=revision_fraction,
            max_wrong_attempts=max_wrong_attempts,
            count=count,
        )

    def rows(self, indices: Sequence[int]) -> list[Row]:
        conversations = map(self._conversation, indices)
        return [row for each in conversations for row in encode_rows(self._policy, each)]

    def _conversation(self, index: int) -> Conversation:
        conversation = self._episodes.conversation(index)
        if self._requests is None:
            return conversation
        return self._requests.asked(conversation, self._episodes.position(index))


def bare_env(env: Any) -> LanguageEnv:
    """The environment of a configuration, without gymnasium's wrappers; it has oracle and flaws."""
    entry = gym.spec(env.id).entry_point
    assert isinstance(entry, str)
    made = load_env_creator(entry)(config=env)  # a tenth of the cost of gym.make
    assert isinstance(made, LanguageEnv)
    return made


def num_wrong_attempts(rng: np.random.Generator, fraction: float, most: int) -> int:
    """0, or with probability `fraction` a number from 1 to `most`."""
    wants = rng.random() < fraction
    return int(rng.integers(1, most + 1)) if wants and most > 0 else 0


def oracle_conversation(
    env: LanguageEnv, seed: int, num_wrong: int, **options: Any
) -> Conversation:
    """The oracle's episode, with up to `num_wrong` flawed answers that are not to be imitated.

    Where an episode takes several right answers (`num_places` of them), the flawed ones come at
    places drawn from the seed; else all of them come first. What the oracle asks tools is imitated
    like its answers. options: of the environment's reset.
    """
    observed, info = env.reset(seed=seed, options=options)
    wrong_at = _wrong_places(seed, num_wrong, info.get("num_places", 1))
    observations, answers, imitated = [], [], []
    for is_right in _steps(env, wrong_at):
        answer = env.oracle_action() if is_right else env.flawed_action()
        if answer is None:  # nothing wrong can be said here that does not end the episode
            continue
        observations.append(Observation(**observed))
        answers.append(answer)
        imitated.append(is_right)
        observed, _, terminated, truncated, _ = env.step(answer)
        if terminated:
            return Conversation(
                observations=tuple(observations),
                answers=tuple(answers),
                imitated=tuple(imitated),
                task_id=str(info["task_id"]),
            )
        if truncated:
            raise ValueError(
                f"max_turns must allow {info['task_id']} to be solved; got {env.max_turns}"
            )
    raise AssertionError("an endless count has ended")


def _steps(env: LanguageEnv, wrong_at: Sequence[int]) -> Iterator[bool]:
    """Whether each next step is to be right; the oracle's calls of tools come before its answer."""
    for place in count_up():
        yield from [False] * wrong_at.count(place)
        answered = env.num_answers
        while env.num_answers == answered:
            yield True


def _wrong_places(seed: int, num_wrong: int, num_places: int) -> list[int]:
    """At which of an episode's right answers the wrong ones come first."""
    if num_places == 1:
        return [0] * num_wrong
    return np.random.default_rng(seed).integers(num_places, size=num_wrong).tolist()


def encode_rows(policy: Policy, conversation: Conversation) -> list[Row]:
    """Rows with the ids that the policy would see and sample in a rollout of this conversation.

    `concat`: one row, up to the last imitated answer, masked to the imitated ones.
    Otherwise one row for each imitated answer, after the prompt that its turn has.
    """
    history: list[Turn] = []
    rows: list[Row] = []
    ids: list[int] = []
    mask: list[int] = []
    turns = zip(conversation.observations, conversation.answers, conversation.imitated, strict=True)
    for observation, answer, imitated in turns:
        prompt = encode_next(policy, history, observation)
        answer_ids = encode_answer(policy, answer)
        if policy.context.row_per_turn:
            ids, mask = [], []
        ids += [*prompt.new_ids, *answer_ids]
        mask += [0] * len(prompt.new_ids) + [int(imitated)] * len(answer_ids)
        if imitated:
            rows.append(
                Row(ids=[*ids], mask=[*mask], logprobs=[0.0] * len(ids), images=prompt.images)
            )
        history.append(_turn(observation, prompt.new_ids, answer, answer_ids))
    return rows if policy.context.row_per_turn else rows[-1:]


def _turn(
    observation: Observation, prompt_ids: tuple[int, ...], answer: str, answer_ids: tuple[int, ...]
) -> Turn:
    """What encoding the next prompt needs of a turn; nobody judged this one."""
    return Turn(
        observation=observation,
        prompt_ids=prompt_ids,
        completion=Completion(text=answer, token_ids=answer_ids),
        reward=0.0,
        reward_terms={},
        outcome="",
        success=False,
        feedback="",
    )
