"""Reading what a model wrote: the object of its answer, inside whatever else it said.

The objects that models write are nearly JSON. This reader accepts JSON and also single quotes,
trailing commas and unquoted words; it finds the object in free text, in code fences or between tags.
It never raises on any text, and its time is linear: nesting is bounded, and so is the number of
tokens read.

Departure from the study's code, which takes the text to be JSON as a whole and calls the step with
whatever type it finds (a number or null as a formula ended its episode with an exception).
"""

import re
from collections.abc import Collection

MAX_READ_CHARS = 100_000  # of a longer text only the end is read
MAX_NESTING = 8
MAX_TOKENS = 100_000  # over all attempts at one text
_LONG_NUMBER = 15  # digits; longer numbers stay text

Value = None | bool | int | str | list["Value"] | dict[str, "Value"]

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
_WORDS: dict[str, None | bool] = {
    "null": None,
    "None": None,
    "true": True,
    "True": True,
    "false": False,
    "False": False,
}


def find_object(text: str, keys: Collection[str]) -> dict[str, Value] | None:
    """The last object in the text that has one of `keys`; None when there is none.

    Numbers become int where they are short whole numbers and stay text otherwise. Objects inside an
    object that has none of the keys are found too.
    """
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
            if any(key in value for key in keys):
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

    def _token(self, position: int) -> re.Match[str]:
        self.tokens_left -= 1
        match = _TOKEN.match(self.text, position)
        if match is None or self.tokens_left < 0:
            raise _Malformed
        return match

    def _object(self, position: int, depth: int) -> tuple[dict[str, Value], int]:
        if depth > MAX_NESTING:
            raise _Malformed
        found: dict[str, Value] = {}
        while True:
            token = self._token(position)
            if token["mark"] == "}":
                return found, token.end()
            if token.lastgroup == "mark":
                raise _Malformed
            colon = self._token(token.end())
            if colon["mark"] != ":":
                raise _Malformed
            value, position = self._value(colon.end(), depth)
            found[str(_scalar(token))] = value
            position, closed = self._separator(position, "}")
            if closed:
                return found, position

    def _list(self, position: int, depth: int) -> tuple[list[Value], int]:
        if depth > MAX_NESTING:
            raise _Malformed
        found: list[Value] = []
        while True:
            token = self._token(position)
            if token["mark"] == "]":
                return found, token.end()
            value, position = self._value(position, depth)
            found.append(value)
            position, closed = self._separator(position, "]")
            if closed:
                return found, position

    def _separator(self, position: int, closing: str) -> tuple[int, bool]:
        """The position after a comma, or after the closing mark (and True)."""
        token = self._token(position)
        if token["mark"] not in (",", closing):
            raise _Malformed
        return token.end(), token["mark"] == closing

    def _value(self, position: int, depth: int) -> tuple[Value, int]:
        token = self._token(position)
        if token.lastgroup != "mark":
            return _scalar(token), token.end()
        if token["mark"] == "{":
            return self._object(token.end(), depth + 1)
        if token["mark"] == "[":
            return self._list(token.end(), depth + 1)
        raise _Malformed


def _scalar(token: re.Match[str]) -> None | bool | int | str:
    kind = token.lastgroup
    text = token[kind] if kind else ""
    if kind == "number":
        digits = text.lstrip("+-")
        return int(text) if digits.isdigit() and len(digits) <= _LONG_NUMBER else text
    if kind == "word":
        return _WORDS.get(text, text)
    return _ESCAPE.sub(_unescape, text) if "\\" in text else text


def _unescape(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    return _ESCAPED.get(match[2], match[2])
