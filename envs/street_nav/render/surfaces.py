"""Collecting the surfaces of a scene, and the light that falls on them."""

import numpy as np

from .board import color_of
from .buffers import SHADOW_SAMPLES, SOFT, TWO_SIDED, VERTICAL, Quads
from .config import LookConfig
from .sunlight import Sunlight

ALWAYS_SHADED_M = 1e6
_CLEAR_OF_WALL_M = 0.6
UP = np.array([0.0, 0.0, 1.0])
WHOLE = (0.0, 1.0, 0.0, 1.0)


class Surfaces:
    """Parallelograms in the order in which they were added."""

    def __init__(self) -> None:
        self._places: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._uv: list[tuple[float, float, float, float]] = []
        self._texture: list[int] = []
        self._flags: list[int] = []
        self._shine: list[float] = []
        self._light: list[float] = []
        self._owner: list[int] = []
        self._anchor: list[tuple[float, float, float]] = []

    def add(
        self,
        corner: np.ndarray,
        u: np.ndarray,
        v: np.ndarray,
        texture: int,
        *,
        uv: tuple[float, float, float, float] = WHOLE,
        flags: int = 0,
        shine: float = 1.0,
        light: float = 1.0,
        owner: int = 0,
        anchor: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        """A quad corner + a u + b v, seen from the side of u x v.

        light: scales its light. owner, anchor: see `Quads`.
        """
        if v[0] == 0 and v[1] == 0:
            flags |= VERTICAL
        self._places.append((corner, u, v))
        self._uv.append(uv)
        self._texture.append(texture)
        self._flags.append(flags)
        self._shine.append(shine)
        self._light.append(light)
        self._owner.append(owner)
        self._anchor.append(anchor)

    def wall(
        self,
        start: np.ndarray,
        end: np.ndarray,
        low: float,
        high: float,
        texture: int,
        *,
        uv: tuple[float, float, float, float] = WHOLE,
        shine: float = 1.0,
        light: float = 1.0,
    ) -> None:
        """An upright quad over the line from start to end [2], seen with start on the left."""
        corner = np.array([start[0], start[1], low])
        along = np.array([end[0] - start[0], end[1] - start[1], 0.0])
        self.add(corner, along, (high - low) * UP, texture, uv=uv, shine=shine, light=light)

    def lit(self, look: LookConfig, sunlight: Sunlight) -> Quads:
        """All quads with their light: the sun where they face it, the sky everywhere."""
        corner, u, v = (
            np.array([place[k] for place in self._places], np.float64) for k in range(3)
        )
        normal = np.cross(u, v)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        flags = np.array(self._flags, np.int32)
        two_sided = (flags & TWO_SIDED) != 0
        facing = normal @ sunlight.towards
        facing[two_sided] = np.abs(facing[two_sided])
        scale = np.array(self._light)[:, None]
        sky = look.sky * np.array(color_of(look.sky_color)) / 255.0
        sun = look.sun * np.array(color_of(look.sun_color)) / 255.0
        dim = scale * sky * (0.90 + 0.12 * _leaning(normal))[:, None]
        lit = dim + scale * sun * np.clip(facing, 0.0, 1.0)[:, None] ** 0.7
        shadow = np.full((len(corner), SHADOW_SAMPLES), ALWAYS_SHADED_M)
        in_sun = (facing > 0) & ((flags & SOFT) == 0) & (look.sun > 0)
        shadow[in_sun] = _shade_along(corner[in_sun], u[in_sun], normal[in_sun], sunlight)
        return Quads(
            corner.astype(np.float32),
            u.astype(np.float32),
            v.astype(np.float32),
            np.array(self._uv, np.float32),
            np.array(self._texture, np.int32),
            flags,
            lit.astype(np.float32),
            dim.astype(np.float32),
            np.array(self._shine, np.float32),
            shadow.astype(np.float32),
            np.array(self._owner, np.int32),
            np.array(self._anchor, np.float32),
        )


def _leaning(normal: np.ndarray) -> np.ndarray:
    """Skylight differs a little by direction, so that corners show without any sun: -1 to 1."""
    return normal @ np.array([0.62, -0.47, 0.63])


def _shade_along(
    corner: np.ndarray, u: np.ndarray, normal: np.ndarray, sunlight: Sunlight
) -> np.ndarray:
    """Heights of the shade at places along the lower edges [N, SHADOW_SAMPLES]."""
    share = np.linspace(0.02, 0.98, SHADOW_SAMPLES)[None, :, None]
    flat = np.linalg.norm(normal[:, :2], axis=1, keepdims=True)
    out = normal[:, :2] / np.maximum(flat, 1e-6) * (flat > 0.2)
    places = corner[:, None, :2] + share * u[:, None, :2] + _CLEAR_OF_WALL_M * out[:, None]
    return sunlight.shade_at(places)
