"""What the thoughts of played answers are like, as numbers per episode."""

from collections.abc import Sequence

import numpy as np

from ...agents.types import Episode, Turn
from ...envs.general_points.rules import RULES
from ...envs.general_points.task import Task
from ...envs.general_points.trace import Trace, read_trace, thought_of, thought_terms

COUNTS = (
    "steps", "true_steps", "usable_steps", "rechecks", "dead_ends", "checks", "marks",
    "right_marks", "english",
)  # fmt: skip


def read_thought(turn: Turn) -> Trace | None:
    """The trace of one answer; None where the answer has no thought or the game no traces."""
    thought, details = thought_of(turn.completion.text), turn.details
    if thought is None or "ranks" not in details:
        return None
    task = Task(
        ranks=tuple(details["ranks"]),
        values=tuple(details["values"]),
        rule=RULES["faces_as_ten"],  # a trace is read by the values, whatever the rule is called
        target=int(details["target"]),
    )
    return read_trace(thought, task)


def thought_arrays(episodes: Sequence[Episode]) -> dict[str, np.ndarray]:
    """Counts of each episode's last thought, zeros where there is none. each int32 [N]

    `thinks`: whether there is a thought; `tags`: whether the answer has the whole format; `sound`:
    whether every step of the thought is true.
    """
    rows = []
    for episode in episodes:
        last = episode.turns[-1] if episode.turns else None
        read = read_thought(last) if last is not None else None
        row = {name: getattr(read, name) if read is not None else 0 for name in COUNTS}
        tags = thought_terms(last.completion.text)["tags"] if last is not None else 0.0
        row |= {"thinks": read is not None, "tags": tags > 0}
        row["sound"] = read is not None and read.is_sound
        rows.append(row)
    names = (*COUNTS, "thinks", "tags", "sound")
    return {name: np.array([row[name] for row in rows], dtype=np.int32) for name in names}
