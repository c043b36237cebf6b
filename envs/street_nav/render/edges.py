"""Compiled smoothing of the upper and lower edges of quads.

While quads are drawn, the rows beside them note how much of them a quad would cover; when
everything is drawn they are mixed with its colour.
"""

import numpy as np

from .buffers import Canvas
from .compiled import kernel

COVERED = 0.9  # a row this much closer than the quad beside it was drawn over; ground is not
WORD_ROWS = 8  # rows that are looked through at once


@kernel(inline="always")
def mark_edges(
    canvas: Canvas, column: int, first: int, last: int, upper: float, lower: float, r: float
) -> None:
    """Notes a quad that was drawn from row `first` to `last` and reaches from `upper` to `lower`.

    r: its distance there.
    """
    share = first - upper
    if first > 0 and share > 0.02 and canvas.depth[column, first - 1] > r:
        canvas.above[column, first - 1] = np.uint8(255.0 * min(1.0, share))
    share = lower - (last + 1)
    if last + 1 < canvas.depth.shape[1] and share > 0.02 and canvas.depth[column, last + 1] > r:
        canvas.below[column, last + 1] = np.uint8(255.0 * min(1.0, share))


@kernel()
def smooth_edges(canvas: Canvas) -> None:
    """Mixes rows that a quad covers in part with the quad's colour; after sky and ground."""
    above, below = canvas.above.view(np.uint64), canvas.below.view(np.uint64)
    num_rows = canvas.depth.shape[1]
    for column in range(above.shape[0]):
        for word in range(above.shape[1]):
            if above[column, word] | below[column, word]:
                start = word * WORD_ROWS
                _smooth_rows(canvas, column, start, min(num_rows, start + WORD_ROWS))


@kernel(inline="always")
def _smooth_rows(canvas: Canvas, column: int, start: int, stop: int) -> None:
    num_rows = canvas.depth.shape[1]
    for row in range(start, stop):
        if canvas.above[column, row] and row + 1 < num_rows:
            share = canvas.above[column, row]
            _mix_rows(canvas.color, canvas.depth, column, row, row + 1, share)
        elif canvas.below[column, row] and row > 0:
            share = canvas.below[column, row]
            _mix_rows(canvas.color, canvas.depth, column, row, row - 1, share)


@kernel(inline="always")
def _mix_rows(
    color: np.ndarray, depth: np.ndarray, column: int, row: int, source: int, share: int
) -> None:
    if depth[column, row] < COVERED * depth[column, source]:
        return
    for k in range(3):
        here, there = int(color[column, row, k]), int(color[column, source, k])
        color[column, row, k] = np.uint8((here * (255 - share) + there * share) // 255)
