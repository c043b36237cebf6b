"""What stands in the streets under a look: landmark signs, name plates, furniture and cars."""

import numpy as np

from ..city.geometry import length_of
from ..city.scene import City, FurnitureKind, SignKind
from .board import color_of, scaled
from .buffers import ADDED, CUTOUT, SOFT, TWO_SIDED, Sprites
from .cars import MODELS, WAIST_M, Model, build_car, paint_flank, paint_panel, paint_shadow
from .config import LookConfig, SignStyle, Tree
from .foliage import TREE_M, paint_bush, paint_tree
from .props import (
    BENCH_M,
    BOX_M,
    FOUNTAIN_M,
    LAMP_M,
    SIGNAL_M,
    paint_bench,
    paint_box,
    paint_fountain,
    paint_halo,
    paint_lamp,
    paint_signal,
)
from .signs import PLATE_M, paint_plate, paint_sign
from .surfaces import UP, WHOLE, Surfaces
from .textures import TexturePool

TREE_VARIANTS = 3
CAR_NEAR_M = 6.8  # cars closer to the camera are left out: wide angles distort them
CROSSING_FREE_M = 4.4  # along the street, from the middle of a zebra crossing to that of a car
PLATE_LOW_M = 3.35
_TWO_SIDED_SIGNS = (SignKind.blade, SignKind.monument)


def add_signs(
    city: City, look: LookConfig, pool: TexturePool, surfaces: Surfaces, px_per_m: float
) -> None:
    """Landmark signs, their brackets and posts."""
    shine = 1.15 if look.sign_style is SignStyle.tube else 1.0
    metal = pool.add("metal", np.full((4, 4, 4), (58, 60, 66, 0), np.uint8))
    for index, name in enumerate(city.landmark_names):
        corner, u, v = (
            part[index].astype(np.float64) for part in (city.sign_p0, city.sign_u, city.sign_v)
        )
        width, height = float(np.linalg.norm(u)), float(np.linalg.norm(v))
        picture = paint_sign(look, name, width, height, index, px_per_m)
        texture = pool.add(("sign", index), picture)
        kind = SignKind(city.sign_kind[index])
        surfaces.add(corner, u, v, texture, shine=shine, owner=index + 1)
        out = np.cross(u, v)
        out /= np.linalg.norm(out)
        if kind in _TWO_SIDED_SIGNS:
            surfaces.add(corner + u - 0.12 * out, -u, v, texture, shine=shine, owner=index + 1)
        _add_frame(surfaces, corner, u, v, out, metal, kind)


def add_name_plates(city: City, pool: TexturePool, surfaces: Surfaces, px_per_m: float) -> None:
    """Street names over the traffic lights, facing the traffic that crosses."""
    plates: dict[int, int] = {}
    signals = np.flatnonzero(city.furniture_kind == FurnitureKind.signal)
    for index in signals:
        xy = city.furniture_xy[index].astype(np.float64)
        own = np.radians(float(city.furniture_heading[index]))
        ahead = np.array([np.sin(own), np.cos(own), 0.0])
        street = _street_across(city, xy, float(city.furniture_heading[index]))
        if street < 0:
            continue
        if street not in plates:
            picture = paint_plate(city.street_names[street], px_per_m)
            plates[street] = pool.add(("plate", street), picture)
        right = np.array([ahead[1], -ahead[0], 0.0])
        foot = np.array([xy[0], xy[1], PLATE_LOW_M + 0.85]) - 0.35 * right
        u = -PLATE_M[0] * right
        surfaces.add(foot + u, -u, PLATE_M[1] * UP, plates[street], flags=0, light=1.1)
        surfaces.add(foot, u, PLATE_M[1] * UP, plates[street], flags=0, light=1.1)


