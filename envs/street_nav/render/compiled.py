"""Compiled functions whose machine code is kept on disk, where there is a disk to keep it on.

numba alone raises when no folder can be written to, when the disk is full and when a kept file is
damaged. Here each of these costs the time to compile again, and a line in the log. And numba alone
uses kept code again after a change to another file whose functions are part of it.
"""

import logging
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

SHARED = ("buffers", "compiled", "edges", "groundcover", "projection", "sampling")  # by kernels
_logger = logging.getLogger(__name__)


def kernel(
    *, inline: str = "never", allocates: bool = False
) -> Callable[[Callable[..., Any]], Any]:
    """Decorates a function that numba compiles; it runs without the global interpreter lock.

    inline: as numba's: "always" puts it in line in other kernels. allocates: whether it makes
    arrays. The others do not count who holds an array (their callers do), which would take longer
    than the drawing itself.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = njit(nogil=True, inline=inline, error_model="numpy", _nrt=allocates)(function)
        try:
            dispatcher._cache = _ForgivingCache(function)
        except RuntimeError as error:  # neither beside the source nor in the user's cache folder
            _logger.warning("machine code is not kept: %s", error)
        return dispatcher

    return compiled


class _ForgivingCache(FunctionCache):
    """numba's cache of one function's machine code, of which no failure is the caller's."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (*super()._index_key(sig, codegen), _shared_sources())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # unpickling what is damaged raises anything
            _logger.warning("cannot use the machine code kept in %s: %r", self.cache_path, error)
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _logger.warning("cannot keep machine code in %s: %s", self.cache_path, error)
            self.disable()


@cache
def _shared_sources() -> int:
    """A checksum of the files whose functions and constants other files' kernels contain."""
    files = (Path(__file__).with_name(f"{name}.py") for name in SHARED)
    return zlib.crc32(b"".join(file.read_bytes() for file in files))
