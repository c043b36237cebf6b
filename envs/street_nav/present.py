"""Pictures of an episode: the views that the agent sees, and for people a map beside them.

Everything that draws is imported when the first picture is asked for.
"""

import sys
from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..desktop import Desktop
from ..settings import Modality
from .config import CROSS_PX, StreetNavConfig
from .paths import expanded, shortest_path
from .sketch import sketch, sketch_around
from .task import Scene
from .types import Route, World

if TYPE_CHECKING:
    from .city.world import CityWorld
    from .render.maps import CityMap


class Walk(Protocol):
    """What a picture needs to know of an episode."""

    @property
    def route(self) -> Route: ...

    @property
    def scene(self) -> Scene: ...

    @property
    def visited(self) -> list[int]: ...


class Presenter:
    """Draws for one environment."""

    def __init__(self, world: World, config: StreetNavConfig) -> None:
        self._world = world
        self._views = config.views
        self._is_image = config.modality is Modality.image
        self._shape = config.picture_shape
        self._reach_m = config.tools.map.reach_m
        self._grids: deque[np.ndarray] = deque(maxlen=config.views.frames)
        self._latest: tuple[int, int, int] | None = None
        self._desktop = Desktop()
        self._shown = 0
        self._map: CityMap | None = None

    def forget(self) -> None:
        """A new episode begins."""
        self._grids.clear()
        self._latest = None
        self._shown = 0

    def seen(self, walk: Walk, shows_map: bool) -> np.ndarray:
        """The frames, and where the agent can ask for a map, room for it on the right.

        shows_map: it was asked for; else the room is black. uint8 [H, W, 3], the caller's own copy.
        """
        frames, (height, width, _) = self.frames(walk), self._shape
        if frames.shape[1] == width:
            return frames
        picture = np.zeros(self._shape, np.uint8)
        picture[:, : frames.shape[1]] = frames
        if shows_map:
            picture[:, width - height :] = self.around(walk, height, self._reach_m)
        return picture

    def frames(self, walk: Walk) -> np.ndarray:
        """The last grids of views side by side, the present one on the right: uint8 [H, W, 3].

        The caller's own copy.
        """
        self._look(walk)
        picture = np.zeros(self._views.shape, np.uint8)
        side, right = self._views.grid_px, self._views.shape[1]
        for grid in reversed(self._grids):
            picture[:, right - side : right] = grid
            right -= side + CROSS_PX
        return picture

    def around(self, walk: Walk, size: int, reach_m: float) -> np.ndarray:
        """A map of the place, without the route, uint8 [size, size, 3]: north up, the agent in its
        middle, `reach_m` to every side."""
        from .city.world import CityWorld

        scene = walk.scene
        if not isinstance(self._world, CityWorld):
            return sketch_around(self._world, scene.node, scene.facing, reach_m, size)
        place = self._world.position(scene.node)
        return self._city_map(self._world).around(place, scene.facing, size, 2 * reach_m)

    def beside_map(self, walk: Walk) -> np.ndarray:
        """The present views and a map of the walk, of equal height: uint8 [H, W, 3]."""
        self._look(walk)
        side = self._views.grid_px
        gap = np.zeros((side, CROSS_PX, 3), np.uint8)
        return np.concatenate([self._grids[-1], gap, self.map(walk, side)], axis=1)

    def map(self, walk: Walk, size: int) -> np.ndarray:
        """The route and how far it was walked, uint8 [size, size, 3]."""
        from .city.world import CityWorld

        path, corners = expanded(self._world, walk.route)
        visited = self._walked(walk.visited)
        if not isinstance(self._world, CityWorld):
            return sketch(self._world, path, visited, walk.scene.facing, size)
        names = [w.sight.name for w in walk.route.waypoints if w.sight is not None]
        known = self._world.city.landmark_names
        return self._city_map(self._world).route(
            path,
            size,
            visited=visited,
            heading=walk.scene.facing,
            landmarks=[known.index(name) for name in dict.fromkeys(names) if name in known],
            turns=[path[corner] for corner in corners[1:-1]],
        )

    def present(self, text: str, walk: Walk) -> None:
        """Write the text to the terminal and show the picture, if the agent sees one."""
        sys.stdout.write(text + "\n")
        if self._is_image:
            self._desktop.show(self.beside_map(walk), f"walk_{self._shown:03d}.png")
            self._shown += 1

    def _city_map(self, world: "CityWorld") -> "CityMap":
        if self._map is None:
            from .render import as_look
            from .render.maps import CityMap

            self._map = CityMap(world.city, as_look(world.look))
        return self._map

    def _walked(self, visited: list[int]) -> list[int]:
        """Nodes walked along, those between the places of the rail too."""
        nodes = visited[:1]
        for node in visited[1:]:
            nodes += shortest_path(self._world, nodes[-1], node)[1:]
        return nodes

    def _look(self, walk: Walk) -> None:
        """Take the grid of views at the present place, once per place and facing."""
        scene = walk.scene
        here = len(walk.visited), scene.node, scene.facing
        if here == self._latest:
            return
        from .render.crop import view_grid

        panorama = self._world.panorama(scene.node)
        grid = view_grid(panorama, scene.facing, self._views.size, self._views.fov_deg)
        self._grids.append(grid)
        self._latest = here
