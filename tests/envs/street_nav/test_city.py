"""The plan of a city, checked against shapely and networkx."""

import dataclasses

import networkx as nx
import numpy as np
import pytest
import shapely
from cardinal_gym.envs.street_nav.city.builder import build_city, city_key
from cardinal_gym.envs.street_nav.city.config import CityConfig
from cardinal_gym.envs.street_nav.city.names import LANDMARK_WORDS, STREET_WORDS
from cardinal_gym.envs.street_nav.city.scene import (
    MAX_SIGN_TOP_M,
    BlockKind,
    City,
    Ragged,
    SignKind,
)
from cities import LAYOUTS, city_of, config_of, small_city


@pytest.fixture(params=LAYOUTS)
def city(request: pytest.FixtureRequest) -> City:
    return city_of(request.param)


def same_bytes(one: City, other: City) -> bool:
    for field in dataclasses.fields(City):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, Ragged):
            a, b = (np.concatenate([r.points.ravel(), r.starts]) for r in (a, b))
        if isinstance(a, np.ndarray):
            if a.dtype != b.dtype or a.tobytes() != b.tobytes():
                return False
        elif a != b:
            return False
    return True


def test_one_seed_gives_one_city_and_another_seed_another() -> None:
    config = config_of("mixed", 1, 4)
    again = build_city(config)
    assert same_bytes(small_city(), again)
    other = build_city(dataclasses.replace(config, seed=2))
    assert other.key != again.key
    assert not np.array_equal(other.node_xy, again.node_xy)


def test_the_key_is_the_same_for_equal_configurations() -> None:
    assert city_key(CityConfig(block_m=62)) == city_key(CityConfig(block_m=62.0))
    assert city_key(CityConfig(seed=1)) != city_key(CityConfig(seed=2))


def test_traffic_and_trees_leave_streets_buildings_and_signs_as_they_are() -> None:
    city, config = small_city(), config_of("mixed", 1, 4)
    busy = build_city(dataclasses.replace(config, traffic=2.0, trees=0.0))
    for name in ("node_xy", "lot_corners", "sign_p0", "lot_storeys"):
        assert np.array_equal(getattr(city, name), getattr(busy, name)), name
    assert len(busy.furniture_kind) != len(city.furniture_kind)


def test_the_streets_are_one_connected_plane_graph(city: City) -> None:
    graph = nx.Graph(city.edge_nodes.tolist())
    assert graph.number_of_nodes() == city.num_nodes
    assert graph.number_of_edges() == len(city.edge_nodes)
    assert nx.is_connected(graph)
    assert nx.check_planarity(graph)[0]
    assert dict(graph.degree) == dict(enumerate(city.node_arms))
    edges = shapely.linestrings(city.node_xy[city.edge_nodes])
    a, b = shapely.STRtree(edges).query(edges, predicate="crosses")
    assert len(a) == len(b) == 0


def test_three_to_five_ways_meet_at_every_intersection() -> None:
    arms = np.concatenate([city_of(layout).node_arms for layout in LAYOUTS])
    assert set(arms.tolist()) == {2, 3, 4, 5}


def test_nodes_lie_every_nine_to_fourteen_metres(city: City) -> None:
    steps = np.diff(city.node_xy[city.edge_nodes], axis=1)[:, 0]
    lengths = np.linalg.norm(steps, axis=1)
    assert lengths.min() > 9.0
    assert lengths.max() < 14.0


def test_there_are_curved_and_diagonal_streets_beside_straight_ones() -> None:
    def bends(city: City) -> np.ndarray:
        return np.array(
            [
                np.linalg.norm(np.diff(p, axis=0), axis=1).sum() / np.linalg.norm(p[-1] - p[0])
                for p in city.lines
            ]
        )

    assert np.median(bends(city_of("grid"))) < 1.0001
    assert np.quantile(bends(city_of("organic")), 0.75) > 1.003
    mixed = bends(city_of("mixed"))
    assert mixed.min() < 1.0002
    assert np.quantile(mixed, 0.75) > 1.001
    assert any("Boulevard" in name for name in city_of("mixed").street_names)


def test_names_are_unique_and_of_known_words(city: City) -> None:
    assert city.num_landmarks >= 60
    assert len(set(city.landmark_names)) == city.num_landmarks
    assert len({name.split()[0] for name in city.landmark_names}) == city.num_landmarks
    assert {word for name in city.landmark_names for word in name.split()} <= set(LANDMARK_WORDS)
    assert len(set(city.street_names)) == len(city.street_names)
    assert {word for name in city.street_names for word in name.split()} <= set(STREET_WORDS)


