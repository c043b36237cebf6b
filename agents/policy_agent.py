"""A policy as an agent: requests in, sampled answers out."""

from collections.abc import Callable, Sequence

from .cache import Memory
from .chat import encode_next
from .config import SamplingConfig
from .generation import generate
from .policy import Policy
from .types import ContextMode, Reply, Request


class PolicyAgent:
    """Samples answers for all requests in one batch.

    Between the turns of a conversation it remembers what the model has read; `forget` before the
    weights change (`rollout` does at its end).

    on_tokens: told how many tokens each decoding step drew, for progress bars and rates.
    """

    def __init__(
        self,
        policy: Policy,
        sampling: SamplingConfig,
        *,
        max_rows: int = 512,
        on_tokens: Callable[[int], None] | None = None,
    ) -> None:
        self.policy = policy
        self.sampling = sampling
        self.context = policy.context
        self.max_rows = max_rows
        self.on_tokens = on_tokens
        self._memory = Memory() if policy.context is ContextMode.concat else None

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request; without a completion where a later turn no longer fits.

        Raises ValueError if even a first prompt leaves no room for `max_new_tokens`.
        """
        prompts = [encode_next(self.policy, r.history, r.observation) for r in requests]
        room = self.policy.max_context - self.sampling.max_new_tokens
        fits = [
            not request.history or len(prompt.ids) <= room
            for request, prompt in zip(requests, prompts, strict=True)
        ]
        asked = [i for i, fit in enumerate(fits) if fit]
        if self._memory is not None:
            self._memory.drop_all_but([requests[i].stream for i in asked])
        completions = generate(
            self.policy,
            [prompts[i] for i in asked],
            [requests[i].stream for i in asked],
            self.sampling,
            max_rows=self.max_rows,
            on_tokens=self.on_tokens,
            memory=self._memory,
        )
        answered = dict(zip(asked, completions, strict=True))
        return [
            Reply(completion=answered.get(i), prompt_ids=prompt.new_ids)
            for i, prompt in enumerate(prompts)
        ]

    def forget(self) -> None:
        """Drop what is remembered of conversations."""
        if self._memory is not None:
            self._memory.forget()
