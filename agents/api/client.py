"""Asks an OpenAI-compatible server for one answer, again and again until it comes.

    client = ApiClient("http://localhost:8000/v1", "my-model", ApiConfig())
    answer = client.ask(messages, SamplingConfig(), sample=(0,))

What may pass is tried again (429, 5xx, time-outs, connections refused, reset or closed amid an
answer, bodies that are no JSON): exponential backoff with jitter, after what `Retry-After` says,
which holds all requests and counts as no failure. What cannot pass by itself ends at once:
ValueError where a setting is to blame, `ServerError` otherwise. Answers are kept on disk as they
come, and a repetition asks for none of them again.

The client is httpx2 (httpx where that is what is installed), which `huggingface_hub` brings anyway;
the `openai` package would add a dozen dependencies, and retries and logs of its own to keep quiet.

The key lives in a `Key`, which shows it to nobody but the request on its way. No exception of the
HTTP library leaves this module, because those hold the request, and what a server says is cleaned
of the key.
"""

import importlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from ..config import SamplingConfig
from ..messages import Message
from .cache import AnswerCache, request_key
from .config import ApiConfig, chat_url
from .key import Key, bearer
from .limits import RateLimiter, Reservation, backoff_s, retry_after_s
from .protocol import Answer, read_answer, request_body, told
from .usage import Usage

logger = logging.getLogger(__name__)

LIBRARIES = {"httpx2": "httpcore2", "httpx": "httpcore"}  # with the name below it in logs
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}
REFUSED_KEY, TOO_LARGE, QUOTA = (401, 403), (400, 413, 422), "insufficient_quota"
CONTEXT_WORDS = ("context_length", "context length", "maximum context", "max_model_len")
CHARS_PER_TOKEN, TOKENS_PER_IMAGE = 4, 1000  # rough, for the limit of tokens before an answer


class ServerError(Exception):
    """The server gave no answer, and no setting is to blame. One line, without the key."""


class ContextFull(Exception):
    """The server says that the conversation no longer fits into the model's context."""


class Stopped(Exception):
    """The run is ending: no request is begun."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A try that gave no answer. wait_s: what the server asked for. error: it cannot pass."""

    what: str
    wait_s: float | None = None
    error: Exception | None = None


