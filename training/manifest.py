"""A folder's list of its own files with sizes and checksums, to find out later what was damaged.

manifest.json   {what it belongs to, "files": {name: {"bytes": ..., "sha256": ...}}}
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import atomic_write_json, fsync_folder

NAME = "manifest.json"


def checksums(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file in `folder`, by relative path; makes them all durable."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        files[name] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        _fsync_file(path)
    for path in folder.rglob("*"):
        if path.is_dir():
            fsync_folder(path)
    return files


def write_manifest(
    folder: Path, identity: Mapping[str, int], files: Mapping[str, Mapping[str, Any]]
) -> None:
    """identity: what the folder is, so that a manifest of another one is found out."""
    atomic_write_json(folder / NAME, {**identity, "files": files})


def damage_of(folder: Path, identity: Mapping[str, int], *, needed: str) -> str | None:
    """What is wrong with the files of a folder, or None if every checksum is right.

    needed: a file that must be among them.
    """
    try:
        manifest = json.loads((folder / NAME).read_text(encoding="utf-8"))
        files = manifest.pop("files")
        if manifest != identity or needed not in files:
            return f"{NAME} belongs to another checkpoint"
        for name, entry in files.items():
            path = folder / name
            if path.stat().st_size != entry["bytes"]:
                return f"{name} has {path.stat().st_size} bytes instead of {entry['bytes']}"
            if _sha256(path) != entry["sha256"]:
                return f"{name} has a wrong checksum"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{NAME} is unreadable"
    return None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _fsync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
