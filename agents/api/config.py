"""Settings of a policy behind an OpenAI-compatible server. No torch, and no key: only its name."""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

CHAT_PATH = "/chat/completions"
# Of `ApiConfig`: they change how answers are come by and what is paid for them, not what is asked.
MEANS = (
    "key_env", "concurrency", "timeout_s", "max_retries", "backoff_s", "max_backoff_s",
    "max_wait_s", "requests_per_minute", "tokens_per_minute", "input_usd_per_million",
    "output_usd_per_million", "max_usd", "cache",
)  # fmt: skip
_OURS = ("model", "messages", "stream", "n")  # of a request: not for `extra` or `omit`


class TokenLimit(str, Enum):
    """The request's field for the longest answer: newer models of OpenAI know the second alone."""

    max_tokens = "max_tokens"
    max_completion_tokens = "max_completion_tokens"


@dataclass(kw_only=True, slots=True)
class ApiConfig:
    """How a server is asked; `policy.base_url` and `policy.model` say which.

    key_env: environment variable that holds the key. A key is never a setting, and is never
        written, logged or told; without one, requests carry none (local servers).
    concurrency: requests in flight at once.
    timeout_s: without a byte from the server, after which a request is made again.
    max_retries: of one request, after the first try.
    backoff_s, max_backoff_s: wait before the first retry, doubled each time up to the largest, and
        drawn from its upper half; after the server's `Retry-After` where it gives one.
    max_wait_s: for one answer, of what `Retry-After` asks in all; such tries are no retries. A
        server that asks for more ends the run.
    requests_per_minute, tokens_per_minute: limits within any 60 s, of this process; null: none.
    input_usd_per_million, output_usd_per_million: prices of tokens; null: the cost is not told.
    max_usd: no request is begun once so much has been spent by this command (those in flight end).
    cache: SQLite file of answers, by the whole request; null: nothing is kept.
    token_limit: name of the field that limits an answer.
    omit: fields of the request that the server refuses, e.g. [seed, top_p].
    extra: further fields of the request, e.g. {reasoning_effort: low}.
    """

    key_env: str = "OPENAI_API_KEY"
    concurrency: int = 8
    timeout_s: float = 120.0
    max_retries: int = 8
    backoff_s: float = 1.0
    max_backoff_s: float = 60.0
    max_wait_s: float = 300.0
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    input_usd_per_million: float | None = None
    output_usd_per_million: float | None = None
    max_usd: float | None = None
    cache: str | None = None
    token_limit: TokenLimit = TokenLimit.max_tokens
    omit: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.key_env):  # a key itself is not repeated
            raise ValueError(
                "api.key_env must be the name of an environment variable (capitals, digits and _), "
                "never a key; got something else"
            )
        for name in ("concurrency", "timeout_s"):
            _require(getattr(self, name) > 0, name, "positive", getattr(self, name))
        for name in ("max_retries", "backoff_s", "max_backoff_s", "max_wait_s"):
            _require(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        for name in ("requests_per_minute", "tokens_per_minute", "max_usd"):
            value = getattr(self, name)
            _require(value is None or value > 0, name, "positive or null", value)
        prices = (self.input_usd_per_million, self.output_usd_per_million)
        for price in prices:
            _require(price is None or price >= 0, "*_usd_per_million", "at least 0 or null", price)
        _require(
            (prices[0] is None) == (prices[1] is None),
            "*_usd_per_million", "given for input and output, or for neither", prices,
        )  # fmt: skip
        _require(
            self.max_usd is None or self.has_prices,
            "max_usd", "null where api.input_usd_per_million is not given", self.max_usd,
        )  # fmt: skip
        taken = [name for name in _OURS if name in self.extra or name in self.omit]
        _require(not taken, "extra and omit", f"without {', '.join(_OURS)}", ", ".join(taken))

    @property
    def has_prices(self) -> bool:
        return self.input_usd_per_million is not None and self.output_usd_per_million is not None


def chat_url(base_url: str) -> str:
    """Where requests go: `https://host/v1` -> `https://host/v1/chat/completions`.

    Raises ValueError for what is no such address; it is not repeated, it might hold a key.
    """
    try:
        parts = urlsplit(base_url)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_right = urlsplit(""), False
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(
            "policy.base_url must be without user, password, query and fragment (a key goes into "
            "the environment variable that policy.api.key_env names); got one with them"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_right:
        raise ValueError(
            "policy.base_url must be the address of a server, as in http://localhost:8000/v1; "
            f"got {base_url}"
        )
    return base_url.rstrip("/").removesuffix(CHAT_PATH) + CHAT_PATH


def _require(holds: bool, name: str, allowed: str, value: object) -> None:
    if not holds:
        raise ValueError(f"api.{name} must be {allowed}; got {value}")
