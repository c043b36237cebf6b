"""The street graph for walkers: headings of exits, and stretches from junction to junction."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .geometry import heading_of, turn_between
from .scene import City

MAX_BEND_DEG = 40.0  # from one node to the next, for a stretch that routes may use


@dataclass(frozen=True, slots=True)
class Stretch:
    """One way along a street from a junction to the next.

    nodes: both junctions included. first, last: headings of departure and of arrival.
    smooth: no bend on the way is so sharp that it could be taken for a turn.
    """

    nodes: tuple[int, ...]
    first: float
    last: float
    smooth: bool


class StreetNetwork:
    """The graph of a city.

    exits: by node, the neighbours with the heading to each. stretches: 2 k and 2 k + 1 are the two
    directions of one street between two junctions. leaving: by junction, its stretches.
    """

    def __init__(self, city: City) -> None:
        xy = city.node_xy.astype(float)
        self.exits: list[dict[int, float]] = [{} for _ in range(city.num_nodes)]
        for a, b in city.edge_nodes.tolist():
            self.exits[a][b] = float(heading_of(xy[b] - xy[a]))
            self.exits[b][a] = float(heading_of(xy[a] - xy[b]))
        self.is_junction = [len(ways) >= 3 for ways in self.exits]
        self.stretches: list[Stretch] = []
        for start in range(city.num_nodes):
            for towards in self.exits[start] if self.is_junction[start] else ():
                nodes = self._follow(start, towards)
                if (nodes[0], nodes[1]) < (nodes[-1], nodes[-2]):
                    self.stretches += [self._stretch(nodes), self._stretch(nodes[::-1])]
        self.leaving: dict[int, list[int]] = {}
        for index, stretch in enumerate(self.stretches):
            self.leaving.setdefault(stretch.nodes[0], []).append(index)

    def headings(self, nodes: tuple[int, ...]) -> list[float]:
        """From each node of a walk to the next."""
        return [self.exits[a][b] for a, b in pairwise(nodes)]

    def _follow(self, start: int, towards: int) -> tuple[int, ...]:
        nodes = [start, towards]
        while not self.is_junction[nodes[-1]]:
            ahead = [node for node in self.exits[nodes[-1]] if node != nodes[-2]]
            if len(ahead) != 1:  # a dead end
                break
            nodes.append(ahead[0])
        return tuple(nodes)

    def _stretch(self, nodes: tuple[int, ...]) -> Stretch:
        headings = self.headings(nodes)
        bends = np.abs(turn_between(np.array(headings[:-1]), np.array(headings[1:])))
        return Stretch(nodes, headings[0], headings[-1], bool((bends <= MAX_BEND_DEG).all()))