def add_cars(
    city: City, look: LookConfig, pool: TexturePool, surfaces: Surfaces, size: int
) -> None:
    """Parked cars; those next to the camera are not drawn."""
    shapes = list(dict.fromkeys(MODELS))
    textures = _paint_cars(look, shapes, pool, size)
    for index in _parked(city):
        seed = int(city.furniture_seed[index])
        model, paint = MODELS[seed % len(MODELS)], (seed // 16) % len(look.cars)
        xy = city.furniture_xy[index].astype(np.float64)
        anchor = (float(xy[0]), float(xy[1]), CAR_NEAR_M)
        waist = WAIST_M / max(z for _, z in model.profile)
        for part in build_car(model, xy, float(city.furniture_heading[index])):
            uv, flags = _car_uv(part.texture, waist), CUTOUT
            key: object
            if part.texture == "shadow":
                key, flags = "car shadow", SOFT | TWO_SIDED
            elif part.texture.startswith("flank"):
                key = ("flank", shapes.index(model), paint)
            else:
                key = ("panel", paint, part.texture.removeprefix("rear_"))
                flags = CUTOUT if part.texture.endswith("window") else 0
            surfaces.add(
                part.corner, part.u, part.v, textures[key], uv=uv, flags=flags, light=part.light,
                anchor=anchor,
            )  # fmt: skip


def _parked(city: City) -> np.ndarray:
    """Indices of the cars, but for those on a zebra crossing or its stop line."""
    cars = np.flatnonzero(city.furniture_kind == FurnitureKind.car)
    gap = city.furniture_xy[cars][:, None].astype(np.float64) - city.crossings[None, :, :2]
    turn = np.radians(city.crossings[:, 2].astype(np.float64))
    ahead = gap[..., 0] * np.sin(turn) + gap[..., 1] * np.cos(turn)
    aside = gap[..., 0] * np.cos(turn) - gap[..., 1] * np.sin(turn)
    on_it = (np.abs(ahead) < CROSSING_FREE_M) & (np.abs(aside) < city.crossings[:, 3] / 2 + 1.0)
    return cars[~on_it.any(axis=1)]


def _paint_cars(
    look: LookConfig, shapes: list[Model], pool: TexturePool, size: int
) -> dict[object, int]:
    textures: dict[object, int] = {}
    for paint, text in enumerate(look.cars):
        for shape, model in enumerate(shapes):
            key = ("flank", shape, paint)
            textures[key] = pool.add(key, paint_flank(model, color_of(text), size), cover=True)
        for kind in ("body", "window", "front", "rear"):
            picture = paint_panel(color_of(text), kind, max(16, size // 4))
            textures["panel", paint, kind] = pool.add(
                ("panel", paint, kind), picture, cover=kind == "window"
            )
    textures["car shadow"] = pool.add("car shadow", paint_shadow(64), cover=True)
    return textures


def _car_uv(texture: str, waist: float) -> tuple[float, float, float, float]:
    """A flank's picture has its nose on the right, as the right flank; the left one mirrors it."""
    if texture == "rear_window":
        return 0.0, 1.0, 1.0, -1.0
    if not texture.startswith("flank"):
        return WHOLE
    v0, dv = (0.0, waist) if texture.endswith("low") else (waist, 1.0 - waist)
    return (1.0, -1.0, v0, dv) if "left" in texture else (0.0, 1.0, v0, dv)


def furniture_sprites(city: City, look: LookConfig, pool: TexturePool, size: int) -> Sprites:
    """Trees, lamps, lights and the small things."""
    collected = _Sprites()
    night = look.lamps > 0
    trees = [
        pool.add(("tree", k), paint_tree(look.tree, 61 + k, size, look.snow), cover=True)
        for k in range(TREE_VARIANTS)
    ]
    small = size // 4
    pictures = {
        FurnitureKind.lamp: (pool.add("lamp", paint_lamp(size, night), cover=True), LAMP_M),
        FurnitureKind.bench: (pool.add("bench", paint_bench(small), cover=True), BENCH_M),
        FurnitureKind.fountain: (
            pool.add("fountain", paint_fountain(size), cover=True),
            FOUNTAIN_M,
        ),
        FurnitureKind.planter: (
            pool.add("planter", paint_bush(_shrub(look), 4, small), cover=True),
            (1.4, 1.4),
        ),
    }
    for kind, name in (
        (FurnitureKind.mailbox, "mailbox"), (FurnitureKind.hydrant, "hydrant"),
        (FurnitureKind.bin, "bin"),
    ):  # fmt: skip
        pictures[kind] = pool.add(name, paint_box(small, name), cover=True), BOX_M
    lights = [pool.add(("signal", go), paint_signal(size, go), cover=True) for go in (False, True)]
    for index, kind in enumerate(city.furniture_kind.tolist()):
        xy, seed = city.furniture_xy[index], int(city.furniture_seed[index])
        if kind == FurnitureKind.tree:
            factor = 0.88 + 0.2 * ((seed >> 8) % 256) / 255
            extent = (TREE_M * factor, TREE_M * factor)
            collected.add(xy, extent, trees[seed % TREE_VARIANTS], near=2.6)
        elif kind == FurnitureKind.signal:
            go = int(city.furniture_heading[index] // 90) % 2
            collected.add(xy, SIGNAL_M, lights[go], near=1.5)
        elif kind in pictures:
            texture, extent = pictures[FurnitureKind(kind)]
            collected.add(xy, extent, texture, near=1.5)
    if night:
        halo = pool.add("halo", paint_halo((255.0, 206.0, 128.0), 64), cover=True)
        for xy in city.furniture_xy[city.furniture_kind == FurnitureKind.lamp]:
            collected.add(xy, (2.6, 2.6), halo, low=3.2, light=0.55, flags=ADDED, near=1.5)
    return collected.lit(look)


class _Sprites:
    def __init__(self) -> None:
        self._rows: list[tuple[float, ...]] = []
        self._textures: list[tuple[int, int]] = []

    def add(
        self, xy: np.ndarray, extent: tuple[float, float], texture: int, *, near: float,
        low: float = 0.0, light: float = 1.0, flags: int = 0,
    ) -> None:  # fmt: skip
        self._rows.append((float(xy[0]), float(xy[1]), low, *extent, light, near))
        self._textures.append((texture, flags))

    def lit(self, look: LookConfig) -> Sprites:
        rows = np.array(self._rows, np.float32).reshape(-1, 7)
        textures = np.array(self._textures, np.int32).reshape(-1, 2)
        sky = np.array(color_of(look.sky_color)) / 255.0 * look.sky
        sun = np.array(color_of(look.sun_color)) / 255.0 * look.sun
        light = rows[:, 5:6] * (sky + 0.55 * sun)
        added = textures[:, 1] == ADDED
        light[added] = rows[added, 5:6]
        return Sprites(
            rows[:, :3].copy(), rows[:, 3:5].copy(), textures[:, 0].copy(), textures[:, 1].copy(),
            light.astype(np.float32), rows[:, 6].copy(),
        )  # fmt: skip


def _shrub(look: LookConfig) -> tuple[float, float, float]:
    if look.snow:
        return (214.0, 222.0, 228.0)
    if look.tree is Tree.autumn:
        return (196.0, 112.0, 44.0)
    return scaled(color_of(look.lawn), 0.9)


def _add_frame(
    surfaces: Surfaces, corner: np.ndarray, u: np.ndarray, v: np.ndarray, out: np.ndarray,
    metal: int, kind: SignKind,
) -> None:  # fmt: skip
    """Edges of a board, and what holds it up."""
    thick = 0.12
    side = u / np.linalg.norm(u)
    for end, turn in ((corner, -1.0), (corner + u, 1.0)):
        back = end - thick * out
        start, along = (back, thick * out) if turn < 0 else (end, -thick * out)
        surfaces.add(start, along, v, metal)
    surfaces.add(corner - thick * out, u, thick * out, metal, flags=TWO_SIDED, light=0.5)
    surfaces.add(corner + v, u, -thick * out, metal, flags=TWO_SIDED, light=1.1)
    if kind is SignKind.monument:
        for share in (0.06, 0.94):
            foot = corner + share * u - 0.06 * side - 0.06 * out
            foot[2] = 0.0
            for a, b in ((0.12 * side, 0.0), (-0.12 * side, 1.0)):
                start = foot + (0.12 * side if b else 0.0) - 0.02 * b * out
                surfaces.add(start, a, corner[2] * UP, metal, flags=TWO_SIDED)
    if kind is SignKind.blade:
        for height in (0.12, float(v[2]) - 0.12):
            start = corner - 0.3 * side + height * UP - 0.06 * out
            surfaces.add(start, 0.3 * side, 0.06 * UP, metal, flags=TWO_SIDED)
    if kind is SignKind.awning:  # the cloth behind the upright front
        top = corner + v
        back = -1.1 * out + np.array([0.0, 0.0, 0.45])
        surfaces.add(top, u, back, metal, flags=TWO_SIDED, light=1.2)


def _street_across(city: City, xy: np.ndarray, heading: float) -> int:
    """The street that is crossed at a traffic light: the nearest that runs across, or -1."""
    own = np.radians(heading)
    ahead = np.array([np.sin(own), np.cos(own)])
    gaps = length_of(city.lines.points - xy)
    closest = np.minimum.reduceat(gaps, city.lines.starts[:-1])
    best, nearest = -1, 14.0
    for index in np.flatnonzero(closest < nearest).tolist():
        first, last = city.lines.starts[index : index + 2].tolist()
        k, line = int(gaps[first:last].argmin()), city.lines[index]
        if closest[index] >= nearest:
            continue
        a, b = line[max(0, k - 1)], line[min(len(line) - 1, k + 1)]
        along = (b - a) / max(float(np.linalg.norm(b - a)), 1e-6)
        if abs(float(along @ ahead)) < 0.6:
            best, nearest = int(city.line_street[index]), float(closest[index])
    return best
