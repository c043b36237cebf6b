"""Answers that were paid for, kept on disk: one SQLite file, a row per request.

The key is a hash of the whole request and of the sample's number, so that nothing else is answered
from it; the request itself (and with it pictures and prompts) is not stored, and an API key is part
of neither. Every answer is committed as it comes: kill -9 loses none. Processes may share the file.
"""

import errno
import hashlib
import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

APPLICATION_ID = 0x43474131  # says whose file it is, in SQLite's own header
VERSION = 1
BUSY_S = 30.0  # another process may be writing


class AnswerCache:
    """Answers as JSON objects, by key. Safe to use from many threads.

    Raises ValueError for a file that is no such cache, which is left as it is, and OSError where
    the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(
                self.path, timeout=BUSY_S, check_same_thread=False, isolation_level=None
            )
        except (OSError, sqlite3.Error) as error:
            raise ValueError(
                f"policy.api.cache must be a file that can be written; got {path}: {error}"
            ) from error
        try:
            self._open()
        except (sqlite3.Error, ValueError) as error:
            self._base.close()
            raise ValueError(
                f"policy.api.cache must be a cache of answers; got {path} ({error}): "
                "choose another path, or remove the file"
            ) from error

    def get(self, key: str) -> dict[str, Any] | None:
        with self._lock, closing(self._base.cursor()) as cursor:
            row = cursor.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def put(self, key: str, model: str, answer: Mapping[str, Any]) -> None:
        """Keep an answer; the first one stays where two were asked for at the same time."""
        row = (key, model, json.dumps(answer))
        try:
            with self._lock:
                self._base.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", row)
        except sqlite3.OperationalError as error:
            if "full" not in str(error):
                raise
            raise OSError(
                errno.ENOSPC, "disk is full; the answers so far are intact", str(self.path)
            ) from error

    def close(self) -> None:
        with self._lock:
            self._base.close()

    def _open(self) -> None:
        """Check whose file it is, or make it ours if it is new."""
        self._base.execute("BEGIN IMMEDIATE")  # two processes may make it at the same time
        owner, version, tables = (
            self._base.execute(query).fetchone()[0]
            for query in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        if owner == version == tables == 0:
            self._base.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._base.execute(f"PRAGMA user_version = {VERSION}")
            self._base.execute(
                "CREATE TABLE answers"
                " (key TEXT PRIMARY KEY, model TEXT NOT NULL, answer TEXT NOT NULL) WITHOUT ROWID"
            )
        elif (owner, version) != (APPLICATION_ID, VERSION):
            raise ValueError("a database of another program or another version")
        self._base.execute("COMMIT")
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing, a power cut may


def request_key(url: str, body: Mapping[str, Any], sample: Sequence[int]) -> str:
    """A hash of all that an answer depends on.

    sample: numbers that tell draws from one distribution apart, where equal requests are repeated.
    """
    whole = json.dumps([url, body, list(sample)], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(whole.encode("ascii")).hexdigest()
