"""Checkpoints that survive kill -9, a full disk and damaged files.

    checkpoints/step-00000120/
        state.pt        tensors and plain values, read back with `weights_only=True`
        model/          what `model_saver` wrote, usually `save_pretrained`
        manifest.json   size and SHA-256 of every file above
        PERMANENT       only in checkpoints that retention must keep
    checkpoints/step-00000120-update-0003/    the same, after three updates of the next step

A checkpoint is written under a temporary name and renamed when complete, so a folder `step-*` is
whole unless the disk damaged it later; the manifest finds that out, and the one before is used.
Equal states give equal bytes (`_canonical`): a resumed run's checkpoint can be compared as a file.
"""

import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from .files import (
    TEMPORARY_PREFIX,
    atomic_write_bytes,
    disk_full_error,
    fsync_folder,
    remove_leftovers,
)
from .manifest import checksums, damage_of, write_manifest
from .rng import capture_rng, restore_rng

__all__ = [
    "Checkpoint", "capture_rng", "find_damage", "latest_checkpoint", "list_checkpoints",
    "mark_permanent", "restore_rng", "save_checkpoint",
]  # fmt: skip

logger = logging.getLogger(__name__)

_NAME = re.compile(r"step-(?P<step>\d+)(?:-update-(?P<update>\d+))?")
_PLAIN_TYPES = (bool, int, float, type(None), bytes, torch.dtype, torch.device, torch.Size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One complete checkpoint on disk: after `step` steps and `update` updates of the next one."""

    path: Path
    step: int
    update: int = 0

    @property
    def place(self) -> tuple[int, int]:
        """What orders checkpoints."""
        return self.step, self.update

    @property
    def model_path(self) -> Path:
        return self.path / "model"

    def load(self, map_location: str = "cpu", *, mapped: bool = False) -> dict[str, Any]:
        """The state that was saved. Raises ValueError in one line if it cannot be read.

        mapped: leave the tensors in the file until they are read, for processes that want a part.
        """
        path = self.path / "state.pt"
        try:
            state = torch.load(path, map_location=map_location, weights_only=True, mmap=mapped)
        except Exception as error:  # torch raises many types; the caller needs one
            raise ValueError(
                f"{path} must be a readable checkpoint; got {_one_line(error)}"
            ) from error
        return dict(state)


def save_checkpoint(
    folder: Path,
    step: int,
    state: dict[str, Any],
    model_saver: Callable[[Path], None] | None = None,
    keep: int = 2,
    *,
    update: int = 0,
    permanent: bool = False,
) -> Path:
    """Write one checkpoint, then delete all but the newest `keep` and the permanent ones.

    state: nested dicts, lists and tuples of tensors and plain values, keys included.
    model_saver: called with an empty folder; what it writes belongs to the checkpoint.
    update: updates made of the step that follows `step`; 0 between steps.

    Later steps are deleted too: they can only be damaged checkpoints that were passed over. Raises
    ValueError naming the entry of `state` that could not be read back, and OSError in one line on a
    full disk; earlier checkpoints are then untouched.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1; got {keep}")
    if step < 0:
        raise ValueError(f"step must be at least 0; got {step}")
    canonical = _canonical(state, "state", {})
    folder = Path(folder)
    written = Checkpoint(path=folder / _name(step, update), step=step, update=update)
    with _replacing(written.path) as temporary:
        _write(temporary, written, canonical, model_saver, permanent)
    remove_leftovers(folder)
    _prune(folder, keep, newest=written)
    return written.path


def latest_checkpoint(folder: Path, *, keep: int | None = None) -> Checkpoint | None:
    """The newest sound checkpoint, or None if there is none; damaged ones are named in a warning.

    keep: for the process that owns the folder: finish what a killed run left undone (unfinished
        folders, deletion of old checkpoints), so that the folder equals an uninterrupted run's.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return None
    if keep is not None:
        remove_leftovers(folder)
    for checkpoint in reversed(list_checkpoints(folder)):
        damage = find_damage(checkpoint)
        if damage is None:
            if keep is not None:
                _prune(folder, keep, newest=checkpoint)
            return checkpoint
        logger.warning(
            "checkpoint %s is damaged (%s); trying the one before", checkpoint.path, damage
        )
    return None


def list_checkpoints(folder: Path) -> list[Checkpoint]:
    """All complete checkpoints by step, oldest first, unverified."""
    found = []
    for path in Path(folder).glob("step-*"):
        name = _NAME.fullmatch(path.name)
        if name is not None and path.is_dir():
            step, update = int(name["step"]), int(name["update"] or 0)
            found.append(Checkpoint(path=path, step=step, update=update))
    return sorted(found, key=lambda checkpoint: checkpoint.place)


def mark_permanent(checkpoint: Checkpoint) -> None:
    """Exempt a checkpoint from deletion."""
    atomic_write_bytes(checkpoint.path / "PERMANENT", b"")


def find_damage(checkpoint: Checkpoint) -> str | None:
    """What is wrong with a checkpoint's files, or None if every checksum is right."""
    return damage_of(checkpoint.path, _identity(checkpoint), needed="state.pt")


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A new temporary folder that takes the target's place at the end, and vanishes on an error."""
    folder = target.parent
    temporary = folder / f"{TEMPORARY_PREFIX}{target.name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        temporary.mkdir()
        yield temporary
        if target.exists():  # a damaged one of the same step: resumption passed over it
            target.rename(folder / f"{TEMPORARY_PREFIX}replaced-{target.name}")
        temporary.rename(target)
        fsync_folder(folder)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        full = disk_full_error(error, target)
        if full is not None:
            raise full from error
        raise


def _write(
    folder: Path,
    written: Checkpoint,
    state: dict[str, Any],
    model_saver: Callable[[Path], None] | None,
    permanent: bool,
) -> None:
    """Fill `folder` with a complete checkpoint and make it durable."""
    _save_state(state, folder / "state.pt")
    if model_saver is not None:
        (folder / "model").mkdir()
        model_saver(folder / "model")
    files = checksums(folder)
    if permanent:
        atomic_write_bytes(folder / "PERMANENT", b"")
    write_manifest(folder, _identity(written), files)


def _save_state(state: dict[str, Any], path: Path) -> None:
    """torch.save that raises the system's own error: on a full disk torch's tells nothing of it."""
    with open(path, "wb") as file:
        sink = _Sink(file)
        try:
            torch.save(state, sink)  # type: ignore[arg-type]
            file.flush()
        except Exception:
            if sink.error is not None:
                raise sink.error from None
            raise


class _Sink:
    """Passes writes on to a file and remembers the first that failed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self._file.flush()


def _prune(folder: Path, keep: int, newest: Checkpoint) -> None:
    """Delete all but the last `keep` checkpoints up to `newest` and the permanent ones."""
    every = list_checkpoints(folder)
    past = [checkpoint for checkpoint in every if checkpoint.place <= newest.place]
    kept = {checkpoint.place for checkpoint in past[-keep:]}
    kept |= {checkpoint.place for checkpoint in past if (checkpoint.path / "PERMANENT").exists()}
    for checkpoint in every:
        if checkpoint.place not in kept:
            # renamed first: a kill in the middle must not leave half a folder called step-*
            doomed = folder / f"{TEMPORARY_PREFIX}old-{checkpoint.path.name}"
            checkpoint.path.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def _canonical(value: Any, where: str, strings: dict[str, str]) -> Any:
    """A copy of `value` in which equal strings are one object and containers are not shared.

    Pickle writes a repeated object as a reference; without this, a state that was loaded and one
    that never left memory would be equal and yet differ as files.
    """
    if isinstance(value, torch.Tensor):
        return value.detach()
    if type(value) is str:
        return strings.setdefault(value, value)
    if isinstance(value, Mapping):
        return {
            _canonical(key, f"a key of {where}", strings): _canonical(
                item, f"{where}[{key!r}]", strings
            )
            for key, item in value.items()
        }
    if type(value) in (list, tuple):
        items = (_canonical(item, f"{where}[{i}]", strings) for i, item in enumerate(value))
        return type(value)(items)
    if type(value) in _PLAIN_TYPES:
        return value
    raise ValueError(f"{where} must be a tensor or plain value; got {type(value).__name__}")


def _name(step: int, update: int) -> str:
    return f"step-{step:08d}" + (f"-update-{update:04d}" if update else "")


def _identity(checkpoint: Checkpoint) -> dict[str, int]:
    """What a manifest says that it belongs to."""
    within = {"update": checkpoint.update} if checkpoint.update else {}
    return {"step": checkpoint.step, **within}


def _one_line(error: BaseException) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:200]}"
