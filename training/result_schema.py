"""The tables of the results database, and what a file must be to be taken for one.

policies   what answered                       by digest
cells      the environments that were played   by digest; `labels`: their names in suites
sampling   how answers were drawn              by digest
versions   what a shard of episodes was played with: packages, processor, git commit
plays      one policy in one cell under one sampling, of one version of this package
episodes   one row per episode of a play; `record` holds all of its answers
"""

import errno
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

Place = tuple[int, int]  # of an episode: number of the task, sample of it

DATABASE_NAME = "results.sqlite"
APPLICATION_ID = 0x63617264  # "card", in the file's header
SCHEMA_VERSION = 1
BUSY_S = 60.0
MAGIC = b"SQLite format 3\0"

SCHEMA = """
CREATE TABLE policies (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL, path TEXT, details TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE cells (
    digest TEXT PRIMARY KEY, env TEXT NOT NULL, details TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE labels (
    cell TEXT NOT NULL REFERENCES cells (digest), suite TEXT NOT NULL, name TEXT NOT NULL,
    axis TEXT, severity REAL, title TEXT, PRIMARY KEY (cell, suite, name)
) WITHOUT ROWID;
CREATE TABLE sampling (
    digest TEXT PRIMARY KEY, details TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE versions (
    id INTEGER PRIMARY KEY, details TEXT NOT NULL UNIQUE
);
CREATE TABLE plays (
    id INTEGER PRIMARY KEY,
    policy TEXT NOT NULL REFERENCES policies (digest),
    cell TEXT NOT NULL REFERENCES cells (digest),
    sampling TEXT NOT NULL REFERENCES sampling (digest),
    version TEXT NOT NULL,
    UNIQUE (policy, cell, sampling, version)
);
CREATE TABLE episodes (
    play INTEGER NOT NULL REFERENCES plays (id),
    number INTEGER NOT NULL,
    sample INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    success INTEGER NOT NULL,
    success_turn INTEGER,
    num_turns INTEGER NOT NULL,
    num_tokens INTEGER NOT NULL,
    status TEXT NOT NULL,
    outcome TEXT NOT NULL,
    episode_return REAL,
    recognized INTEGER,
    num_right INTEGER,
    reward_terms TEXT NOT NULL,
    played_with INTEGER NOT NULL REFERENCES versions (id),
    record BLOB NOT NULL,
    PRIMARY KEY (play, number, sample)
);
"""


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """A connection to a sound database of this version; a new file gets its tables if `create`.

    Raises ValueError in one line for a file that is something else, and sqlite3's errors.
    """
    _check_header(path, create)
    mode = "rwc" if create else "ro"
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        is_new = not _has_tables(connection)
        if not (is_new and create):  # looked at before anything is written into it
            _check_version(connection, path)
        if create:
            _set_up(connection)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def told(path: Path) -> Iterator[None]:
    """The errors of SQLite, and of records that are no longer whole, in one line about `path`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            said = "disk is full; what was finished is kept: free some space and use resume=true"
            raise OSError(errno.ENOSPC, said, str(path)) from error
        if "locked" in str(error):
            raise ValueError(
                f"results database must be free within {BUSY_S:g} s; got {path}, which another "
                "process keeps locked"
            ) from error
        raise ValueError(
            f"results database must be a file that can be read and written; got {path}: {error}"
        ) from error
    except sqlite3.DatabaseError as error:
        raise ValueError(
            f"results database must be whole; got {path}, which is damaged ({error}): move it "
            "away, or choose another as evaluate.database"
        ) from error


def _check_header(path: Path, create: bool) -> None:
    try:
        if not path.exists() and create:
            path.parent.mkdir(parents=True, exist_ok=True)
            return
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except FileNotFoundError as error:
        if create:
            raise ValueError(
                f"results database must be in a folder that can be written; got {path}: "
                f"{error.strerror}"
            ) from error
        raise ValueError(
            f"results database must exist; got {path}: `cardinal eval` writes one"
        ) from None
    except OSError as error:
        raise ValueError(
            f"results database must be a file that can be read and written; got {path}: "
            f"{error.strerror}"
        ) from error
    if start and start != MAGIC:
        raise ValueError(
            f"results database must be a SQLite file; got {path}, which is none or is damaged: "
            "move it away, or choose another as evaluate.database"
        )


def _set_up(connection: sqlite3.Connection) -> None:
    """Write-ahead logging, so that readers never wait, and the tables, once."""
    _log_ahead(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("BEGIN IMMEDIATE")  # another process may be creating them, too
    try:
        if not _has_tables(connection):
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Changing the mode does not wait for others by itself."""
    deadline_s = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise ValueError(
            f"results database must be one that cardinal wrote; got {path}, which is another "
            "program's: choose another as evaluate.database"
        )
    version = _pragma(connection, "user_version")
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"results database must be of version {SCHEMA_VERSION}; got {path} of version "
            f"{version}: choose another as evaluate.database"
        )
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict.splitlines()[-1])


def _has_tables(connection: sqlite3.Connection) -> bool:
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(count)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
