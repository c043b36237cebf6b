"""The gallery picture: one place under every look, and a walk's map beside it.

`python -m cardinal_gym.envs.street_nav.render.gallery docs/gallery_streets.png` writes it.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..city.builder import build_city
from ..city.config import CityConfig, RouteConfig
from ..city.scene import City, FurnitureKind
from ..city.world import CityWorld
from ..paths import expanded
from .config import LOOKS, as_look
from .crop import view, view_grid
from .lettering import font
from .maps import CityMap
from .panorama import PanoramaRenderer

TILE, GAP, CAPTION = 480, 14, 34
CUT_TOP, CUT_BOTTOM = 16, 104  # of a view for the gallery: less of the road below
WIDTH, SUPERSAMPLE = 2048, 2
GALLERY_SEED = 0
PAPER, INK, FAINT = (255, 255, 255), (28, 30, 36), (110, 114, 124)


def gallery(columns: int = 3) -> Image.Image:
    """Front views of all looks at one place, then a grid of views as an agent gets it, and maps."""
    city = build_city(CityConfig(seed=GALLERY_SEED))
    node, heading = best_place(city)
    rows = -(-len(LOOKS) // columns)
    width = columns * (TILE + GAP) + GAP
    tall = TILE - CUT_TOP - CUT_BOTTOM
    height = rows * (tall + CAPTION + GAP) + TILE + CAPTION + 2 * GAP
    page = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(page)
    for index, name in enumerate(LOOKS):
        panorama = PanoramaRenderer(city, name, WIDTH, SUPERSAMPLE).panorama(node)
        row, column = divmod(index, columns)
        at = GAP + column * (TILE + GAP), GAP + row * (tall + CAPTION + GAP)
        front = view(panorama, heading, TILE)[CUT_TOP : TILE - CUT_BOTTOM]
        page.paste(Image.fromarray(front), at)
        _caption(pen, (at[0], at[1] + tall), name, "training look" if index == 0 else "")
    top = GAP + rows * (tall + CAPTION + GAP)
    walker = PanoramaRenderer(city, "harbor", 1024)
    grid = view_grid(walker.panorama(node), heading, 224)
    extras = (
        (grid, "what an agent sees", "four views of 224 px"),
        (walk_on_map(TILE), "a route", "half of it walked"),
        (whole(CityMap(city, as_look("lagoon")), TILE), "a whole city", "in another look"),
    )
    for column, (picture, name, note) in enumerate(extras):
        at = GAP + column * (TILE + GAP), top
        tile = Image.fromarray(np.ascontiguousarray(picture)).resize((TILE, TILE))
        page.paste(tile, at)
        _caption(pen, (at[0], at[1] + TILE), name, note)
    return page


def walk_on_map(size: int) -> np.ndarray:
    """A route with its landmarks, its first half walked: uint8 [size, size, 3]."""
    world = CityWorld(
        CityConfig(seed=GALLERY_SEED), "harbor", RouteConfig(min_turns=4, max_turns=4)
    )
    route = world.deal(np.random.default_rng(GALLERY_SEED), "all")
    path, corners = expanded(world, route)
    half = len(path) // 2
    way = np.subtract(world.position(path[half]), world.position(path[half - 1]))
    names = dict.fromkeys(w.sight.name for w in route.waypoints if w.sight is not None)
    return CityMap(world.city, as_look("harbor")).route(
        path, size, visited=path[: half + 1], heading=float(np.degrees(np.arctan2(*way))),
        landmarks=[world.city.landmark_names.index(name) for name in names],
        turns=[path[corner] for corner in corners[1:-1]],
    )  # fmt: skip


def whole(city_map: CityMap, size: int) -> np.ndarray:
    """All of a city on a square: uint8 [size, size, 3]."""
    west, south, east, north = city_map.city.extent.tolist()
    middle, span = ((west + east) / 2, (south + north) / 2), max(east - west, north - south)
    return city_map.around(middle, None, size, span, names=False)


def best_place(city: City) -> tuple[int, float]:
    """The node and the direction of travel with legible signs, trees, lamps and cars ahead."""
    tall = np.isin(city.furniture_kind, (FurnitureKind.tree, FurnitureKind.lamp, FurnitureKind.car))
    things = city.furniture_xy[tall]
    best, place = -1.0, (0, 0.0)
    for a, b in city.edge_nodes.tolist():
        for node, other in ((a, b), (b, a)):
            way = city.node_xy[other] - city.node_xy[node]
            heading = float(np.degrees(np.arctan2(way[0], way[1]))) % 360.0
            here = (city.sight_node == node) & city.sight_clear
            seen = _ahead(city.sight_bearing[here], heading, 36.0)
            signs = np.sort(np.minimum(city.sight_width[here], 20.0)[seen])[-3:].sum()
            offset = things - city.node_xy[node]
            away = np.linalg.norm(offset, axis=1)
            bearing = np.degrees(np.arctan2(offset[:, 0], offset[:, 1]))
            around = _ahead(bearing, heading, 38.0) & (away > 7.0) & (away < 32.0)
            value = float(signs + 2.5 * min(int(around.sum()), 9))
            value -= 6.0 if city.node_arms[node] > 2 else 0.0  # mostly roadway
            if value > best:
                best, place = value, (node, heading)
    return place


def main() -> None:
    """Write the gallery to the path given as the only argument."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m cardinal_gym.envs.street_nav.render.gallery PATH.png")
    gallery().save(Path(sys.argv[1]), optimize=True)


def _ahead(bearing: np.ndarray, heading: float, within: float) -> np.ndarray:
    return np.abs((bearing - heading + 180.0) % 360.0 - 180.0) < within


def _caption(pen: ImageDraw.ImageDraw, at: tuple[int, int], name: str, note: str) -> None:
    """Below the lower left corner of a picture."""
    face = font("inter", 17)
    pen.text((at[0], at[1] + 7), name, fill=INK, font=face)
    left = at[0] + pen.textlength(name + "   ", font=face)
    pen.text((left, at[1] + 9), note, fill=FAINT, font=font("inter", 14))


if __name__ == "__main__":
    main()
