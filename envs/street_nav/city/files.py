"""Files of the disk cache: written whole or not at all, whatever happens to the writer.

A file is written under another name in the same folder and then renamed, so readers and any number
of writers meet only whole files; of several writers of one file the last one wins, with the same
content. What killed writers left behind is removed by the next one. Where nothing can be written
(a folder that is read-only, a disk that is full) nothing is kept, and that is logged, not raised.
"""

import logging
import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

STALE_S = 3600.0  # nobody writes one file for an hour
_ENDING = ".part"
_logger = logging.getLogger(__name__)


def keep(path: Path, pieces: Iterable[Any]) -> None:
    """Write buffers one after another as a file; any failure of the system is a warning."""
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path.parent)
        handle, temporary = tempfile.mkstemp(_ENDING, f".{path.name}.", path.parent)
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        _logger.warning("cannot keep %s (%s)", path, error)
    finally:  # an interrupt from the keyboard leaves nothing behind either
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)


def _remove_stale(folder: Path) -> None:
    """Delete unfinished files that were last written to long ago."""
    before = time.time() - STALE_S
    for path in folder.glob(f".*{_ENDING}"):
        with suppress(OSError):  # another process was faster, or it is not ours to delete
            if path.stat().st_mtime < before:
                path.unlink()
