"""Named arrays kept on disk: written at once, checked when read, made anew where damaged.

The folder is `$CARDINAL_GYM_CACHE`, else `cardinal-gym` in the user's cache folder. A file is a
SHA-256 digest and the bytes of an `.npz`. How it is written, so that many processes may share a
folder, stands in `files.py`; where nothing can be written, nothing is kept.
"""

import hashlib
import io
import logging
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from .builder import build_city, city_key
from .config import CityConfig
from .files import keep
from .scene import City, Ragged

ENV_VARIABLE = "CARDINAL_GYM_CACHE"
_DIGEST_BYTES = 32
_logger = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]


def cache_folder() -> Path:
    """Where things that take long to make are kept; not created here."""
    named = os.environ.get(ENV_VARIABLE)
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "cardinal-gym"


def open_city(config: CityConfig, folder: Path | None = None) -> City:
    """The city of a configuration, from the cache if it is there.

    folder: in place of `cache_folder()`. Raises ValueError as `build_city` does.
    """
    path = (cache_folder() if folder is None else folder) / f"{city_key(config)}.npz"

    def make() -> Arrays:
        return _packed(build_city(config))

    try:
        return _unpacked(cached_arrays(path, make))
    except KeyError as error:  # whole, but not what this version writes
        _logger.warning("%s holds no city (%s is missing): making it anew", path, error)
        made = make()
        _write(path, made)
        return _unpacked(made)


def cached_arrays(path: Path, make: Callable[[], Arrays]) -> Arrays:
    """Arrays by name, read from a file, or made and written to it."""
    kept = _read(path)
    if kept is not None:
        return kept
    made = make()
    _write(path, made)
    return made


def _read(path: Path) -> Arrays | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _logger.warning("cannot read %s (%s): making it anew", path, error)
        return None
    digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() == digest:
        try:
            with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
                return dict(arrays)
        except (ValueError, zipfile.BadZipFile) as error:
            _logger.warning("%s holds no arrays (%s): making it anew", path, error)
            return None
    _logger.warning("%s is damaged: making it anew", path)
    return None


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    payload = buffer.getvalue()
    keep(path, (hashlib.sha256(payload).digest(), payload))


def _packed(city: City) -> Arrays:
    arrays: Arrays = {}
    for field in fields(city):
        value = getattr(city, field.name)
        if isinstance(value, Ragged):
            arrays[f"{field.name}.points"] = value.points
            arrays[f"{field.name}.starts"] = value.starts
        else:
            arrays[field.name] = np.asarray(value, str) if _is_text(value) else value
    return arrays


def _unpacked(arrays: Arrays) -> City:
    kinds = get_type_hints(City)
    values: dict[str, Any] = {}
    for field in fields(City):
        name = field.name
        if kinds[name] is Ragged:
            values[name] = Ragged(arrays[f"{name}.points"], arrays[f"{name}.starts"])
        elif kinds[name] is str:
            values[name] = str(arrays[name])
        elif kinds[name] is np.ndarray:
            values[name] = arrays[name]
        else:
            values[name] = tuple(str(item) for item in arrays[name])
    return City(**values)


def _is_text(value: object) -> bool:
    return isinstance(value, str | tuple)
