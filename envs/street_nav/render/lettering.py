"""Words as coverage masks, in the fonts of the looks (OFL, see `assets/README.md`)."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_HERE = Path(__file__).parent / "assets" / "fonts"
_CARDS = Path(__file__).parents[2] / "general_points" / "render" / "assets" / "fonts"
_FILES = {
    "inter": _CARDS / "inter-800.woff2",
    "oswald": _CARDS / "oswald-600.woff2",
    "zilla-slab": _CARDS / "zilla-slab-700.woff2",
    "dm-serif-display": _CARDS / "dm-serif-display-400.woff2",
    "caveat-brush": _CARDS / "caveat-brush-400.woff2",
    "rye": _HERE / "rye-400.woff2",
    "limelight": _HERE / "limelight-400.woff2",
    "righteous": _HERE / "righteous-400.woff2",
    "berkshire-swash": _HERE / "berkshire-swash-400.woff2",
    "almendra": _HERE / "almendra-700.woff2",
    "archivo-black": _HERE / "archivo-black-400.woff2",
}
MASTER_PX = 160
MIN_SQUEEZE = 0.62  # how far a line may be narrowed before it becomes lower too


@lru_cache(maxsize=64)
def font(name: str, size_px: int) -> ImageFont.FreeTypeFont:
    """A font of `config.FONTS`; Pillow's basic layout needs no optional library."""
    return ImageFont.truetype(str(_FILES[name]), size_px, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=512)
def line_mask(text: str, name: str) -> np.ndarray:
    """One line at `MASTER_PX`, cropped to its ink: uint8 [h, w]."""
    face = font(name, MASTER_PX)
    left, top, right, bottom = face.getbbox(text)
    page = Image.new("L", (int(right - left) + 8, int(bottom - top) + 8))
    ImageDraw.Draw(page).text((4 - left, 4 - top), text, fill=255, font=face)
    pixels = np.asarray(page)
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        return np.zeros((1, 1), np.uint8)
    return np.ascontiguousarray(pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def fitted(
    lines: list[str], name: str, width: int, height: int, stretch: float = 1.25
) -> np.ndarray:
    """Lines of text as large as a box allows, centred: uint8 [height, width].

    Letters may be drawn up to `stretch` wider or `MIN_SQUEEZE` narrower than they are.
    """
    page = np.zeros((height, width), np.uint8)
    gap = round(0.14 * height / len(lines)) if len(lines) > 1 else 0
    tall = (height - gap * (len(lines) - 1)) // len(lines)
    for k, text in enumerate(lines):
        mask = line_mask(text, name)
        scale_y = tall / mask.shape[0]
        scale_x = min(width / mask.shape[1], scale_y * stretch)
        if scale_x < scale_y * MIN_SQUEEZE:
            scale_y = scale_x / MIN_SQUEEZE
        w = max(1, min(width, round(mask.shape[1] * scale_x)))
        h = max(1, min(tall, round(mask.shape[0] * scale_y)))
        ink = cv2.resize(mask, (w, h), interpolation=cv2.INTER_AREA)
        top, left = k * (tall + gap) + (tall - h) // 2, (width - w) // 2
        page[top : top + h, left : left + w] = np.maximum(page[top : top + h, left : left + w], ink)
    return page


def broken(text: str, max_lines: int) -> list[str]:
    """A name over at most `max_lines` lines of nearly equal length."""
    words = text.split()
    if max_lines <= 1 or len(words) == 1:
        return [text]
    best = [text]
    for count in range(2, min(max_lines, len(words)) + 1):
        lines = _split(words, count)
        if max(map(len, lines)) < max(map(len, best)):
            best = lines
    return best


def _split(words: list[str], count: int) -> list[str]:
    """The split into `count` lines whose longest is shortest, by trying every place."""
    if count == 1:
        return [" ".join(words)]
    options = (
        [" ".join(words[:k]), *_split(words[k:], count - 1)]
        for k in range(1, len(words) - count + 2)
    )
    return min(options, key=lambda lines: max(map(len, lines)))
