"""Maps whose labels never overlap, and films."""

from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from cardinal_gym.envs.street_nav.city.builder import build_city
from cardinal_gym.envs.street_nav.city.config import CityConfig
from cardinal_gym.envs.street_nav.render import as_look, maps
from cardinal_gym.envs.street_nav.render.film import save_film
from cardinal_gym.envs.street_nav.render.labels import Box, Labels
from cardinal_gym.envs.street_nav.render.maps import CityMap
from PIL import Image


@pytest.fixture(scope="module")
def city_map() -> CityMap:
    city = build_city(CityConfig(seed=3, num_blocks=4, num_landmarks=30, num_parks=1))
    return CityMap(city, as_look("harbor"))


def walk(city_map: CityMap, length: int = 25) -> list[int]:
    """Nodes of a walk that never turns back."""
    neighbors: dict[int, list[int]] = {}
    for a, b in city_map.city.edge_nodes.tolist():
        neighbors.setdefault(a, []).append(b)
        neighbors.setdefault(b, []).append(a)
    path = [0]
    while len(path) < length:
        path.append(next((n for n in neighbors[path[-1]] if n not in path), path[-1]))
    return list(dict.fromkeys(path))


def overlap(one: Box, other: Box) -> bool:
    return (
        one.left < other.right and other.left < one.right
        and one.top < other.bottom and other.top < one.bottom
    )  # fmt: skip


def test_labels_keep_apart_and_within_the_picture() -> None:
    rng = np.random.default_rng(1)
    labels = Labels(np.zeros((300, 400, 3), np.uint8))
    for k in range(120):
        labels.pill(f"Name {k}", tuple(rng.uniform(0, 300, 2).tolist()), 9)
    assert 15 < len(labels.boxes) < 120  # some found no room
    for one, other in combinations(labels.boxes, 2):
        assert not overlap(one, other)
    for box in labels.boxes:
        assert box.left >= 0
        assert box.top >= 0
        assert box.right <= 400
        assert box.bottom <= 300


def test_labels_leave_what_is_reserved() -> None:
    labels = Labels(np.zeros((200, 200, 3), np.uint8))
    mask = np.zeros((200, 200), bool)
    mask[:, :120] = True
    labels.reserve(mask)
    box = labels.pill("Harbor Bank", (100.0, 100.0), 8, reach_px=150)
    assert box is not None
    assert box.left >= 120


def test_a_turned_name_is_drawn_once_per_place() -> None:
    labels = Labels(np.full((200, 200, 3), 90, np.uint8))
    assert labels.along("ELM STREET", (100, 100), 30.0, 9, (255, 255, 255), (0, 0, 0))
    assert not labels.along("OAK STREET", (100, 100), 30.0, 9, (255, 255, 255), (0, 0, 0))
    assert not labels.along("FAR STREET", (198, 100), 0.0, 9, (255, 255, 255), (0, 0, 0))


@pytest.mark.parametrize("size", [224, 480, 900])
def test_labels_of_a_route_never_overlap(
    city_map: CityMap, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets: list[Labels] = []

    class Spy(Labels):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type]
            sheets.append(self)

    dots: list[tuple[int, int]] = []
    circle = cv2.circle

    def drawn(picture: np.ndarray, centre: tuple[int, int], radius: int, *rest: object) -> None:
        dots.extend([centre] if radius == maps.DOT_PX else [])
        circle(picture, centre, radius, *rest)

    monkeypatch.setattr(maps, "Labels", Spy)
    monkeypatch.setattr(maps.cv2, "circle", drawn)
    path = walk(city_map)
    picture = city_map.route(
        path, size, visited=path[:4], heading=20.0, landmarks=(1, 2, 3), turns=path[5:20:7]
    )
    assert picture.shape == (size, size, 3)
    boxes = max((sheet.boxes for sheet in sheets), key=len)
    assert len(boxes) >= 2
    assert not any(overlap(one, other) for one, other in combinations(boxes, 2))
    assert len(dots) >= 3
    spots = [Box(x, y, x + 1, y + 1) for x, y in dots]
    assert not any(overlap(spot, box) for spot in spots for box in boxes)


def test_the_map_is_not_changed_by_what_is_drawn_on_it(city_map: CityMap) -> None:
    before = city_map.picture.copy()
    xy = tuple(city_map.city.node_xy[5].tolist())
    plain = city_map.around(xy, None, 300, names=False)
    with_agent = city_map.around(xy, 45.0, 300, names=False)
    assert (plain != with_agent).any()
    assert np.array_equal(city_map.picture, before)


def test_north_is_up_and_the_middle_is_the_place(city_map: CityMap) -> None:
    xy = city_map.city.node_xy[5]
    column, row = city_map.pixel(xy)
    east_column, _ = city_map.pixel(xy + np.array([10, 0]))
    _, north_row = city_map.pixel(xy + np.array([0, 10]))
    assert east_column - column == pytest.approx(40)
    assert row - north_row == pytest.approx(40)
    around = city_map.around(tuple(xy.tolist()), None, 200, span_m=50.0, names=False)
    exact = city_map.picture[round(row) - 4 : round(row) + 4, round(column) - 4 : round(column) + 4]
    assert np.abs(around[96:104, 96:104].mean(axis=(0, 1)) - exact.mean(axis=(0, 1))).max() < 12


@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_a_film_has_a_picture_per_frame(tmp_path: Path, ending: str) -> None:
    frames = [np.full((61, 93, 3), 40 * k, np.uint8) for k in range(5)]
    path = tmp_path / f"walk{ending}"
    save_film(iter(frames), path, 5.0)
    if ending == ".gif":
        assert Image.open(path).n_frames == 5  # type: ignore[attr-defined]
    else:
        film = cv2.VideoCapture(str(path))
        assert int(film.get(cv2.CAP_PROP_FRAME_COUNT)) == 5


def test_mistakes_about_films_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        save_film([], tmp_path / "walk.gif")
    with pytest.raises(ValueError, match=r"path must end in .gif or .mp4; got 'walk.avi'"):
        save_film([np.zeros((8, 8, 3), np.uint8)], tmp_path / "walk.avi")
