"""The chat-completions protocol: a request's body out, an answer in.

As OpenAI's API reference describes it; of its many fields those that other servers (vLLM, SGLang,
llama.cpp, Ollama, transformers) know as well.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..config import SamplingConfig
from ..messages import Message, as_json
from ..types import FinishReason
from .config import ApiConfig

MAX_TOLD_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """text: without lone surrogates, which no file could hold.

    input_tokens, output_tokens: as the server counted; None where it told none.
    """

    text: str
    finish_reason: FinishReason
    input_tokens: int | None = None
    output_tokens: int | None = None

    def as_record(self) -> dict[str, Any]:
        return {**asdict(self), "finish_reason": self.finish_reason.value}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Answer":
        return cls(**{**record, "finish_reason": FinishReason(record["finish_reason"])})


def request_body(
    model: str,
    messages: Sequence[Message],
    sampling: SamplingConfig,
    config: ApiConfig,
    sample: Sequence[int],
) -> dict[str, Any]:
    """What is asked. The seed is this draw's own, for servers that can repeat one."""
    body: dict[str, Any] = {
        "model": model,
        "messages": as_json(messages),
        config.token_limit.value: sampling.max_new_tokens,
        "temperature": 0.0 if sampling.greedy else sampling.temperature,
        "top_p": 1.0 if sampling.greedy else sampling.top_p,
        "seed": _seed(sample),
    }
    if sampling.top_k and not sampling.greedy:
        body["top_k"] = sampling.top_k
    return {k: v for k, v in body.items() if k not in config.omit} | dict(config.extra)


def read_answer(text: str) -> Answer:
    """The answer in a response; ValueError where it has none, in words for a longer message.

    An answer without content (a refusal, a tool call, one that was filtered) is an empty text or
    the refusal's: it is judged like any other.
    """
    try:
        response = json.loads(text)
    except ValueError as error:
        raise ValueError("a body that is no JSON") from error
    try:
        choice = response["choices"][0]
        message = choice["message"]
        content = message.get("content") or message.get("refusal") or ""
        if isinstance(content, list):
            content = "".join(part.get("text") or "" for part in content)
        said = content.encode("utf-8", "replace").decode("utf-8")
        is_cut = choice.get("finish_reason") == "length"
        usage = response.get("usage") or {}
        counts = usage.get("prompt_tokens"), usage.get("completion_tokens")
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError("a body without choices[0].message") from error
    known = all(isinstance(count, int) and count >= 0 for count in counts)
    return Answer(
        text=said,
        finish_reason=FinishReason.length if is_cut else FinishReason.stop,
        input_tokens=counts[0] if known else None,
        output_tokens=counts[1] if known else None,
    )


def told(text: str) -> str:
    """What a server said, on one line and not too long, for messages."""
    try:
        response = json.loads(text)
        found = response.get("error", response) if isinstance(response, dict) else response
        said = found.get("message", found) if isinstance(found, dict) else found
        text = said if isinstance(said, str) else json.dumps(said)
    except ValueError:
        pass
    line = " ".join(text.split())
    return repr(line if len(line) <= MAX_TOLD_CHARS else line[: MAX_TOLD_CHARS - 3] + "...")


def _seed(sample: Sequence[int]) -> int:
    """31 bits of the draw's numbers: the same in every process."""
    digest = hashlib.sha256(",".join(map(str, sample)).encode("ascii")).digest()
    return int.from_bytes(digest[:4], "big") >> 1
