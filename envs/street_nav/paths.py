"""Shortest ways through a world, for oracles and measures. Lengths are metres."""

import math
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import pairwise

from .types import World


def distance_m(world: World, one: int, other: int) -> float:
    """As the crow flies."""
    (x, y), (u, v) = world.position(one), world.position(other)
    return math.hypot(x - u, y - v)


def path_length_m(world: World, nodes: Iterable[int]) -> float:
    """Of a walk from node to node, along straight lines."""
    walked = list(nodes)
    return sum(distance_m(world, a, b) for a, b in pairwise(walked))


def shortest_path(world: World, start: int, goal: int) -> list[int]:
    """Nodes of a shortest walk, both ends included.

    Of equally long ones the choice depends on the world alone. Raises ValueError if there is none.
    """
    came_from: dict[int, int] = {start: start}
    best = {start: 0.0}
    queue = [(0.0, start)]
    done: set[int] = set()
    while queue:
        length, node = heappop(queue)
        if node == goal:
            return _traced(came_from, start, goal)
        if node in done:
            continue
        done.add(node)
        for neighbour in world.exits(node):
            further = length + distance_m(world, node, neighbour)
            if further < best.get(neighbour, math.inf):
                best[neighbour] = further
                came_from[neighbour] = node
                heappush(queue, (further, neighbour))
    raise ValueError(f"nodes {start} and {goal} must be connected; there is no way")


def _traced(came_from: dict[int, int], start: int, goal: int) -> list[int]:
    path = [goal]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]
