"""The ground: paint where roads are, kerbs at the right distance, nothing parked on crossings."""

import cv2
import numpy as np
import pytest
from cardinal_gym.envs.street_nav.city.builder import build_city
from cardinal_gym.envs.street_nav.city.config import CityConfig
from cardinal_gym.envs.street_nav.city.scene import City, FurnitureKind
from cardinal_gym.envs.street_nav.render.board import tile_noise
from cardinal_gym.envs.street_nav.render.buffers import (
    EDGE_STEPS_PER_M,
    EDGE_ZERO,
    SOFT,
    TWO_SIDED,
)
from cardinal_gym.envs.street_nav.render.config import LOOKS
from cardinal_gym.envs.street_nav.render.decals import add_decals
from cardinal_gym.envs.street_nav.render.groundcover import kerb_metres, mark_at
from cardinal_gym.envs.street_nav.render.kerbs import EDGE_SCALE, kerb_distance
from cardinal_gym.envs.street_nav.render.markings import (
    LEVELS,
    SIDE,
    TILE_M,
    PaintTiles,
    coverage,
    paint_roads,
    rectangle,
)
from cardinal_gym.envs.street_nav.render.streetside import _parked
from cardinal_gym.envs.street_nav.render.sunlight import cast_shadows
from cardinal_gym.envs.street_nav.render.surfaces import Surfaces
from cardinal_gym.envs.street_nav.render.textures import TexturePool


@pytest.fixture(scope="module")
def city() -> City:
    return build_city(CityConfig(seed=3, num_blocks=4, num_landmarks=30, num_parks=1))


def painted(turn: float) -> tuple[np.ndarray, np.ndarray]:
    """A bar of 3.1 m x 0.5 m over the corner of four tiles."""
    along = np.array([np.sin(turn), np.cos(turn)])
    tiles = PaintTiles(np.zeros(2))
    bar = rectangle(np.array([8.0, 8.0]), along, np.array([along[1], -along[0]]), 3.1, 0.5)
    tiles.fill(bar)
    return tiles.packed(4, 4)


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.2])
def test_a_bar_of_paint_keeps_its_area_at_every_level(turn: float) -> None:
    _, texels = painted(turn)
    start = 0
    for level in range(LEVELS):
        side = SIDE >> level
        rimmed = texels[:, start : start + (side + 2) ** 2].reshape(-1, side + 2, side + 2)
        area = rimmed[:, 1:-1, 1:-1].sum() / 255.0 * (TILE_M / side) ** 2
        assert area == pytest.approx(3.1 * 0.5, rel=0.08)
        start += (side + 2) ** 2
    assert start == texels.shape[1]


def test_bars_that_are_filled_together_are_those_that_are_filled_alone() -> None:
    along, across = np.array([0.6, 0.8]), np.array([0.8, -0.6])
    middles = np.array([8.0, 8.0]) + np.arange(4)[:, None] * across * 1.1
    bars = rectangle(middles, along, across, 2.8, 0.5)
    assert bars.shape == (4, 4, 2)
    together, alone = PaintTiles(np.zeros(2)), PaintTiles(np.zeros(2))
    together.fill(bars)
    for bar in bars:
        alone.fill(bar)
    assert set(together.tiles) == set(alone.tiles)
    for at, tile in together.tiles.items():
        assert np.abs(tile.astype(int) - alone.tiles[at]).max() <= 16  # a sixteenth of a texel


def test_noise_is_opencvs_cubic_between_knots_that_repeat() -> None:
    for height, width, cell in ((60, 90, 7.0), (64, 32, 2.0), (33, 50, 40.0)):
        noise = tile_noise(np.random.default_rng(3), height, width, cell)
        rows, columns = max(2, round(height / cell)), max(2, round(width / cell))
        knots = np.random.default_rng(3).normal(size=(rows, columns)).astype(np.float32)
        x = (np.arange(width, dtype=np.float32) + 0.5) * columns / width + 1.5
        y = (np.arange(height, dtype=np.float32) + 0.5) * rows / height + 1.5
        padded, (map_x, map_y) = np.pad(knots, 2, mode="wrap"), np.meshgrid(x, y)
        assert np.allclose(noise, cv2.remap(padded, map_x, map_y, cv2.INTER_CUBIC), atol=0.05)


