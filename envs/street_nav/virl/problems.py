"""What is wrong with a data set, each with its file and its key."""

import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """file: relative to the data set's folder where it lies in it. key: "" for the whole file."""

    file: str
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: {self.message}"


class Problems:
    """Collects problems, each once and in the order in which they were found."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    @property
    def found(self) -> tuple[Problem, ...]:
        return tuple(self._found)

    def keep(self, problem: Problem) -> None:
        self._found[problem] = None

    def add(self, file: Path, key: str, message: str) -> None:
        name = "/".join(file.parts[-2:]) if file.parent.name == "street_views" else file.name
        self.keep(Problem(name, key, message))


def told(value: Any, most: int = 60) -> str:
    """A value of a file for a message, in at most `most` characters and bounded time.

    `repr` would end in an error for what is nested a thousand deep and for whole numbers of
    thousands of digits, and take forever for a list that holds the same list twice, and so on.
    """
    return _SHORT.repr(value)[:most]


class _Short(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= 128 else f"a number of {x.bit_length()} bits"


_SHORT = _Short()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 60, 60
