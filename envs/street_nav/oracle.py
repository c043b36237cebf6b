"""Actions that earn the maximum return, and well-formed wrong ones for demonstrations of revision.

On the rail the right action is part of the task. In free movement the oracle walks the route of the
description, whatever shorter way there may be; from anywhere else it takes the shortest way to the
destination.
"""

import numpy as np

from .actions import FORWARD, STOP, TurnRule, turn
from .paths import shortest_path
from .types import World
from .walk import step_towards


class FreeOracle:
    """Knows the way in free movement.

    path: nodes of the route, from the start to the destination.
    """

    def __init__(self, world: World, path: list[int], turns: TurnRule) -> None:
        self._world = world
        self._path = path
        self._turns = turns
        self.at = 0  # index in the path of where the agent left it, or is

    def follow(self, node: int) -> None:
        """Take note that the agent has walked to a node."""
        if self.at + 1 < len(self._path) and self._path[self.at + 1] == node:
            self.at += 1

    def action(self, node: int, facing: int) -> str:
        """The best action for an agent at a node."""
        path = self._path
        if node == path[self.at]:
            way = path[self.at :]
        else:
            way = shortest_path(self._world, node, path[-1])
        if len(way) == 1:
            return STOP
        return step_towards(self._world, node, facing, way[1], self._turns)


def flawed_rail_action(right: str, turns: TurnRule, rng: np.random.Generator) -> str:
    """Any action of the rule but the right one, drawn uniformly."""
    actions = [FORWARD, STOP, *(turn(word) for word in turns.words)]
    wrong = [action for action in actions if action != right]
    return wrong[int(rng.integers(len(wrong)))]


def flawed_free_action(right: str, turns: TurnRule, rng: np.random.Generator) -> str:
    """A turn that the oracle would not make, drawn uniformly; stopping would end the walk."""
    wrong = [turn(word) for word in turns.words if turn(word) != right]
    return wrong[int(rng.integers(len(wrong)))]
