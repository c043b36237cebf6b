"""An API key in memory, kept out of everything else."""

import os
from collections.abc import Generator
from types import ModuleType
from typing import Any


class Key:
    """The key in an environment variable, or none; shown by `reveal` alone.

    Raises ValueError, without repeating it, for what no header can carry.
    """

    def __init__(self, variable: str) -> None:
        self.variable = variable
        self._text = os.environ.get(variable, "").strip()
        if not self._text.isascii() or not self._text.isprintable():
            raise ValueError(f"{variable} must hold a key in plain ASCII; got other characters")

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return f"Key({self.variable}, {'set' if self else 'not set'})"

    def __reduce__(self) -> Any:
        raise TypeError("a key must stay in this process; got a request to copy it")

    def reveal(self) -> str:
        return self._text

    def cleaned(self, text: str) -> str:
        """`text` without the key, which a server may echo."""
        return text.replace(self._text, "[key]") if self._text else text


def bearer(http: ModuleType, key: Key) -> Any:
    """An `Auth` of the HTTP library that puts the key on a request when it leaves.

    Not a header of the client: that would stay readable in the client for as long as it lives.
    """

    class Bearer(http.Auth):  # type: ignore[name-defined]
        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            request.headers["Authorization"] = f"Bearer {key.reveal()}"
            yield request

    return Bearer()
