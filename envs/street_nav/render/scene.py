"""A city under a look, ready to be drawn."""

from dataclasses import dataclass

import numpy as np

from ..city.scene import City
from .board import color_of
from .buffers import (
    FOG_STEP_M,
    FOG_STEPS,
    HEIGHT_STEPS,
    STEPS_PER_M,
    Air,
    Ground,
    Quads,
    Sprites,
    Textures,
)
from .buildings import Palette, add_buildings, lot_heights
from .config import LookConfig
from .decals import add_decals
from .ground import build_ground
from .streetside import add_cars, add_name_plates, add_signs, furniture_sprites
from .sunlight import cast_shadows
from .surfaces import Surfaces
from .textures import TexturePool


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that the compiled kernels need but the camera."""

    quads: Quads
    sprites: Sprites
    textures: Textures
    ground: Ground
    air: Air


def build_scene(city: City, look: LookConfig, fine: bool) -> Scene:
    """Paints all textures and places all surfaces. Takes seconds.

    fine: textures for panoramas of 2048 columns and more; otherwise half their resolution.
    """
    size = 1024 if fine else 512
    _, heights = lot_heights(city, look)
    sunlight = cast_shadows(city, look, heights)
    ground = build_ground(city, look, sunlight)  # first: it needs much memory on the way
    pool, surfaces = TexturePool(), Surfaces()
    add_buildings(city, look, Palette(look, pool, size), surfaces)
    add_signs(city, look, pool, surfaces, 64.0 if fine else 40.0)
    add_name_plates(city, pool, surfaces, 64.0 if fine else 40.0)
    add_cars(city, look, pool, surfaces, size // 2)
    add_decals(city, look, sunlight, pool, surfaces)
    sprites = furniture_sprites(city, look, pool, size // 2)
    return Scene(
        quads=surfaces.lit(look, sunlight),
        sprites=sprites,
        textures=pool.packed(),
        ground=ground,
        air=_air(look),
    )


def _air(look: LookConfig) -> Air:
    sky = look.sky * np.array(color_of(look.sky_color)) / 255.0
    sun = look.sun * np.array(color_of(look.sun_color)) / 255.0
    up = float(np.sin(np.radians(look.sun_elevation)))
    lamp = look.lamps * np.array((255.0, 196.0, 112.0)) / 255.0
    distance = (np.arange(FOG_STEPS) + 0.5) * FOG_STEP_M
    fog = 1 - np.exp(-((distance / look.haze_m) ** 1.25))
    height = (np.arange(HEIGHT_STEPS) + 0.5) / STEPS_PER_M
    by_height = np.empty((HEIGHT_STEPS, 4))
    by_height[:, 0] = 1 - 0.26 * np.exp(-height / 0.7)
    by_height[:, 1:] = 0.42 * lamp * np.exp(-((height / 4.2) ** 2))[:, None]
    arrays = (sky + sun * up**0.5, sky * 0.94, lamp, color_of(look.haze), fog, by_height)
    return Air(*(np.array(array, np.float32) for array in arrays))
