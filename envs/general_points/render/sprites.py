"""Cards as premultiplied pixels: the printed face, the rounded outline, the soft shadow."""

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from .faces import FaceStyle, paint_face

CORNER_SHARE = 0.055  # of the card's width: the corners' radius
SHADOW_PAD = 0.10  # of the card's width, around the card on a sprite with a shadow
CACHE_BYTES = 96 * 2**20
_FINE = 8  # oversampling of outlines
_Key = tuple[str, FaceStyle, str, int]


class SpriteCache:
    """Painted cards of this process, the least recently used dropped beyond `CACHE_BYTES`."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._sprites: OrderedDict[_Key, np.ndarray] = OrderedDict()

    def upright(self, style: FaceStyle, rank: str, suit: int) -> np.ndarray:
        """The card without shadow on its own stock, uint8 [h, w, 3]; outline not applied."""
        return self._get(("upright", style, rank, suit), lambda: paint_face(style, rank, suit))

    def shadowed(self, style: FaceStyle, rank: str, suit: int) -> np.ndarray:
        """The card over its shadow, premultiplied uint8 [h + 2 pad, w + 2 pad, 4]."""
        return self._get(
            ("shadowed", style, rank, suit),
            lambda: with_shadow(paint_face(style, rank, suit), style),
        )

    def clear(self) -> None:
        """Forget every sprite."""
        self._sprites.clear()
        self._bytes = 0

    def _get(self, key: _Key, paint: Callable[[], np.ndarray]) -> np.ndarray:
        sprite = self._sprites.get(key)
        if sprite is not None:
            self._sprites.move_to_end(key)
            return sprite
        sprite = self._sprites[key] = paint()
        sprite.setflags(write=False)
        self._bytes += sprite.nbytes
        while self._bytes > self._max_bytes and len(self._sprites) > 1:
            self._bytes -= self._sprites.popitem(last=False)[1].nbytes
        return sprite


SPRITES = SpriteCache()


@lru_cache(maxsize=64)
def outline(width: int, height: int, shown: int) -> tuple[np.ndarray, np.ndarray]:
    """Coverage of the card and of its inside within the edge line, uint8 [h, w] each."""
    line = max(0.75, 0.007 * shown) * width / shown
    return _rounded(width, height, 0.0), _rounded(width, height, line)


def body(face: np.ndarray, style: FaceStyle) -> np.ndarray:
    """The face with its edge line, cut to the rounded outline: premultiplied uint8 [h, w, 4]."""
    outer, inner = outline(style.width_px, style.height_px, style.shown_px)
    out, ins = outer[..., None].astype(np.float32) / 255, inner[..., None].astype(np.float32) / 255
    edge = np.array(style.inks.edge, np.float32)
    rgb = face * ins + edge * np.maximum(out - ins, 0)
    return np.dstack([np.rint(rgb).astype(np.uint8), outer])


def shadow(width: int, height: int) -> np.ndarray:
    """Coverage of a card's soft shadow, uint8 [h + 2 pad, w + 2 pad], offset down and right."""
    pad = shadow_pad(width)
    card = np.pad(_rounded(width, height, 0.0).astype(np.float32) / 255, pad)
    contact = _moved_blur(card, 0.010 * width, 0.008 * width, 0.012 * width)
    soft = _moved_blur(card, 0.034 * width, 0.014 * width, 0.026 * width)
    dark = 1 - (1 - 0.42 * contact) * (1 - 0.34 * soft)
    return np.rint(255 * dark).astype(np.uint8)


def with_shadow(face: np.ndarray, style: FaceStyle) -> np.ndarray:
    """The card over its shadow, premultiplied uint8 [h + 2 pad, w + 2 pad, 4]."""
    pad = shadow_pad(style.width_px)
    card = np.pad(body(face, style), ((pad, pad), (pad, pad), (0, 0)))
    under = _shadow_of(style.width_px, style.height_px)
    dark = under.astype(np.uint16) * (255 - card[..., 3].astype(np.uint16))
    card[..., 3] += ((dark + 127) // 255).astype(np.uint8)
    return card


def shadow_pad(width: int) -> int:
    """Pixels of shadow around a card of this width."""
    return max(2, round(SHADOW_PAD * width))


@lru_cache(maxsize=16)
def _shadow_of(width: int, height: int) -> np.ndarray:
    return shadow(width, height)


def _rounded(width: int, height: int, inset: float) -> np.ndarray:
    """Coverage of a rounded rectangle `inset` pixels inside width x height, exact to 1/8 pixel."""
    radius = max(1.0, CORNER_SHARE * width)
    corner = int(radius) + 2
    cells = np.arange(corner * _FINE) + 0.5
    x, y = np.meshgrid(cells / _FINE, cells / _FINE)
    dx, dy = np.maximum(radius - x, 0), np.maximum(radius - y, 0)
    distance = np.where((dx > 0) & (dy > 0), radius - np.hypot(dx, dy), np.minimum(x, y))
    fine = (distance >= inset).astype(np.float32)
    patch = fine.reshape(corner, _FINE, corner, _FINE).mean(axis=(1, 3))
    patch = np.rint(255 * patch).astype(np.uint8)
    cover = np.empty((height, width), np.uint8)
    top = min(corner, (height + 1) // 2)
    side = min(corner, (width + 1) // 2)
    cover[:] = 255
    cover[:top] = patch[:top, -1:]
    cover[-top:] = patch[:top, -1:][::-1]
    cover[:, :side] = np.minimum(cover[:, :side], patch[-1:, :side])
    cover[:, -side:] = np.minimum(cover[:, -side:], patch[-1:, :side][:, ::-1])
    quarter = patch[:top, :side]
    cover[:top, :side], cover[:top, -side:] = quarter, quarter[:, ::-1]
    cover[-top:, :side], cover[-top:, -side:] = quarter[::-1], quarter[::-1, ::-1]
    return cover


def _moved_blur(cover: np.ndarray, sigma: float, right: float, down: float) -> np.ndarray:
    move = np.array([[1, 0, right], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(cover, move, cover.shape[::-1], flags=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(moved, (0, 0), max(0.6, sigma))
