"""Landmarks: which places have a name, and where their signs hang.

Every front is a candidate with a category and a sign of its own; those that are clearly seen from
junctions are taken first, then those along streets that have none, then others.
"""

from dataclasses import dataclass

import numpy as np

from .blocks import Block, height_of
from .config import CityConfig
from .geometry import arc_lengths, at_lengths, left_of, unit, unit_of
from .names import CATEGORIES, draw_heads
from .scene import MAX_SIGN_TOP_M, BlockKind, SignKind
from .visibility import Sightlines, Signs, is_two_sided, sightlines, walls_of

_MIN_FRONT_M = 5.0
_APART_M = 9.0  # between the signs of two landmarks
_MAX_PER_BLOCK = 2  # monuments
# Width and height of a sign in metres, height of its lower edge, distance from the wall.
_SIZE = {
    SignKind.fascia: (9.5, 1.35, 3.3, 0.18),
    SignKind.awning: (7.5, 1.05, 2.9, 1.1),
    SignKind.rooftop: (9.5, 1.6, 0.1, 0.06),  # above the roof
    SignKind.blade: (2.2, 1.7, 3.3, 0.25),
    SignKind.monument: (4.6, 1.5, 2.0, 0.0),
}
_SHARE_OF_FRONT = {SignKind.fascia: 0.9, SignKind.awning: 0.84, SignKind.rooftop: 0.86}
_MAX_BLADE_M = 2.4


@dataclass(frozen=True, slots=True)
class Candidates:
    """Places for a landmark, [n] each. lot: -1 for monuments, whose `block` counts."""

    category: list[str]
    kind: np.ndarray
    lot: np.ndarray
    block: np.ndarray
    signs: Signs


@dataclass(frozen=True, slots=True)
class Landmarks:
    """The chosen ones, [M] each; `lot` and `kind` as in `City`."""

    names: tuple[str, ...]
    categories: tuple[str, ...]
    lot: np.ndarray
    kind: np.ndarray
    signs: Signs


def place_landmarks(
    rng: np.random.Generator,
    config: CityConfig,
    blocks: list[Block],
    lots: dict[str, np.ndarray],
    nodes: np.ndarray,
    num_junctions: int,
) -> Landmarks:
    """Chooses `num_landmarks`; nodes: float64 [N, 2], the junctions first.

    Raises ValueError where the city has room for fewer.
    """
    places = _candidates(rng, config, blocks, lots)
    walls = walls_of(lots["quads"], places.signs.take(np.zeros(0, int)))
    lines = sightlines(nodes, places.signs, walls)
    chosen = np.array(_choose(rng, config, places, lines, num_junctions), int)
    names = []
    for head, index in zip(draw_heads(rng, len(chosen)), chosen, strict=True):
        endings = CATEGORIES[places.category[index]].endings
        names.append(f"{head} {endings[int(rng.integers(len(endings)))]}")
    return Landmarks(
        names=tuple(names),
        categories=tuple(places.category[index] for index in chosen),
        lot=places.lot[chosen],
        kind=places.kind[chosen],
        signs=places.signs.take(chosen),
    )


def _candidates(
    rng: np.random.Generator,
    config: CityConfig,
    blocks: list[Block],
    lots: dict[str, np.ndarray],
) -> Candidates:
    category, kinds, lot_of, block_of, signs = [], [], [], [], []
    quads = lots["quads"]
    for side in (0, 3):
        a, b = quads[:, side], quads[:, (side + 1) % 4]
        fit = (lots["street_sides"] >> side & 1 == 1) & (
            np.linalg.norm(b - a, axis=1) >= _MIN_FRONT_M
        )
        for lot in np.flatnonzero(fit):
            name = _draw_category(rng, int(lots["kind"][lot]))
            kind = _draw_sign(rng, name)
            signs.append(_on_front(rng, kind, a[lot], b[lot], config.sign_scale))
            category.append(name)
            kinds.append(kind)
            lot_of.append(int(lot))
            block_of.append(int(lots["block"][lot]))
    for block, xy, facing in _sites(blocks):
        category.append(_draw_monument(rng, blocks[block].kind))
        kinds.append(SignKind.monument)
        signs.append(_standing(xy, facing, config.sign_scale))
        lot_of.append(-1)
        block_of.append(block)
    kind_array = np.array(kinds, int)
    p0, u, v = (np.array(part) for part in zip(*signs, strict=True))
    return Candidates(
        category,
        kind_array,
        np.array(lot_of),
        np.array(block_of),
        Signs(p0, u, v, is_two_sided(kind_array)),
    )