class ApiClient:
    """One server and model. Safe to use from many threads; `close` at the end.

    Raises ValueError for an address that is none, a cache that is none, and where no HTTP library
    is installed.
    """

    def __init__(self, base_url: str, model: str, config: ApiConfig) -> None:
        self.url, self.model, self.config = chat_url(base_url), model, config
        self.usage = Usage(config.input_usd_per_million, config.output_usd_per_million)
        self._key = Key(config.key_env)
        self._http = _library()
        self._limiter = RateLimiter(config.requests_per_minute, config.tokens_per_minute)
        self._cache = AnswerCache(Path(config.cache)) if config.cache is not None else None
        self._client = self._http.Client(
            timeout=self._http.Timeout(config.timeout_s, pool=None),
            limits=self._http.Limits(max_connections=config.concurrency),
            auth=bearer(self._http, self._key) if self._key else None,
            verify=self.url.startswith("https"),  # certificates take a while to load
        )

    def ask(
        self,
        messages: Sequence[Message],
        sampling: SamplingConfig,
        sample: Sequence[int],
        stopped: threading.Event | None = None,
    ) -> Answer:
        """The answer to a conversation.

        sample: numbers of this draw; equal requests with other numbers are other draws.
        stopped: once it is set no request is begun, and who waits for one ends with `Stopped`.

        Raises ContextFull, ServerError, ValueError (a setting is refused), Stopped.
        """
        body = request_body(self.model, messages, sampling, self.config, sample)
        key = request_key(self.url, body, sample)
        kept = self._cache.get(key) if self._cache is not None else None
        if kept is not None:
            answer = Answer.from_record(kept)
            self.usage.add_cached(answer.input_tokens, answer.output_tokens)
            return answer
        pictures = sum(message.image is not None for message in messages)
        chars = sum(len(message.text) for message in messages)
        expected = chars // CHARS_PER_TOKEN + pictures * TOKENS_PER_IMAGE + sampling.max_new_tokens
        answer = self._fetch(body, expected, stopped or threading.Event())
        if self._cache is not None:
            self._cache.put(key, self.model, answer.as_record())
        return answer

    def close(self) -> None:
        self._client.close()
        if self._cache is not None:
            self._cache.close()

    def _fetch(
        self, body: Mapping[str, Any], expected_tokens: int, stopped: threading.Event
    ) -> Answer:
        """Try until an answer comes; `expected_tokens` counts towards the limit until then."""
        failures, asked_wait_s = 0, 0.0
        while True:
            self._check_budget()
            reservation = self._reserve(expected_tokens, stopped)
            result = self._try(body)
            if isinstance(result, Answer):
                self._count(result, reservation)
                return result
            if result.error is not None:
                raise result.error
            wait_s = backoff_s(failures, self.config.backoff_s, self.config.max_backoff_s)
            if result.wait_s is None:
                failures += 1
                self._check_failures(failures, result.what)
            else:  # a server that says when is no failure, however often
                self._limiter.hold(result.wait_s)
                wait_s += result.wait_s
                asked_wait_s += wait_s
                self._check_wait(asked_wait_s, result.what)
            self.usage.add_retry()
            logger.info("asking %s again (%s)", self.url, result.what)
            if stopped.wait(wait_s):
                raise Stopped

    def _try(self, body: Mapping[str, Any]) -> Answer | Fault:
        """One request. Exceptions of the library end here: they hold the request."""
        problem = ""
        try:
            response = self._client.post(self.url, json=body)
            status, headers = response.status_code, response.headers
            text = response.content.decode("utf-8", "replace")
        except self._http.TimeoutException:
            problem = f"no byte within {self.config.timeout_s:g} s"
        except self._http.TransportError as error:
            problem = self._key.cleaned(f"{type(error).__name__}: {error}")
        except self._http.DecodingError:
            problem = "a body that cannot be decompressed"
        if problem:
            return Fault(problem)
        if status != 200:
            return self._refusal(status, headers, text)
        try:
            answer = read_answer(text)
        except ValueError as error:
            return Fault(f"{error}, in {self._told(text)}")
        return replace(answer, text=self._key.cleaned(answer.text))

    def _refusal(self, status: int, headers: Mapping[str, str], text: str) -> Fault:
        """What a status other than 200 means."""
        what = f"status {status}, {self._told(text)}"
        if status in PASSING and QUOTA not in text:
            return Fault(what, wait_s=retry_after_s(headers, time.time()))
        error: Exception
        if status in REFUSED_KEY:  # the server's text is left out: it may show parts of the key
            name = self._key.variable
            shown = (
                f"the key in {name}" if self._key else f"a request without key: {name} is not set"
            )
            error = ValueError(
                f"policy.api.key_env must name a variable with a key for {self.url}; the server "
                f"refused {shown} (status {status})"
            )
        elif QUOTA in text:
            error = ServerError(f"{self.url}: the account's quota is used up; {self._kept}")
        elif status in TOO_LARGE and any(words in text for words in CONTEXT_WORDS):
            error = ContextFull(what)
        else:
            error = ValueError(
                "policy.base_url, policy.model and policy.api must make a request that the server "
                f"takes; got {what} from {self.url} for model {self.model}"
            )
        return Fault(what, error=error)

    def _reserve(self, tokens: int, stopped: threading.Event) -> Reservation:
        while not stopped.is_set():
            place = self._limiter.reserve(tokens)
            if isinstance(place, Reservation):
                return place
            stopped.wait(place)
        raise Stopped

    def _count(self, answer: Answer, reservation: Reservation) -> None:
        taken = self.usage.add_paid(answer.input_tokens, answer.output_tokens)
        if taken is not None:
            self._limiter.settle(reservation, taken)

    def _check_failures(self, failures: int, what: str) -> None:
        if failures > self.config.max_retries:
            times = f"{failures} times" if failures > 1 else "once"
            raise ServerError(
                f"{self.url} gave no answer, asked {times}; the last time: {what}; {self._kept}"
            )

    def _check_wait(self, wait_s: float, what: str) -> None:
        if wait_s > self.config.max_wait_s:
            raise ServerError(
                f"{self.url} asks to wait {wait_s:.0f} s for one answer, more than "
                f"policy.api.max_wait_s={self.config.max_wait_s:g}; {what}; {self._kept}"
            )

    def _check_budget(self) -> None:
        most, spent = self.config.max_usd, self.usage.paid_usd
        if most is not None and spent is not None and spent >= most:
            raise ServerError(f"policy.api.max_usd={most:g} has been spent; {self._kept}")

    def _told(self, text: str) -> str:
        """What the server said; cleaned last, when nothing of it is escaped any more."""
        return self._key.cleaned(told(text))

    @property
    def _kept(self) -> str:
        if self._cache is None:
            return "policy.api.cache is null, so the answers of the present batch are lost"
        return (
            f"all answers so far are kept in {self._cache.path}: the same command with "
            "resume=true goes on from there"
        )


def _library() -> ModuleType:
    """The HTTP library, whose own line per request is not logged."""
    for name, core in LIBRARIES.items():
        try:
            library = importlib.import_module(name)
        except ImportError:
            continue
        for logged in (name, core):
            logging.getLogger(logged).setLevel(logging.WARNING)
        return library
    raise ValueError("policy=api must have an HTTP library; install it: pip install httpx2")