def test_several_kinds_of_sign_occur_and_none_hangs_too_high(city: City) -> None:
    assert set(city.sign_kind.tolist()) == set(map(int, SignKind))
    tops = city.sign_p0[:, 2] + city.sign_v[:, 2]
    assert tops.max() <= MAX_SIGN_TOP_M + 1e-4
    assert city.sign_p0[:, 2].min() >= 1.9
    assert np.abs(city.sign_u[:, 2]).max() == 0.0
    assert np.abs((city.sign_u * city.sign_v).sum(axis=1)).max() < 1e-4


def test_signs_on_a_facade_face_away_from_their_building(city: City) -> None:
    on_wall = (city.landmark_lot >= 0) & (city.sign_kind != SignKind.blade)
    normal = np.cross(city.sign_u, city.sign_v)[on_wall, :2]
    middle = (city.sign_p0 + city.sign_u / 2)[on_wall, :2]
    centre = city.lot_corners[city.landmark_lot[on_wall]].mean(axis=1)
    assert ((middle - centre) * normal).sum(axis=1).min() > 0


def test_rooftop_signs_stand_on_low_roofs_that_keep_their_height(city: City) -> None:
    rooftop = city.sign_kind == SignKind.rooftop
    lots = city.landmark_lot[rooftop]
    assert city.lot_fixed[lots].all()
    assert city.lot_fixed.sum() == len(lots)
    assert (city.sign_p0[rooftop, 2] >= city.lot_height[lots]).all()
    others = city.landmark_lot[~rooftop & (city.landmark_lot >= 0)]
    tops = (city.sign_p0 + city.sign_v)[~rooftop & (city.landmark_lot >= 0), 2]
    assert (tops < 0.8 * city.lot_height[others]).all()


def test_footprints_are_sound_and_hardly_overlap(city: City) -> None:
    lots = shapely.polygons(city.lot_corners)
    assert shapely.is_valid(lots).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(lots)).all()
    hulls = shapely.convex_hull(lots)
    assert (shapely.area(hulls) - shapely.area(lots)).max() < 0.5
    a, b = shapely.STRtree(lots).query(lots, predicate="intersects")
    assert shapely.area(shapely.intersection(lots[a[a < b]], lots[b[a < b]])).max() < 4.0


def test_no_building_stands_in_a_street(city: City) -> None:
    half = city.street_width[city.line_street] / 2.0
    roads = shapely.buffer([shapely.LineString(p) for p in city.lines], half, cap_style="flat")
    lots = shapely.polygons(city.lot_corners)
    a, b = shapely.STRtree(roads).query(lots, predicate="intersects")
    overlap = shapely.area(shapely.intersection(lots[a], roads[b]))
    assert overlap.max(initial=0.0) < 0.1


def test_kerbs_bound_the_roadway(city: City) -> None:
    kerbs = [shapely.Polygon(kerb) for kerb in city.kerbs]
    outer = shapely.Polygon(city.outer_kerb)
    for polygon in (*kerbs, outer):
        assert polygon.is_valid
        assert polygon.exterior.is_ccw
    roadway = outer.difference(shapely.union_all(kerbs))
    assert shapely.contains_xy(roadway, city.node_xy).all()
    inner = [shapely.Polygon(line) for line in city.building_lines if len(line)]
    assert all(shapely.union_all(kerbs).buffer(0.01).contains(line) for line in inner)


def test_lots_lie_in_their_blocks_or_in_the_ring_around(city: City) -> None:
    outer = shapely.Polygon(city.outer_kerb)
    for quad, block in zip(city.lot_corners, city.lot_block, strict=True):
        if block < 0:
            assert not outer.contains(shapely.Polygon(quad).centroid)
        else:
            kerb = shapely.Polygon(city.kerbs[int(block)])
            assert kerb.buffer(0.3).contains(shapely.Polygon(quad))
            assert city.block_kind[block] == BlockKind.built


def test_everything_lies_within_the_extent(city: City) -> None:
    west, south, east, north = city.extent
    for points in (city.node_xy, city.lot_corners.reshape(-1, 2), city.furniture_xy):
        assert points[:, 0].min() >= west
        assert points[:, 0].max() <= east
        assert points[:, 1].min() >= south
        assert points[:, 1].max() <= north


def test_the_arrays_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        small_city().node_xy[0, 0] = 1.0


def test_too_many_landmarks_for_a_city_are_refused() -> None:
    with pytest.raises(ValueError, match=r"num_landmarks must be at most \d+ in this city"):
        build_city(CityConfig(num_blocks=4, block_m=52.0, num_landmarks=160, num_parks=4))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 40))
def test_many_seeds_give_sound_cities(seed: int) -> None:
    for layout in LAYOUTS:
        city = build_city(config_of(layout, seed, 6))
        test_the_streets_are_one_connected_plane_graph(city)
        test_footprints_are_sound_and_hardly_overlap(city)
        test_no_building_stands_in_a_street(city)
        test_kerbs_bound_the_roadway(city)
        test_lots_lie_in_their_blocks_or_in_the_ring_around(city)
