"""What answers took: tokens and money."""

import threading
from typing import Any

PER_PRICE = 1_000_000  # tokens


class Usage:
    """Counts of one command. Safe to use from many threads.

    Prices are US dollars per million tokens; None: the cost is not known.
    """

    def __init__(self, input_price: float | None, output_price: float | None) -> None:
        self._prices = (input_price, output_price)
        self._lock = threading.Lock()
        self.requests = self.retries = self.cached = self.uncounted = 0
        self.input_tokens = self.output_tokens = 0  # of what was asked for now
        self.cached_input_tokens = self.cached_output_tokens = 0  # of what was kept from before

    def add_paid(self, input_tokens: int | None, output_tokens: int | None) -> int | None:
        """An answer of the server; its tokens in all, None where it did not count them."""
        with self._lock:
            self.requests += 1
            if input_tokens is None or output_tokens is None:
                self.uncounted += 1
                return None
            self.input_tokens += input_tokens
            self.output_tokens += output_tokens
            return input_tokens + output_tokens

    def add_cached(self, input_tokens: int | None, output_tokens: int | None) -> None:
        """An answer that was kept from before, and cost nothing now."""
        with self._lock:
            self.cached += 1
            self.cached_input_tokens += input_tokens or 0
            self.cached_output_tokens += output_tokens or 0

    def add_retry(self) -> None:
        with self._lock:
            self.retries += 1

    @property
    def paid_usd(self) -> float | None:
        return self._cost(self.input_tokens, self.output_tokens)

    def asdict(self) -> dict[str, Any]:
        """For a file; `cached_usd` is what the answers from the cache cost when they were new."""
        return {
            "requests": self.requests,
            "retries": self.retries,
            "cached": self.cached,
            "uncounted": self.uncounted,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cached_input_tokens": self.cached_input_tokens,
            "cached_output_tokens": self.cached_output_tokens,
            "usd": self.paid_usd,
            "cached_usd": self._cost(self.cached_input_tokens, self.cached_output_tokens),
        }

    def __str__(self) -> str:
        cost = "cost unknown: no prices given" if self.paid_usd is None else f"${self.paid_usd:.4f}"
        parts = [
            f"{self.requests:,} answers from the server ({self.retries:,} retries)",
            f"{self.cached:,} from the cache",
            f"{self.input_tokens:,} input and {self.output_tokens:,} output tokens",
            cost,
        ]
        if self.uncounted:
            parts.append(f"{self.uncounted:,} answers without a count of tokens")
        return "; ".join(parts)

    def _cost(self, input_tokens: int, output_tokens: int) -> float | None:
        input_price, output_price = self._prices
        if input_price is None or output_price is None:
            return None
        return (input_tokens * input_price + output_tokens * output_price) / PER_PRICE
