"""What a finished episode is stored with beside its success, as columns of its evaluation's arrays.

    sample              number of the attempt at its deal: 0 unless `evaluate.samples` asks for more
    status              how it ended (`Status`)
    return              what the environment says it is worth; NaN where that is not known
    reward/<term>       the last answer's reward term of that name; NaN where there is none

Files of older versions lack them; readers take them as optional.
"""

from collections.abc import Sequence

import numpy as np

from ..agents.types import Episode

TERM_PREFIX = "reward/"


def episode_columns(episodes: Sequence[Episode]) -> dict[str, np.ndarray]:
    """By name, each [n] in the episodes' order."""
    last = [episode.turns[-1].reward_terms if episode.turns else {} for episode in episodes]
    names = sorted({name for terms in last for name in terms})
    return {
        "sample": np.array([episode.member for episode in episodes], dtype=np.int32),
        "status": np.array([episode.status.value for episode in episodes]),
        "return": np.array([episode.episode_return for episode in episodes], dtype=np.float32),
        **{
            f"{TERM_PREFIX}{name}": np.array(
                [terms.get(name, np.nan) for terms in last], dtype=np.float32
            )
            for name in names
        },
    }
