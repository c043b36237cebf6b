"""What one policy of a recipe has over another, on the same tasks: success, tokens, thoughts.

Of every pair: the paired difference of success, with Holm's p over all pairs of the evaluation;
tokens over all answers, as a difference and as a share saved; tokens of wrong answers on the tasks
that both got wrong, because a mean over whatever each got wrong would compare different tasks; and
the difference of everything else that is measured of both. Methods are those of the lab.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..statistics import (
    Interval,
    clustered_mean,
    holm,
    paired_difference,
    paired_ratio_difference,
)
from .pooled import Pooled, plain

# how differences of further measures are estimated; None: nothing can be said of both
DIFFERENCES: dict[str, Callable[[Pooled, Pooled], Interval | None]] = {
    "tags": lambda a, b: _rates(a, b, "tags"),
    "true_steps": lambda a, b: _ratios(a, b, "true_steps", "steps"),
    "rechecks": lambda a, b: _ratios(a, b, "rechecks", "steps"),
    "rechecked": lambda a, b: _rates(a, b, "rechecks"),
    "dead_ends": lambda a, b: _means(a, b, "dead_ends"),
    "english": lambda a, b: _ratios(a, b, "english", "marks"),
    "sound": lambda a, b: _rates(a, b, "sound"),
    "calls": lambda a, b: _means(a, b, "tool_calls"),
    "called": lambda a, b: _rates(a, b, "tool_calls"),
}


def gains(
    pairs: Sequence[tuple[str, str]], place: str, data: Mapping[str, Pooled]
) -> list[dict[str, object]]:
    """Of each pair (a, b), what b has over a. data: by policy, episodes in one order."""
    return [_gain(first, second, place, data[first], data[second]) for first, second in pairs]


def add_holm(found: Sequence[dict[str, object]]) -> None:
    """Write Holm's p of all these gains of success beside them, as `p_holm`."""
    p_values = []
    for gain in found:
        success = gain["success"]
        assert isinstance(success, dict)
        p_values.append(success["p_value"])
    for gain, p_value in zip(found, holm(p_values) if p_values else (), strict=True):
        gain["p_holm"] = float(p_value)


def tokens_saved(a: Pooled, b: Pooled) -> Interval:
    """1 - mean tokens of b / mean tokens of a, on the same episodes: the ratio, linearised."""
    before, after = a["num_tokens"].astype(float), b["num_tokens"].astype(float)
    ratio = after.mean() / before.mean()
    lines = 1.0 - ratio - (after - ratio * before) / before.mean()  # mean 1 - ratio
    return clustered_mean(lines, a["unit"], a["run_seed"])


def _gain(first: str, second: str, place: str, a: Pooled, b: Pooled) -> dict[str, object]:
    wrong = ~(a["success"].astype(bool) | b["success"].astype(bool))
    further = {name: estimate(a, b) for name, estimate in DIFFERENCES.items()}
    return {
        "from": first,
        "to": second,
        "place": place,
        "success": plain(paired_difference(a["success"], b["success"], a["unit"], a["run_seed"])),
        "tokens": plain(_means(a, b, "num_tokens")),
        "tokens_wrong": plain(_means(a, b, "num_tokens", wrong)),
        "tokens_saved": plain(tokens_saved(a, b)),
        "further": {name: plain(each) for name, each in further.items() if each is not None},
    }


def _means(a: Pooled, b: Pooled, name: str, kept: np.ndarray | None = None) -> Interval | None:
    if name not in a or name not in b:
        return None
    kept = np.ones(len(a[name]), dtype=bool) if kept is None else kept
    if not kept.any():
        return None
    change = b[name].astype(float) - a[name]
    return clustered_mean(change[kept], a["unit"][kept], a["run_seed"][kept])


def _rates(a: Pooled, b: Pooled, name: str) -> Interval | None:
    """Of episodes in which there is any."""
    if name not in a or name not in b:
        return None
    return paired_difference(a[name] > 0, b[name] > 0, a["unit"], a["run_seed"])


def _ratios(a: Pooled, b: Pooled, parts: str, wholes: str) -> Interval | None:
    if wholes not in a or not ((a[wholes] > 0) & (b[wholes] > 0)).any():
        return None
    return paired_ratio_difference(
        (a[parts], a[wholes]), (b[parts], b[wholes]), a["unit"], a["run_seed"]
    )
