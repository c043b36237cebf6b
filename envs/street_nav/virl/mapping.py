"""Which panorama shows a place: `gps_pano_mapping.pkl`, exactly or within 20 m."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .geodesy import EARTH_RADIUS_M, Geocode, distance_m
from .pickles import read_pickle
from .pictures import require_file
from .problems import Problems, told

MAX_OFF_M = 20.0
MAX_NAME_CHARS = 200
_MAX_REPORTED = 20


def read_mapping(path: Path, problems: Problems) -> dict[Geocode, str]:
    """The sound entries of a mapping; empty when the file cannot be read."""
    try:
        require_file(path)
        value = read_pickle(path.read_bytes())
    except OSError as error:
        problems.add(path, "", f"must be a file that can be read; got {error.strerror}")
        return {}
    except ValueError as error:
        problems.add(path, "", str(error))
        return {}
    if not isinstance(value, dict):
        problems.add(path, "", f"must hold a dict; got {type(value).__name__}")
        return {}
    sound: dict[Geocode, str] = {}
    num_bad = 0
    for key, name in value.items():
        geocode = as_geocode(key)
        if geocode is not None and is_panorama_name(name):
            sound[geocode] = name
            continue
        num_bad += 1
        if num_bad <= _MAX_REPORTED:
            said = "must be (latitude, longitude): panorama"
            problems.add(path, told(key, 80), f"{said}; got {told(name)}")
    if num_bad > _MAX_REPORTED:
        problems.add(path, "", f"{num_bad - _MAX_REPORTED} more entries are not what they must be")
    return sound


def as_geocode(value: Any) -> Geocode | None:
    """A pair of degrees, None for anything else."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return None
    lat, lon = value
    for number, limit in ((lat, 90.0), (lon, 360.0)):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return None
        if not abs(number) <= limit:  # neither what is not a number nor a huge integer passes
            return None
    return float(lat), float(lon)


def is_panorama_name(value: Any) -> bool:
    """Whether a value can name a file in the folder of pictures, and none outside it."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_NAME_CHARS
        and value.isprintable()
        and not set(value) & set('/\\:*?"<>|')
        and value.strip(". ") == value
    )


class PanoramaMap:
    """Finds the panorama of a place."""

    def __init__(self, mapping: Mapping[Geocode, str]) -> None:
        self._exact = dict(mapping)
        self._sorted = sorted(mapping.items())
        self._lats = [geocode[0] for geocode, _ in self._sorted]

    def find(self, place: Geocode) -> tuple[str, Geocode] | None:
        """The panorama and its mapped place: the exact one, else the nearest within 20 m."""
        name = self._exact.get(place)
        if name is not None:
            return name, place
        reach = math.degrees(MAX_OFF_M / EARTH_RADIUS_M)
        first = bisect_left(self._lats, place[0] - reach)
        last = bisect_right(self._lats, place[0] + reach)
        width = reach / max(0.01, math.cos(math.radians(place[0])))
        near = [
            (distance_m(place, geocode), geocode, name)
            for geocode, name in self._sorted[first:last]
            if abs(geocode[1] - place[1]) <= width
        ]
        if not near:
            return None
        distance, geocode, name = min(near)
        return (name, geocode) if distance <= MAX_OFF_M else None
