"""Houses of a city under a look: walls, ground floors, cornices, roofs, awnings."""

import numpy as np

from ..city.scene import City, LotKind, SignKind
from .board import Color, color_of, mix, scaled
from .buffers import CUTOUT, TWO_SIDED
from .config import LookConfig, Stock
from .facades import (
    BASE_M,
    BAYS,
    STOREY_M,
    STOREYS,
    paint_base,
    paint_blank,
    paint_storeys,
    style_of,
)
from .shops import SHOP_M, VARIANTS, paint_awning, paint_shop
from .surfaces import UP, Surfaces
from .textures import TexturePool

PITCHED = (Stock.panel, Stock.timber)
PARAPET_M = 0.6
CORNICE_OUT_M = 0.22
RISE_M = 3.4
AWNING_LOW_M, AWNING_HIGH_M, AWNING_OUT_M = 2.75, 3.28, 1.1
_OPEN_KINDS = (LotKind.shop, LotKind.office, LotKind.tower, LotKind.civic)
_LOW_KINDS = {LotKind.house: 3, LotKind.warehouse: 2}  # storeys at most, in every look


class Palette:
    """Texture ids of everything that houses of a look are made of."""

    def __init__(self, look: LookConfig, pool: TexturePool, size: int) -> None:
        self.walls = [color_of(text) for text in look.walls]
        seeds = np.random.SeedSequence(901).spawn(len(self.walls))
        self.storeys, self.base, self.blank, self.gable = [], [], [], []
        for k, (color, seed) in enumerate(zip(self.walls, seeds, strict=True)):
            draw = [int(x) for x in seed.generate_state(3)]
            self.storeys.append(pool.add(("storeys", k), paint_storeys(look, color, draw[0], size)))
            self.base.append(pool.add(("base", k), paint_base(look, color, draw[1], size)))
            blank = paint_blank(look, color, draw[2], size // 2)
            self.blank.append(pool.add(("blank", k), blank))
            if look.stock in PITCHED:
                self.gable.append(pool.add(("gable", k), _triangle(blank), cover=True))
        self.shops = [
            [
                pool.add(("shop", k, v), paint_shop(look, color_of(text), v, 31 * k + v, size))
                for v in range(VARIANTS)
            ]
            for k, text in enumerate(look.fronts)
        ]
        cream = (244.0, 240.0, 230.0)
        tones = [mix(color_of(text.split("/")[0]), cream, 0.1) for text in look.signs]
        dark = [tone for tone in tones if sum(tone) < 480] or tones
        self.awnings = [
            pool.add(("awning", k), paint_awning(tone, cream, size // 2), cover=True)
            for k, tone in enumerate(dark[:4])
        ]
        self.trim = pool.add("trim", _ledge(color_of(look.trim)))
        self.roofs = [
            pool.add(("roof", k), _tiles(color_of(text), look.snow, size // 2, k))
            for k, text in enumerate(look.roofs)
        ]


def lot_heights(city: City, look: LookConfig) -> tuple[np.ndarray, np.ndarray]:
    """Storeys and heights (m, to the parapet) of every lot under a look: [L], [L]."""
    storeys = np.rint(city.lot_storeys * look.storey_factor).astype(int)
    storeys = np.clip(storeys, look.min_storeys, look.max_storeys)
    for kind, most in _LOW_KINDS.items():
        low = city.lot_kind == kind
        storeys[low] = np.minimum(storeys[low], max(most, look.min_storeys // 2))
    storeys = np.where(city.lot_fixed, city.lot_storeys, storeys)
    heights = BASE_M + (storeys - 1) * STOREY_M + PARAPET_M
    return storeys, np.where(city.lot_fixed, city.lot_height, heights)


def add_buildings(city: City, look: LookConfig, palette: Palette, surfaces: Surfaces) -> None:
    """All houses."""
    storeys, heights = lot_heights(city, look)
    signed = _sign_kinds(city)
    for lot in range(city.num_lots):
        house = _House(city, look, palette, lot, int(storeys[lot]), float(heights[lot]))
        house.add_to(surfaces, signed.get(lot))


def _sign_kinds(city: City) -> dict[int, SignKind]:
    return {
        int(lot): SignKind(kind)
        for lot, kind in zip(city.landmark_lot, city.sign_kind, strict=True)
        if lot >= 0
    }


class _House:
    def __init__(
        self, city: City, look: LookConfig, palette: Palette, lot: int, storeys: int, height: float
    ) -> None:
        self.corners = city.lot_corners[lot].astype(np.float64)
        self.street = int(city.lot_street_sides[lot])
        self.kind = LotKind(city.lot_kind[lot])
        self.rng = np.random.default_rng(int(city.lot_seed[lot]))
        self.look, self.palette, self.height, self.storeys = look, palette, height, storeys
        self.wall = int(self.rng.integers(len(palette.walls)))
        self.front = int(self.rng.integers(len(palette.shops)))
        self.pitched = look.stock in PITCHED and not city.lot_fixed[lot] and storeys < 9

    def add_to(self, surfaces: Surfaces, sign: SignKind | None) -> None:
        top = self.height - PARAPET_M
        has_shop = sign not in (None, SignKind.monument) or self.kind in _OPEN_KINDS
        for side in range(4):
            a, b = self.corners[side], self.corners[(side + 1) % 4]
            length = float(np.linalg.norm(b - a))
            if length < 0.3:
                continue
            street = bool(self.street >> side & 1)
            if street and has_shop and length > 3.5:
                self._shop_floor(surfaces, a, b, length, sign)
            elif street or side == 2:
                self._plain_floor(surfaces, a, b, length)
            else:
                self._blank(surfaces, a, b, length, 0.0, BASE_M)
            if street or side == 2:
                self._upper_floors(surfaces, a, b, length, top)
                self._cornice(surfaces, a, b, top, sign is SignKind.rooftop)
            else:
                self._blank(surfaces, a, b, length, BASE_M, self.height)
        if self.pitched:
            self._roof(surfaces, top)

    def _shop_floor(
        self, surfaces: Surfaces, a: np.ndarray, b: np.ndarray, length: float,
        sign: SignKind | None,
    ) -> None:  # fmt: skip
        units = max(1, round(length / SHOP_M[0]))
        along = (b - a) / units
        for k in range(units):
            variant = int(self.rng.integers(VARIANTS))
            texture = self.palette.shops[self.front][variant]
            surfaces.wall(a + k * along, a + (k + 1) * along, 0.0, BASE_M, texture, shine=1.05)
        wants = self.rng.random() < 0.45
        if wants and self.kind is LotKind.shop and sign not in (SignKind.awning, SignKind.blade):
            self._awning(surfaces, a, b, length)

    def _awning(self, surfaces: Surfaces, a: np.ndarray, b: np.ndarray, length: float) -> None:
        along = (b - a) / length
        out = np.array([along[1], -along[0]])
        inset = 0.5
        start, wide = a + inset * along, length - 2 * inset
        low = start + AWNING_OUT_M * out
        corner = np.array([low[0], low[1], AWNING_LOW_M])
        slope = np.array([-AWNING_OUT_M * out[0], -AWNING_OUT_M * out[1],
                          AWNING_HIGH_M - AWNING_LOW_M])  # fmt: skip
        texture = self.palette.awnings[int(self.rng.integers(len(self.palette.awnings)))]
        stripes = max(1.0, round(wide / 8.0 * 5) / 5)
        span = wide * np.array([along[0], along[1], 0.0])
        surfaces.add(
            corner, span, slope, texture, uv=(0.0, stripes, 0.28, 0.7), flags=CUTOUT | TWO_SIDED,
            light=1.05,
        )  # fmt: skip
        surfaces.add(
            corner - 0.32 * UP, span, 0.32 * UP, texture, uv=(0.0, stripes, 0.0, 0.24),
            flags=CUTOUT | TWO_SIDED,
        )  # fmt: skip

    def _plain_floor(self, surfaces: Surfaces, a: np.ndarray, b: np.ndarray, length: float) -> None:
        axes = self._axes(length)
        start = int(self.rng.integers(BAYS)) / BAYS
        texture = self.palette.base[self.wall]
        surfaces.wall(a, b, 0.0, BASE_M, texture, uv=(start, axes / BAYS, 0.0, 1.0))

    def _upper_floors(
        self, surfaces: Surfaces, a: np.ndarray, b: np.ndarray, length: float, top: float
    ) -> None:
        if self.storeys < 2:
            return
        start = self.rng.integers(0, (BAYS, STOREYS)) / (BAYS, STOREYS)
        uv = (float(start[0]), self._axes(length) / BAYS, float(start[1]),
              (self.storeys - 1) / STOREYS)  # fmt: skip
        surfaces.wall(a, b, BASE_M, top, self.palette.storeys[self.wall], uv=uv)

    def _blank(
        self, surfaces: Surfaces, a: np.ndarray, b: np.ndarray, length: float, low: float,
        high: float,
    ) -> None:  # fmt: skip
        uv = (0.0, length / 8.0, low / 8.0, (high - low) / 8.0)
        surfaces.wall(a, b, low, high, self.palette.blank[self.wall], uv=uv, light=0.94)

    def _cornice(
        self, surfaces: Surfaces, a: np.ndarray, b: np.ndarray, top: float, flush: bool
    ) -> None:
        """A ledge in front of the parapet, with a dark edge under it; eaves on pitched roofs."""
        along = (b - a) / np.linalg.norm(b - a)
        out = np.array([along[1], -along[0]]) * (0.02 if flush else CORNICE_OUT_M)
        tall = style_of(self.look.stock).cornice_m
        low = top - 0.35 if tall > 0.4 else top - 0.1
        high = top + 0.12 if self.pitched else top + PARAPET_M
        surfaces.wall(a + out, b + out, low, high, self.palette.trim, uv=(0.0, 1.0, 0.0, 1.0))
        if not self.pitched:
            inner = self.palette.blank[self.wall]
            uv = (0.0, 1.0, 0.0, (high - top) / 8.0)
            surfaces.wall(a, b, top, high, inner, uv=uv)

    def _roof(self, surfaces: Surfaces, top: float) -> None:
        """Two slopes and two gables; the ridge runs along the street or across to it."""
        a, b, c, d = self.corners
        if np.linalg.norm(c - d) < 1.0:
            return
        width, depth = np.linalg.norm(b - a), np.linalg.norm(d - a)
        across = (
            self.look.stock is Stock.timber and width < depth * 1.15 and self.rng.random() < 0.7
        )
        if across:
            a, b, c, d = b, c, d, a
        rise = min(RISE_M + (0.8 if across else 0.0), 0.75 * float(np.linalg.norm(d - a)))
        texture = self.palette.roofs[int(self.rng.integers(len(self.palette.roofs)))]
        for first, second, third, fourth in ((a, b, c, d), (c, d, a, b)):
            inward = ((fourth - first) + (third - second)) / 4
            eave = 0.4 * inward / np.linalg.norm(inward)
            slope = np.array([*(inward + eave), rise * 1.08])
            corner = np.array([*(first - eave), top + 0.1 - 0.08 * rise])
            span = np.array([*(second - first), 0.0])
            repeats = float(np.linalg.norm(span)) / 6.0
            surfaces.add(corner, span, slope, texture, uv=(0.0, repeats, 0.0, 1.0), flags=TWO_SIDED)
            gable = np.array([*(third - second), 0.0])
            foot = np.array([*second, top])
            surfaces.add(foot, gable, rise * UP, self.palette.gable[self.wall], flags=CUTOUT)

    def _axes(self, length: float) -> int:
        return max(1, round(length / style_of(self.look.stock).bay_m))


def _triangle(blank: np.ndarray) -> np.ndarray:
    """A gable cut out of a wall, coverage in alpha, with a small window."""
    height, width = blank.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    inside = np.abs((x + 0.5) / width - 0.5) * 2 < (y + 0.5) / height
    pixels = blank.copy()
    window = (np.abs(x / width - 0.5) < 0.05) & (np.abs(y / height - 0.62) < 0.11)
    frame = (np.abs(x / width - 0.5) < 0.065) & (np.abs(y / height - 0.62) < 0.13)
    pixels[frame, :3] = pixels[frame, :3] // 2
    pixels[window, :3] = (52, 60, 74)
    edge = np.abs((x + 0.5) / width - 0.5) * 2 > (y + 0.5) / height - 0.05
    pixels[edge, :3] = (pixels[edge, :3] * 0.55).astype(np.uint8)
    pixels[..., 3] = np.where(inside, 255, 0)
    return pixels


def _ledge(color: Color) -> np.ndarray:
    """A cornice in profile: light above, shade in its hollows: uint8 [32, 16, 4]."""
    tone = np.array([1.1, 1.08, 1.0, 0.98, 0.62, 0.9, 0.92, 0.94, 0.9, 0.6, 0.8, 0.82, 0.8, 0.5,
                     0.42, 0.4])  # fmt: skip
    pixels = np.zeros((32, 16, 4), np.uint8)
    rows = np.array([scaled(color, factor) for factor in tone]).repeat(2, axis=0)
    pixels[..., :3] = np.rint(rows)[:, None]
    return pixels


def _tiles(color: Color, snow: bool, size: int, seed: int) -> np.ndarray:
    """Rows of roof tiles, 6 m x one slope; under snow a smooth white: uint8 [size, size, 4]."""
    rng = np.random.default_rng(501 + seed)
    y, x = np.mgrid[0:size, 0:size]
    rows, columns = 16, 20
    row = y * rows // size
    column = ((x / size * columns + 0.5 * (row % 2)) % columns).astype(int)
    tone = 1 + (0.02 if snow else 0.10) * rng.normal(size=(rows, columns))
    light = tone[row, column]
    if not snow:
        light = light * (1 - 0.34 * ((y * rows % size) / size > 0.8))
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[..., :3] = np.clip(np.array(color) * light[..., None], 0, 255)
    return pixels
