"""One writer per folder, by a lock that the operating system releases when the process dies."""

import errno
import fcntl
import logging
import os
import time
from pathlib import Path

logger = logging.getLogger(__name__)

LOCK_NAME = ".lock"
POLL_S = 0.1

_held: dict[Path, int] = {}  # folder -> pid: POSIX locks do not exclude their own process


class FolderLock:
    """Holds `<folder>/.lock`; a context manager.

    wait_s: how long to wait for another process before giving up, `math.inf` allowed.
    """

    def __init__(self, folder: Path, *, wait_s: float = 0.0) -> None:
        self._folder, self._wait_s = Path(folder), wait_s
        self._key: Path | None = None
        self._fd = -1

    def acquire(self) -> None:
        """Raises ValueError in one line if the folder is still in use after `wait_s`."""
        deadline_s = time.monotonic() + self._wait_s
        is_announced = False
        while not self._try():
            if time.monotonic() >= deadline_s:
                raise ValueError(
                    f"run folder must not be in use by another process; got {self._folder}"
                )
            if not is_announced:
                logger.info("waiting for another process that is using %s", self._folder)
                is_announced = True
            time.sleep(POLL_S)

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._key is not None:
            _held.pop(self._key, None)
            self._key = None

    def __enter__(self) -> "FolderLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _try(self) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True)
        key = self._folder.resolve()
        if _held.get(key) == os.getpid():
            return False
        fd = os.open(self._folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # lockf, not flock: forked workers do not inherit it, so none outlives a killed run
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        self._fd, self._key = fd, key
        _held[key] = os.getpid()
        return True
