"""A pool of textures in one flat buffer, with smaller versions for what is far away."""

import cv2
import numpy as np

from .buffers import MAX_LEVELS, Textures


class TexturePool:
    """Collects RGBA pictures and packs them for the compiled kernels."""

    def __init__(self) -> None:
        self._levels: list[list[np.ndarray]] = []
        self._ids: dict[object, int] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._ids

    def id_of(self, key: object) -> int:
        """The texture that was added under a key."""
        return self._ids[key]

    def add(self, key: object, picture: np.ndarray, cover: bool = False) -> int:
        """Adds uint8 [h, w, 4], row 0 on top, sides powers of two; returns its id.

        cover: alpha is coverage (and weighs colours in the smaller versions); otherwise alpha is
        light of the texel's own and colours stand by themselves.
        """
        height, width = picture.shape[:2]
        if height & (height - 1) or width & (width - 1):
            raise ValueError(f"a texture's sides must be powers of two; got {width} x {height}")
        levels = _covered_levels(picture) if cover else _plain_levels(picture)
        self._levels.append([_packed(level) for level in levels])
        self._ids[key] = len(self._levels) - 1
        return self._ids[key]

    def packed(self) -> Textures:
        """Everything that was added as one buffer; the pool is empty afterwards."""
        offsets = np.zeros((len(self._levels), MAX_LEVELS), np.int64)
        sizes = np.zeros((len(self._levels), 3), np.int32)
        sums = [sum(level.size for level in levels) for levels in self._levels]
        texels, place = np.empty(sum(sums), np.uint32), 0
        for i, levels in enumerate(self._levels):
            width, height = levels[0].shape
            sizes[i] = width.bit_length() - 1, height.bit_length() - 1, len(levels)
            for k, level in enumerate(levels):
                offsets[i, k] = place
                texels[place : place + level.size] = level.ravel()
                place += level.size
            levels.clear()  # its memory is needed for the next
        return Textures(texels, offsets, sizes)


def power_of_two(length: float) -> int:
    """The nearest power of two, at least 4."""
    return int(2 ** max(2, round(float(np.log2(max(length, 1.0))))))


def _packed(level: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 4] -> uint32 [w, h], v upwards."""
    flipped = np.ascontiguousarray(level[::-1].transpose(1, 0, 2))
    return flipped.view(np.uint32)[..., 0]


def _halves(width: int, height: int) -> list[tuple[int, int]]:
    sizes: list[tuple[int, int]] = []
    while (width > 1 or height > 1) and len(sizes) < MAX_LEVELS - 1:
        width, height = max(1, width // 2), max(1, height // 2)
        sizes.append((width, height))
    return sizes


def _plain_levels(picture: np.ndarray) -> list[np.ndarray]:
    levels = [np.ascontiguousarray(picture)]
    for size in _halves(picture.shape[1], picture.shape[0]):
        levels.append(cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA))
    return levels


def _covered_levels(picture: np.ndarray) -> list[np.ndarray]:
    """Colours weighed by coverage; clear texels take the colour of their surroundings."""
    weight = picture[..., 3:].astype(np.float32) / 255.0
    sums = np.concatenate([picture[..., :3] * weight, weight], axis=2).astype(np.float32)
    stack = [sums]
    for size in _halves(picture.shape[1], picture.shape[0]):
        stack.append(cv2.resize(stack[-1], size, interpolation=cv2.INTER_AREA))
    levels: list[np.ndarray] = []
    fallback = np.zeros((1, 1, 3), np.float32)
    for level in reversed(stack):
        height, width = level.shape[:2]
        fallback = cv2.resize(fallback, (width, height), interpolation=cv2.INTER_LINEAR)
        fallback = fallback.reshape(height, width, 3)
        cover = level[..., 3:]
        color = np.where(cover > 0.02, level[..., :3] / np.maximum(cover, 1e-3), fallback)
        fallback = color
        pixels = np.concatenate([color, cover * 255.0], axis=2)
        levels.append(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    return levels[::-1]
