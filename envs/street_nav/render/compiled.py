"""Compiled functions whose machine code is kept on disk, where there is a disk to keep it on.

numba alone raises when no folder can be written to, when the disk is full and when a kept file is
damaged. Here each of these costs the time to compile again, and a line in the log.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

_logger = logging.getLogger(__name__)


def kernel(*, inline: str = "never") -> Callable[[Callable[..., Any]], Any]:
    """Decorates a function that numba compiles; it runs without the global interpreter lock.

    inline: as numba's: "always" puts it in line in other kernels.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = njit(nogil=True, inline=inline)(function)
        try:
            dispatcher._cache = _ForgivingCache(function)
        except RuntimeError as error:  # neither beside the source nor in the user's cache folder
            _logger.warning("machine code is not kept: %s", error)
        return dispatcher

    return compiled


class _ForgivingCache(FunctionCache):
    """numba's cache of one function's machine code, of which no failure is the caller's."""

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
