"""Typed values of one rollout, from what the agent sees to a finished episode.

    Observation -> Request -> Completion -> Turn ... -> Episode

Ids are never decoded and encoded again: a `Turn` keeps the very ids that were sampled, and a
training row is assembled from them. Loss masks come from lengths, never from text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, runtime_checkable

from ..envs.core import Observation


class FinishReason(str, Enum):
    """Why a completion ended: with the model's end token, or at the token limit."""

    stop = "stop"
    length = "length"


class Status(str, Enum):
    """How an episode ended; kept apart because the three are learnt from differently."""

    terminated = "terminated"  # the game ended
    turn_limit = "turn_limit"  # the environment truncated
    context_limit = "context_limit"  # the policy's context had no room for another turn


class ContextMode(str, Enum):
    """What the policy sees at turn k.

    concat: the whole conversation so far, one training row per episode.
    last_k: the last turns alone (`PolicyConfig.context_turns`), begun by their first observation,
        which is self-contained; fewer where a budget is short: whole turns go, with their pictures.
        One row per turn, which holds exactly what was seen.
    single_turn: the present self-contained observation alone, one row per turn (for the checkpoints
        of Mllama, which were trained on one picture a conversation; `families.mllama` keeps text
        from attending to later pictures in every mode).
    """

    concat = "concat"
    last_k = "last_k"
    single_turn = "single_turn"

    @property
    def row_per_turn(self) -> bool:
        """Whether every turn has a prompt and a training row of its own."""
        return self is not ContextMode.concat


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamKey:
    """Names a stream of sampling randomness: results do not depend on batching or rank."""

    seed: int  # of the run
    step: int  # training step; 0 in evaluation
    group: int  # global index of the task
    member: int  # within the group
    turn: int = 0

    def as_ints(self) -> tuple[int, int, int, int, int]:
        return (self.seed, self.step, self.group, self.member, self.turn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One sampled answer.

    token_ids: sampled ids including the end token if it was sampled. [T]
    logprobs: log-probability of each under the sampling distribution's full softmax at the sampling
        temperature (before top-p / top-k), fp32. [T]; empty for agents without a policy.
    reported_tokens: how many were sampled by a server that does not tell which; 0 for others.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish_reason: FinishReason = FinishReason.stop
    reported_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids) or self.reported_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One observation and its answer.

    prompt_ids: the ids this turn put before the completion. `last_k`, `single_turn`: the whole
        prompt; `concat`: the whole prompt in the first turn, the environment's suffix later. [P]
    """

    observation: Observation
    prompt_ids: tuple[int, ...]
    completion: Completion
    reward: float
    reward_terms: Mapping[str, float]
    outcome: str
    success: bool
    feedback: str
    details: Mapping[str, Any] = field(default_factory=dict)  # the rest of `info`

    @property
    def is_call(self) -> bool:
        """Whether it asked a tool and was no answer."""
        return self.details.get("tool") is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One finished episode. `episode_return` is what the environment says the episode is worth."""

    group: int
    member: int
    seed: int
    task_id: str
    split: str
    rule: str
    visual: str
    context: ContextMode
    turns: tuple[Turn, ...]
    status: Status
    success: bool
    episode_return: float

    @property
    def answers(self) -> tuple[Turn, ...]:
        """The turns that were judged; those that asked a tool were not."""
        return tuple([turn for turn in self.turns if not turn.is_call])

    @property
    def num_sampled_tokens(self) -> int:
        return sum(turn.completion.num_tokens for turn in self.turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Asks an agent for its next answer in one running episode.

    history: the finished turns of this episode, oldest first.
    oracle, random: the environment's `oracle_action` and `random_action`, for the baselines only.
    game: the environment, whose `legend` and `spelt_out` are for persons only.
    """

    observation: Observation
    history: tuple[Turn, ...]
    stream: StreamKey
    oracle: Any = None
    random: Any = None
    game: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An agent's answer; no completion where the context has no room. `prompt_ids` as in `Turn`."""

    completion: Completion | None
    prompt_ids: tuple[int, ...] = ()


class Agent(Protocol):
    """Anything that answers requests: a policy, a baseline, a person, a server."""

    context: ContextMode

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order."""
        ...


@runtime_checkable
class StreamingAgent(Agent, Protocol):
    """An agent that answers episodes as it gets to them; a conversation is named by the stream of
    its first turn.

    max_rows: conversations held at once. is_hungry: whether requests made now are begun with at the
    next `answers`; before that they wait.
    """

    max_rows: int

    @property
    def is_hungry(self) -> bool: ...

    def ask(self, requests: Sequence[Request]) -> None:
        """Ask for one answer each, in conversations that are not being answered."""
        ...

    def answers(self) -> list[tuple[StreamKey, Reply]]:
        """Work until at least one conversation has its answer."""
        ...

    def leave(self, conversation: StreamKey) -> None:
        """The conversation is over."""
        ...
