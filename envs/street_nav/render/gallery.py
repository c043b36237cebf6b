"""The gallery picture: one place under every look, and a walk's map beside it.

`python -m cardinal_gym.envs.street_nav.render.gallery docs/gallery_streets.png` writes it.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..city.builder import build_city
from ..city.config import CityConfig
from ..city.scene import City
from .config import LOOKS, as_look
from .crop import view, view_grid
from .lettering import font
from .maps import CityMap
from .panorama import PanoramaRenderer

TILE, GAP, CAPTION = 480, 14, 34
WIDTH, SUPERSAMPLE = 2048, 2
PAPER, INK, FAINT = (255, 255, 255), (28, 30, 36), (110, 114, 124)


def gallery(columns: int = 3) -> Image.Image:
    """Front views of all looks at one place, then a grid of views as an agent gets it, and maps."""
    city = build_city(CityConfig(seed=GALLERY_SEED))
    node, heading = best_place(city)
    rows = -(-len(LOOKS) // columns)
    width = columns * (TILE + GAP) + GAP
    height = (rows + 1) * (TILE + CAPTION + GAP) + GAP
    page = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(page)
    for index, name in enumerate(LOOKS):
        panorama = PanoramaRenderer(city, name, WIDTH, SUPERSAMPLE).panorama(node)
        row, column = divmod(index, columns)
        at = GAP + column * (TILE + GAP), GAP + row * (TILE + CAPTION + GAP)
        page.paste(Image.fromarray(view(panorama, heading, TILE)), at)
        _caption(pen, at, name, "training look" if index == 0 else "")
    top = GAP + rows * (TILE + CAPTION + GAP)
    walker, place = PanoramaRenderer(city, "harbor", 1024), city.node_xy[node].tolist()
    grid = view_grid(walker.panorama(node), heading, 224)
    extras = (
        (grid, "what an agent sees", "four views of 224 px"),
        (CityMap(city, as_look("harbor")).around(place, heading, TILE), "bird's-eye map", ""),
        (CityMap(city, as_look("maple")).around(place, None, TILE, 420, False), "a whole city", ""),
    )
    for column, (picture, name, note) in enumerate(extras):
        at = GAP + column * (TILE + GAP), top
        tile = Image.fromarray(np.ascontiguousarray(picture)).resize((TILE, TILE))
        page.paste(tile, at)
        _caption(pen, at, name, note)
    return page


def best_place(city: City) -> tuple[int, float]:
    """The node and the direction of travel with the most legible signs ahead."""
    best, place = -1.0, (0, 0.0)
    for a, b in city.edge_nodes.tolist():
        for node, other in ((a, b), (b, a)):
            way = city.node_xy[other] - city.node_xy[node]
            heading = float(np.degrees(np.arctan2(way[0], way[1]))) % 360.0
            here = city.sight_node == node
            turn = (city.sight_bearing[here] - heading + 180.0) % 360.0 - 180.0
            ahead = np.abs(turn) < 40.0
            value = float((city.sight_width[here] * city.sight_height[here])[ahead].sum())
            if value > best:
                best, place = value, (node, heading)
    return place


def main() -> None:
    """Write the gallery to the path given as the only argument."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m cardinal_gym.envs.street_nav.render.gallery PATH.png")
    picture = gallery().quantize(256, dither=Image.Dither.NONE)
    picture.save(Path(sys.argv[1]), optimize=True)


def _caption(pen: ImageDraw.ImageDraw, at: tuple[int, int], name: str, note: str) -> None:
    face = font("inter", 17)
    pen.text((at[0], at[1] + TILE + 7), name, fill=INK, font=face)
    left = at[0] + pen.textlength(name + "   ", font=face)
    pen.text((left, at[1] + TILE + 9), note, fill=FAINT, font=font("inter", 14))


GALLERY_SEED = 0

if __name__ == "__main__":
    main()
