"""A policy behind a server as an agent: conversations are answered side by side.

    with closing(ApiClient(url, model, ApiConfig())) as client:
        episodes = rollout(make_env, ApiAgent(client, SamplingConfig()), seeds)

Environments step while other answers are on their way. Which answer comes first changes nothing:
each is drawn for its own episode and turn, and `rollout` returns episodes in order of its seeds.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue

from ..config import SamplingConfig
from ..messages import conversation
from ..types import Completion, ContextMode, Reply, Request, StreamKey
from .client import ApiClient, ContextFull

GRACE_S = 5.0  # for answers that are on their way when a rollout breaks off: they are paid for

_Job = tuple[StreamKey, Request]
_Result = tuple[StreamKey, Reply | Exception]


class ApiAgent:
    """Asks for one answer per conversation, at most `concurrency` at the same time.

    context, context_turns: what of a conversation is sent, as in `PolicyConfig`.

    What `ApiClient.ask` raises leaves `answers`, with one exception: a conversation that no longer
    fits ends its episode (`Status.context_limit`), unless it is its first prompt (ValueError).
    """

    def __init__(
        self,
        client: ApiClient,
        sampling: SamplingConfig,
        *,
        context: ContextMode = ContextMode.concat,
        context_turns: int = 3,
    ) -> None:
        self.client = client
        self.sampling = sampling
        self.context, self.context_turns = context, context_turns
        self.max_rows = client.config.concurrency
        self._line: _Line | None = None

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, in order."""
        self.ask(requests)
        replies: dict[StreamKey, Reply] = {}
        while len(replies) < len(requests):
            replies |= dict(self.answers())
        return [replies[_conversation(request.stream)] for request in requests]

    @property
    def is_hungry(self) -> bool:
        """A server takes requests at any time."""
        return True

    def ask(self, requests: Sequence[Request]) -> None:
        if self._line is None:
            self._line = _Line(self, self.max_rows)
        for request in requests:
            self._line.put((_conversation(request.stream), request))

    def answers(self) -> list[tuple[StreamKey, Reply]]:
        """What has come, at least one if any was asked for."""
        answered: list[tuple[StreamKey, Reply]] = []
        for name, reply in self._line.take() if self._line is not None else ():
            if isinstance(reply, Exception):
                raise reply
            answered.append((name, reply))
        return answered

    def leave(self, conversation: StreamKey) -> None:
        """Nothing is kept of a conversation."""

    def forget(self) -> None:
        """Drop requests not begun with, and wait a little for those on their way."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def reply(self, request: Request, stopped: threading.Event) -> Reply:
        """Ask the server; in a thread of its own."""
        messages = conversation(
            request.history, request.observation, self.context, self.context_turns
        )
        try:
            answer = self.client.ask(messages, self.sampling, request.stream.as_ints(), stopped)
        except ContextFull as error:
            if request.history:
                return Reply(completion=None)
            raise ValueError(
                f"policy.model must have room for the first prompt and max_new_tokens="
                f"{self.sampling.max_new_tokens}; the server says: {error}"
            ) from None
        return Reply(
            completion=Completion(
                text=answer.text,
                finish_reason=answer.finish_reason,
                reported_tokens=answer.output_tokens or 0,
            )
        )


class _Line:
    """Requests in front of `width` threads, and what came of them.

    The threads are daemons: a run that was interrupted is not held up by a silent server.
    """

    def __init__(self, agent: ApiAgent, width: int) -> None:
        self._agent, self._width = agent, width
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._results: SimpleQueue[_Result] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()
        self._asked = 0

    def put(self, job: _Job) -> None:
        self._asked += 1
        self._jobs.put(job)
        if len(self._threads) < min(self._width, self._asked):
            thread = threading.Thread(target=self._work, name="api", daemon=True)
            self._threads.append(thread)
            thread.start()

    def take(self) -> list[_Result]:
        """All that has come; waits for the first if one was asked for."""
        taken: list[_Result] = []
        while len(taken) < self._asked:
            try:
                taken.append(self._results.get(block=not taken))
            except Empty:
                break
        self._asked -= len(taken)
        return taken

    def close(self) -> None:
        self._stopped.set()
        for _ in self._threads:
            self._jobs.put(None)
        until_s = time.monotonic() + GRACE_S
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            name, request = job
            result: Reply | Exception
            try:
                result = self._agent.reply(request, self._stopped)
            except Exception as error:  # raised again by `answers`, in the thread that asked
                result = error
            self._results.put((name, result))


def _conversation(stream: StreamKey) -> StreamKey:
    """The first turn's stream names the conversation."""
    return replace(stream, turn=0)
