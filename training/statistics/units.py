"""What counts as one observation: episodes that share a hand of cards, or a route, are not
independent.

A canonical task id of cards is the sorted values of the hand, and the target ("1-3-5-10|24"). With
one target (the study's 24) hand and task are the same; where targets are drawn, a policy that reads
or computes with one hand does so for every target, so the hand is the coarser and safer unit. A
route's id is that of its city and path.
"""

from enum import Enum
from typing import Any

import numpy as np

TARGET_MARK = "|"  # between the hand and the target of a task of cards


class Cluster(str, Enum):
    """By what intervals and tests cluster."""

    hand = "hand"  # a hand of cards whatever its target; a route
    task = "task"  # a hand with its target; a route


def units(task_ids: Any, cluster: Cluster = Cluster.hand) -> np.ndarray:
    """The unit of every episode, from the task ids that runs store. [N] -> [N] of str"""
    ids = np.asarray(task_ids).astype(str)
    if cluster is Cluster.task or ids.size == 0:
        return ids
    names, place = np.unique(ids, return_inverse=True)
    hands = np.array([name.partition(TARGET_MARK)[0] for name in names])
    return hands[place.reshape(ids.shape)]
