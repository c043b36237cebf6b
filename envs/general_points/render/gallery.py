"""The gallery picture: one hand under every look, and how small a hand may be.

`python -m cardinal_gym.envs.general_points.render.gallery docs/gallery_cards.png` writes it.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .compose import CardRenderer
from .config import VISUALS, Font, as_visual
from .glyphs import font_path

HAND = ("K", "7", "10", "3")
TILE, GAP, CAPTION = 400, 16, 38
SMALL = ((56, 56, 4), (112, 56, 4), (112, 112, 2), (224, 112, 1))  # width, height, enlargement
PAPER, INK, FAINT = (255, 255, 255), (28, 30, 36), (110, 114, 124)


def gallery(columns: int = 3, seed: int = 7) -> Image.Image:
    """Every look at 800 px, shown at half size with its name, and small canvases enlarged."""
    names = list(VISUALS)
    rows = -(-len(names) // columns)
    strip = max(height * zoom for _, height, zoom in SMALL)
    width = columns * (TILE + GAP) + GAP
    height = rows * (TILE + CAPTION + GAP) + strip + CAPTION + 3 * GAP
    page = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(page)
    for index, name in enumerate(names):
        row, column = divmod(index, columns)
        left, top = GAP + column * (TILE + GAP), GAP + row * (TILE + CAPTION + GAP)
        large = _hand(name, 2 * TILE, 2 * TILE, seed)
        page.paste(large.resize((TILE, TILE), Image.Resampling.BOX), (left, top))
        _caption(pen, left, top + TILE + 8, name, "training look" if index == 0 else "")
    left, top = GAP, GAP + rows * (TILE + CAPTION + GAP) + GAP
    for small_w, small_h, zoom in SMALL:
        size = small_w * zoom, small_h * zoom
        picture = _hand("mixed_suits", small_w, small_h, seed).resize(
            size, Image.Resampling.NEAREST
        )
        page.paste(picture, (left, top + strip - size[1]))
        _caption(pen, left, top + strip + 8, f"{small_w}×{small_h}", f"shown ×{zoom}")
        left += size[0] + GAP + (width - 2 * GAP - _strip_width()) // (len(SMALL) - 1) - GAP
    return page


def main() -> None:
    """Write the gallery to the path given as the only argument."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m cardinal_gym.envs.general_points.render.gallery PATH.png")
    gallery().save(Path(sys.argv[1]), optimize=True)


def _hand(name: str, width: int, height: int, seed: int) -> Image.Image:
    renderer = CardRenderer(as_visual(name, width=width, height=height))
    return Image.fromarray(renderer.render(HAND, np.random.default_rng(seed)))


def _strip_width() -> int:
    return sum(width * zoom for width, _, zoom in SMALL)


def _caption(pen: ImageDraw.ImageDraw, left: int, top: int, name: str, note: str) -> None:
    font = ImageFont.truetype(font_path(Font.sans), 17, layout_engine=ImageFont.Layout.BASIC)
    pen.text((left + 2, top), name, fill=INK, font=font)
    if note:
        pen.text((left + 2 + font.getlength(name) + 10, top), note, fill=FAINT, font=font)


if __name__ == "__main__":
    main()
