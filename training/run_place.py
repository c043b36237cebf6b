"""Where a run's files go, and what can be told of that place before anything heavy is loaded."""

import os
import tempfile
from pathlib import Path

from .config import ExperimentConfig
from .run_folder import RunFolder


def run_root(config: ExperimentConfig) -> Path:
    return Path(config.output_dir) / config.experiment / config.name


def check_place(root: Path, *, resume: bool) -> None:
    """ValueError, in one line, for a run folder that is taken or cannot be written.

    Of several processes of one launch the first one asks: it may have made the folder already when
    the others come.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    RunFolder(root).check_free(resume)
    check_writable(root)


def check_writable(folder: Path, name: str = "output_dir") -> None:
    """ValueError where `folder` can neither be made nor written; nothing is left behind.

    Tried rather than read from permissions, which know of no full or read-only file system.
    name: the setting that says where it is.
    """
    there = folder.absolute()
    while not os.path.lexists(there):
        there = there.parent
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=there):
            pass
    except OSError as error:
        raise ValueError(
            f"{name} must lead to a folder that can be written; got {folder}, which cannot be "
            f"({error.strerror or error} in {there})"
        ) from error
