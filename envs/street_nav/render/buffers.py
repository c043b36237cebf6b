"""The arrays that the compiled kernels read and write, grouped by what they describe.

Named tuples, because numba reads them as they are. Lengths are metres, colours are display values
(0 to 255 in textures, factors elsewhere).
"""

from typing import NamedTuple

import numpy as np

# Flags of a quad.
VERTICAL = 1  # V is vertical: the fast path
TWO_SIDED = 2  # drawn from behind too
CUTOUT = 4  # alpha is coverage; otherwise alpha is how much the texel shines by itself
SOFT = 8  # multiplies the ground: shadows, covers, leaves
# Flags of a sprite.
ADDED = 1  # light: added, not blended

MAX_LEVELS = 12
SHADOW_SAMPLES = 9
EDGE_ZERO, EDGE_STEPS_PER_M = 128, 100.0  # of distances to the kerb, in bytes
HEIGHT_STEPS, STEPS_PER_M = 64, 4  # of the tables by height above the pavement
FOG_STEPS, FOG_STEP_M = 512, 1.0


class Textures(NamedTuple):
    """Every texture with its smaller versions, column by column, v upwards."""

    texels: np.ndarray  # uint32 [total], R | G << 8 | B << 16 | A << 24
    offsets: np.ndarray  # int64 [T, MAX_LEVELS], of each level
    sizes: np.ndarray  # int32 [T, 3]: log2 width, log2 height, levels


class Quads(NamedTuple):
    """Parallelograms p0 + a U + b V, a and b in [0, 1]; U x V points to the side that is seen."""

    corner: np.ndarray  # float32 [N, 3]
    u: np.ndarray  # float32 [N, 3]
    v: np.ndarray  # float32 [N, 3]
    uv: np.ndarray  # float32 [N, 4]: texture coordinates u0 + a du, v0 + b dv as (u0, du, v0, dv)
    texture: np.ndarray  # int32 [N]
    flags: np.ndarray  # int32 [N]
    lit: np.ndarray  # float32 [N, 3], light in the sun
    dim: np.ndarray  # float32 [N, 3], light in the shade
    shine: np.ndarray  # float32 [N], brightness of texels that shine by themselves
    shadow: np.ndarray  # float32 [N, SHADOW_SAMPLES], height up to which it lies in shade, along U
    owner: np.ndarray  # int32 [N], what the id buffer holds: 0, or 1 + the index of a landmark
    anchor: np.ndarray  # float32 [N, 3]: x, y, and not drawn with the camera within this distance


class Sprites(NamedTuple):
    """Upright pictures that always face the camera."""

    base: np.ndarray  # float32 [N, 3], middle of the lower edge
    size: np.ndarray  # float32 [N, 2], width and height
    texture: np.ndarray  # int32 [N]
    flags: np.ndarray  # int32 [N]
    light: np.ndarray  # float32 [N, 3]
    hide_within: np.ndarray  # float32 [N], not drawn closer to the camera than this


class Ground(NamedTuple):
    """What lies at height 0. Row 0 of every raster is the southern edge."""

    origin: np.ndarray  # float64 [2], west and south edge
    edge: np.ndarray  # uint8 [H, W]: metres to the kerb, positive on the roadway; see EDGE_ZERO
    edge_scale: float  # texels per metre
    marks_at: np.ndarray  # int32 [rows, columns]: which tile of paint lies there, or -1
    marks: np.ndarray  # uint8 [tiles, total]: coverage, level after level, a rim of 1 around each
    marks_side: int  # texels of a tile's first level, without the rim
    marks_levels: int
    marks_scale: float  # texels per metre of the first level
    coarse: np.ndarray  # uint32 [h, w]: shadow | lawn << 8 | yellow paint << 16 | lamps << 24
    coarse_scale: float
    far: np.ndarray  # uint32 [total], colours seen from afar, smaller and smaller
    far_offsets: np.ndarray  # int64 [levels]
    far_sizes: np.ndarray  # int32 [levels, 2]: height, width
    far_scale: float  # texels per metre of level 0
    tiles: np.ndarray  # uint32 [3, total]: road, paving, lawn; smaller and smaller, repeating
    tile_px: int  # side of their first level, a power of two
    tile_scale: float  # texels per metre of their first level
    kerb: np.ndarray  # float32 [3] colour
    gutter: np.ndarray  # float32 [3] colour of the strip along the kerb
    gutter_m: float  # its width
    gutter_soft_m: float  # how far its edge wanders; 0 is straight
    paint: np.ndarray  # float32 [2, 3]: white, yellow
    wet: float  # 0 dry to 1


class Air(NamedTuple):
    """Light that is the same everywhere."""

    sun: np.ndarray  # float32 [3], light of the ground in the sun
    shade: np.ndarray  # float32 [3], light of the ground in the shade
    lamp: np.ndarray  # float32 [3], light that street lamps add
    fog: np.ndarray  # float32 [3], colour
    fog_share: np.ndarray  # float32 [FOG_STEPS], by distance
    by_height: np.ndarray  # float32 [HEIGHT_STEPS, 4]: factor, then light added


class Rays(NamedTuple):
    """Directions of the columns and rows of a panorama."""

    columns: np.ndarray  # float64 [W, 2], unit vectors (east, north)
    slopes: np.ndarray  # float64 [H], tangent of the elevation
    step: float  # radians of a row and of a column
    top: float  # elevation of the upper edge, radians
    rows: np.ndarray  # float64 [W + 1], rows of slopes from the upper edge to the lower, evenly
    steepest: float  # slope of the upper edge
    per_slope: float  # entries of `rows` per unit of slope


class Canvas(NamedTuple):
    """A panorama being drawn, column by column."""

    color: np.ndarray  # uint8 [W, H, 3]
    depth: np.ndarray  # float32 [W, H], metres in the plane
    owner: np.ndarray  # uint16 [W, H]
    shine: np.ndarray  # uint8 [W, H], how much it shines by itself
    above: np.ndarray  # uint8 [W, H + pad], coverage by the upper edge of what is one row below
    below: np.ndarray  # uint8 [W, H + pad], coverage by the lower edge of what is one row above
    skyline: np.ndarray  # int32 [W], first row covered down to the pavement
    skyline_r: np.ndarray  # float32 [W], farthest distance of what covers it
