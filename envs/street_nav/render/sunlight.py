"""Where shadows fall: the height up to which every place of a city lies in the shade of houses."""

from dataclasses import dataclass

import cv2
import numpy as np

from ..city.scene import City
from .config import LookConfig

SCALE = 2.0  # texels per metre
STEP_M = 1.0
MAX_REACH_M = 60.0
NO_SHADOW_M = -100.0
_SHIFT = 4


@dataclass(frozen=True, slots=True)
class Sunlight:
    """The sun and the shade of houses.

    towards: unit vector to the sun (east, north, up).
    height: float32 [h, w], metres up to which a place is in shade; row 0 is the southern edge.
    origin: west and south edge of the raster in metres.
    """

    towards: np.ndarray
    height: np.ndarray
    origin: np.ndarray

    def shade_at(self, xy: np.ndarray) -> np.ndarray:
        """Heights of the shade at places [..., 2] (nearest texel)."""
        cell = np.floor((xy - self.origin) * SCALE).astype(int)
        column = np.clip(cell[..., 0], 0, self.height.shape[1] - 1)
        row = np.clip(cell[..., 1], 0, self.height.shape[0] - 1)
        return self.height[row, column]


def cast_shadows(city: City, look: LookConfig, lot_height: np.ndarray) -> Sunlight:
    """Shadows of lots of the given heights [L] (metres)."""
    azimuth, elevation = np.radians(look.sun_azimuth), np.radians(look.sun_elevation)
    flat = np.cos(elevation)
    towards = np.array([np.sin(azimuth) * flat, np.cos(azimuth) * flat, np.sin(elevation)])
    west, south, east, north = city.extent.tolist()
    shape = int(np.ceil((north - south) * SCALE)), int(np.ceil((east - west) * SCALE))
    origin = np.array([west, south])
    if look.sun == 0:
        return Sunlight(towards, np.full(shape, NO_SHADOW_M, np.float32), origin)
    houses = fill_lots(city, lot_height, shape, origin)
    shade = np.full(shape, NO_SHADOW_M, np.float32)
    fall = float(np.tan(elevation))
    reach = min(MAX_REACH_M, float(lot_height.max()) / fall)
    for step in range(1, int(reach / STEP_M) + 1):
        away = step * STEP_M
        moved = np.array(
            [[1, 0, -away * towards[0] / flat * SCALE], [0, 1, -away * towards[1] / flat * SCALE]]
        )
        shifted = cv2.warpAffine(houses, moved, shape[::-1], flags=cv2.INTER_LINEAR)
        np.maximum(shade, np.where(shifted > 0.5, shifted - away * fall, NO_SHADOW_M), out=shade)
    return Sunlight(towards, shade, origin)


def fill_lots(
    city: City, values: np.ndarray, shape: tuple[int, int], origin: np.ndarray
) -> np.ndarray:
    """A raster of a value per lot, float32 `shape`, 0 where there is no house."""
    raster = np.zeros(shape, np.float32)
    for corners, value in zip(city.lot_corners, values, strict=True):
        points = np.rint(((corners - origin) * SCALE - 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(raster, [points], float(value), cv2.LINE_8, _SHIFT)
    return raster
