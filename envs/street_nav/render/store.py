"""Finished scenes kept on disk, so that a city is ready to draw at once the next time.

A file is a magic word, the length and the CRC-32 of what follows, a JSON header that names the
arrays, and the arrays themselves. How it is written, so that many processes may share a folder,
stands in `city/files.py`; it is mapped into memory, so they share its pages too. Damaged files are
made anew; where nothing can be written, nothing is kept. A scene takes 70 to 190 MB; those that
were not used for longest make room for others.
"""

import hashlib
import json
import logging
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_type_hints

import cv2
import numpy as np
import PIL

from ..city.cache import cache_folder
from ..city.files import keep
from ..city.scene import City
from .config import LookConfig
from .scene import Scene, build_scene

VERSION = 4  # raised whenever a scene of the same city and look changes
MAX_BYTES = 4 * 2**30  # of all scenes in a folder
_MAGIC = b"CGSCENE1"
_PREFIX = struct.Struct("<8sQQ")  # magic, bytes of the header, CRC-32 of header and arrays
_ALIGN = 64
_logger = logging.getLogger(__name__)


def open_scene(city: City, look: LookConfig, fine: bool, folder: Path | None = None) -> Scene:
    """`build_scene`, from the cache if it is there; all arrays are read-only.

    folder: in place of `city.cache.cache_folder()`.
    """
    path = (cache_folder() if folder is None else folder) / f"{scene_key(city, look, fine)}.bin"
    scene = _kept(path)
    if scene is None:
        scene = _made(path, lambda: build_scene(city, look, fine))
        _make_room(path)
    return scene


def scene_key(city: City, look: LookConfig, fine: bool) -> str:
    """Canonical: equal for equal scenes, in any process with the same library versions."""
    facts = {**asdict(look), "name": "", "city": city.key, "fine": fine, "version": VERSION}
    facts["libraries"] = [np.__version__, cv2.__version__, PIL.__version__]
    text = json.dumps(facts, sort_keys=True)
    return f"scene-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _made(path: Path, make: Callable[[], Scene]) -> Scene:
    scene = make()
    arrays = dict(_arrays_of(scene))
    for array in arrays.values():
        array.setflags(write=False)
    keep(path, _pieces(arrays))
    return scene


def _make_room(newest: Path) -> None:
    """Deletes the scenes that were not used for longest, until `MAX_BYTES` are left."""
    try:
        stats = [(path, path.stat()) for path in newest.parent.glob("scene-*.bin")]
        excess = sum(stat.st_size for _, stat in stats) - MAX_BYTES
        for path, stat in sorted(stats, key=lambda entry: entry[1].st_mtime):
            if excess <= 0:
                break
            if path != newest:
                path.unlink(missing_ok=True)
                excess -= stat.st_size
    except OSError as error:  # another process was faster, or the system forbids it
        _logger.info("cannot make room in %s (%s)", newest.parent, error)


def _kept(path: Path) -> Scene | None:
    try:
        with suppress(OSError):  # of a folder that is read-only, or a file that is not there
            os.utime(path)  # for `_make_room`: this one is in use
        with path.open("rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # ValueError: an empty file
        _logger.warning("cannot read %s (%s): making it anew", path, error)
        return None
    if len(view) < _PREFIX.size:
        _logger.warning("%s is damaged: making it anew", path)
        return None
    magic, header_bytes, checksum = _PREFIX.unpack_from(view)
    if magic != _MAGIC or zlib.crc32(view[_PREFIX.size :]) != checksum:
        _logger.warning("%s is damaged: making it anew", path)
        return None
    try:
        header = json.loads(bytes(view[_PREFIX.size : _PREFIX.size + header_bytes]))
        return _scene_of(dict(_read_arrays(view, header)))
    except (ValueError, KeyError, TypeError) as error:  # whole, but not what this version writes
        _logger.warning("%s holds no scene (%r): making it anew", path, error)
        return None


def _read_arrays(view: memoryview, header: list[Any]) -> Iterator[tuple[str, np.ndarray]]:
    for name, dtype, shape, offset in header:
        count = int(np.prod(shape))
        yield name, np.frombuffer(view, dtype, count, offset).reshape(shape)


def _pieces(arrays: dict[str, np.ndarray]) -> list[Any]:
    """What a file consists of, in order."""
    header: list[Any] = []
    text, size = b"", 0
    for _ in range(2):  # the offsets depend on the length of the header, which holds them
        offset = _aligned(_PREFIX.size + size)
        header = []
        for name, array in arrays.items():
            header.append([name, array.dtype.str, list(array.shape), offset])
            offset = _aligned(offset + array.nbytes)
        text = json.dumps(header).encode()
        size = size or len(text) + 64 * len(header)
    text = text.ljust(size)
    place = _PREFIX.size + len(text)
    body: list[Any] = [text]
    for array, (_, _, _, offset) in zip(arrays.values(), header, strict=True):
        body += [bytes(offset - place), _bytes_of(array)]
        place = offset + array.nbytes
    checksum = 0
    for piece in body:
        checksum = zlib.crc32(piece, checksum)
    return [_PREFIX.pack(_MAGIC, len(text), checksum), *body]


def _bytes_of(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGN) * _ALIGN


def _arrays_of(scene: Scene) -> list[tuple[str, np.ndarray]]:
    return [
        (f"{part.name}.{name}", np.asarray(value))
        for part in fields(scene)
        for name, value in getattr(scene, part.name)._asdict().items()
    ]


def _scene_of(arrays: dict[str, np.ndarray]) -> Scene:
    parts = {}
    for part, kind in get_type_hints(Scene).items():
        values: dict[str, Any] = {}
        for name, hint in get_type_hints(kind).items():
            value = arrays[f"{part}.{name}"]
            values[name] = value if hint is np.ndarray else hint(value)
        parts[part] = kind(**values)
    return Scene(**parts)
