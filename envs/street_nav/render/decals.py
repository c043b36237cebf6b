"""What lies on the ground: shadows of furniture and trees, covers, patches, cracks, fallen leaves.

Their textures multiply the ground (128 leaves a channel as it is, 255 doubles it), weighed by
alpha, so that they need no light of their own.
"""

import cv2
import numpy as np

from ..city.scene import City, FurnitureKind, StreetClass
from .board import Board, clouds
from .buffers import SOFT, TWO_SIDED
from .config import LookConfig, Stock, Tree
from .sunlight import Sunlight
from .surfaces import Surfaces
from .textures import TexturePool

SAME = 128.0
HEIGHT_M = 0.015
LAMP_TOP_M, CROWN_M, CROWN_RADIUS_M = 4.7, 3.5, 2.0
IN_SHADE_M = 0.3  # ground under a shadow of a house at least this high throws none
_BLOB_M = {
    FurnitureKind.tree: (1.5, 1.5), FurnitureKind.lamp: (0.9, 0.9),
    FurnitureKind.signal: (0.8, 0.8), FurnitureKind.bench: (2.3, 1.0),
    FurnitureKind.mailbox: (1.1, 0.9), FurnitureKind.hydrant: (0.8, 0.8),
    FurnitureKind.bin: (1.0, 1.0), FurnitureKind.planter: (1.6, 1.6),
    FurnitureKind.fountain: (5.6, 5.6),
}  # fmt: skip


def add_decals(
    city: City, look: LookConfig, sunlight: Sunlight, pool: TexturePool, surfaces: Surfaces
) -> None:
    """Places everything that lies flat on roadways and pavements."""
    _add_contacts(city, pool, surfaces)
    if look.sun > 0:
        _add_cast_shadows(city, look, sunlight, pool, surfaces)
    _add_wear(city, look, pool, surfaces)
    if look.tree is Tree.autumn:
        _add_leaves(city, pool, surfaces)


def _add_contacts(city: City, pool: TexturePool, surfaces: Surfaces) -> None:
    """The dark where something stands."""
    texture = pool.add("contact", _blob(32, 0.55), cover=True)
    for kind, xy, heading in zip(
        city.furniture_kind.tolist(), city.furniture_xy, city.furniture_heading, strict=True
    ):
        if kind in _BLOB_M:
            wide, deep = _BLOB_M[FurnitureKind(kind)]
            turn = np.radians(float(heading))
            across = np.array([np.cos(turn), -np.sin(turn)])
            _lay(surfaces, xy.astype(np.float64), across * wide, deep, texture)


def _add_cast_shadows(
    city: City, look: LookConfig, sunlight: Sunlight, pool: TexturePool, surfaces: Surfaces
) -> None:
    """Shadows of lamps and trees where the sun shines."""
    flat = float(np.hypot(*sunlight.towards[:2]))
    away = -sunlight.towards[:2] / flat
    fall = flat / float(sunlight.towards[2])  # metres of shadow for a metre of height
    sky, sun = look.sky * 0.94, look.sun * float(sunlight.towards[2]) ** 0.5
    dark = sun / (sun + sky)
    crown = _fronds(64, dark) if look.tree is Tree.palm else _dapple(128, 0.92 * dark)
    leaves = pool.add("crown shadow", crown, cover=True)
    pole = pool.add("pole shadow", _stripe(64, 0.9 * dark), cover=True)
    for kind, wide, top in (
        (FurnitureKind.lamp, 0.16, LAMP_TOP_M), (FurnitureKind.signal, 0.2, 4.1),
        (FurnitureKind.tree, 0.34, CROWN_M - 0.6),
    ):  # fmt: skip
        for xy in city.furniture_xy[city.furniture_kind == kind].astype(np.float64):
            if float(sunlight.shade_at(xy)) > IN_SHADE_M:
                continue
            _lay(surfaces, xy + away * top * fall / 2, away * top * fall, wide, pole)
            if kind is FurnitureKind.tree:
                long = 2 * CROWN_RADIUS_M * float(np.hypot(1.0, 0.8 * fall))
                middle = xy + away * CROWN_M * fall
                _lay(surfaces, middle, away * long, 2 * CROWN_RADIUS_M, leaves)


