"""The ground of a city: kerbs, paint, lawns and shadows as rasters, and tiles for their grain."""

import cv2
import numpy as np

from ..city.scene import BlockKind, City, FurnitureKind, StreetClass
from .board import Color, clouds, color_of, mix, scaled
from .buffers import EDGE_STEPS_PER_M, EDGE_ZERO, Ground
from .compiled import kernel
from .config import LookConfig, Tree
from .kerbs import EDGE_SCALE, kerb_distance
from .markings import LEVELS, SCALE, SIDE, TILE_M, ZEBRA_M, axes, coverage, paint_roads, rectangle
from .paving import TILE_M as GRAIN_M
from .paving import TILE_PX, lawn_tile, paving_tile, road_tile
from .sunlight import SCALE as COARSE_SCALE
from .sunlight import Sunlight, fill_lots

GUTTER_M = 0.42
LAMP_POOL_M = 2.8
_SHIFT = 4


class _Raster:
    """uint8 coverage in city coordinates, row 0 at the southern edge."""

    def __init__(self, city: City, scale: float) -> None:
        west, south, east, north = city.extent.tolist()
        self.scale, self.origin = scale, np.array([west, south])
        height, width = int(np.ceil((north - south) * scale)), int(np.ceil((east - west) * scale))
        self.pixels = np.zeros((height, width), np.uint8)

    def fill(self, polygon: np.ndarray, value: int) -> None:
        cv2.fillPoly(self.pixels, [self._fixed(polygon)], value, cv2.LINE_AA, _SHIFT)

    def stroke(self, points: np.ndarray, width_m: float, value: int) -> None:
        """A line as a row of quadrilaterals, so that its width is exact."""
        if len(points) < 2:
            return
        along = np.gradient(points, axis=0)
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        self.ribbon(points, np.stack([-along[:, 1], along[:, 0]], axis=1) * width_m / 2, value)

    def ribbon(self, points: np.ndarray, side: np.ndarray, value: int = 255) -> None:
        """What lies between points + side and points - side."""
        self.fill(np.concatenate([points + side, (points - side)[::-1]]), value)

    def disc(self, xy: np.ndarray, radius_m: float, value: int) -> None:
        centre = np.rint(((xy - self.origin) * self.scale - 0.5) * (1 << _SHIFT)).astype(int)
        radius = round(radius_m * self.scale * (1 << _SHIFT))
        middle = int(centre[0]), int(centre[1])
        cv2.circle(self.pixels, middle, radius, value, -1, cv2.LINE_AA, _SHIFT)

    def _fixed(self, polygon: np.ndarray) -> np.ndarray:
        place = (polygon - self.origin) * self.scale - 0.5
        return np.rint(place * (1 << _SHIFT)).astype(np.int32)


def build_ground(city: City, look: LookConfig, sunlight: Sunlight) -> Ground:
    """Everything at height 0 under a look."""
    west, south, east, north = city.extent.tolist()
    edge = kerb_distance(city)
    rows, columns = (int(np.ceil(span / TILE_M)) for span in (north - south, east - west))
    marks_at, marks = paint_roads(city).packed(rows, columns)
    coarse = _coarse(city, look, sunlight)
    tiles = [road_tile(look), paving_tile(look), lawn_tile(look)]
    paint = np.array([_worn((236.0, 238.0, 236.0), look), _worn(color_of(look.stripes), look)])
    inked = coverage(marks_at, marks, *coarse.shape[:2])
    far, offsets, sizes = _far(edge, inked, coarse, tiles, paint.astype(np.float32))
    return Ground(
        origin=np.array([west, south], np.float64),
        edge=edge,
        edge_scale=EDGE_SCALE,
        marks_at=marks_at,
        marks=marks,
        marks_side=SIDE,
        marks_levels=LEVELS,
        marks_scale=SCALE,
        coarse=np.ascontiguousarray(coarse).view(np.uint32)[..., 0],
        coarse_scale=COARSE_SCALE,
        far=far,
        far_offsets=offsets,
        far_sizes=sizes,
        far_scale=COARSE_SCALE,
        tiles=np.stack([_packed(_halved(tile)) for tile in tiles]),
        tile_px=TILE_PX,
        tile_scale=TILE_PX / GRAIN_M,
        kerb=np.array(scaled(color_of(look.paving), 1.12), np.float32),
        gutter=np.array(_gutter(look), np.float32),
        gutter_m=0.55 if look.snow else GUTTER_M,
        gutter_soft_m=0.5 if look.snow else 0.0,
        paint=paint.astype(np.float32),
        wet=look.wet,
    )