def _choose(
    rng: np.random.Generator,
    config: CityConfig,
    places: Candidates,
    lines: Sightlines,
    num_junctions: int,
) -> list[int]:
    """Indices of candidates: first for every junction, then for other nodes, then the rest."""
    clear = lines.take(lines.clear)
    centre = places.signs.p0[:, :2] + places.signs.u[:, :2] / 2
    open_ = np.ones(len(places.category), bool)
    chosen: list[int] = []

    def take(index: int) -> None:
        chosen.append(index)
        open_[np.linalg.norm(centre - centre[index], axis=1) < _APART_M] = False
        if places.lot[index] >= 0:
            open_[places.lot == places.lot[index]] = False
        same = (places.lot < 0) & (places.block == places.block[index])
        if places.lot[index] < 0 and sum(bool(same[k]) for k in chosen) >= _MAX_PER_BLOCK:
            open_[same] = False

    def serve(nodes: np.ndarray) -> None:
        for node in rng.permutation(nodes):
            rows = np.flatnonzero(clear.node == node)
            rows = rows[open_[clear.sign[rows]]]
            seen = np.isin(clear.sign[clear.node == node], chosen).any()
            if len(chosen) < config.num_landmarks and len(rows) and not seen:
                kinds = places.kind[clear.sign[rows]]
                rows = rows[kinds == rng.choice(np.unique(kinds))]  # so that all kinds occur
                best = rows[np.argsort(-clear.area[rows], kind="stable")[:3]]
                take(int(clear.sign[rng.choice(best)]))

    serve(np.arange(num_junctions))
    serve(np.unique(clear.node[clear.node >= num_junctions]))
    for index in rng.permutation(np.unique(clear.sign)):
        if len(chosen) < config.num_landmarks and open_[index]:
            take(int(index))
    if len(chosen) < config.num_landmarks:
        raise ValueError(
            f"num_landmarks must be at most {len(chosen)} in this city; got {config.num_landmarks}"
        )
    return chosen


def _on_front(
    rng: np.random.Generator, kind: SignKind, a: np.ndarray, b: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p0, u, v of a sign on the wall from a to b, seen with a on the left."""
    width, height, low, away = _SIZE[kind]
    length, along = float(np.linalg.norm(b - a)), unit(b - a)
    out = -left_of(along)
    if kind is SignKind.rooftop:
        low += float(height_of(np.array(1)))
    height = min(height * scale, MAX_SIGN_TOP_M - low)
    if kind is SignKind.blade:
        at = a + along * length * (0.2 if rng.random() < 0.5 else 0.8)
        return _rectangle(at + away * out, out, min(width * scale, _MAX_BLADE_M), low, height)
    width = min(width * scale, _SHARE_OF_FRONT[kind] * length)
    start = (a + b) / 2 - along * width / 2 + away * out
    return _rectangle(start, along, width, low, height)


def _standing(
    xy: np.ndarray, facing: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p0, u, v of a board at a place that faces a direction."""
    width, height, low, _ = _SIZE[SignKind.monument]
    width, height = min(width * scale, 7.0), min(height * scale, MAX_SIGN_TOP_M - low)
    along = left_of(facing)
    return _rectangle(xy - along * width / 2, along, width, low, height)


def _rectangle(
    start: np.ndarray, along: np.ndarray, width: float, low: float, height: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.array([*start, low]),
        np.array([*(along * width), 0.0]),
        np.array([0.0, 0.0, height]),
    )


def _sites(blocks: list[Block]) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Where monuments may stand: block, place, and the unit vector that they face."""
    sites = []
    for index, block in enumerate(blocks):
        if block.kind is BlockKind.built:
            continue
        outline = block.line_sides if block.kind is BlockKind.park else []
        for side in outline:
            sites.append((index, *_gate(side[0], block.centre)))
            sites.append(
                (index, *_gate(at_lengths(side, arc_lengths(side)[-1:] / 2)[0], block.centre))
            )
        if not outline:
            for k in range(4):
                sites.append((index, block.centre, unit_of(45.0 * k)))
    return sites


def _gate(at: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    facing = unit(at - centre)
    return at - 2.5 * facing, facing


def _draw_category(rng: np.random.Generator, lot_kind: int) -> str:
    fitting = [name for name, category in CATEGORIES.items() if lot_kind in category.lots]
    return _pick(rng, fitting, [CATEGORIES[name].weight for name in fitting])


def _draw_monument(rng: np.random.Generator, kind: BlockKind) -> str:
    return _pick(rng, ["park" if kind is BlockKind.park else "square", "memorial"], [2.0, 1.0])


def _draw_sign(rng: np.random.Generator, category: str) -> SignKind:
    signs = CATEGORIES[category].signs
    return list(signs)[_index(rng, list(signs.values()))]


def _pick(rng: np.random.Generator, names: list[str], weights: list[float]) -> str:
    return names[_index(rng, weights)]


def _index(rng: np.random.Generator, weights: list[float]) -> int:
    at = rng.random() * sum(weights)
    return min(int(np.searchsorted(np.cumsum(weights), at, side="right")), len(weights) - 1)
