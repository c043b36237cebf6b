"""Reading what a model wrote: the object of its answer, inside whatever else it said.

The objects that models write are nearly JSON. This reader accepts JSON and also single quotes,
trailing commas and unquoted words; it finds the object in free text, in code fences or between
tags. It never raises on any text, and its time is linear: nesting is bounded, and so is the number
of tokens read.

Departure from the study's code, which takes the text to be JSON as a whole and calls the step with
whatever type it finds (a number or null as a formula ended its episode with an exception).
"""

import json
import re
from collections.abc import Set

MAX_READ_CHARS = 100_000  # of a longer text only the end is read
MAX_PLAIN_CHARS = 1_000  # up to which a text is first tried as JSON as a whole (the common case)
MAX_NESTING = 8
MAX_TOKENS = 100_000  # over all attempts at one text
_LONG_NUMBER = 15  # digits; longer numbers stay text

Value = bool | int | str | list["Value"] | dict[str, "Value"] | None

_SPACE = re.compile(r"\s*")
_TOKEN = re.compile(
    r"""\s*(?:
    "(?P<double>[^"\\]*(?:\\.[^"\\]*)*)"
  | '(?P<single>[^'\\]*(?:\\.[^'\\]*)*)'
  | (?P<number>[+-]?[0-9][0-9A-Za-z.+-]*)
  | (?P<word>[A-Za-z_][A-Za-z_0-9]*)
  | (?P<mark>[{}\[\]:,])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_WORDS: dict[str, bool | None] = {
    "null": None,
    "None": None,
    "true": True,
    "True": True,
    "false": False,
    "False": False,
}


def find_object(text: str, keys: Set[str]) -> dict[str, Value] | None:
    """The last object in the text that has one of `keys`; None when there is none.

    Whole numbers become int, unless they are very long; other numbers stay text. Objects inside an
    object that has none of the keys are found too.
    """
    if len(text) <= MAX_PLAIN_CHARS:
        plain = _plain_json(text)
        if plain is not None and not keys.isdisjoint(plain):
            return plain
    reader = _Reader(text[-MAX_READ_CHARS:])
    found: dict[str, Value] | None = None
    start = reader.text.find("{")
    while start >= 0 and reader.tokens_left > 0:
        end = start + 1
        try:
            value, past = reader.object_at(start)
        except _Malformed:
            pass  # an unclosed or odd brace: the next one may open the answer
        else:
            if not keys.isdisjoint(value):
                found, end = value, past
        start = reader.text.find("{", end)
    return found


def between_tags(text: str, tag: str) -> str | None:
    """What stands between the last <tag> and the </tag> after it; None without such a pair."""
    start = text.rfind(f"<{tag}>")
    if start < 0:
        return None
    start += len(tag) + 2
    end = text.find(f"</{tag}>", start)
    return text[start:end] if end >= 0 else None


class _Malformed(Exception):
    """Not an object after all; caught in `find_object` and nowhere else."""


class _Reader:
    """Recursive descent over tokens, with a budget shared by all attempts at one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens_left = MAX_TOKENS

    def object_at(self, start: int) -> tuple[dict[str, Value], int]:
        """The object whose brace is at `start`, and the position after it."""
        return self._object(start + 1, 1)

    def _token(self, position: int) -> tuple[str, str, int]:
        """Kind, text and end of the next token."""
        self.tokens_left -= 1
        match = _TOKEN.match(self.text, position)
        if match is None or match.lastgroup is None or self.tokens_left < 0:
            raise _Malformed
        return match.lastgroup, match[match.lastgroup], match.end()

    def _object(self, position: int, depth: int) -> tuple[dict[str, Value], int]:
        if depth > MAX_NESTING:
            raise _Malformed
        found: dict[str, Value] = {}
        while True:
            kind, text, position = self._token(position)
            if kind == "mark":
                if text == "}":
                    return found, position
                raise _Malformed
            _, colon, position = self._token(position)
            if colon != ":":
                raise _Malformed
            value, position = self._value(position, depth)
            found[str(_scalar(kind, text))] = value
            closed, position = self._separator(position, "}")
            if closed:
                return found, position

    def _list(self, position: int, depth: int) -> tuple[list[Value], int]:
        if depth > MAX_NESTING:
            raise _Malformed
        found: list[Value] = []
        while True:
            kind, text, end = self._token(position)
            if kind == "mark" and text == "]":
                return found, end
            value, position = self._value(position, depth)
            found.append(value)
            closed, position = self._separator(position, "]")
            if closed:
                return found, position

    def _separator(self, position: int, closing: str) -> tuple[bool, int]:
        """Whether the next mark closes rather than separates, and the position after it."""
        kind, text, position = self._token(position)
        if kind != "mark" or text not in (",", closing):
            raise _Malformed
        return text == closing, position

    def _value(self, position: int, depth: int) -> tuple[Value, int]:
        kind, text, position = self._token(position)
        if kind != "mark":
            return _scalar(kind, text), position
        if text == "{":
            return self._object(position, depth + 1)
        if text == "[":
            return self._list(position, depth + 1)
        raise _Malformed


def _scalar(kind: str, text: str) -> bool | int | str | None:
    if kind == "number":
        return _whole_number(text)
    if kind == "word":
        return _WORDS.get(text, text)
    return _ESCAPE.sub(_unescape, text) if "\\" in text else text


def _whole_number(text: str) -> int | str:
    digits = text.lstrip("+-")
    return int(text) if digits.isdigit() and len(digits) <= _LONG_NUMBER else text


def _unescape(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    return _ESCAPED.get(match[2], match[2])


_JSON = json.JSONDecoder(strict=False, parse_float=str, parse_constant=str)


def _plain_json(text: str) -> dict[str, Value] | None:
    """The text as one JSON object, None if it is not one; as `_Reader` reads it, but in C."""
    try:
        value = _JSON.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
