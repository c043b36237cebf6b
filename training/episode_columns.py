"""What a finished episode is stored with beside its success, as columns of its evaluation's arrays.

    sample              number of the attempt at its deal: 0 unless `evaluate.samples` asks for more
    status              how it ended (`Status`)
    return              what the environment says it is worth; NaN where that is not known
    reward/<term>       the last answer's reward term of that name; NaN where there is none
    tool_calls          calls of tools within their budgets; tool_errors those that told nothing;
                        both only where the environment has tools

Files of older versions lack them; readers take them as optional.
"""

from collections.abc import Sequence

import numpy as np

from ..agents.types import Episode

TERM_PREFIX = "reward/"


def episode_columns(episodes: Sequence[Episode]) -> dict[str, np.ndarray]:
    """By name, each [n] in the episodes' order."""
    last = [episode.answers[-1].reward_terms if episode.answers else {} for episode in episodes]
    names = sorted({name for terms in last for name in terms})
    return {
        "sample": np.array([episode.member for episode in episodes], dtype=np.int32),
        "status": np.array([episode.status.value for episode in episodes]),
        "return": np.array([episode.episode_return for episode in episodes], dtype=np.float32),
        **_tool_columns(episodes),
        **{
            f"{TERM_PREFIX}{name}": np.array(
                [terms.get(name, np.nan) for terms in last], dtype=np.float32
            )
            for name in names
        },
    }


def _tool_columns(episodes: Sequence[Episode]) -> dict[str, np.ndarray]:
    """Counts at each episode's end, int32 [n]; nothing where no episode had tools."""
    ends = [episode.turns[-1].details if episode.turns else {} for episode in episodes]
    if not any("tool_calls" in end for end in ends):
        return {}
    names = ("tool_calls", "tool_errors")
    return {name: np.array([end.get(name, 0) for end in ends], dtype=np.int32) for name in names}
