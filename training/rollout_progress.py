"""How far a long rollout is, told within the step of training that it belongs to."""

import time
from collections.abc import Callable

from .bar import SILENT_S


class RolloutProgress:
    """Counts the episodes and tokens of one rollout and puts them into words.

    tell: shown what there is to say, from the first couple of seconds on; the rollout of a small
        policy is over by then, that of a large one may take minutes.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._start_s = time.monotonic()
        self._episodes = ""
        self._tokens = 0

    def episodes(self, finished: int, total: int) -> None:
        """For `rollout(on_progress=...)`."""
        self._episodes = f"{finished}/{total} episodes, "
        self._show()

    def tokens(self, count: int) -> None:
        """For `PolicyAgent(on_tokens=...)`: `count` more were sampled."""
        self._tokens += count
        self._show()

    def _show(self) -> None:
        elapsed_s = time.monotonic() - self._start_s
        if elapsed_s >= SILENT_S:
            self._tell(f"rollout {self._episodes}{self._tokens / elapsed_s:.3g} token/s")
