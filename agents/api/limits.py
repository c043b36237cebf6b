"""How fast a server is asked: limits per minute, waits between tries."""

import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

WINDOW_S = 60.0


@dataclass(slots=True, eq=False)
class Reservation:
    """A request within a limit; `tokens` is estimated before the answer, and known after it."""

    at_s: float
    tokens: int


class RateLimiter:
    """At most so many requests and tokens within any 60 seconds. Safe to use from many threads.

    A request larger than the whole limit of tokens goes alone. The window slides (no burst at the
    turn of a minute, as with buckets that are filled at once).
    """

    def __init__(
        self,
        requests: int | None,
        tokens: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests, self._tokens, self._clock = requests, tokens, clock
        self._held_until_s = 0.0
        self._recent: deque[Reservation] = deque()
        self._lock = threading.Lock()

    def reserve(self, tokens: int) -> Reservation | float:
        """A place for a request of so many tokens, or the seconds after which to ask again."""
        with self._lock:
            now_s = self._clock()
            if now_s < self._held_until_s:
                return self._held_until_s - now_s
            while self._recent and self._recent[0].at_s <= now_s - WINDOW_S:
                self._recent.popleft()
            wait_s = self._wait_s(now_s, tokens)
            if wait_s > 0:
                return wait_s
            reservation = Reservation(now_s, tokens)
            if self._requests is not None or self._tokens is not None:
                self._recent.append(reservation)
            return reservation

    def settle(self, reservation: Reservation, tokens: int) -> None:
        """Tell how many tokens a request took."""
        with self._lock:
            reservation.tokens = tokens

    def hold(self, seconds: float) -> None:
        """No request from anybody for so long: the server asked for it."""
        with self._lock:
            self._held_until_s = max(self._held_until_s, self._clock() + seconds)

    def _wait_s(self, now_s: float, tokens: int) -> float:
        """Until so many of the recent requests have left the window that this one fits."""
        count, used = len(self._recent), sum(recent.tokens for recent in self._recent)
        wait_s = 0.0
        for recent in self._recent:
            few = self._requests is None or count < self._requests
            if few and (self._tokens is None or used + tokens <= self._tokens):
                break
            wait_s = recent.at_s + WINDOW_S - now_s
            count, used = count - 1, used - recent.tokens
        return wait_s


def backoff_s(retry: int, first_s: float, largest_s: float) -> float:
    """The wait before the retry of that number (from 0): doubled, drawn from its upper half.

    The draw keeps clients that failed together from coming back together.
    """
    return min(largest_s, first_s * 2.0**retry) * random.uniform(0.5, 1.0)


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """How long a response asks to wait; None where it does not say (or says no number or date).

    now_s: seconds since the epoch, for `Retry-After` as a date (RFC 9110, section 10.2.3).
    """
    for name, unit_s in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text) * unit_s
    if not text:
        return None
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except ValueError:
        return None
