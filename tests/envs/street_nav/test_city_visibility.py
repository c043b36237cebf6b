"""Lines of sight, checked against shapely."""

import numpy as np
import pytest
import shapely
from cardinal_gym.envs.street_nav.city.scene import EYE_HEIGHT_M, OCCLUDER_RADIUS_M, FurnitureKind
from cardinal_gym.envs.street_nav.city.visibility import (
    CLEAR,
    SEEN,
    Signs,
    Walls,
    sightlines,
    visible,
)
from cities import LAYOUTS, city_of

EAST_WALL = Walls(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, int))


def board(x: float, y: float, two_sided: bool = False) -> Signs:
    """8 m wide, 1.5 m high, its middle at (x, y), facing south."""
    return Signs(
        p0=np.array([[x - 4.0, y, 3.0]]),
        u=np.array([[8.0, 0.0, 0.0]]),
        v=np.array([[0.0, 0.0, 1.5]]),
        two_sided=np.array([two_sided]),
    )


def wall(*ends: tuple[float, float]) -> Walls:
    a, b = (np.array([end], float) for end in ends)
    return Walls(a, b, np.array([-1]))


def test_the_angles_of_a_board_straight_ahead() -> None:
    lines = sightlines(np.array([[0.0, 0.0]]), board(0.0, 12.0), EAST_WALL)
    assert lines.bearing[0] == pytest.approx(0.0)
    assert lines.distance[0] == pytest.approx(12.0)
    assert lines.width[0] == pytest.approx(2 * np.degrees(np.arctan(4 / 12)))
    low, high = (np.degrees(np.arctan((z - EYE_HEIGHT_M) / 12)) for z in (3.0, 4.5))
    assert lines.height[0] == pytest.approx(high - low)
    assert lines.clear[0]


def test_a_board_is_not_seen_from_behind_unless_it_has_two_sides() -> None:
    behind = np.array([[0.0, 24.0]])
    assert len(sightlines(behind, board(0.0, 12.0), EAST_WALL).node) == 0
    assert len(sightlines(behind, board(0.0, 12.0, two_sided=True), EAST_WALL).node) == 1


@pytest.mark.parametrize("place", [(0.0, -30.0), (39.0, 0.0), (30.0, 11.0)])
def test_far_and_slanted_boards_are_not_seen(place: tuple[float, float]) -> None:
    assert len(sightlines(np.array([place]), board(0.0, 12.0), EAST_WALL).node) == 0


def test_a_wall_in_between_hides_and_one_beside_does_not() -> None:
    eye, sign = np.array([[0.0, 0.0]]), board(0.0, 12.0)
    assert len(sightlines(eye, sign, wall((-1, 6), (1, 6))).node) == 0
    assert len(sightlines(eye, sign, wall((1, 6), (9, 6))).node) == 0  # hides a part of it
    assert len(sightlines(eye, sign, wall((3, 6), (9, 6))).node) == 1
    assert len(sightlines(eye, sign, wall((-9, 13), (9, 13))).node) == 1  # the facade behind


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_intersection_has_a_landmark_that_is_clearly_seen(layout: str) -> None:
    city = city_of(layout)
    junctions = np.flatnonzero(city.node_arms >= 3)
    assert np.isin(junctions, city.sight_node[city.sight_clear]).mean() > 0.93


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sight_lines_are_free_of_buildings_and_clear_ones_of_trees(layout: str) -> None:
    city = city_of(layout)
    lots = shapely.polygons(city.lot_corners)
    tree = shapely.STRtree(shapely.buffer(lots, -0.25))
    eyes = city.node_xy[city.sight_node]
    p0, u = city.sign_p0[city.sight_landmark, :2], city.sign_u[city.sight_landmark, :2]
    for share in (0.1, 0.5, 0.9):
        lines = shapely.linestrings(np.stack([eyes, p0 + share * u], axis=1))
        assert len(tree.query(lines, predicate="intersects")[0]) == 0
    views = shapely.polygons(np.stack([eyes, p0, p0 + u], axis=1)[city.sight_clear])
    for kind, radius in OCCLUDER_RADIUS_M.items():
        discs = shapely.buffer(
            shapely.points(city.furniture_xy[city.furniture_kind == kind]), 0.99 * radius
        )
        assert len(shapely.STRtree(discs).query(views, predicate="intersects")[0]) == 0
        assert len(discs) > 5, FurnitureKind(kind).name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sights_keep_their_limits_and_their_order(layout: str) -> None:
    city = city_of(layout)
    area = city.sight_width * city.sight_height
    assert area.min() >= SEEN.area * 0.999
    assert city.sight_distance.max() <= SEEN.distance
    clear = city.sight_clear
    assert area[clear].min() >= CLEAR.area * 0.999
    assert city.sight_width[clear].min() >= CLEAR.width * 0.999
    assert (np.diff(city.sight_node) >= 0).all()
    same = (np.diff(city.sight_node) == 0) & (clear[1:] == clear[:-1])
    assert (np.diff(area)[same] <= 0).all()


def test_one_pair_asked_alone_agrees_with_the_table() -> None:
    city = city_of("mixed")
    seen = set(zip(city.sight_node.tolist(), city.sight_landmark.tolist(), strict=True))
    for row in range(0, len(city.sight_node), 25):
        node, landmark = int(city.sight_node[row]), int(city.sight_landmark[row])
        size = float(city.sight_width[row] * city.sight_height[row])
        assert visible(city, node, landmark) == pytest.approx(size, rel=0.01)
    for node, landmark in [(0, 0), (5, 30), (100, 60), (200, 7)]:
        assert (visible(city, node, landmark) > 0) == ((node, landmark) in seen)
