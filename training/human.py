"""A person as the policy of `cardinal eval`: one hand after another in the terminal.

Rules, prompts, turns and verdicts are those of any policy, and so are the results. Answers may be
written as a model would, or in the shorthand that the legend names, which says nothing about what
was seen. No solution is shown. Who leaves goes on later with resume=true.
"""

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from ..agents.types import Completion, ContextMode, Reply, Request, StreamKey, Turn
from .play import LEAVE, LEGEND, show_picture
from .progress import ProgressReporter
from .schema import PlayConfig

HELP = f"Type your answer; {LEGEND[1]} shows the rules again; {LEAVE[0]} or Ctrl-D leaves."


class HumanAgent:
    """Asks whoever sits at the terminal, in one conversation at a time.

    Raises KeyboardInterrupt from `answers` when the person leaves.
    """

    context = ContextMode.concat
    max_rows = 1

    def __init__(self, pictures: PlayConfig | None = None) -> None:
        self._pictures = pictures or PlayConfig()
        self._asked: list[Request] = []
        self._hands = 0
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  line editing and history for input()

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._reply(request) for request in requests]

    @property
    def is_hungry(self) -> bool:
        return True

    def ask(self, requests: Sequence[Request]) -> None:
        self._asked += requests

    def answers(self) -> list[tuple[StreamKey, Reply]]:
        asked, self._asked = self._asked[:1], self._asked[1:]
        return [(_conversation(request.stream), self._reply(request)) for request in asked]

    def leave(self, conversation: StreamKey) -> None:
        """Nothing is kept of a conversation."""

    def _reply(self, request: Request) -> Reply:
        """Show what is new and read an answer."""
        if not request.history:
            self._hands += 1
            if self._hands == 1:
                _say(f"{HELP}\n\n{request.game.legend()}")
            _say(f"\n--- {self._hands} ---")
        else:
            _say(_verdict(request.history[-1]))
        _say(request.observation.update)
        if request.observation.image is not None:
            show_picture(request.observation.image, self._pictures, self._hands - 1)
        typed = self._typed(request)
        return Reply(completion=Completion(text=request.game.spelt_out(typed)))

    def _typed(self, request: Request) -> str:
        while True:
            try:
                text = input("> ").strip()
            except EOFError:
                text = LEAVE[0]
            if text in LEAVE:
                raise KeyboardInterrupt
            if text in LEGEND:
                _say(request.game.legend())
            elif text:
                return text
            else:
                _say(HELP)


class HumanReporter(ProgressReporter):
    """A line after every finished hand, instead of a bar between the lines of a conversation."""

    _told = 0

    def update(
        self, *, step: int, total: int | None = None, quantity: str | None = None, **_: Any
    ) -> None:
        if step > self._told and quantity is not None and "success" in quantity:
            _say(f"{step} of {total} done; {quantity}")
            self._told = step


def _verdict(turn: Turn) -> str:
    terms = ", ".join(f"{name} {value:g}" for name, value in turn.reward_terms.items())
    return f"{turn.outcome.replace('_', ' ')}; reward {turn.reward:g} ({terms})"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _conversation(stream: StreamKey) -> StreamKey:
    """The first turn's stream names the conversation."""
    return StreamKey(seed=stream.seed, step=stream.step, group=stream.group, member=stream.member)
