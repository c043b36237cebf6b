"""A folder of V-IRL's data: its sound routes, its panoramas, and every problem with file and key.

    route_infos.json        [routes, a collector's cursor], a list of routes, or a single route
    gps_pano_mapping.pkl    {(latitude, longitude): panorama}
    street_views/           {panorama}.jpg, equirectangular, and {panorama}.metadata.json

A route with a problem is left out, the others stay usable. `__MACOSX` folders are ignored; a folder
that only wraps the data set is looked through. Departure from the study's code: a place without a
panorama within 20 m is a problem that is reported, where that code asks a server.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .geodesy import Geocode
from .mapping import PanoramaMap, read_mapping
from .pictures import picture_problems
from .problems import Problem, Problems
from .routes import VirlRoute, read_route

ROUTES, MAPPING, VIEWS = "route_infos.json", "gps_pano_mapping.pkl", "street_views"
_IGNORED = "__MACOSX"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a folder holds.

    key: hash of the folder's routes, mapping and names of pictures.
    routes: the sound ones. num_routes: with those that have problems.
    panoramas: position of each panorama that a sound route passes, sorted by name.
    """

    folder: Path
    key: str
    routes: tuple[VirlRoute, ...]
    num_routes: int
    num_mapped: int
    panoramas: Mapping[str, Geocode]
    problems: tuple[Problem, ...]


def read_dataset(folder: Path) -> Dataset:
    """Read a folder; pictures are only looked at from outside (see `check` for all of each).

    Raises ValueError for a folder that holds no data set at all, in one line.
    """
    root = find_root(folder)
    problems = Problems()
    raw, routes = _read_routes(root / ROUTES, problems)
    mapped = read_mapping(root / MAPPING, problems)
    panoramas = PanoramaMap(mapped)
    views = root / VIEWS
    sound: list[VirlRoute] = []
    seen: dict[str, bool] = {}
    for key, info in routes:
        if (route := _sound_route(info, key, panoramas, views, seen, problems)) is not None:
            sound.append(route)
    where = {place.panorama: place.geocode for route in sound for place in route.places}
    return Dataset(
        folder=root,
        key=_key(raw, mapped, views),
        routes=tuple(sound),
        num_routes=len(routes),
        num_mapped=len(mapped),
        panoramas=dict(sorted(where.items())),
        problems=problems.found,
    )


def find_root(folder: Path) -> Path:
    """The folder itself, or the only one below it, that holds the routes' file."""
    if not folder.is_dir():
        raise ValueError(f"data_dir must be a folder; got {folder}")
    if (folder / ROUTES).is_file():
        return folder
    found = sorted(
        path.parent
        for path in folder.glob(f"*/{ROUTES}")
        if path.is_file() and _IGNORED not in path.parts
    )
    if len(found) != 1:
        raise ValueError(
            f"data_dir must hold {ROUTES}, {MAPPING} and {VIEWS}/; got {folder} with "
            f"{len(found)} such folders in it"
        )
    return found[0]


def panorama_files(views: Path) -> Iterator[Path]:
    """The pictures of a folder, sorted; what macOS leaves behind is not among them."""
    if views.is_dir():
        yield from sorted(
            path
            for path in views.glob("*.jpg")
            if not path.name.startswith("._") and _IGNORED not in path.parts
        )


def _read_routes(path: Path, problems: Problems) -> tuple[bytes, list[tuple[str, Any]]]:
    """The file, and each route with its key in it."""
    try:
        raw = path.read_bytes()
        value = json.loads(raw)
    except OSError as error:
        problems.add(path, "", f"must be a file that can be read; got {error.strerror}")
        return b"", []
    except (ValueError, RecursionError) as error:
        problems.add(path, "", f"must be JSON; got {error}")
        return raw, []
    if isinstance(value, Mapping):
        return raw, [("route", value)]
    if isinstance(value, list) and value and isinstance(value[0], list):
        value = value[0]  # the second item is where the collector stopped, not a count
    elif isinstance(value, list) and len(value) == 2 and isinstance(value[1], int):
        value = value[:1]
    if not isinstance(value, list):
        problems.add(path, "", f"must hold a route or a list of them; got {type(value).__name__}")
        return raw, []
    if not value:
        problems.add(path, "", "must hold at least one route; got none")
    return raw, [(f"routes[{index}]", info) for index, info in enumerate(value)]


def _sound_route(
    info: Any,
    key: str,
    panoramas: PanoramaMap,
    views: Path,
    seen: dict[str, bool],
    problems: Problems,
) -> VirlRoute | None:
    """A route without problems, or None; what is wrong is noted."""
    file = views.parent / ROUTES
    try:
        route = read_route(info, panoramas)
    except ValueError as error:
        problems.add(file, key, str(error))
        return None
    is_sound = True
    for panorama in dict.fromkeys(place.panorama for place in route.places):
        if panorama not in seen:
            found = picture_problems(views, panorama)
            for path, message in found:
                problems.add(path, key, message)
            seen[panorama] = not found
        is_sound = is_sound and seen[panorama]
    return route if is_sound else None


def _key(raw: bytes, mapped: Mapping[Geocode, str], views: Path) -> str:
    digest = hashlib.blake2b(raw, digest_size=8)
    digest.update(repr(sorted(mapped.items())).encode())
    for path in panorama_files(views):
        digest.update(f"{path.name} {path.stat().st_size}".encode())
    return f"virl-{digest.hexdigest()}"
