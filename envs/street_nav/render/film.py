"""A walk as moving pictures: GIF or MP4."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .crop import CROSS_PX, view_grid
from .maps import CityMap
from .panorama import PanoramaRenderer

TURN_STEP_DEG = 30.0


def walk_frames(
    renderer: PanoramaRenderer, city_map: CityMap, path: Sequence[int], view_px: int = 224
) -> Iterator[np.ndarray]:
    """The views along a path of nodes with a map beside them: uint8 [2 s + 5, 4 s + 15, 3] each.

    The walker looks along the path and turns on the spot at corners.
    """
    nodes = renderer.city.node_xy
    ways = np.diff(nodes[list(path)].astype(np.float64), axis=0)
    headings = (np.degrees(np.arctan2(ways[:, 0], ways[:, 1])) % 360.0).tolist()
    headings.append(headings[-1])
    facing, side = headings[0], 2 * view_px + CROSS_PX
    gap = np.zeros((side, CROSS_PX, 3), np.uint8)
    for step, (node, wanted) in enumerate(zip(path, headings, strict=True)):
        panorama = renderer.panorama(node)
        turn = (wanted - facing + 180.0) % 360.0 - 180.0
        count = max(1, round(abs(turn) / TURN_STEP_DEG))
        for k in range(1, count + 1):
            looking = (facing + turn * k / count) % 360.0
            sheet = city_map.route(path, side, visited=path[: step + 1], heading=looking)
            yield np.concatenate([view_grid(panorama, looking, view_px), gap, sheet], axis=1)
        facing = wanted


def save_film(frames: Iterable[np.ndarray], path: Path | str, frames_per_s: float = 3.0) -> None:
    """Writes uint8 [H, W, 3] frames of one size as `.gif` or `.mp4`.

    Raises ValueError for another ending, for no frames, or where the video cannot be written.
    """
    path = Path(path)
    frames = list(frames)
    if not frames:
        raise ValueError("a film must have at least one frame; got none")
    if path.suffix == ".gif":
        pictures = [Image.fromarray(frame) for frame in frames]
        pictures[0].save(
            path, save_all=True, append_images=pictures[1:], duration=round(1000 / frames_per_s),
            loop=0, optimize=True,
        )  # fmt: skip
    elif path.suffix == ".mp4":
        _save_video(frames, path, frames_per_s)
    else:
        raise ValueError(f"path must end in .gif or .mp4; got {path.name!r}")


def _save_video(frames: list[np.ndarray], path: Path, frames_per_s: float) -> None:
    """MPEG-4 wants even sides: an odd last row or column is repeated."""
    height, width = (side + side % 2 for side in frames[0].shape[:2])
    code = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), code, frames_per_s, (width, height))
    if not writer.isOpened():
        raise ValueError(f"path must be a file that a video can be written to; got {path}")
    for frame in frames:
        below, beside = height - frame.shape[0], width - frame.shape[1]
        even = cv2.copyMakeBorder(frame, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
    writer.release()
