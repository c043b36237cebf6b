"""Pictures of trees: branches grown from a seed, leaves in clumps that are light above."""

from collections.abc import Callable

import numpy as np

from .board import Board, Color, lit_by, mix, scaled
from .config import Tree

TREE_M = 6.4  # width and height of every tree picture


def paint_tree(kind: Tree, seed: int, size: int, snow: bool) -> np.ndarray:
    """One tree, its foot at the middle of the lower edge: uint8 [size, size, 4], coverage."""
    board = Board(TREE_M, TREE_M, size, size, None)
    _PAINTERS[kind](board, np.random.default_rng(seed), snow)
    return board.pixels


def paint_bush(color: Color, seed: int, size: int) -> np.ndarray:
    """A tub with a shrub, 1.4 m wide and high: uint8 [size, size, 4], coverage."""
    board, rng = Board(1.4, 1.4, size, size, None), np.random.default_rng(seed)
    board.poly([(0.25, 0.5), (1.15, 0.5), (1.05, 0.02), (0.35, 0.02)], (122.0, 92.0, 74.0), 1.0)
    board.rect(0.2, 0.46, 1.2, 0.56, (146.0, 112.0, 90.0), 1.0)
    clump = _Clump(0.7, 0.85, 0.48, 0.36)
    _leaves(board, [clump], (color, scaled(color, 0.8)), 420, 0.045, rng)
    return board.pixels


class _Clump:
    """An ellipse of leaves: centre and radii in metres."""

    def __init__(self, x: float, y: float, rx: float, ry: float) -> None:
        self.x, self.y, self.rx, self.ry = x, y, rx, ry


def _leaves(
    board: Board,
    clumps: list[_Clump],
    colors: tuple[Color, ...],
    count: int,
    leaf: float,
    rng: np.random.Generator,
) -> None:
    """Leaves of every clump from the dark inside to the light outside."""  # fmt: skip
    for clump in clumps:
        board.disc(clump.x, clump.y, 0.82 * clump.rx, 0.82 * clump.ry, scaled(colors[0], 0.5), 1.0)
    num = count // max(1, len(clumps))
    for layer in (0, 1):
        for clump in clumps:
            turn = rng.uniform(0, 2 * np.pi, num)
            out = np.sqrt(rng.uniform(0.0 if layer else 0.3, 1.0, num))
            x = clump.x + clump.rx * out * np.cos(turn)
            y = clump.y + clump.ry * out * np.sin(turn)
            up = out * np.sin(turn) * 0.75 - out * np.cos(turn) * 0.35  # light from upper left
            tone = 0.72 + 0.30 * up + 0.10 * layer + 0.10 * rng.normal(size=num)
            shades = (
                np.clip(tone, 0.42, 1.3)[:, None]
                * np.array(colors)[rng.integers(0, len(colors), num)]
            )
            board.discs(x, y, leaf * rng.uniform(0.7, 1.5, num), 0.75, shades)


def _shade_below(board: Board, low: float, high: float) -> None:
    """A crown is light above and dark below."""
    rows = np.linspace(board.height_m, 0.0, board.pixels.shape[0])
    share = np.clip((rows - low) / (high - low), 0.0, 1.0)
    factor = np.where(rows < low, 1.0, 0.74 + 0.40 * share)
    lit_by(board.pixels, np.repeat(factor[:, None], board.pixels.shape[1], axis=1))


def _branches(
    board: Board,
    x: float,
    y: float,
    angle: float,
    length: float,
    width: float,
    depth: int,
    color: Color,
    rng: np.random.Generator,
    tips: list[tuple[float, float]],
    white: bool,
) -> None:
    """Grows a branch and its children; records the places where it ends."""  # fmt: skip
    bend = angle + float(rng.uniform(-0.15, 0.15))
    x1, y1 = x + length * np.sin(bend), y + length * np.cos(bend)
    board.line([(x, y), (x1, y1)], width, scaled(color, float(rng.uniform(0.85, 1.1))), 1.0)
    if white and abs(np.sin(bend)) > 0.3:
        board.line(
            [(x, y + width * 0.4), (x1, y1 + width * 0.4)], width * 0.4, (236, 240, 246), 1.0
        )
    if depth == 0:
        tips.append((x1, y1))
        return
    for side in (-1, 1) if depth > 1 or rng.random() < 0.8 else (1,):
        spread = side * float(rng.uniform(0.28, 0.62))
        shrink = float(rng.uniform(0.68, 0.84))
        _branches(
            board, x1, y1, bend + spread, length * shrink, width * 0.66, depth - 1, color, rng,
            tips, white,
        )  # fmt: skip


def _trunk(board: Board, top: float, color: Color, rng: np.random.Generator) -> None:
    x = TREE_M / 2
    board.poly(
        [(x - 0.17, 0), (x - 0.09, top), (x + 0.07, top), (x + 0.16, 0)], scaled(color, 0.8), 1.0
    )
    board.poly([(x - 0.17, 0), (x - 0.09, top), (x - 0.03, top), (x - 0.06, 0)], color, 1.0)
    for side in (-1, 1):
        board.line([(x, top - 0.4), (x + side * 0.55, top + 0.5)], 0.1, scaled(color, 0.7), 1.0)


