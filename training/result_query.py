"""What the results database holds: plays by policy, cell and sampling, and their episodes."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from .cell_results import first_attempt
from .episode_records import unpack
from .evaluation_config import MetricKind
from .statistics import Interval, clustered_rate, units

EPISODE_COLUMNS = (
    "number", "sample", "seed", "task_id", "success", "success_turn", "num_turns", "num_tokens",
    "status", "outcome", "episode_return", "recognized", "num_right", "reward_terms",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayResult:
    """One policy in one cell by one metric; what was sampled with several turns has two of them.

    policy: its name; path: where it was found; digest: the beginning of what identifies it.
    cells: what the cell is called in suites, as "suite/name". sampling: in words.
    rate: success with its interval, by task. mean_turns, mean_tokens: of an episode; None for the
        first attempts alone.
    """

    number: int
    policy: str
    path: str | None
    digest: str
    env: str
    cells: tuple[str, ...]
    axis: str | None
    severity: float | None
    metric: str
    sampling: str
    version: str
    rate: Interval
    mean_turns: float | None
    mean_tokens: float | None


def plays(
    connection: sqlite3.Connection, *, policy: str | None = None, cell: str | None = None
) -> list[PlayResult]:
    """Those that have episodes, by policy and cell.

    policy: part of a name or path, or the beginning of a digest. cell: a name as in its suite, or
    "suite/name", with * for anything. Raises ValueError where nothing is of that kind.
    """
    found = [each for row in _rows(connection) for each in _play(connection, row)]
    chosen = [each for each in found if _is_of(each, policy, cell)]
    if found and not chosen:
        known = policy if cell is None else cell
        names = sorted({p.policy for p in found} if cell is None else _names(found))
        raise ValueError(
            f"{'--policy' if cell is None else '--cell'} must be of what is there, "
            f"{', '.join(names)}; got {known}"
        )
    return chosen


def episodes(
    connection: sqlite3.Connection, results: Sequence[PlayResult]
) -> Iterator[dict[str, Any]]:
    """One mapping per episode of these plays, every column of the database but the answers."""
    columns = ", ".join(EPISODE_COLUMNS)
    for each in {play.number: play for play in results}.values():  # once, whatever its metrics
        rows = connection.execute(
            f"SELECT {columns} FROM episodes WHERE play = ? ORDER BY number, sample", (each.number,)
        )
        for row in rows:
            yield {
                "policy": each.policy,
                "policy_digest": each.digest,
                "cell": each.cells[0] if each.cells else each.env,
                "sampling": each.sampling,
                "version": each.version,
                **dict(zip(EPISODE_COLUMNS, row, strict=True)),
            }


def _rows(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    names = (
        "number", "policy", "path", "digest", "env", "cell", "sampling", "version",
    )  # fmt: skip
    query = """
        SELECT plays.id, policies.name, policies.path, policies.digest, cells.env, cells.digest,
               sampling.details, plays.version
        FROM plays
        JOIN policies ON policies.digest = plays.policy
        JOIN cells ON cells.digest = plays.cell
        JOIN sampling ON sampling.digest = plays.sampling
        WHERE EXISTS (SELECT 1 FROM episodes WHERE episodes.play = plays.id)
        ORDER BY policies.name, policies.digest, plays.id
    """
    return [dict(zip(names, row, strict=True)) for row in connection.execute(query)]


def _play(connection: sqlite3.Connection, row: dict[str, Any]) -> list[PlayResult]:
    """What was played once, by every metric that it answers."""
    called = "SELECT suite || '/' || name, axis, severity FROM labels WHERE cell = ? ORDER BY 1"
    labels = connection.execute(called, (row.pop("cell"),)).fetchall()
    played = connection.execute(
        "SELECT success, task_id, num_turns, num_tokens, number, sample FROM episodes "
        "WHERE play = ?",
        (row["number"],),
    ).fetchall()
    success, tasks, turns, tokens, *_ = zip(*played, strict=True)
    axis, severity = next((label[1:] for label in labels if label[1] is not None), (None, None))
    details = json.loads(row["sampling"])
    whole = MetricKind.greedy_single if details["greedy"] else MetricKind.success_within_turns
    found = PlayResult(
        **{**row, "sampling": _sampling_words(details)},
        metric=whole.value,
        cells=tuple(label[0] for label in labels),
        axis=axis,
        severity=severity,
        rate=clustered_rate(success, units(tasks)),
        mean_turns=sum(turns) / len(turns),
        mean_tokens=sum(tokens) / len(tokens),
    )
    if whole.is_greedy:
        return [found]
    at_once = [_is_at_once(connection, row["number"], each) for each in played]
    first = replace(
        found,
        metric=MetricKind.sampled_single.value,
        rate=clustered_rate(at_once, units(tasks)),
        mean_turns=None,
        mean_tokens=None,
    )
    return [found, first]


def _is_at_once(connection: sqlite3.Connection, play: int, row: Sequence[Any]) -> bool:
    """Whether an episode succeeded without a wrong answer. Its record tells calls from answers.

    row: success, task, turns, tokens, number, sample.
    """
    success, _, turns, _, number, sample = row
    if not success or turns == 1:
        return bool(success)
    where = "play = ? AND number = ? AND sample = ?"
    query = f"SELECT record FROM episodes WHERE {where}"
    (record,) = connection.execute(query, (play, number, sample)).fetchone()
    return first_attempt(unpack(record)).success


def _sampling_words(details: dict[str, Any]) -> str:
    """greedy, or T 0.6 top-p 0.9; the evaluation seed where it is not the usual one."""
    drawn = (
        "greedy"
        if details["greedy"]
        else f"T {details['temperature']:g} top-p {details['top_p']:g}"
    )
    return f"{drawn}, {details['max_new_tokens']} tokens, seed {details['seed']}"


def _is_of(each: PlayResult, policy: str | None, cell: str | None) -> bool:
    is_policy = (
        policy is None
        or policy in each.policy
        or policy in (each.path or "")
        or each.digest.startswith(policy)
    )
    names = [*each.cells, *(name.partition("/")[2] for name in each.cells)]
    return is_policy and (cell is None or any(fnmatchcase(name, cell) for name in names))


def _names(found: Sequence[PlayResult]) -> set[str]:
    return {name for each in found for name in each.cells}