def _add_wear(city: City, look: LookConfig, pool: TexturePool, surfaces: Surfaces) -> None:
    """Covers and drains in every street; patches and cracks where there is asphalt."""
    rng = np.random.default_rng(77)
    cover = pool.add("manhole", _manhole(64), cover=True)
    kinds = [(cover, 0.78, 0.78)]
    if look.stock is not Stock.timber and not look.snow:
        kinds += [(pool.add(("patch", k), _patch(64, k), cover=True), 2.6, 1.5) for k in range(2)]
        kinds += [(pool.add(("crack", k), _crack(256, k), cover=True), 4.0, 2.2) for k in range(3)]
    for line, street in zip(city.lines, city.line_street.tolist(), strict=True):
        points = line.astype(np.float64)
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        at = np.concatenate([[0.0], np.cumsum(steps)])
        half = float(city.street_width[street]) / 2
        lane = half - 2.4 if city.street_class[street] >= StreetClass.street else half - 0.8
        for place in np.arange(rng.uniform(4.0, 14.0), at[-1] - 4.0, 9.0):
            place += rng.uniform(-2.5, 2.5)
            texture, long, wide = kinds[int(rng.integers(len(kinds)))]
            side, flip = rng.uniform(0.25, 0.9) * lane, rng.choice((-1.0, 1.0))
            ends = [
                np.array([np.interp(place + d, at, points[:, k]) for k in (0, 1)])
                for d in (-0.5, 0.5)
            ]
            along = (ends[1] - ends[0]) / max(float(np.linalg.norm(ends[1] - ends[0])), 1e-6)
            across = np.array([along[1], -along[0]])
            middle = (ends[0] + ends[1]) / 2 + flip * side * across
            _lay(surfaces, middle, flip * along * long, wide, texture)


def _add_leaves(city: City, pool: TexturePool, surfaces: Surfaces) -> None:
    texture = pool.add("litter", _litter(256), cover=True)
    trees = city.furniture_kind == FurnitureKind.tree
    for xy, heading in zip(city.furniture_xy[trees], city.furniture_heading[trees], strict=True):
        turn = np.radians(float(heading))
        _lay(surfaces, xy.astype(np.float64), 5.0 * np.array([np.sin(turn), np.cos(turn)]), 5.0,
             texture)  # fmt: skip


def _lay(
    surfaces: Surfaces, middle: np.ndarray, along: np.ndarray, wide: float, texture: int
) -> None:
    """A flat quad with u along `along` [2] (its length counts) and `wide` metres across."""
    length = max(float(np.linalg.norm(along)), 1e-6)
    side = np.array([-along[1], along[0]]) / length * wide
    corner = np.array([*(middle - along / 2 - side / 2), HEIGHT_M])
    u, v = np.array([*along, 0.0]), np.array([*side, 0.0])
    surfaces.add(corner, u, v, texture, flags=SOFT | TWO_SIDED)


def _square(size: int) -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    return axis[None, :], axis[:, None]


def _shadow(cover: np.ndarray) -> np.ndarray:
    """Black that covers, float [h, w]."""
    pixels = np.zeros((*cover.shape, 4), np.uint8)
    pixels[..., 3] = np.rint(255 * np.clip(cover, 0, 1))
    return pixels


def _blob(size: int, dark: float) -> np.ndarray:
    x, y = _square(size)
    return _shadow(dark * np.clip(1 - np.hypot(x, y), 0, 1) ** 0.9)


def _stripe(size: int, dark: float) -> np.ndarray:
    """Sharp where it begins, fading towards its end."""
    x, y = _square(size)
    return _shadow(dark * np.clip((1 - np.abs(y)) * 2.5, 0, 1) * np.clip((1 - x) * 4, 0.0, 1))


def _dapple(size: int, dark: float) -> np.ndarray:
    """The shade of a crown, with spots of light."""
    x, y = _square(size)
    rng = np.random.default_rng(5)
    ragged = np.hypot(x, y) + 0.07 * clouds(rng, size, size, size / 5)
    cover = np.clip((0.86 - ragged) * 7, 0, 1)
    spots = np.clip(1.25 - 0.75 * np.abs(clouds(rng, size, size, size / 9)) ** 2, 0.25, 1)
    soft = cv2.GaussianBlur((cover * spots).astype(np.float32), (0, 0), size / 64)
    return _shadow(dark * soft)