def _crown(colors: tuple[Color, ...]) -> Callable[[Board, np.random.Generator, bool], None]:
    def paint(board: Board, rng: np.random.Generator, snow: bool) -> None:
        _trunk(board, 2.9, (104.0, 80.0, 60.0), rng)
        clumps = [_Clump(TREE_M / 2, 4.1, 1.5, 1.35)]
        for k in range(8):
            turn = 2 * np.pi * k / 8 + float(rng.uniform(-0.3, 0.3))
            far = float(rng.uniform(1.0, 1.35))
            size = float(rng.uniform(0.75, 1.05))
            clumps.append(
                _Clump(
                    TREE_M / 2 + far * np.cos(turn), 4.15 + 0.85 * far * np.sin(turn), size,
                    0.86 * size,
                )
            )  # fmt: skip
        clumps.sort(key=lambda clump: clump.y)
        _leaves(board, clumps, colors, 2600, 0.095, rng)
        _shade_below(board, 2.7, 5.9)

    return paint


def _bare(board: Board, rng: np.random.Generator, snow: bool) -> None:
    tips: list[tuple[float, float]] = []
    color = (74.0, 66.0, 64.0)
    _branches(board, TREE_M / 2, 0.0, 0.0, 1.75, 0.2, 0, color, rng, [], False)
    for angle in (-0.55, -0.12, 0.3, 0.62):
        _branches(
            board, TREE_M / 2, 1.65, angle, 1.25, 0.11, 5, color, rng, tips, snow
        )  # fmt: skip


def _palm(board: Board, rng: np.random.Generator, snow: bool) -> None:
    lean = float(rng.uniform(-0.35, 0.35))
    x0, top = TREE_M / 2, 4.6
    spine = [(x0 + lean * (k / 10) ** 2, top * k / 10) for k in range(11)]
    board.line(spine, 0.24, (126.0, 98.0, 68.0), 1.0)
    board.line([(x - 0.06, y) for x, y in spine], 0.09, (156.0, 126.0, 90.0), 1.0)
    for k in range(1, 24):
        t = k / 24
        x, y = x0 + lean * t * t, top * t
        board.line([(x - 0.12, y), (x + 0.12, y + 0.05)], 0.03, (92.0, 70.0, 48.0), 1.0)
    crown_x = x0 + lean
    angles = sorted(
        rng.uniform(-0.25, 0.25, 15) + np.linspace(-2.0, 2.0, 15), key=lambda a: -abs(a)
    )
    for angle in angles:
        _frond(board, crown_x, top, float(angle), float(rng.uniform(1.7, 2.25)), rng)
    for k in range(5):
        board.disc(crown_x - 0.2 + 0.1 * k, top - 0.1, 0.1, 0.11, (122.0, 84.0, 44.0), 1.0)


def _frond(
    board: Board, x: float, y: float, angle: float, length: float, rng: np.random.Generator
) -> None:
    """A leaf that rises and bows under its weight, with leaflets on both sides."""
    green = mix((74.0, 116.0, 52.0), (128.0, 150.0, 70.0), float(rng.random()))
    points = []
    for k in range(13):
        t = k / 12
        px = x + length * np.sin(angle) * t
        py = y + length * (
            np.cos(angle) * 0.62 * t + 0.42 * t - 0.95 * t * t * (0.35 + abs(angle) / 2.4)
        )
        points.append((px, py))
    for k in range(1, 13):
        t = k / 12
        px, py = points[k]
        reach = 0.62 * (1 - 0.65 * t) * min(1.0, 4 * t)
        along = np.sign(np.sin(angle) + 1e-6) * 0.5 * reach
        tone = float(rng.uniform(0.72, 1.12))
        board.poly(
            [points[k - 1], (px, py), (px + along, py - reach)], scaled(green, tone * 0.8), 1.0
        )
        board.poly(
            [points[k - 1], (px, py), (px + along, py + 0.45 * reach)], scaled(green, tone), 1.0
        )
    board.line(points, 0.035, scaled(green, 1.15), 1.0)


def _cypress(board: Board, rng: np.random.Generator, snow: bool) -> None:
    _trunk(board, 0.8, (96.0, 74.0, 56.0), rng)
    clumps = []
    for k in range(12):
        y = 0.9 + 0.44 * k
        wide = 0.82 * np.sin(np.pi * (0.12 + 0.86 * (1 - k / 12.5))) + 0.06
        clumps.append(_Clump(TREE_M / 2 + float(rng.uniform(-0.06, 0.06)), y, wide, 0.5))
    _leaves(board, clumps, ((52.0, 86.0, 58.0), (66.0, 104.0, 66.0)), 3000, 0.07, rng)


_PAINTERS: dict[Tree, Callable[[Board, np.random.Generator, bool], None]] = {
    Tree.broadleaf: _crown(((84.0, 142.0, 58.0), (104.0, 162.0, 70.0), (66.0, 122.0, 52.0))),
    Tree.dark: _crown(((44.0, 78.0, 66.0), (54.0, 92.0, 74.0), (38.0, 64.0, 60.0))),
    Tree.autumn: _crown(((208.0, 104.0, 36.0), (226.0, 150.0, 48.0), (176.0, 66.0, 36.0))),
    Tree.palm: _palm,
    Tree.bare: _bare,
    Tree.cypress: _cypress,
}
