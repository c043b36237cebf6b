"""Light that spills over the edges of what shines by itself."""

import cv2
import numpy as np

from .buffers import Canvas
from .compiled import kernel

BLOCK_PX = 4  # what spills is worked out on a picture this many times smaller


def with_glow(picture: np.ndarray, canvas: Canvas, glow: float) -> np.ndarray:
    """A picture uint8 [H, W, 3] of what is on the canvas, with its lights spilling over.

    Round the seam of the panorama too.
    """
    height, width = picture.shape[:2]
    lights = np.empty((-(-height // BLOCK_PX), width // BLOCK_PX, 3), np.uint8)
    _gather(canvas.color, canvas.shine, lights)
    edge = width // 32
    padded = cv2.copyMakeBorder(lights, 0, 0, edge, edge, cv2.BORDER_WRAP)
    tiny = cv2.resize(padded, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    wide = cv2.resize(cv2.GaussianBlur(tiny, (0, 0), width / 680), padded.shape[1::-1])
    near = cv2.GaussianBlur(padded, (0, 0), width / 1400)
    spilled = cv2.addWeighted(wide, 0.6 * glow, near, 0.4 * glow, 0)[:, edge:-edge]
    size = width, lights.shape[0] * BLOCK_PX
    spilled = cv2.resize(spilled, size, interpolation=cv2.INTER_LINEAR)
    return cv2.add(picture, spilled[:height])


@kernel()
def _gather(color: np.ndarray, shine: np.ndarray, lights: np.ndarray) -> None:
    """Means of the colours of blocks, weighed by how much they shine: uint8 [h, w, 3]."""
    num_rows = shine.shape[1]
    for row in range(lights.shape[0]):
        first, last = row * BLOCK_PX, min(num_rows, (row + 1) * BLOCK_PX)
        scale = 1.0 / (255.0 * BLOCK_PX * (last - first))
        for column in range(lights.shape[1]):
            red, green, blue = 0, 0, 0
            for x in range(column * BLOCK_PX, (column + 1) * BLOCK_PX):
                for y in range(first, last):
                    weight = int(shine[x, y])
                    if weight > 0:
                        red += weight * int(color[x, y, 0])
                        green += weight * int(color[x, y, 1])
                        blue += weight * int(color[x, y, 2])
            lights[row, column, 0] = np.uint8(red * scale + 0.5)
            lights[row, column, 1] = np.uint8(green * scale + 0.5)
            lights[row, column, 2] = np.uint8(blue * scale + 0.5)