def test_paint_is_continuous_where_tiles_meet() -> None:
    at, texels = painted(0.4)
    for level, start in ((0, 0), (1, (SIDE + 2) ** 2)):
        side = SIDE >> level
        for edge in (7.999, 8.001):
            other = 16.0 - edge
            for across in np.linspace(7.0, 9.0, 31):
                one = mark_at(at, texels, edge / TILE_M, across / TILE_M, start, side)
                two = mark_at(at, texels, other / TILE_M, across / TILE_M, start, side)
                assert one == pytest.approx(two, abs=0.05)
    assert mark_at(at, texels, 2.0, 2.0, 0, SIDE) > 0.99
    assert mark_at(at, texels, 0.5, 0.5, 0, SIDE) == 0.0
    assert mark_at(at, texels, -0.1, 9.0, 0, SIDE) == 0.0


def test_the_distance_to_the_kerb_is_what_shapely_measures(city: City) -> None:
    shapely = pytest.importorskip("shapely")
    road = shapely.Polygon(city.outer_kerb)
    for kerb in city.kerbs:
        road = road.difference(shapely.Polygon(kerb))
    edge = kerb_distance(city)
    west, south = city.extent[:2].astype(np.float64)
    rng, compared = np.random.default_rng(0), 0
    nodes = city.node_xy[rng.integers(0, city.num_nodes, 400)].astype(np.float64)
    for x, y in nodes + rng.uniform(-9.0, 9.0, nodes.shape):
        point = shapely.Point(x, y)
        true = road.boundary.distance(point) * (1 if road.contains(point) else -1)
        fx, fy = (x - west) * EDGE_SCALE - 0.5, (y - south) * EDGE_SCALE - 0.5
        measured = kerb_metres(edge, fx, fy)
        if abs(true) < 0.6:
            assert measured == pytest.approx(true, abs=0.03)
            compared += 1
        else:
            assert measured * true > 0
            assert abs(measured) > 0.55
    assert compared > 20


def test_paint_lies_on_the_roadway(city: City) -> None:
    west, south, east, north = city.extent.tolist()
    rows, columns = (int(np.ceil(span / TILE_M)) for span in (north - south, east - west))
    at, texels = paint_roads(city).packed(rows, columns)
    edge = kerb_distance(city)
    inked = coverage(at, texels, *(size // 2 for size in edge.shape))
    metres = (edge.astype(float) - EDGE_ZERO) / EDGE_STEPS_PER_M
    road = metres[: 2 * inked.shape[0] : 2, : 2 * inked.shape[1] : 2]
    assert (inked > 0.5).sum() > 500
    assert (road[inked > 0.5] > -0.3).all()


def test_nothing_is_parked_on_a_crossing(city: City) -> None:
    cars = np.flatnonzero(city.furniture_kind == FurnitureKind.car)
    shown = _parked(city)
    assert 0.7 * len(cars) < len(shown) <= len(cars)
    gap = np.linalg.norm(city.furniture_xy[shown][:, None] - city.crossings[None, :, :2], axis=2)
    assert (gap > 2.0).all()


@pytest.mark.parametrize("look", LOOKS)
def test_what_lies_on_the_ground_is_flat_and_multiplies_it(city: City, look: str) -> None:
    config, surfaces, pool = LOOKS[look], Surfaces(), TexturePool()
    sunlight = cast_shadows(city, config, city.lot_height)
    add_decals(city, config, sunlight, pool, surfaces)
    quads = surfaces.lit(config, sunlight)
    assert len(quads.texture) > len(city.furniture_kind) / 2
    assert (quads.flags == SOFT | TWO_SIDED).all()
    assert (quads.corner[:, 2] > 0).all()
    assert (quads.corner[:, 2] < 0.05).all()
    assert (quads.u[:, 2] == 0).all()
    assert (quads.v[:, 2] == 0).all()