def color_map(ground: Ground, light: bool = True) -> np.ndarray:
    """The ground seen from above at the far raster's finest level, north up: uint8 [h, w, 3]."""
    height, width = ground.far_sizes[0]
    texels = ground.far[: height * width].reshape(height, width, 1)
    colors = texels.view(np.uint8)[..., :3]
    if light:
        shade = (ground.coarse[..., None] & 255).astype(np.float32) / 255.0
        colors = (colors * (1.0 - 0.38 * shade)).astype(np.uint8)
    return np.ascontiguousarray(colors[::-1])


def _coarse(city: City, look: LookConfig, sunlight: Sunlight) -> np.ndarray:
    """Shadow, lawn, yellow paint and glow of lamps: uint8 [h, w, 4]."""
    height, width = sunlight.height.shape
    houses = fill_lots(city, np.ones(city.num_lots), (height, width), sunlight.origin)
    shade = np.clip(sunlight.height / 0.5, 0.0, 1.0)
    near_walls = cv2.GaussianBlur(houses, (0, 0), 2.2)
    shade = np.maximum(shade, 0.62 * np.clip(1.7 * near_walls, 0, 1) * (1 - houses))
    trees = _tree_shadows(city, look, sunlight)
    shade = cv2.GaussianBlur(shade.astype(np.float32), (0, 0), 0.8)
    shade = 1 - (1 - shade) * (1 - trees)
    noise = clouds(np.random.default_rng(41), height, width, 24)
    shade = np.clip(shade * 0.94 + 0.03 + 0.035 * noise, 0, 1)
    lamps = np.zeros((height, width), np.float32)
    if look.lamps > 0:
        for xy in city.furniture_xy[city.furniture_kind == FurnitureKind.lamp]:
            column, row = ((xy - sunlight.origin) * COARSE_SCALE).astype(int)
            lamps[min(max(row, 0), height - 1), min(max(column, 0), width - 1)] = 1.0
        sigma = LAMP_POOL_M * COARSE_SCALE
        lamps = cv2.GaussianBlur(lamps, (0, 0), sigma)
        lamps = np.clip(lamps * (2 * np.pi * sigma**2), 0, 1)
    layers = [shade * 255, _lawns(city), _yellow(city), lamps * 255]
    return np.stack([np.rint(layer).astype(np.uint8) for layer in layers], axis=2)


def _tree_shadows(city: City, look: LookConfig, sunlight: Sunlight) -> np.ndarray:
    raster = _Raster(city, COARSE_SCALE)
    flat = float(np.hypot(*sunlight.towards[:2]))
    fall = -sunlight.towards[:2] / flat / float(np.tan(np.radians(look.sun_elevation)))
    radius = 1.1 if look.tree in (Tree.palm, Tree.bare, Tree.cypress) else 1.9
    strength = 40  # sharper shadows are laid over it near the camera
    for xy in city.furniture_xy[city.furniture_kind == FurnitureKind.tree]:
        drop = fall * 3.6 if look.sun > 0 else np.zeros(2)
        raster.disc(xy + drop, radius, strength)
    return cv2.GaussianBlur(raster.pixels, (0, 0), 1.0).astype(np.float32) / 255.0


def _lawns(city: City) -> np.ndarray:
    raster = _Raster(city, COARSE_SCALE)
    for kind, line in zip(city.block_kind, city.building_lines, strict=True):
        if kind != BlockKind.plaza and len(line):
            raster.fill(line, 255)
    for corners in city.lot_corners:
        raster.fill(corners, 0)
    for path in city.paths:
        raster.stroke(path, 2.6, 0)
    for xy in city.furniture_xy[city.furniture_kind == FurnitureKind.fountain]:
        raster.disc(xy, 5.0, 0)
    return raster.pixels


