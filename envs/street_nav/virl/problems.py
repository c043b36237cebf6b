"""What is wrong with a data set, each with its file and its key."""

from dataclasses import dataclass
from pathlib import Path


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
