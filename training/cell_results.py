"""What an evaluation leaves: counts of one cell, and one entry per episode."""

import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..agents.types import Episode, Turn
from .config import MetricKind
from .episode_columns import episode_columns

FREE_MEASURES = ("spl", "ndtw", "distance_m")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """Counts of one cell under one metric.

    n: episodes; num_tasks: distinct task ids among them (episodes of one task are not independent).
    recognized: episodes whose last answer named the cards rightly, on walks those whose every
        answer told rightly what was to be seen; None when nothing was to be read.
    answers, answers_right: of walks on the rail, over all episodes; their ratio is the accuracy per
        step.
    measures: of walks in free movement, means over episodes: `spl` and `ndtw` (0 to 1), and
        `distance_m` from the destination at the end (metres).
    """

    cell: str
    metric: str
    n: int
    num_tasks: int
    successes: int
    recognized: int | None
    outcomes: dict[str, int]
    mean_turns: float
    mean_tokens: float
    per_episode: str
    answers: int | None = None
    answers_right: int | None = None
    measures: dict[str, float] = field(default_factory=dict)


def count_cell(
    cell: str, metric: MetricKind, episodes: Sequence[Episode], *, per_episode: str
) -> CellResult:
    seen = [recognized(episode) for episode in episodes]
    known = [value for value in seen if value is not None]
    last = Counter(last_outcome(episode) for episode in episodes)
    steps = [turn.details["correct"] for e in episodes for turn in e.answers if _is_walk(e)]
    return CellResult(
        cell=cell,
        metric=metric.value,
        n=len(episodes),
        num_tasks=len({episode.task_id for episode in episodes}),
        successes=sum(episode.success for episode in episodes),
        recognized=sum(known) if known else None,
        outcomes=dict(sorted(last.items())),
        mean_turns=float(np.mean([len(episode.answers) for episode in episodes])),
        mean_tokens=float(np.mean([episode.num_sampled_tokens for episode in episodes])),
        per_episode=per_episode,
        answers=len(steps) if steps else None,
        answers_right=sum(steps) if steps else None,
        measures=_measures(episodes),
    )


def packed(episodes: Sequence[Episode]) -> bytes:
    """The per-episode arrays as an .npz file."""
    seen = [recognized(episode) for episode in episodes]
    buffer = io.BytesIO()
    arrays: dict[str, np.ndarray] = {
        "task_id": np.array([episode.task_id for episode in episodes]),
        "seed": np.array([episode.seed for episode in episodes], dtype=np.int64),
        "success": np.array([episode.success for episode in episodes]),
        "outcome": np.array([last_outcome(episode) for episode in episodes]),
        "recognized": np.array(
            [-1 if value is None else int(value) for value in seen], dtype=np.int8
        ),
        "num_turns": np.array([len(episode.answers) for episode in episodes], dtype=np.int16),
        "num_tokens": np.array(
            [episode.num_sampled_tokens for episode in episodes], dtype=np.int32
        ),
        "num_right": np.array([num_right(episode) for episode in episodes], dtype=np.int16),
        **{name: _last(episodes, name) for name in FREE_MEASURES},
        **episode_columns(episodes),
    }
    save: Any = np.savez_compressed  # its stub takes the names for flags
    save(buffer, **arrays)
    return buffer.getvalue()


def first_attempt(episode: Episode) -> Episode:
    """Up to the first wrong answer, as if it had been the last that was allowed.

    What the environment would have paid for as much is not known then: the return is NaN. A call
    of a tool is no answer.
    """
    wrong = (k for k, t in enumerate(episode.turns) if not (t.is_call or _is_right(t)))
    first = next(wrong, None)
    if first is None:
        return episode
    short = episode.turns[: first + 1]
    return replace(episode, turns=short, success=False, episode_return=math.nan)


def _is_right(turn: Turn) -> bool:
    """Whether an answer was right; on walks one that leads on is."""
    return turn.success or bool(turn.details.get("correct"))


def last_outcome(episode: Episode) -> str:
    """Of the last answer; how the episode ended if there was none."""
    return episode.turns[-1].outcome if episode.turns else episode.status.value


def recognized(episode: Episode) -> bool | None:
    """Whether what was to be read or seen was told rightly; None when nothing was."""
    if _is_walk(episode):
        return all(turn.details["recognized"] for turn in episode.answers)
    return episode.answers[-1].details.get("recognized") if episode.answers else None


def num_right(episode: Episode) -> int:
    """Right answers of a walk; -1 for other games."""
    return sum(map(_is_right, episode.answers)) if _is_walk(episode) else -1


def _is_walk(episode: Episode) -> bool:
    """Whether every answer is a step of its own that is right or wrong: walks on the rail."""
    if not episode.answers:
        return False
    details = episode.answers[-1].details
    return "correct" in details and details.get("mode") != "free"


def _last(episodes: Sequence[Episode], name: str) -> np.ndarray:
    """One of the free measures by episode, NaN where there is none. float32 [n]"""
    ends = [episode.turns[-1].details if episode.turns else {} for episode in episodes]
    return np.array([end.get(name, np.nan) for end in ends], dtype=np.float32)


def _measures(episodes: Sequence[Episode]) -> dict[str, float]:
    """Means of what free movement reports at an episode's end."""
    ends = [episode.turns[-1].details for episode in episodes if episode.turns]
    found = {name: [end[name] for end in ends if name in end] for name in FREE_MEASURES}
    return {name: float(np.mean(values)) for name, values in found.items() if values}
