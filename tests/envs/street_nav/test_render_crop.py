"""Views cut out of panoramas."""

import numpy as np
import pytest
from cardinal_gym.envs.street_nav.config import ViewConfig
from cardinal_gym.envs.street_nav.render import crop
from cardinal_gym.envs.street_nav.render.crop import CROSS_PX, view, view_grid, views
from cardinal_gym.envs.street_nav.render.panorama import camera_rays
from cardinal_gym.envs.street_nav.render.projection import row_of

SIZES = ((1024, 274), (1024, 512), (2048, 600))


def noise(width: int = 1024, height: int = 274) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def marked(heading: float, width: int = 1440, height: int = 720) -> np.ndarray:
    """Black, with a white post two degrees wide at a heading."""
    panorama = np.zeros((height, width, 3), np.uint8)
    middle = heading / 360 * width
    columns = np.arange(width) + 0.5
    gap = np.abs((columns - middle + width / 2) % width - width / 2)
    panorama[:, gap <= width / 360] = 255
    return panorama


@pytest.mark.parametrize("heading", [0.0, 10.0, 45.5, 123.4, 271.0, 359.9])
@pytest.mark.parametrize("size", [64, 224])
def test_the_right_view_is_the_front_view_a_quarter_turn_on(heading: float, size: int) -> None:
    panorama = noise()
    front, right, back, left = views(panorama, heading, size)
    for turn, picture in ((0, front), (90, right), (180, back), (270, left)):
        assert np.array_equal(picture, view(panorama, heading + turn, size))
    assert np.array_equal(views(panorama, heading + 90, size)[0], right)


@pytest.mark.parametrize("heading", [0.0, 77.0, 180.0, 359.0])
def test_a_heading_lies_in_the_middle_of_its_view(heading: float) -> None:
    picture = view(marked(heading), heading, 101)
    bright = np.flatnonzero(picture[50, :, 0] > 127)
    assert bright.mean() == pytest.approx(50, abs=0.6)


@pytest.mark.parametrize(("turn", "column"), [(-45, 0.0), (45, 1.0), (0, 0.5), (26.565, 0.75)])
def test_places_in_a_view_follow_the_tangent(turn: float, column: float) -> None:
    picture = view(marked(200.0 + turn), 200.0, 200)
    bright = np.flatnonzero(picture[100, :, 0] > 127)
    assert bright.mean() == pytest.approx(column * 199, abs=2.5)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_horizon_is_in_the_middle(width: int, height: int) -> None:
    panorama = np.zeros((height, width, 3), np.uint8)
    panorama[: height // 2] = 200
    picture = view(panorama, 33.0, 96)
    assert (picture[:47] == 200).all()
    assert (picture[49:] == 0).all()


def test_the_same_place_looks_the_same_in_a_strip_and_in_a_full_sphere() -> None:
    sphere = noise(1024, 512)
    strip = sphere[512 // 2 - 160 : 512 // 2 + 160]
    whole, part = view(sphere, 100.0, 128), view(strip, 100.0, 128)
    assert np.abs(whole.astype(int) - part).max() <= 2  # coordinates are rounded to 32 bits


def test_the_grid_has_front_and_right_above_back_and_left() -> None:
    panorama, size = noise(), 40
    grid = view_grid(panorama, 30.0, size)
    far = size + CROSS_PX
    front, right, back, left = views(panorama, 30.0, size)
    assert grid.shape == (2 * size + CROSS_PX, 2 * size + CROSS_PX, 3)
    assert np.array_equal(grid[:size, :size], front)
    assert np.array_equal(grid[:size, far:], right)
    assert np.array_equal(grid[far:, :size], back)
    assert np.array_equal(grid[far:, far:], left)
    assert not grid[size:far].any()
    assert not grid[:, size:far].any()


def test_a_wider_angle_shows_more() -> None:
    panorama = marked(60.0)
    assert not view(panorama, 0.0, 64, 90.0).any()
    assert view(panorama, 0.0, 64, 130.0).any()


@pytest.mark.parametrize(
    ("panorama", "size", "fov", "message"),
    [
        (
            np.zeros((10, 20), np.uint8),
            64,
            90.0,
            r"uint8 \[H, W, 3\]; got uint8 \[10, 20\]",
        ),
        (np.zeros((10, 20, 3)), 64, 90.0, "got float64"),
        (noise(), 4, 90.0, "size must be 16 to 2048 pixels; got 4"),
        (noise(), 64, 170.0, "fov_deg must be 20 to 140; got 170"),
    ],
)
def test_mistakes_are_named(panorama: np.ndarray, size: int, fov: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        view(panorama, 0.0, size, fov)


@pytest.mark.parametrize(
    ("size", "fov_deg", "width"),
    [(112, 90.0, 512), (224, 90.0, 1024), (448, 90.0, 2048), (640, 90.0, 3072), (640, 60.0, 4096),
     (640, 40.0, 6144), (448, 40.0, 4096), (640, 120.0, 2048)],
)  # fmt: skip
def test_a_panorama_has_a_column_for_each_of_a_view_and_reaches_its_edges(
    size: int, fov_deg: float, width: int
) -> None:
    config = ViewConfig(size=size, fov_deg=fov_deg)
    assert config.panorama_px == width >= 0.9 * size * 360 / fov_deg
    rays = camera_rays(width, 1, config.pitch_deg)
    _, map_y, _, _ = crop._maps(width, len(rays.slopes), size, fov_deg)
    assert map_y.min() > -1
    assert map_y.max() < len(rays.slopes)


@pytest.mark.parametrize(("width", "pitch_deg"), [(256, 20.0), (1024, 48.0), (3072, 70.0)])
def test_the_table_of_rows_is_the_arc_tangent(width: int, pitch_deg: float) -> None:
    rays = camera_rays(width, 1, pitch_deg)
    for slope in np.tan(np.radians(np.linspace(-85.0, 85.0, 401))):
        row = (rays.top - np.arctan(slope)) / rays.step
        expected = min(len(rays.slopes), max(0.0, row))  # beyond an edge: the edge
        assert row_of.py_func(slope, rays) == pytest.approx(expected, abs=0.02)
