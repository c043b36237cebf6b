"""Opens the world that a configuration describes, once per process: worlds are shared.

Worlds of one process are kept, the last few used, since making one takes seconds and many
environments walk in the same. Nothing that draws is imported here.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from .config import StreetNavConfig, WorldKind
from .types import World

MAX_KEPT = 8
_kept: "OrderedDict[str, World]" = OrderedDict()
_lock = threading.Lock()


def open_world(config: StreetNavConfig) -> World:
    """The world of a configuration. Raises ValueError for a folder that is no data set."""
    key = _key(config)
    with _lock:
        if key not in _kept:
            _kept[key] = _make(config)
            while len(_kept) > MAX_KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(key)
        return _kept[key]


def _make(config: StreetNavConfig) -> World:
    if config.world is WorldKind.virl:
        from .virl.world import VirlWorld

        assert config.data_dir is not None
        return VirlWorld(Path(config.data_dir).expanduser(), config.routes)
    from .city.world import CityWorld

    views = config.views
    return CityWorld(
        config.city,
        config.look,
        config.routes,
        width=views.panorama_px,
        pitch_deg=views.pitch_deg,
    )


def _key(config: StreetNavConfig) -> str:
    if config.world is WorldKind.virl:
        assert config.data_dir is not None
        parts: list[Any] = [str(Path(config.data_dir).expanduser().resolve()), config.routes]
    else:
        views = config.views
        parts = [config.city, config.look, config.routes, views.panorama_px, views.pitch_deg]
    return json.dumps([config.world, *map(_plain, parts)], default=_plain, sort_keys=True)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Enum):
        return value.value
    return dict(value) if isinstance(value, Mapping) else value
