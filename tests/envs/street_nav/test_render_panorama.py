"""Panoramas: the same everywhere, signs where the city says they are, looks that change pixels."""

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.envs.street_nav.city.builder import build_city
from cardinal_gym.envs.street_nav.city.config import CityConfig, RouteConfig
from cardinal_gym.envs.street_nav.city.scene import City
from cardinal_gym.envs.street_nav.city.world import CityWorld
from cardinal_gym.envs.street_nav.env import StreetNavEnv
from cardinal_gym.envs.street_nav.render import LOOKS, PanoramaRenderer
from cardinal_gym.envs.street_nav.render.crop import view
from cardinal_gym.envs.street_nav.reward import maximum_return

WIDTH = 512
CITY = CityConfig(seed=3, num_blocks=4, num_landmarks=30, num_parks=1)
DIGEST = """
import hashlib, sys
from pathlib import Path
from cardinal_gym.envs.street_nav.city.builder import build_city
from cardinal_gym.envs.street_nav.city.config import CityConfig
from cardinal_gym.envs.street_nav.render import PanoramaRenderer
city = build_city(CityConfig(seed=3, num_blocks=4, num_landmarks=30, num_parks=1))
renderer = PanoramaRenderer(city, "neon", 512, folder=Path(sys.argv[1]))
print(hashlib.sha256(b"".join(renderer.panorama(k).tobytes() for k in (0, 5, 9))).hexdigest())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="module")
def city() -> City:
    return build_city(CITY)


@pytest.fixture(scope="module")
def renderers(city: City, folder: Path) -> dict[str, PanoramaRenderer]:
    return {look: PanoramaRenderer(city, look, WIDTH, folder=folder) for look in LOOKS}


@pytest.fixture(scope="module")
def harbor(renderers: dict[str, PanoramaRenderer]) -> PanoramaRenderer:
    return renderers["harbor"]


def clear_sights(city: City) -> list[tuple[int, int]]:
    """(node, landmark) of all that may be asked about."""
    chosen = np.flatnonzero(city.sight_clear)
    return [(int(city.sight_node[k]), int(city.sight_landmark[k])) for k in chosen]


def test_a_panorama_is_an_equirectangular_strip(harbor: PanoramaRenderer) -> None:
    picture = harbor.panorama(0)
    assert picture.shape == harbor.shape == (2 * round(48 / 360 * WIDTH), WIDTH, 3)
    assert picture.dtype == np.uint8
    assert picture.flags["C_CONTIGUOUS"]


def test_the_same_node_gives_the_same_pixels_again(harbor: PanoramaRenderer) -> None:
    first = harbor.panorama(4).copy()
    harbor.panorama(5)
    assert np.array_equal(harbor.panorama(4), first)


def test_another_process_draws_the_same_pixels(
    renderers: dict[str, PanoramaRenderer], tmp_path: Path
) -> None:
    neon = renderers["neon"]
    here = hashlib.sha256(b"".join(neon.panorama(k).tobytes() for k in (0, 5, 9))).hexdigest()
    command = [sys.executable, "-c", DIGEST, str(tmp_path)]
    environment = {**os.environ, "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == here


def test_threads_draw_at_the_same_time_what_one_draws_alone(harbor: PanoramaRenderer) -> None:
    nodes = list(range(12))
    alone = [harbor.panorama(node).copy() for node in nodes]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda node: harbor.panorama(node).copy(), nodes * 2))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 2, together, strict=True))


def test_every_clear_sign_is_seen_under_every_look(
    city: City, renderers: dict[str, PanoramaRenderer]
) -> None:
    rng = np.random.default_rng(0)
    sights = clear_sights(city)
    assert len(sights) > 20
    for look, renderer in renderers.items():
        for k in rng.choice(len(sights), 12, replace=False):
            node, landmark = sights[k]
            seen = renderer.sign_pixels(node).get(landmark, 0)
            assert seen >= expected_pixels(city, node, landmark) * 0.6, (look, node, landmark)


def expected_pixels(city: City, node: int, landmark: int) -> float:
    """Of an unobstructed sign of the size that the city states, as a rectangle of angles."""
    (row,) = np.flatnonzero((city.sight_node == node) & (city.sight_landmark == landmark))
    per_degree = WIDTH / 360
    return float(city.sight_width[row] * city.sight_height[row]) * per_degree**2


def test_a_sign_lies_where_its_bearing_says(city: City, harbor: PanoramaRenderer) -> None:
    for node, landmark in clear_sights(city)[:15]:
        (row,) = np.flatnonzero((city.sight_node == node) & (city.sight_landmark == landmark))
        columns = np.flatnonzero((harbor.owners(node) == landmark + 1).any(axis=0))
        turns = np.exp(1j * np.radians((columns + 0.5) * 360 / WIDTH))
        bearing = np.degrees(np.angle(turns.mean())) % 360
        gap = (bearing - city.sight_bearing[row] + 180) % 360 - 180
        assert abs(gap) < 3 + city.sight_width[row] / 4


def test_looks_change_pixels_but_not_where_signs_are(
    city: City, renderers: dict[str, PanoramaRenderer]
) -> None:
    node, landmark = clear_sights(city)[0]
    pictures = [renderer.panorama(node) for renderer in renderers.values()]
    for k, one in enumerate(pictures):
        for other in pictures[:k]:
            assert (one != other).any(axis=2).mean() > 0.9
    places = [renderer.owners(node) == landmark + 1 for renderer in renderers.values()]
    for place in places:
        assert (place & places[0]).sum() > 0.8 * max(place.sum(), places[0].sum())


@pytest.mark.parametrize("look", LOOKS)
def test_the_oracle_walks_in_pictures_and_every_sign_it_is_told_of_is_seen(
    look: str,
    renderers: dict[str, PanoramaRenderer],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CARDINAL_GYM_CACHE", str(folder))  # where the scenes are
    routes = RouteConfig(max_turns=4)
    world = CityWorld(CITY, look, routes, width=WIDTH)
    renderer, names = renderers[look], world.city.landmark_names
    for mode, rule in (("rail", "absolute"), ("free", "relative")):
        env = StreetNavEnv(
            streets=world, modality="image", mode=mode, rule=rule, split="all",
            views={"size": 28}, episode_return="sum",
        )  # fmt: skip
        _, info = env.reset(seed=1)
        for waypoint in env.route.waypoints:
            if waypoint.sight is not None:
                landmark = names.index(waypoint.sight.name)
                seen = renderer.sign_pixels(waypoint.node).get(landmark, 0)
                assert seen >= 0.6 * expected_pixels(world.city, waypoint.node, landmark)
        done = truncated = False
        while not (done or truncated):
            observation, _, done, truncated, info = env.step(env.oracle_action())
            assert observation["image"].std() > 5
        places = info["num_places"] if mode == "rail" else None
        assert info["success"]
        assert info["episode_return"] == pytest.approx(maximum_return(env.config.reward, places))


def test_pictures_keep_the_number_of_columns_when_supersampled(city: City, folder: Path) -> None:
    fine = PanoramaRenderer(city, "harbor", WIDTH, supersample=2, folder=folder)
    plain = PanoramaRenderer(city, "harbor", WIDTH, folder=folder)
    a, b = fine.panorama(2), plain.panorama(2)
    assert a.shape == b.shape
    assert np.abs(a.astype(int) - b).mean() < 12  # the same place, only smoother


def test_the_street_ahead_is_below_the_horizon_and_the_sky_above(
    city: City, harbor: PanoramaRenderer
) -> None:
    a, b = city.edge_nodes[10].tolist()
    way = city.node_xy[b] - city.node_xy[a]
    picture = view(harbor.panorama(a), float(np.degrees(np.arctan2(way[0], way[1]))), 96)
    red, _, blue = picture[4, 40:56].mean(axis=0)
    assert blue > red + 10  # a clear noon sky
    road = picture[-8:, 40:56].reshape(-1, 3).astype(float)
    assert np.ptp(road.mean(axis=0)) < 40  # asphalt is grey


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 100}, "width must be 256 to 8192 and a multiple of 4; got 100"),
        ({"width": 1023}, "multiple of 4"),
        ({"supersample": 0}, "supersample must be 1 to 4; got 0"),
        ({"pitch_deg": 80.0}, "pitch_deg must be 20 to 70; got 80"),
        ({"look": "gothic"}, "look must be one of"),
    ],
)
def test_mistakes_are_named(city: City, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PanoramaRenderer(city, **changes)


def test_a_node_that_does_not_exist_is_named(city: City, harbor: PanoramaRenderer) -> None:
    with pytest.raises(ValueError, match=f"node must be 0 to {city.num_nodes - 1}; got -1"):
        harbor.panorama(-1)