def _yellow(city: City) -> np.ndarray:
    """Where paint has the colour of the stripes: along the middle of wide streets."""
    raster = _Raster(city, COARSE_SCALE)
    for line, street in zip(city.lines, city.line_street, strict=True):
        if city.street_class[street] >= StreetClass.avenue:
            raster.stroke(line, 2.4, 255)
    for x, y, heading, width in city.crossings:
        along, across = axes(float(heading))
        middle = np.array([x, y]) + 0.7 * along
        raster.fill(rectangle(middle, along, across, ZEBRA_M + 2.2, float(width)), 0)
    return raster.pixels


def _far(
    edge: np.ndarray,
    inked: np.ndarray,
    coarse: np.ndarray,
    tiles: list[np.ndarray],
    paint: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean colours at the coarse scale, and halves of it: texels, offsets, sizes."""
    height, width = coarse.shape[:2]
    metres = (np.arange(256, dtype=np.float32) - EDGE_ZERO) / EDGE_STEPS_PER_M  # of every byte
    roadway = cv2.LUT(edge, np.clip(metres * EDGE_SCALE + 0.5, 0.0, 1.0))
    street = cv2.resize(roadway, (width, height), interpolation=cv2.INTER_AREA)
    means = np.array([tile.reshape(-1, 3).mean(axis=0) for tile in tiles])
    levels = _halved(_colored(street, coarse, inked, means, paint), least=16)
    sizes = np.array([level.shape[:2] for level in levels], np.int32)
    offsets = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))[:-1]]).astype(np.int64)
    return _packed(levels), offsets, sizes


@kernel(allocates=True)
def _colored(
    street: np.ndarray, coarse: np.ndarray, inked: np.ndarray, means: np.ndarray, paint: np.ndarray
) -> np.ndarray:
    """Mean colours uint8 [h, w, 3] from shares of roadway, lawn and paint.

    means: of roadway, paving and lawn.
    """
    height, width = street.shape
    colors = np.empty((height, width, 3), np.uint8)
    for row in range(height):
        for column in range(width):
            green = coarse[row, column, 1] * (1.0 / 255.0)
            ink = min(1.0, 1.1 * inked[row, column])
            hue = 1 if coarse[row, column, 2] > 127 else 0
            for k in range(3):
                color = means[1, k] + green * (means[2, k] - means[1, k])
                color += street[row, column] * (means[0, k] - color)
                color += ink * (paint[hue, k] - color)
                colors[row, column, k] = np.uint8(min(255.0, max(0.0, color) + 0.5))
    return colors


def _halved(picture: np.ndarray, least: int = 1) -> list[np.ndarray]:
    """A picture and smaller versions of it, until a side is `least` pixels long."""
    levels = [picture]
    while min(levels[-1].shape[:2]) > least:
        size = levels[-1].shape[1] // 2, levels[-1].shape[0] // 2
        levels.append(cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA))
    return levels


def _packed(levels: list[np.ndarray]) -> np.ndarray:
    """uint8 [h, w, 3] each -> uint32 [total], R | G << 8 | B << 16."""
    pixels = np.concatenate([level.reshape(-1, 3) for level in levels])
    padded = np.concatenate([pixels, np.full((len(pixels), 1), 255, np.uint8)], axis=1)
    return padded.view(np.uint32)[:, 0]


def _gutter(look: LookConfig) -> Color:
    """What lies along the kerb: concrete, or the slush that the traffic leaves."""
    if look.snow:
        return mix(color_of(look.paving), color_of(look.asphalt), 0.35)
    return scaled(mix(color_of(look.paving), color_of(look.asphalt), 0.4), 0.86)


def _worn(color: Color, look: LookConfig) -> Color:
    return mix(color, color_of(look.asphalt), 0.15 if not look.snow else 0.35)
