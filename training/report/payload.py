"""Sample episodes as the page carries them: every text once, rows of numbers, gzip, base64.

10,000 episodes repeat the same prompts, feedback and outcomes; a page unpacks them with the
browser's own DecompressionStream (https://compression.spec.whatwg.org).
"""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

# Order of a row's columns, by which `episodes.js` reads them; TEXTS are numbers of texts.
EPISODE = ("seed", "step", "success", "ret", "arm", "cell", "metric", "task", "deal", "rule",
           "look", "status", "outcome", "turns")  # fmt: skip
TURN = ("img", "success", "reward", "obs", "answer", "outcome", "terms", "feedback", "src")
TEXTS = frozenset(
    ("arm", "cell", "metric", "task", "deal", "rule", "look", "status", "outcome", "obs", "answer",
     "terms", "feedback", "src")
)  # fmt: skip


class Texts:
    """Texts in the order of their first use, each once."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.num_chars = 0

    def number(self, text: str) -> int:
        if text not in self.known:
            self.known[text] = len(self.known)
            self.num_chars += len(text)
        return self.known[text]


def pack(episodes: Sequence[Mapping[str, Any]]) -> str:
    """Base64 of gzip of JSON {columns, texts, episodes}; the same episodes give the same text.

    episodes: with the fields of `EPISODE`, their turns with those of `TURN`; terms by name.
    """
    texts = Texts()
    value = {
        "columns": {"episode": EPISODE, "turn": TURN},
        "texts": [],
        "episodes": [_row(each, EPISODE, texts) for each in episodes],
    }
    value["texts"] = list(texts.known)
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("ascii"), 6, mtime=0)).decode("ascii")


def unpack(packed: str) -> dict[str, Any]:
    """The JSON value that `pack` packed."""
    value: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return value


def within(episodes: Sequence[Mapping[str, Any]], limit: int) -> int:
    """How many of the episodes have no more than `limit` characters of different texts."""
    texts = Texts()
    for count, each in enumerate(episodes):
        _row(each, EPISODE, texts)
        if texts.num_chars > limit:
            return count
    return len(episodes)


def _row(record: Mapping[str, Any], columns: Sequence[str], texts: Texts) -> list[Any]:
    row: list[Any] = []
    for name in columns:
        value = record[name]
        if name == "turns":
            row.append([_row(turn, TURN, texts) for turn in value])
        elif name == "terms":
            told = ", ".join(f"{k} {v:g}" for k, v in value.items() if v is not None)
            row.append(texts.number(told))
        else:
            row.append(texts.number(value) if name in TEXTS else value)
    return row
