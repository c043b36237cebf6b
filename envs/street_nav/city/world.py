"""A procedural city as a world to walk in."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import Route, Sight
from .cache import open_city
from .config import CityConfig, RouteConfig, as_city, as_routes
from .network import StreetNetwork
from .routes import RouteBook, RoutePool
from .scene import City

if TYPE_CHECKING:
    from ..render import LookConfig, PanoramaRenderer

DEFAULT_WIDTH_PX = 1024
DEFAULT_PITCH_DEG = 48.0
MEMORY_BYTES = 96 * 2**20  # of panoramas that are kept


class CityWorld:
    """A city with its routes and, in one look, its panoramas. Implements `types.World`.

    config, routes: dataclasses or mappings of their fields. look: a preset's name, a mapping or a
    `LookConfig`. width: of panoramas, in pixels. pitch_deg: how far they reach above and below the
    horizon. folder: of the disk cache.
    Nothing that draws is imported before the first panorama. Safe to share between threads.
    """

    def __init__(
        self,
        config: CityConfig | Mapping[str, Any],
        look: "LookConfig | Mapping[str, Any] | str" = "harbor",
        routes: RouteConfig | Mapping[str, Any] | None = None,
        *,
        width: int = DEFAULT_WIDTH_PX,
        pitch_deg: float = DEFAULT_PITCH_DEG,
        folder: Path | None = None,
    ) -> None:
        self.config = as_city(config)
        self.look = look
        self.width, self.pitch_deg = width, pitch_deg
        self.city: City = open_city(self.config, folder)
        self.network = StreetNetwork(self.city)
        self.routes = RouteBook(self.city, self.network, as_routes(routes or {}))
        self.key = self.routes.key
        self._positions = [(float(x), float(y)) for x, y in self.city.node_xy]
        self._exits = [MappingProxyType(ways) for ways in self.network.exits]
        names = self.city.landmark_names
        self._sights = [
            tuple(
                Sight(name=names[mark], bearing=bearing)
                for mark, bearing in self.routes.sights(node).items()
            )
            for node in range(self.city.num_nodes)
        ]
        self._pools: dict[str, RoutePool] = {}
        self._panoramas: OrderedDict[int, np.ndarray] = OrderedDict()
        self._renderer: PanoramaRenderer | None = None
        self._lock, self._making = threading.Lock(), threading.Lock()

    @property
    def renderer(self) -> "PanoramaRenderer":
        """Made when it is first needed."""
        with self._making:
            if self._renderer is None:
                from ..render import PanoramaRenderer

                self._renderer = PanoramaRenderer(
                    self.city, self.look, self.width, pitch_deg=self.pitch_deg
                )
            return self._renderer

    def pool(self, split: str) -> RoutePool:
        """The routes of a split, drawn when they are first needed. Raises ValueError: see there."""
        pool = self._pools.get(split)
        if pool is None:
            with self._making:
                pool = self._pools.get(split) or self.routes.draw(split)
                self._pools[split] = pool
        return pool

    def deal(self, rng: np.random.Generator, split: str) -> Route:
        return self.pool(split).deal(rng)

    def position(self, node: int) -> tuple[float, float]:
        return self._positions[node]

    def exits(self, node: int) -> Mapping[int, float]:
        return self._exits[node]

    def sights(self, node: int) -> tuple[Sight, ...]:
        return self._sights[node]

    def panorama(self, node: int) -> np.ndarray:
        with self._lock:
            kept = self._panoramas.get(node)
            if kept is not None:
                self._panoramas.move_to_end(node)
                return kept
        drawn = self.renderer.panorama(node)  # not locked: threads may draw at the same time
        drawn.setflags(write=False)
        with self._lock:
            self._panoramas[node] = drawn
            while len(self._panoramas) * drawn.nbytes > MEMORY_BYTES and len(self._panoramas) > 1:
                self._panoramas.popitem(last=False)
        return drawn
