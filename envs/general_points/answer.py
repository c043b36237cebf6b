"""An answer as its three fields: `cards`, `number` and `formula`, whatever types they came in."""

import re
from dataclasses import dataclass

from ..parsing import Value, between_tags, find_object
from .cards import RANKS
from .config import AnswerFormat
from .rules import MAX_DIGITS

CARDS, NUMBER, FORMULA = FIELDS = ("cards", "number", "formula")
KEYS = frozenset((*FIELDS, "numbers"))  # any of which makes an object an answer
_MAX_ITEMS = 16

_SPOKEN = {"1": "A", "ace": "A", "t": "10", "jack": "J", "queen": "Q", "king": "K"}
_NAMES = {rank: rank for rank in RANKS} | {rank.lower(): rank for rank in RANKS} | _SPOKEN
_SUIT = re.compile(r"\s*(?:of\s+)?(?:[♠♥♦♣♤♡♢♧]\ufe0f?|spades?|hearts?|diamonds?|clubs?|[shdc])$")
_INTEGER = re.compile(rf"[+-]?[0-9]{{1,{MAX_DIGITS}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered.

    cards: ranks as stated, normalised to A, 2..10, J, Q, K; None when absent or not ranks.
    numbers: the values stated; None when absent or not integers.
    formula: as written; None when absent.
    error: why there is no answer at all, None when one was found.
    """

    cards: tuple[str, ...] | None = None
    numbers: tuple[int, ...] | None = None
    formula: str | None = None
    error: str | None = None


def read_answer(text: str, answer_format: AnswerFormat) -> Answer:
    """The answer in a model's text; any text gives an `Answer`."""
    if answer_format is AnswerFormat.tagged:
        inside = between_tags(text, "answer")
        if inside is None:
            return Answer(error="no <answer>...</answer>")
        text = inside
    found = find_object(text, KEYS)
    if found is None:
        return Answer(error="no object with the fields " + ", ".join(FIELDS))
    return Answer(
        cards=_ranks(_items(found.get(CARDS))),
        numbers=_integers(_items(found.get(NUMBER, found.get("numbers")))),
        formula=_formula(found.get(FORMULA)),
    )


def _items(value: Value) -> list[Value] | None:
    """A list, or a string that lists its items; None for anything else or too much."""
    if isinstance(value, str):
        value = list(value.replace(",", " ").split())
    return value if isinstance(value, list) and len(value) <= _MAX_ITEMS else None


def _ranks(items: list[Value] | None) -> tuple[str, ...] | None:
    """Every item as a rank, None if one is none."""
    if items is None:
        return None
    ranks = [_rank(item) for item in items]
    return None if None in ranks else tuple(ranks)  # type: ignore[arg-type]


def _rank(item: Value) -> str | None:
    if isinstance(item, str) and item in _NAMES:
        return _NAMES[item]
    if isinstance(item, bool) or not isinstance(item, (str, int)):
        return None
    name = str(item).strip().lower()[:40]
    return _NAMES.get(name) or _NAMES.get(_SUIT.sub("", name))


def _integers(items: list[Value] | None) -> tuple[int, ...] | None:
    """Every item as an integer, None if one is none."""
    if items is None:
        return None
    if set(map(type, items)) == {int}:
        return tuple(items)  # type: ignore[arg-type]
    numbers = [_integer(item) for item in items]
    return None if None in numbers else tuple(numbers)  # type: ignore[arg-type]


def _integer(item: Value) -> int | None:
    if isinstance(item, int) and not isinstance(item, bool):
        return item
    if isinstance(item, str) and _INTEGER.fullmatch(item.strip()):
        return int(item)
    return None


def _formula(value: Value) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value)
