"""Shortest ways through a world, for oracles and measures. Lengths are metres."""

import math
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import pairwise

from .types import Route, WaypointKind, World


def distance_m(world: World, one: int, other: int) -> float:
    """As the crow flies."""
    return math.dist(world.position(one), world.position(other))


def path_length_m(world: World, nodes: Iterable[int]) -> float:
    """Of a walk from node to node, along straight lines."""
    walked = list(nodes)
    return sum(distance_m(world, a, b) for a, b in pairwise(walked))


def shortest_path(world: World, start: int, goal: int) -> list[int]:
    """Nodes of a shortest walk, both ends included (A* with the distance as the crow flies).

    Of equally long ones the choice depends on the world alone. Raises ValueError if there is none.
    """
    if goal in world.exits(start):  # streets are straight between neighbours
        return [start, goal]
    position, target = world.position, world.position(goal)
    came_from = {start: start}
    walked = {start: 0.0}
    queue = [(0.0, start)]
    done: set[int] = set()
    while queue:
        _, node = heappop(queue)
        if node == goal:
            return _traced(came_from, start, goal)
        if node in done:
            continue
        done.add(node)
        here, so_far = position(node), walked[node]
        for neighbour in world.exits(node):
            there = position(neighbour)
            length = so_far + math.dist(here, there)
            if length < walked.get(neighbour, math.inf):
                walked[neighbour] = length
                came_from[neighbour] = node
                heappush(queue, (length + math.dist(there, target), neighbour))
    raise ValueError(f"nodes {start} and {goal} must be connected; there is no way")


def expanded(world: World, route: Route) -> tuple[list[int], list[int]]:
    """Nodes of a whole route, and the places in it of the start, the turns and the goal.

    Between two waypoints the shortest way is taken: waypoints may have been left out.
    """
    path, corners = [route.waypoints[0].node], [0]
    for waypoint in route.waypoints[1:]:
        path += shortest_path(world, path[-1], waypoint.node)[1:]
        if waypoint.kind is not WaypointKind.passing:
            corners.append(len(path) - 1)
    return path, corners


def _traced(came_from: dict[int, int], start: int, goal: int) -> list[int]:
    path = [goal]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]
