"""A city from its configuration: streets, blocks, buildings, landmarks, furniture, in this order.

Every part draws from a stream of its own, so that more parked cars leave the streets as they are.
"""

import hashlib
import json
from dataclasses import asdict

import numpy as np

from .blocks import Block, height_of, lay_blocks, raise_buildings
from .config import CityConfig
from .faces import polygon_of, trace_faces
from .furniture import place_furniture, zebra_crossings
from .landmarks import Landmarks, place_landmarks
from .scene import City, Ragged, SignKind
from .streets import WIDTH_M as STREET_WIDTH_M
from .streets import StreetPlan, draw_streets, lay_nodes
from .visibility import disc_radius, in_view, sightlines, unhidden, walls_of

VERSION = 2  # of the generator: part of every key, raised whenever a city changes
_MARGIN_M = 5.0


def city_key(config: CityConfig) -> str:
    """Canonical: equal for equal configurations, in any process."""
    text = json.dumps({"version": VERSION, **asdict(config)}, sort_keys=True)
    return f"city-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def build_city(config: CityConfig) -> City:
    """A city, the same for the same configuration. Takes about a second.

    Raises ValueError where it has no room for `num_landmarks`.
    """
    entropy = [config.seed, VERSION]
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(entropy).spawn(6)]
    plan = draw_streets(streams[0], config)
    graph = lay_nodes(plan)
    faces, outer = trace_faces(plan)
    blocks = lay_blocks(streams[1], faces, config)
    lots = raise_buildings(streams[2], blocks, outer)
    marks = place_landmarks(
        streams[3], config, blocks, lots, graph.xy, num_junctions=len(plan.junctions)
    )
    _lower_roofs(lots, marks)
    outer_kerb = outer.outline(1.0, 0.0)
    assert outer_kerb is not None
    zebras = zebra_crossings(plan)
    furniture, paths = place_furniture(streams[4], config, plan, blocks, outer_kerb, lots, zebras)
    lines = sightlines(graph.xy, marks.signs, walls_of(lots["quads"], marks.signs))
    clear = lines.take(lines.clear)
    radius = disc_radius(furniture.kind)
    hides = in_view(furniture.xy, radius, graph.xy, marks.signs, clear)
    furniture = furniture.take(~hides)
    lines = unhidden(lines, graph.xy, marks.signs, furniture.xy, disc_radius(furniture.kind))
    seeds = streams[5].integers(0, 2**32, len(lots["kind"]) + len(furniture.kind), np.uint32)
    return City(
        key=city_key(config),
        extent=_extent(lots["quads"]),
        outer_kerb=polygon_of(outer_kerb)[::-1].astype(np.float32),
        node_xy=graph.xy.astype(np.float32),
        node_arms=np.bincount(graph.edges.ravel()).astype(np.int32),
        edge_nodes=graph.edges,
        edge_street=graph.edge_street,
        crossings=zebras[:, :4].astype(np.float32),
        paths=Ragged.of(paths),
        furniture_kind=furniture.kind.astype(np.int32),
        furniture_xy=furniture.xy.astype(np.float32),
        furniture_heading=furniture.heading.astype(np.float32),
        furniture_seed=seeds[len(lots["kind"]) :],
        lot_seed=seeds[: len(lots["kind"])],
        **_street_fields(plan),
        **_block_fields(blocks),
        **_lot_fields(lots, marks),
        **_landmark_fields(marks),
        sight_node=lines.node.astype(np.int32),
        sight_landmark=lines.sign.astype(np.int32),
        sight_bearing=lines.bearing.astype(np.float32),
        sight_distance=lines.distance.astype(np.float32),
        sight_width=lines.width.astype(np.float32),
        sight_height=lines.height.astype(np.float32),
        sight_clear=lines.clear,
    )


def _lower_roofs(lots: dict[str, np.ndarray], marks: Landmarks) -> None:
    """Buildings under a rooftop sign have one storey, those with another sign at least two."""
    at_lot = marks.lot >= 0
    rooftop = marks.kind == SignKind.rooftop
    lots["storeys"][marks.lot[at_lot & rooftop]] = 1
    others = marks.lot[at_lot & ~rooftop]
    lots["storeys"][others] = np.maximum(lots["storeys"][others], 2)


def _street_fields(plan: StreetPlan) -> dict:
    return {
        "street_names": plan.names,
        "street_class": np.array(plan.classes, np.int32),
        "street_width": np.array([STREET_WIDTH_M[kind] for kind in plan.classes], np.float32),
        "lines": Ragged.of([segment.curve for segment in plan.segments]),
        "line_street": np.array([segment.street for segment in plan.segments], np.int32),
    }


def _block_fields(blocks: list[Block]) -> dict:
    return {
        "block_kind": np.array([block.kind for block in blocks], np.int32),
        "kerbs": Ragged.of([block.kerb for block in blocks]),
        "building_lines": Ragged.of([block.building_line for block in blocks]),
    }


def _lot_fields(lots: dict[str, np.ndarray], marks: Landmarks) -> dict:
    fixed = np.zeros(len(lots["kind"]), bool)
    fixed[marks.lot[(marks.lot >= 0) & (marks.kind == SignKind.rooftop)]] = True
    return {
        "lot_corners": lots["quads"].astype(np.float32),
        "lot_street_sides": lots["street_sides"].astype(np.int32),
        "lot_block": lots["block"].astype(np.int32),
        "lot_kind": lots["kind"].astype(np.int32),
        "lot_storeys": lots["storeys"].astype(np.int32),
        "lot_height": height_of(lots["storeys"]).astype(np.float32),
        "lot_fixed": fixed,
    }


def _landmark_fields(marks: Landmarks) -> dict:
    return {
        "landmark_names": marks.names,
        "landmark_categories": marks.categories,
        "landmark_lot": marks.lot.astype(np.int32),
        "sign_kind": marks.kind.astype(np.int32),
        "sign_p0": marks.signs.p0.astype(np.float32),
        "sign_u": marks.signs.u.astype(np.float32),
        "sign_v": marks.signs.v.astype(np.float32),
    }


def _extent(quads: np.ndarray) -> np.ndarray:
    points = quads.reshape(-1, 2)
    low, high = points.min(axis=0) - _MARGIN_M, points.max(axis=0) + _MARGIN_M
    return np.array([*low, *high], np.float32)
