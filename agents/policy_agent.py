"""A policy as an agent: requests in, sampled answers out."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from .chat import encode_next, has_room
from .config import SamplingConfig
from .engine import Engine
from .policy import Policy
from .types import ContextMode, Reply, Request, StreamKey


class PolicyAgent:
    """Samples answers, all at once (`act`) or as rows become free (`ask`, `answers`, `leave`).

    Between the turns of a conversation it keeps what the model has read; `forget` before the
    weights change (`rollout` does at its end).

    max_rows: conversations held at once; None: the policy's own number.
    on_tokens: told how many tokens each decoding step drew, for progress bars and rates.
    """

    def __init__(
        self,
        policy: Policy,
        sampling: SamplingConfig,
        *,
        max_rows: int | None = None,
        on_tokens: Callable[[int], None] | None = None,
    ) -> None:
        self.policy = policy
        self.sampling = sampling
        self.context = policy.context
        self.max_rows = max_rows or policy.max_rows
        self.on_tokens = on_tokens
        self._engine: Engine[StreamKey] | None = None
        self._asked: dict[StreamKey, tuple[int, ...]] = {}  # what each turn adds to its prompt
        self._refused: list[tuple[StreamKey, Reply]] = []

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request; without a completion where a later turn no longer fits.

        Conversations that are not asked are over. Raises ValueError if even a first prompt leaves
        no room for `max_new_tokens`.
        """
        names = [_conversation(request.stream) for request in requests]
        for over in self._running.tickets - set(names):
            self._running.release(over)
        self.ask(requests)
        replies: dict[StreamKey, Reply] = {}
        while len(replies) < len(names):
            replies |= dict(self.answers())
        return [replies[name] for name in names]

    @property
    def is_hungry(self) -> bool:
        """Whether requests made now join the batch at the next `answers`."""
        return self._running.is_hungry

    def ask(self, requests: Sequence[Request]) -> None:
        """Ask for an answer in each conversation; errors as in `act`."""
        room = self.policy.max_context - self.sampling.max_new_tokens
        for request in requests:
            prompt = encode_next(self.policy, request.history, request.observation, room)
            name = _conversation(request.stream)
            if request.history and not has_room(self.policy, prompt, room):
                self._refused.append((name, Reply(completion=None, prompt_ids=prompt.new_ids)))
                continue
            self._running.submit(name, prompt, request.stream)
            self._asked[name] = prompt.new_ids

    def answers(self) -> list[tuple[StreamKey, Reply]]:
        """Decode until at least one conversation has its answer."""
        refused, self._refused = self._refused, []
        if refused:
            return refused
        answered = self._running.advance()
        if self.context is ContextMode.single_turn:  # the next prompt begins anew
            for name, _ in answered:
                self._running.release(name)
        return [
            (name, Reply(completion=completion, prompt_ids=self._asked.pop(name)))
            for name, completion in answered
        ]

    def leave(self, conversation: StreamKey) -> None:
        """The conversation is over."""
        self._running.release(_conversation(conversation))

    def forget(self) -> None:
        """Drop what is kept of conversations."""
        self._engine, self._asked, self._refused = None, {}, []

    @property
    def _running(self) -> Engine[StreamKey]:
        if self._engine is None:
            self._engine = Engine(
                self.policy, self.sampling, num_rows=self.max_rows, on_tokens=self._count
            )
        return self._engine

    def _count(self, num_tokens: int) -> None:
        if self.on_tokens is not None:
            self.on_tokens(num_tokens)


def _conversation(stream: StreamKey) -> StreamKey:
    """The first turn's stream names the conversation."""
    return replace(stream, turn=0)
