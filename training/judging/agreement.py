"""How a model's scores of answers and the rule's verdicts go together."""

from collections.abc import Sequence

import numpy as np

THRESHOLD = 0.5  # from which on a score says that an answer is right


def area_under_curve(scores: np.ndarray, right: np.ndarray) -> float | None:
    """How often a right answer scores above a wrong one, ties half; None without one of either.

    The area under the ROC curve, by ranks (Mann and Whitney's U).

    scores: float [N]. right: bool [N].
    """
    right = np.asarray(right, dtype=bool)
    num_right, num_wrong = int(right.sum()), int((~right).sum())
    if not num_right or not num_wrong:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[place]  # from 1; ties share the mean of theirs
    above = float(ranks[right].sum()) - num_right * (num_right + 1) / 2
    return above / (num_right * num_wrong)


def agreement(scores: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Shares by name; what has no answers to be a share of is left out.

    accuracy: verdicts that are the rule's. auc: see above. paid_wrong: of wrong answers, those that
    pass for right; refused_right: of right answers, those that do not. gap: mean score less the
    share of right answers.
    """
    right = np.asarray(right, dtype=bool)
    if not len(right):
        return {}
    says = np.asarray(scores) >= THRESHOLD
    found = {
        "accuracy": float((says == right).mean()),
        "gap": float(np.mean(scores) - right.mean()),
    }
    if (~right).any():
        found["paid_wrong"] = float(says[~right].mean())
    if right.any():
        found["refused_right"] = float((~says)[right].mean())
    area = area_under_curve(np.asarray(scores, dtype=float), right)
    return found if area is None else {**found, "auc": area}


def by_outcome(
    scores: np.ndarray, right: np.ndarray, outcomes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Of each outcome its number n, and how often the model agrees with the rule."""
    same = (np.asarray(scores) >= THRESHOLD) == np.asarray(right, dtype=bool)
    names = np.array(outcomes)
    return {
        str(name): {"n": int((names == name).sum()), "accuracy": float(same[names == name].mean())}
        for name in np.unique(names)
    }
