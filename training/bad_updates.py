"""Updates that are not finite: what they were computed from is kept for study.

    <run folder>/.../bad_updates/step-00000012-update-0-process-1.pt

`torch.load(path, weights_only=True)` gives the rows (`packed_rows.unpack_rows`), the loss of this
process, and where in the run it happened; the weights are near those of the checkpoint before it.
"""

import io
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from .batch import WeightedRow
from .files import atomic_write_bytes
from .packed_rows import pack_rows

logger = logging.getLogger(__name__)

FOLDER = "bad_updates"
MAX_FILES = 16  # of one process: a run that goes bad again and again must not fill the disk


def keep_for_study(
    folder: Path,
    rows: Sequence[WeightedRow],
    *,
    step: int,
    update: int,
    process: int,
    loss: float,
    learning_rate: float,
) -> Path | None:
    """Write the rows of a bad update; None if there are enough of them already.

    step: finished before it. update: made before it, in the whole run. loss: of these rows alone.
    """
    place = folder / FOLDER
    path = place / f"step-{step:08d}-update-{update}-process-{process}.pt"
    if len(list(place.glob(f"*-process-{process}.pt"))) >= MAX_FILES and not path.exists():
        return None
    place.mkdir(parents=True, exist_ok=True)
    told = {
        "rows": pack_rows(rows),
        "loss": loss,
        "learning_rate": learning_rate,
        "step": step,
        "update": update,
        "process": process,
    }
    written = io.BytesIO()
    torch.save(told, written)
    atomic_write_bytes(path, written.getvalue())
    logger.warning("the batch of an update that was not finite is kept in %s", path)
    return path