def _fronds(size: int, dark: float) -> np.ndarray:
    """The shade of a palm."""
    board = Board(2.0, 2.0, 2 * size, 2 * size, None)
    for k in range(9):
        turn = 2 * np.pi * k / 9 + 0.2
        tip = (1 + 0.92 * np.cos(turn), 1 + 0.92 * np.sin(turn))
        bent = (1 + 0.5 * np.cos(turn + 0.22), 1 + 0.5 * np.sin(turn + 0.22))
        back = (1 + 0.5 * np.cos(turn - 0.2), 1 + 0.5 * np.sin(turn - 0.2))
        board.poly([(1.0, 1.0), bent, tip, back], (0.0, 0.0, 0.0), 1.0)
    cover = cv2.resize(board.pixels[..., 3], (size, size), interpolation=cv2.INTER_AREA)
    return _shadow(0.85 * dark * cv2.GaussianBlur(cover, (0, 0), 1.0) / 255.0)


def _manhole(size: int) -> np.ndarray:
    x, y = _square(size)
    radius = np.hypot(x, y)
    ribs = (np.floor(x * 6) + np.floor(y * 6)) % 2
    tone = np.where(radius < 0.72, 74 + 26 * ribs, 62)
    tone = np.where(np.abs(radius - 0.80) < 0.05, 108, tone)
    pixels = np.empty((size, size, 4), np.uint8)
    pixels[..., :3] = tone[..., None]
    pixels[..., 3] = np.rint(255 * np.clip((0.97 - radius) * 24, 0, 1))
    return pixels


def _patch(size: int, seed: int) -> np.ndarray:
    """Newer asphalt in a seam of tar."""
    rng = np.random.default_rng(seed)
    x, y = _square(size)
    edge = np.minimum(0.94 - np.abs(x), 0.90 - np.abs(y)) + 0.012 * clouds(rng, size, size, 12)
    tone = np.where(edge < 0.07, 82.0, (104.0, 112.0)[seed] + 5 * clouds(rng, size, size, 8))
    pixels = np.empty((size, size, 4), np.uint8)
    pixels[..., :3] = np.clip(tone, 0, 255)[..., None]
    pixels[..., 3] = np.rint(255 * np.clip(edge * 30, 0, 1) * 0.85)
    return pixels


def _crack(size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(40 + seed)
    board = Board(4.0, 2.0, size, size // 2, (56.0, 56.0, 58.0))
    for _ in range(1 + seed % 2):
        x, y, turn = 0.2, rng.uniform(0.5, 1.5), rng.uniform(-0.3, 0.3)
        points = [(x, y)]
        while x < 3.8 and len(points) < 40:
            turn = 0.7 * turn + rng.normal(0, 0.45)
            x, y = x + 0.14 * np.cos(turn), y + 0.14 * np.sin(turn)
            if not 0.1 < y < 1.9:
                break
            points.append((float(x), float(y)))
        board.line(points, 0.02, (56.0, 56.0, 58.0), 0.6)
    return board.pixels


def _litter(size: int) -> np.ndarray:
    """Fallen leaves, thinner towards the rim."""
    rng = np.random.default_rng(9)
    board = Board(5.0, 5.0, size, size, (200.0, 120.0, 40.0))
    hues = ((255.0, 168.0, 40.0), (250.0, 110.0, 30.0), (224.0, 70.0, 36.0), (206.0, 150.0, 60.0))
    for _ in range(230):
        far, turn = 2.3 * rng.random() ** 0.7, rng.uniform(0, 2 * np.pi)
        x, y = 2.5 + far * np.cos(turn), 2.5 + far * np.sin(turn)
        board.disc(x, y, rng.uniform(0.03, 0.075), rng.uniform(0.025, 0.06),
                   hues[int(rng.integers(4))], rng.uniform(0.7, 0.95))  # fmt: skip
    return board.pixels
