"""The sky of a look: a gradient, clouds on a plane high above, the sun, and a far skyline."""

import cv2
import numpy as np

from .board import clouds, color_of
from .config import LookConfig, Stock, Weather

TILE_PX = 512


def paint_sky(look: LookConfig, width: int, slopes: np.ndarray) -> np.ndarray:
    """uint8 [width, rows, 3] for the rows above the horizon, whose slopes are given (down)."""
    elevation = np.arctan(slopes)  # [rows], falling to 0
    azimuth = (np.arange(width) + 0.5) / width * 2 * np.pi
    colors = _gradient(look, elevation)[None].repeat(width, axis=0)  # [W, rows, 3]
    _add_sun(colors, look, azimuth, elevation)
    _add_clouds(colors, look, azimuth, slopes, elevation)
    if look.weather is Weather.rain and look.lit_windows > 0.3:
        _add_stars(colors, elevation)
    _add_skyline(colors, look, width, elevation)
    noise = np.random.default_rng(5).uniform(-0.5, 0.5, size=colors.shape[:2])[..., None]
    return np.ascontiguousarray(np.clip(np.rint(colors + noise), 0, 255).astype(np.uint8))


def _gradient(look: LookConfig, elevation: np.ndarray) -> np.ndarray:
    stops = np.array([color_of(look.horizon), color_of(look.middle), color_of(look.zenith)])
    share = np.clip(np.degrees(elevation) / 48.0, 0, 1) ** 0.8
    return np.stack([np.interp(share, (0.0, 0.42, 1.0), stops[:, k]) for k in range(3)], axis=1)


def _add_sun(
    colors: np.ndarray, look: LookConfig, azimuth: np.ndarray, elevation: np.ndarray
) -> None:
    """A glow around the sun; the disc itself where it is within the panorama."""
    if look.sun == 0:
        return
    sun_az, sun_el = np.radians(look.sun_azimuth), np.radians(look.sun_elevation)
    cosine = np.sin(elevation)[None] * np.sin(sun_el)
    cosine = cosine + np.cos(elevation)[None] * np.cos(sun_el) * np.cos(azimuth - sun_az)[:, None]
    glow = 0.30 * np.clip(cosine, 0, 1) ** 10 + 0.45 * np.clip(cosine, 0, 1) ** 160
    disc = np.clip((cosine - 0.99955) / 0.0002, 0, 1) + 0.5 * np.clip(cosine, 0, 1) ** 1500
    share = np.clip(glow + disc, 0, 1)[..., None]
    colors += share * (np.array(color_of(look.sun_color)) * 1.02 - colors)


def _add_clouds(
    colors: np.ndarray, look: LookConfig, azimuth: np.ndarray, slopes: np.ndarray,
    elevation: np.ndarray,
) -> None:  # fmt: skip
    if look.clouds == 0:
        return
    tile = clouds(np.random.default_rng(77), TILE_PX, TILE_PX, 128)
    away = 1.0 / (slopes + 0.10)
    x = np.sin(azimuth)[:, None] * away[None] * 46.0 + 100.0
    y = np.cos(azimuth)[:, None] * away[None] * 46.0 + 40.0
    wrapped = [np.mod(part, TILE_PX).astype(np.float32) for part in (x, y)]
    padded = np.pad(tile, ((0, 1), (0, 1)), mode="wrap")
    density = cv2.remap(padded, wrapped[0], wrapped[1], cv2.INTER_LINEAR)
    shifted = [np.mod(part + 5.0, TILE_PX).astype(np.float32) for part in (x, y)]
    beyond = cv2.remap(padded, shifted[0], shifted[1], cv2.INTER_LINEAR)
    threshold = 1.5 - 2.6 * look.clouds
    cover = np.clip((density - threshold) / 1.3, 0, 1)
    cover = cover * cover * (3 - 2 * cover)
    fade = np.clip(np.degrees(elevation) / 9.0, 0.25, 1)[None]
    relief = np.clip(0.5 + 0.6 * (density - beyond), 0, 1)[..., None]
    bright = np.array(color_of(look.cloud_color))
    dark = 0.60 * bright + 0.30 * np.array(color_of(look.middle)) * 0.8
    tone = dark + relief * (bright - dark)
    colors += (0.92 * cover * fade)[..., None] * (tone - colors)


def _add_stars(colors: np.ndarray, elevation: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    width, rows = colors.shape[:2]
    count = width * rows // 900
    column, row = rng.integers(0, width, count), rng.integers(0, rows, count)
    power = rng.uniform(20, 110, count) * np.clip(np.degrees(elevation[row]) / 30, 0, 1)
    colors[column, row] += power[:, None]


def _add_skyline(colors: np.ndarray, look: LookConfig, width: int, elevation: np.ndarray) -> None:
    """Hills or far houses, so that a street does not end in nothing."""
    rng = np.random.default_rng(21)
    haze = np.array(color_of(look.haze))
    degrees = np.degrees(elevation)[None]  # [1, rows]
    place = np.arange(width)
    for layer, depth in enumerate((0.82, 0.62)):
        knots = rng.normal(size=24)
        wave = np.interp(place / width * 24, np.arange(25), np.append(knots, knots[0]))
        top = 1.6 + 0.5 * wave - 0.45 * layer
        if look.stock not in (Stock.adobe, Stock.timber):
            block = 1 + width // 180
            steps = rng.uniform(
                0.3, 2.6 if look.stock is Stock.curtain else 1.5, width // block + 1
            )
            top = 0.9 + np.repeat(steps, block)[:width] - 0.3 * layer
        cover = np.clip((top[:, None] - degrees) / 0.12, 0, 1)[..., None]
        ground = 0.55 * haze + 0.1 * np.array(color_of(look.walls[layer % len(look.walls)]))
        tone = depth * haze + (1 - depth) * ground
        colors += cover * (tone - colors)
