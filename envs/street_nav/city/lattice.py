"""The plan of the streets before it is bent into shape: a lattice with diagonals and gaps.

Junctions are lattice points (i, j), 0 <= i, j <= n, without the four corners, which the outermost
streets round in an arc. Diagonals join lattice points; where one passes through a junction, a
street is removed there, so that at most five ways meet. Further streets are removed to leave T
junctions and larger blocks, never so many that fewer than three ways meet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .config import Layout

Junction = tuple[int, int]
Cell = tuple[int, int, str]  # column, row, and which half where a diagonal cuts the cell

_REMOVED_SHARE = {Layout.mixed: 0.12, Layout.grid: 0.06, Layout.organic: 0.2}
_NUM_DIAGONALS = {Layout.mixed: 2, Layout.grid: 0, Layout.organic: 1}
_LARGEST_BLOCK = 2.0  # in cells


@dataclass(frozen=True, slots=True)
class Link:
    """A street from one junction to the next.

    street: ("row", j), ("column", i) or ("diagonal", k).
    centre: of the arc around a corner, None where the link is straight.
    """

    a: Junction
    b: Junction
    street: tuple[str, int]
    centre: Junction | None = None

    def curve(self, samples: int = 13) -> np.ndarray:
        """Points of the link in lattice coordinates, float64 [samples, 2]."""
        t = np.linspace(0.0, 1.0, samples)[:, None]
        a, b = np.array(self.a, float), np.array(self.b, float)
        if self.centre is None:
            return a + t * (b - a)
        centre = np.array(self.centre, float)
        return centre + np.cos(t * np.pi / 2) * (a - centre) + np.sin(t * np.pi / 2) * (b - centre)


def draw_lattice(rng: np.random.Generator, num_blocks: int, layout: Layout) -> list[Link]:
    """The links of a new plan; every junction has three to five."""
    diagonals = _draw_diagonals(rng, num_blocks, _NUM_DIAGONALS[layout])
    plan = _Plan(num_blocks, diagonals)
    for chain in diagonals:
        for junction in chain[1:-1]:
            plan.thin_out(rng, junction)
    inner = [link for link in plan.links if plan.is_removable(link)]
    for index in rng.permutation(len(inner)):
        if rng.random() < _REMOVED_SHARE[layout] and plan.is_removable(inner[index]):
            plan.remove(inner[index])
    return plan.links


class _Plan:
    """Links, how many meet at each junction, and how large the blocks between them are."""

    def __init__(self, n: int, diagonals: list[list[Junction]]) -> None:
        self.n = n
        self.halved = dict(_halved_cells(diagonals))
        self.links = [*_straight(n), *_arcs(n)]
        for k, chain in enumerate(diagonals):
            for a, b in pairwise(chain):
                self.links.append(Link(a, b, ("diagonal", k)))
        self.degree: dict[Junction, int] = {}
        for link in self.links:
            for end in (link.a, link.b):
                self.degree[end] = self.degree.get(end, 0) + 1
        self.owner: dict[Cell, Cell] = {}
        self.size: dict[Cell, float] = {}

    def thin_out(self, rng: np.random.Generator, junction: Junction) -> None:
        """Remove one straight street at a junction where six meet."""
        if self.degree[junction] <= 5:
            return
        there = [
            link
            for link in self.links
            if junction in (link.a, link.b) and self.is_removable(link, limit=3.0)
        ]
        self.remove(there[int(rng.integers(len(there)))])

    def is_removable(self, link: Link, limit: float = _LARGEST_BLOCK) -> bool:
        kind, index = link.street
        if kind == "diagonal" or index in (0, self.n) or link.centre is not None:
            return False
        if min(self.degree[link.a], self.degree[link.b]) <= 3:
            return False
        one, other = (self.root(cell) for cell in self.beside(link))
        return one != other and self.area(one) + self.area(other) <= limit

    def remove(self, link: Link) -> None:
        self.links.remove(link)
        self.degree[link.a] -= 1
        self.degree[link.b] -= 1
        one, other = (self.root(cell) for cell in self.beside(link))
        self.size[one] = self.area(one) + self.area(other)
        self.owner[other] = one

    def root(self, cell: Cell) -> Cell:
        while cell in self.owner:
            cell = self.owner[cell]
        return cell

    def area(self, cell: Cell) -> float:
        return self.size.get(cell, 0.5 if cell[2] else 1.0)

    def beside(self, link: Link) -> tuple[Cell, Cell]:
        """The two cells that a straight inner link separates."""
        (i, j), (kind, _) = link.a, link.street
        if kind == "row":
            return self.half(i, j - 1, "north"), self.half(i, j, "south")
        return self.half(i - 1, j, "east"), self.half(i, j, "west")

    def half(self, i: int, j: int, side: str) -> Cell:
        """The half of a cell that touches one of its sides."""
        rising = self.halved.get((i, j))
        if rising is None:
            return i, j, ""
        upper = side == "north" or (side == "west" if rising else side == "east")
        return i, j, "upper" if upper else "lower"


def _straight(n: int) -> Iterator[Link]:
    for j in range(n + 1):
        for i in range(n):
            for a, b, street in (((i, j), (i + 1, j), "row"), ((j, i), (j, i + 1), "column")):
                if not {a, b} & {(0, 0), (0, n), (n, 0), (n, n)}:
                    yield Link(a, b, (street, j))


def _arcs(n: int) -> Iterator[Link]:
    """The rounded corners, each named after its row."""
    for x, y in ((0, 0), (n, 0), (n, n), (0, n)):
        dx, dy = (1 if x == 0 else -1), (1 if y == 0 else -1)
        yield Link((x + dx, y), (x, y + dy), ("row", y), centre=(x + dx, y + dy))


def _draw_diagonals(rng: np.random.Generator, n: int, count: int) -> list[list[Junction]]:
    """Chains of junctions: the first from side to side, a second one that stops before it."""
    if count == 0:
        return []
    sign = int(rng.integers(2)) * 2 - 1
    shift = int(rng.integers(1, max(2, n // 3))) * (int(rng.integers(2)) * 2 - 1)
    first = [(i, _mirror(i - shift, n, sign)) for i in range(n + 1) if 0 <= i - shift <= n]
    chains = [first]
    if count > 1:
        second = _across(rng, n, -sign, first)
        chains += [second] if len(second) > 2 else []
    return chains


def _across(rng: np.random.Generator, n: int, sign: int, first: list[Junction]) -> list[Junction]:
    """The longest part, without touching `first`, of one of the crossing diagonals."""
    taken, used = set(first), {cell for cell, _ in _halved_cells([first])}
    best: list[Junction] = []
    for shift in rng.permutation([-2, -1, 1, 2]):
        run: list[Junction] = []
        for i in range(n + 1):
            if not 0 <= i - shift <= n:
                continue
            point = (i, _mirror(i - int(shift), n, sign))
            clash = point in taken
            if run and not clash:
                clash = any(cell in used for cell, _ in _halved_cells([[run[-1], point]]))
            if clash:
                run = []
            if point not in taken:
                run.append(point)
            if len(run) > len(best):
                best = list(run)
    return best


def _mirror(j: int, n: int, sign: int) -> int:
    return j if sign > 0 else n - j


def _halved_cells(chains: list[list[Junction]]) -> Iterator[tuple[Junction, bool]]:
    """Cells that diagonals cut, and whether the cut rises to the east."""
    for chain in chains:
        for (i, j), (_, k) in pairwise(chain):
            yield (i, min(j, k)), k > j
