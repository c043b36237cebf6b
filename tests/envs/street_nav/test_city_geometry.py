import math

import numpy as np
import pytest
import shapely
from cardinal_gym.envs.street_nav.city import geometry
from hypothesis import given
from hypothesis import strategies as st

headings = st.floats(0.0, 359.9)
SQUARE = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])


@pytest.mark.parametrize(
    ("vector", "heading"), [((0, 1), 0.0), ((1, 0), 90.0), ((0, -1), 180.0), ((-1, 0), 270.0)]
)
def test_headings_run_clockwise_from_north(vector: tuple[int, int], heading: float) -> None:
    assert geometry.heading_of(np.array(vector, float)) == pytest.approx(heading)
    assert geometry.unit_of(heading) == pytest.approx(np.array(vector, float))


@given(headings, headings)
def test_turns_are_wrapped_and_lead_to_the_heading(before: float, after: float) -> None:
    turn = float(geometry.turn_between(before, after))
    assert -180.0 < turn <= 180.0
    assert math.isclose((before + turn - after + 180.0) % 360.0, 180.0, abs_tol=1e-9)


def test_a_half_turn_is_positive() -> None:
    assert float(geometry.turn_between(10.0, 190.0)) == 180.0
    assert float(geometry.turn_between(190.0, 10.0)) == 180.0


@given(st.integers(0, 10_000))
def test_polygons_agree_with_shapely(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
    polygon = rng.uniform(5, 20, 9)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    shape = shapely.Polygon(polygon)
    if not shape.is_valid or shape.area < 1.0:
        return
    points = rng.uniform(-20, 20, (50, 2))
    assert abs(geometry.area(polygon)) == pytest.approx(shape.area)
    assert (geometry.inside(points, polygon) == shapely.contains_xy(shape, points)).all()
    ends = np.roll(polygon, -1, axis=0)
    expected = shapely.distance(shapely.points(points), shape.exterior)
    assert geometry.distance_to_segments(points, polygon, ends) == pytest.approx(expected)


@given(st.integers(0, 10_000))
def test_overlaps_of_quadrilaterals_agree_with_shapely(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = SQUARE + rng.uniform(-2, 2, (12, 4, 2)) + rng.uniform(-15, 15, (12, 1, 2))
    quads = base[geometry.is_convex(base)]
    if not len(quads):
        return
    found = geometry.quads_overlap(quads, slack=0.0)
    shapes = shapely.polygons(quads)
    for i, one in enumerate(shapes):
        for j, other in enumerate(shapes):
            common = one.intersection(other).area
            if i != j and (common > 1e-6 or one.distance(other) > 1e-6):
                assert found[i, j] == (common > 1e-6)


def test_the_largest_circle_in_a_square_touches_its_sides() -> None:
    radius, centre = geometry.inradius(SQUARE)
    assert radius == pytest.approx(5.0)
    assert centre == pytest.approx([5.0, 5.0])


def test_a_counter_clockwise_ring_is_offset_inwards() -> None:
    inner = geometry.offset_curve(SQUARE, np.full(4, 2.0), closed=True)
    assert geometry.area(inner) == pytest.approx(36.0)


def test_a_curve_is_cut_at_distances_along_it() -> None:
    curve = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]])
    part = geometry.slice_curve(curve, 4.0, 13.0)
    assert part == pytest.approx(np.array([[4.0, 0.0], [10.0, 0.0], [10.0, 3.0]]))


def test_the_crossing_nearest_to_the_given_distances_is_found() -> None:
    zigzag = np.array([[0.0, -1.0], [2.0, 1.0], [4.0, -1.0], [6.0, 1.0]])
    line = np.array([[-1.0, 0.0], [9.0, 0.0]])
    hit = geometry.nearest_crossing(line, zigzag, 6.0, 99.0)
    assert hit is not None
    assert hit[0] == pytest.approx(6.0)
    assert geometry.nearest_crossing(line, line[:, ::-1] + 20.0, 0.0, 0.0) is None


def test_rounded_corners_stay_inside_a_convex_polygon() -> None:
    shape = shapely.Polygon(geometry.rounded(SQUARE, 2.0))
    assert shape.is_valid
    assert shapely.Polygon(SQUARE).contains(shape.buffer(-1e-9))
    assert 95.0 < shape.area < 100.0
