"""Panoramas of a city under a look."""

import threading
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..city.scene import EYE_HEIGHT_M, City
from .backdrop import SKY_DEPTH_M, Rows, draw_ground, draw_sky, ground_rows
from .billboards import draw_soft_quads, draw_sprites, visible_sprites
from .buffers import Canvas, Rays
from .config import LookConfig, as_look
from .edges import WORD_ROWS, smooth_edges
from .glow import with_glow
from .projection import visible_quads
from .raycast import draw_quads
from .scene import Scene
from .sky import paint_sky
from .store import open_scene
from .weather import fall

MIN_WIDTH, MAX_WIDTH, FINE_WIDTH = 256, 8192, 2048
FAR_M, FAR_SPRITES_M = 340.0, 150.0
PITCH_DEG = 48.0


class PanoramaRenderer:
    """Draws what can be seen from the nodes of a city. Threads may share one.

    width: columns of a panorama, 360 degrees: 1024 for views of 224 px, 2048 for 448, 3072 for 640.
    supersample: draws this many times larger, then averages.
    pitch_deg: a panorama reaches this far above and below the horizon.
    folder: of the disk cache, in place of `city.cache.cache_folder()`.
    """

    def __init__(
        self,
        city: City,
        look: "str | Mapping[str, Any] | LookConfig" = "harbor",
        width: int = 1024,
        supersample: int = 1,
        pitch_deg: float = PITCH_DEG,
        folder: Path | None = None,
    ) -> None:
        """Raises ValueError for a size or a look that does not exist."""
        if not MIN_WIDTH <= width <= MAX_WIDTH or width % 4:
            raise ValueError(
                f"width must be {MIN_WIDTH} to {MAX_WIDTH} and a multiple of 4; got {width}"
            )
        if supersample not in (1, 2, 3, 4):
            raise ValueError(f"supersample must be 1 to 4; got {supersample}")
        if not 20 <= pitch_deg <= 70:
            raise ValueError(f"pitch_deg must be 20 to 70; got {pitch_deg:g}")
        self.city, self.look = city, as_look(look)
        self._supersample = supersample
        self._rays = camera_rays(width * supersample, supersample, pitch_deg)
        self._scene = open_scene(city, self.look, width * supersample >= FINE_WIDTH, folder)
        self._spare = threading.local()

    @property
    def scene(self) -> Scene:
        return self._scene

    @cached_property
    def _sky(self) -> np.ndarray:
        slopes = self._rays.slopes
        return paint_sky(self.look, len(self._rays.columns), slopes[: len(slopes) // 2])

    @cached_property
    def _rows(self) -> Rows:
        """Made, like the sky, for the first panorama: that is when numba is started."""
        return ground_rows(self._scene.ground, self._scene.air, self._rays, EYE_HEIGHT_M)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a panorama: (height, width, 3)."""
        height, width = len(self._rays.slopes), len(self._rays.columns)
        return height // self._supersample, width // self._supersample, 3

    def panorama(self, node: int) -> np.ndarray:
        """Equirectangular uint8 [H, W, 3]; column 0 begins at north, columns run clockwise.

        Raises ValueError for a node that does not exist.
        """
        canvas = self._draw(node)
        picture = cv2.transpose(canvas.color)  # [H, W, 3]
        if self.look.glow > 0:
            picture = with_glow(picture, canvas, self.look.glow)
        if self._supersample > 1:
            height, width, _ = self.shape
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        fall(picture, self.look.weather, zlib.crc32(f"{self.city.key}:{node}".encode()))
        return picture

    def sign_pixels(self, node: int) -> dict[int, int]:
        """How many pixels of the panorama each visible landmark's sign covers, by index."""
        owners = self._draw(node).owner
        counts = np.bincount(owners.ravel(), minlength=self.city.num_landmarks + 1)[1:]
        scale = self._supersample**2
        return {int(k): int(counts[k]) // scale for k in np.flatnonzero(counts)}

    def owners(self, node: int) -> np.ndarray:
        """The id buffer: uint16 [H', W'], 0 or 1 + a landmark's index, before averaging."""
        return np.ascontiguousarray(self._draw(node).owner.T)

    def _draw(self, node: int) -> Canvas:
        if not 0 <= node < self.city.num_nodes:
            raise ValueError(f"node must be 0 to {self.city.num_nodes - 1}; got {node}")
        eye = np.array([*self.city.node_xy[node].astype(np.float64), EYE_HEIGHT_M])
        scene, rays, canvas = self._scene, self._rays, self._canvas()
        order, distance = visible_quads(scene.quads, eye, FAR_M)
        draw_quads(order, distance, scene.quads, scene.textures, scene.air, rays, eye, canvas)
        draw_sky(self._sky, canvas)
        draw_ground(scene.ground, self._rows, scene.air, rays, eye, canvas)
        smooth_edges(canvas)
        draw_soft_quads(order, scene.quads, scene.textures, rays, eye, canvas)
        sprites = visible_sprites(scene.sprites, eye, FAR_SPRITES_M)
        draw_sprites(sprites, scene.sprites, scene.textures, scene.air, rays, eye, canvas)
        return canvas

    def _canvas(self) -> Canvas:
        """This thread's buffers, emptied."""
        canvas: Canvas | None = getattr(self._spare, "canvas", None)
        width, height = len(self._rays.columns), len(self._rays.slopes)
        padded = -(-height // WORD_ROWS) * WORD_ROWS
        if canvas is None:
            canvas = Canvas(
                np.empty((width, height, 3), np.uint8),
                np.empty((width, height), np.float32),
                np.empty((width, height), np.uint16),
                np.empty((width, height), np.uint8),
                np.empty((width, padded), np.uint8),
                np.empty((width, padded), np.uint8),
                np.empty(width, np.int32),
                np.empty(width, np.float32),
            )
            self._spare.canvas = canvas
        canvas.depth.fill(SKY_DEPTH_M)
        canvas.owner.fill(0)
        canvas.shine.fill(0)
        canvas.above.fill(0)
        canvas.below.fill(0)
        canvas.skyline.fill(height)
        canvas.skyline_r.fill(0)
        return canvas


def camera_rays(width: int, supersample: int, pitch_deg: float) -> Rays:
    """Directions of the pixel centres; as many rows above the horizon as below."""
    step = 2 * np.pi / width
    half = round(np.radians(pitch_deg) / step / supersample) * supersample
    azimuth = (np.arange(width) + 0.5) * step
    rows = (half - (np.arange(2 * half) + 0.5)) * step
    columns = np.stack([np.sin(azimuth), np.cos(azimuth)], axis=1)
    top = half * step
    steepest = float(np.tan(top))
    entries = (top - np.arctan(np.linspace(steepest, -steepest, width + 1))) / step
    return Rays(columns, np.tan(rows), step, top, entries, steepest, width / (2 * steepest))
