"""Writes of which a kill or a full disk leaves the old or the new content, never half of it."""

import dataclasses
import errno
import json
import logging
import os
import shutil
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

TEMPORARY_PREFIX = ".tmp-"  # of files and folders that are not finished


def atomic_write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace `path` by `data`; on any failure the old file stays as it was.

    durable: wait for the disk, so that a power cut cannot undo it; a kill never can.
    """
    path = Path(path)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}-{os.getpid()}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            write_all(fd, data)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)
        if durable:
            fsync_folder(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        full = disk_full_error(error, path)
        if full is not None:
            raise full from error
        raise


def atomic_write_text(path: Path, text: str) -> None:
    atomic_write_bytes(path, text.encode("utf-8"))


def atomic_write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Strict JSON (NaN is refused), indented, keys in the order given."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write_bytes(path, (text + "\n").encode("utf-8"), durable=durable)


def write_all(fd: int, data: bytes) -> None:
    """os.write until everything is written; it may write less than asked on a nearly full disk."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def fsync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def disk_full_error(error: BaseException, path: Path) -> OSError | None:
    """A one-line OSError if `error` comes from a full disk or quota, else None.

    torch and safetensors wrap the system's error in their own types, hence the look at the text.
    """
    cause: BaseException | None = error
    while cause is not None:
        number = getattr(cause, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(cause):
            return OSError(
                errno.ENOSPC,
                "disk is full; what was finished is intact: free some space and run the same "
                "command with resume=true",
                str(path),
            )
        cause = cause.__cause__ or cause.__context__
    return None


def remove_leftovers(folder: Path) -> None:
    """Delete unfinished files and folders of a killed run below `folder`.

    Folders with a lock of their own are other runs, perhaps alive, and are left alone.
    """
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(TEMPORARY_PREFIX):
            logger.info("removing the unfinished %s", entry)
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        elif entry.is_dir() and not entry.is_symlink() and not (entry / ".lock").exists():
            remove_leftovers(entry)


def plain(value: Any) -> Any:
    """`value` as YAML and JSON hold it: dict, list, str, int, float, bool, None."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if callable(getattr(value, "item", None)):  # numpy and torch scalars
        return value.item()
    raise ValueError(f"value must be plain data; got {type(value).__name__}")
