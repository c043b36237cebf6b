"""One database of results for all runs below a folder: what has been played is not played again.

    with ResultStore(path) as store:
        play = store.play(policy_key, cell, sampling)
        store.known(play)                  # {(number, sample), ...} of the episodes that are there
        store.add(play, episodes)          # a shard: all of it or nothing
        store.read(play, [(0, 0), ...])    # the episodes again

SQLite with write-ahead logging: several processes of one machine may write at once (not over a
network file system), a killed one loses the shard it was playing, and readers never wait. Episodes
are a function of the play's digests and their number, so whoever comes second writes nothing.
"""

import json
import math
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from ..agents.types import Episode
from .cell_results import last_outcome, num_right, recognized
from .environment import describe_environment
from .episode_records import pack, unpack
from .result_keys import PolicyKey, digest, results_version
from .result_schema import Place, connect, told

KEPT_OF_ENVIRONMENT = ("python", "packages", "cpu", "accelerator", "git_commit")
READ_AT_ONCE = 500  # rows in one query


class ResultStore:
    """The results in `path`; a context manager.

    create: write a new database where there is none. False opens for reading alone.

    Every method raises ValueError in one line for a damaged or foreign file, one of another
    version, and one that others keep locked; OSError for a full disk.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = Path(path)
        self._played_with: int | None = None
        with told(self.path):
            self._connection = connect(self.path, create=create)

    def play(self, policy: PolicyKey, cell: Mapping[str, Any], sampling: Mapping[str, Any]) -> int:
        """The id of what one policy does in one cell under one sampling; made if it is new.

        cell: `cell_details`; sampling: `sampling_details`.
        """
        of_cell, of_sampling = digest(cell), digest(sampling)
        with self._transaction() as run:
            run(
                "INSERT OR IGNORE INTO policies VALUES (?, ?, ?, ?)",
                (policy.digest, policy.name, policy.path, _text(policy.details)),
            )
            run("INSERT OR IGNORE INTO cells VALUES (?, ?, ?)", (of_cell, cell["id"], _text(cell)))
            run("INSERT OR IGNORE INTO sampling VALUES (?, ?)", (of_sampling, _text(sampling)))
            run(
                "INSERT OR IGNORE INTO plays (policy, cell, sampling, version) VALUES (?, ?, ?, ?)",
                (policy.digest, of_cell, of_sampling, results_version()),
            )
            found = self.find(policy, cell, sampling)
        assert found is not None
        return found

    def find(
        self, policy: PolicyKey, cell: Mapping[str, Any], sampling: Mapping[str, Any]
    ) -> int | None:
        """The id of `play`, if it is there."""
        key = (policy.digest, digest(cell), digest(sampling), results_version())
        where = "policy = ? AND cell = ? AND sampling = ? AND version = ?"
        with told(self.path):
            row = self._connection.execute(f"SELECT id FROM plays WHERE {where}", key).fetchone()
        return None if row is None else int(row[0])

    def label(
        self,
        cell: Mapping[str, Any],
        suite: str,
        name: str,
        *,
        axis: str | None = None,
        severity: float | None = None,
        title: str | None = None,
    ) -> None:
        """Note what a cell that has been played is called in a suite; the last labels count."""
        row = (digest(cell), suite, name, axis, severity, title)
        with self._transaction() as run:
            run("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?, ?, ?)", row)

    def known(self, play: int) -> set[Place]:
        """Number and sample of every episode that is there."""
        with told(self.path):
            rows = self._connection.execute(
                "SELECT number, sample FROM episodes WHERE play = ?", (play,)
            )
            return {(number, sample) for number, sample in rows}

    def add(self, play: int, episodes: Sequence[Episode]) -> None:
        """Keep a shard; what is there already stays as it is."""
        with self._transaction() as run:
            played_with = self._version(run)
            for episode in episodes:
                columns = {
                    "play": play,
                    "number": episode.group,
                    "sample": episode.member,
                    **_columns(episode),
                    "played_with": played_with,
                    "record": pack(episode),
                }
                places = ", ".join(f":{name}" for name in columns)
                run(
                    f"INSERT INTO episodes ({', '.join(columns)}) VALUES ({places}) "
                    "ON CONFLICT (play, number, sample) DO NOTHING",
                    columns,
                )

    def read(self, play: int, places: Sequence[Place]) -> list[Episode]:
        """Episodes by number and sample, in that order, without what they observed."""
        found: dict[Place, Episode] = {}
        with told(self.path):
            for start in range(0, len(places), READ_AT_ONCE):
                numbers = sorted({number for number, _ in places[start : start + READ_AT_ONCE]})
                marks = ", ".join("?" * len(numbers))
                rows = self._connection.execute(
                    "SELECT number, sample, record FROM episodes "
                    f"WHERE play = ? AND number IN ({marks})",
                    (play, *numbers),
                )
                found |= {(number, sample): _unpacked(record) for number, sample, record in rows}
            return [found[place] for place in places]

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> "ResultStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _version(self, run: Any) -> int:
        """The row that says what this process plays with."""
        if self._played_with is None:
            known = describe_environment()
            details = _text({name: known.get(name) for name in KEPT_OF_ENVIRONMENT})
            run("INSERT OR IGNORE INTO versions (details) VALUES (?)", (details,))
            (found,) = run("SELECT id FROM versions WHERE details = ?", (details,)).fetchone()
            self._played_with = int(found)
        return self._played_with

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """Gives `execute`; everything or nothing is kept."""
        with told(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection.execute
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                self._played_with = None
                raise


def _columns(episode: Episode) -> dict[str, Any]:
    """What can be asked for without unpacking the record; reward terms are sums over turns."""
    right = next((k for k, turn in enumerate(episode.turns, start=1) if turn.success), None)
    terms: Counter[str] = Counter()
    for turn in episode.turns:
        terms.update({name: float(value) for name, value in turn.reward_terms.items()})
    steps, read = num_right(episode), recognized(episode)
    return {
        "seed": episode.seed,
        "task_id": episode.task_id,
        "success": int(episode.success),
        "success_turn": right,
        "num_turns": len(episode.turns),
        "num_tokens": episode.num_sampled_tokens,
        "status": episode.status.value,
        "outcome": last_outcome(episode),
        "episode_return": None if math.isnan(episode.episode_return) else episode.episode_return,
        "recognized": None if read is None else int(read),
        "num_right": None if steps < 0 else steps,
        "reward_terms": _text(terms),
    }


def _unpacked(record: bytes) -> Episode:
    try:
        return unpack(record)
    except (ValueError, zlib.error) as error:
        raise sqlite3.DatabaseError(f"an episode cannot be read: {error}") from error


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
