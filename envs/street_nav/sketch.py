"""A plain map of a walk through any world: streets nearby, the route, where the agent is and looks.

For worlds without a bird's-eye view of their own (real data, worlds of tests).
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .surroundings import nodes_within
from .types import World

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_PAPER, _STREET, _ROUTE, _WALKED = (244, 241, 234), (205, 202, 196), (90, 140, 220), (220, 90, 60)
_NAME = (40, 42, 50)
_MARGIN = 0.08  # of the picture's side
_MIN_EXTENT_M = 60.0
_MAX_NODES = 4_000


def sketch(
    world: World, path: Sequence[int], visited: Sequence[int], facing: int, size: int
) -> np.ndarray:
    """uint8 [size, size, 3], north up; the destination is a ring, the agent a wedge."""
    from PIL import Image, ImageDraw

    places = [world.position(node) for node in (*path, *visited)]
    to_pixel = _Projection(places, size)
    canvas = Image.new("RGB", (size, size), _PAPER)
    draw = ImageDraw.Draw(canvas)
    width = max(2, size // 90)
    for one, other in _streets(world, path, to_pixel):
        ends = [to_pixel(world.position(node)) for node in (one, other)]
        draw.line(ends, fill=_STREET, width=2 * width)
    for nodes, color in ((path, _ROUTE), (visited, _WALKED)):
        line = [to_pixel(world.position(node)) for node in nodes]
        if len(line) > 1:
            draw.line(line, fill=color, width=width, joint="curve")
    _ring(draw, to_pixel(world.position(path[-1])), 3 * width, width)
    draw.polygon(_wedge(to_pixel(world.position(visited[-1])), facing, 6 * width), fill=_WALKED)
    return np.array(canvas)


def sketch_around(world: World, node: int, facing: int, reach_m: float, size: int) -> np.ndarray:
    """Streets and landmarks around a place, no route: uint8 [size, size, 3], north up.

    A landmark's dot is where one first sees it on foot.
    """
    from PIL import Image, ImageDraw

    east, north = world.position(node)
    edge = reach_m * (1 - 2 * _MARGIN)
    to_pixel = _Projection([(east - edge, north - edge), (east + edge, north + edge)], size)
    canvas = Image.new("RGB", (size, size), _PAPER)
    draw = ImageDraw.Draw(canvas)
    width = max(2, size // 90)
    near = nodes_within(world, node, reach_m * math.sqrt(2.0))  # to the corners
    for place in near:
        for other in world.exits(place):
            ends = [to_pixel(world.position(each)) for each in (place, other)]
            draw.line(ends, fill=_STREET, width=2 * width)
    named: set[str] = set()
    for place in near:
        for sight in world.sights(place):
            if sight.name not in named:
                named.add(sight.name)
                x, y = to_pixel(world.position(place))
                draw.ellipse((x - width, y - width, x + width, y + width), fill=_ROUTE)
                draw.text((x + 2 * width, y - 2 * width), sight.name, fill=_NAME)
    draw.polygon(_wedge(to_pixel((east, north)), facing, 6 * width), fill=_WALKED)
    return np.array(canvas)


class _Projection:
    """Metres to pixels; the route fills the picture."""

    def __init__(self, places: Sequence[tuple[float, float]], size: int) -> None:
        east, north = np.array(places).T
        extent = max(float(np.ptp(east)), float(np.ptp(north)), _MIN_EXTENT_M)
        self._scale = size * (1 - 2 * _MARGIN) / extent
        self._center = (east.max() + east.min()) / 2, (north.max() + north.min()) / 2
        self._half = size / 2
        self.reach_m = self._half / self._scale

    def __call__(self, place: tuple[float, float]) -> tuple[float, float]:
        east, north = place[0] - self._center[0], place[1] - self._center[1]
        return float(self._half + east * self._scale), float(self._half - north * self._scale)

    def shows(self, place: tuple[float, float]) -> bool:
        return (
            abs(place[0] - self._center[0]) <= self.reach_m
            and abs(place[1] - self._center[1]) <= self.reach_m
        )


def _streets(world: World, path: Sequence[int], projection: _Projection) -> list[tuple[int, int]]:
    """Pairs of neighbouring nodes in the picture, found from the route outwards."""
    seen = dict.fromkeys(path)
    queue = deque(seen)
    pairs = []
    while queue and len(seen) < _MAX_NODES:
        node = queue.popleft()
        for neighbour in world.exits(node):
            pairs.append((node, neighbour))
            if neighbour not in seen and projection.shows(world.position(neighbour)):
                seen[neighbour] = None
                queue.append(neighbour)
    return pairs


def _ring(draw: "ImageDraw", at: tuple[float, float], radius: int, width: int) -> None:
    x, y = at
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_ROUTE, width=width)


def _wedge(at: tuple[float, float], facing: int, length: float) -> list[tuple[float, float]]:
    """A triangle whose tip points to where the agent looks."""
    corners = []
    for turn, share in ((0, 1.0), (140, 0.7), (220, 0.7)):
        angle = math.radians(facing + turn)
        corners.append(
            (at[0] + share * length * math.sin(angle), at[1] - share * length * math.cos(angle))
        )
    return corners
