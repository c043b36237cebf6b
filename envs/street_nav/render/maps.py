"""Maps of a city: all of it from above, the surroundings of a walker, and a whole route.

The map is drawn in the colours of the look. Its labels never overlap; what finds no room is left
out, the landmarks of the route last.
"""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from ..city.scene import BlockKind, City, FurnitureKind, StreetClass
from .board import Color, color_of, mix, scaled
from .buildings import lot_heights
from .config import LookConfig, Tree
from .labels import Labels

PX_PER_M = 4.0
ROUTE_COLOR, WALKED_COLOR, AGENT_COLOR = (222, 56, 72), (36, 112, 224), (222, 40, 52)
DOT_PX = 5
START_COLOR, GOAL_COLOR = (28, 148, 88), (206, 44, 60)
_SHIFT = 4
_LEAVES = {
    Tree.broadleaf: (94, 150, 70), Tree.dark: (52, 92, 78), Tree.palm: (112, 150, 70),
    Tree.bare: (150, 146, 148), Tree.autumn: (214, 124, 46), Tree.cypress: (62, 100, 66),
}  # fmt: skip


class CityMap:
    """A city from above, north up.

    picture: uint8 [H, W, 3], read-only, `PX_PER_M` pixels a metre.
    """

    def __init__(self, city: City, look: LookConfig) -> None:
        self.city, self.look = city, look
        self._west, _, _, self._north = city.extent.tolist()
        self.picture = self._draw()
        self.picture.setflags(write=False)

    def around(
        self,
        xy: tuple[float, float],
        heading: float | None,
        size: int,
        span_m: float = 130.0,
        names: bool = True,
    ) -> np.ndarray:
        """A square of `span_m` metres with a place in its middle: uint8 [size, size, 3].

        heading: of the walker, who is drawn in the middle; None for nobody.
        """
        sheet = _Sheet(self, xy, span_m, size)
        if heading is not None:
            sheet.agent(xy, heading)
        if names:
            sheet.landmarks(range(self.city.num_landmarks))
            sheet.streets()
        return sheet.picture

    def route(
        self,
        path: Sequence[int],
        size: int,
        *,
        visited: Sequence[int] = (),
        heading: float | None = None,
        landmarks: Sequence[int] | None = None,
        turns: Sequence[int] = (),
    ) -> np.ndarray:
        """A whole route: uint8 [size, size, 3].

        path, visited: nodes; the last one visited carries the walker if `heading` is given.
        landmarks: indices of those to name first; the others follow where there is room, unless
        None was given. turns: nodes to be numbered.
        """
        points = self.city.node_xy[list(path)].astype(np.float64)
        low, high = points.min(axis=0), points.max(axis=0)
        span = max(float((high - low).max()) * 1.22, 90.0)
        sheet = _Sheet(self, tuple(((low + high) / 2).tolist()), span, size)
        sheet.line(points, ROUTE_COLOR, 3.2)
        if len(visited) > 1:
            sheet.line(self.city.node_xy[list(visited)].astype(np.float64), WALKED_COLOR, 1.6)
        for number, node in enumerate(turns, start=1):
            sheet.badge(self.city.node_xy[node], str(number), ROUTE_COLOR)
        sheet.badge(points[0], "A", START_COLOR)
        sheet.badge(points[-1], "B", GOAL_COLOR)
        if heading is not None and len(visited):
            sheet.agent(tuple(self.city.node_xy[visited[-1]].tolist()), heading)
        sheet.landmarks(landmarks or ())
        sheet.streets()
        if landmarks is not None:
            others = (k for k in range(self.city.num_landmarks) if k not in set(landmarks))
            sheet.landmarks(sheet.uncovered(others))
        return sheet.picture

    def _draw(self) -> np.ndarray:
        city, look = self.city, self.look
        west, south, east, north = city.extent.tolist()
        size = int((north - south) * PX_PER_M), int((east - west) * PX_PER_M)
        paving = scaled(color_of(look.paving), 0.98)
        road = mix(color_of(look.asphalt), color_of(look.paving), 0.10)
        self._page = np.empty((*size, 3), np.uint8)
        self._page[...] = np.rint(paving)
        self._fill(city.outer_kerb, road)
        for kerb in city.kerbs:
            self._fill(kerb, paving)
        for kind, line in zip(city.block_kind, city.building_lines, strict=True):
            if kind == BlockKind.park:
                self._fill(line, color_of(look.lawn))
            elif len(line):
                self._fill(line, mix(color_of(look.lawn), paving, 0.45))
        for path in city.paths:
            self._stroke(path, 2.6, paving)
        self._draw_markings()
        self._draw_houses()
        self._draw_trees()
        return self._page

    def _draw_markings(self) -> None:
        city, white = self.city, (238.0, 238.0, 236.0)
        for line, street in zip(city.lines, city.line_street, strict=True):
            if city.street_class[street] >= StreetClass.avenue:
                low, high = _between_junctions(line)
                self._stroke(line[low:high], 0.35, color_of(self.look.stripes))
        for x, y, heading, width in city.crossings:
            turn = np.radians(heading)
            along = np.array([np.sin(turn), np.cos(turn)])
            across = np.array([along[1], -along[0]])
            count = int((width - 0.6) / 1.1)
            for k in range(count):
                middle = np.array([x, y]) + across * (k - (count - 1) / 2) * 1.1
                self._stroke(np.array([middle - 1.4 * along, middle + 1.4 * along]), 0.55, white)

    def _draw_houses(self) -> None:
        """Roofs with their shade to the south-east, higher houses with a longer one."""
        city = self.city
        _, heights = lot_heights(city, self.look)
        shade = np.zeros(self._page.shape[:2], np.uint8)
        for corners, height in zip(city.lot_corners, heights, strict=True):
            drop = np.array([0.16, -0.16]) * min(float(height), 26.0)
            hull = cv2.convexHull(np.concatenate([corners, corners + drop]).astype(np.float32))
            cv2.fillPoly(shade, [self._fixed(hull[:, 0])], 105, cv2.LINE_AA, _SHIFT)
        dark = 1 - shade[..., None].astype(np.float32) / 255.0
        np.copyto(self._page, np.rint(self._page * dark).astype(np.uint8))
        walls = [color_of(text) for text in self.look.walls]
        for lot, corners in enumerate(city.lot_corners):
            tone = walls[int(city.lot_seed[lot]) % len(walls)]
            roof = mix(tone, color_of(self.look.roofs[0]), 0.45)
            roof = scaled(roof, 0.92 + 0.16 * (int(city.lot_seed[lot]) >> 8 & 255) / 255)
            self._fill(corners, scaled(roof, 0.74))
            inner = corners + 0.09 * (corners.mean(axis=0) - corners)
            self._fill(inner, roof)

    def _draw_trees(self) -> None:
        green = _LEAVES[self.look.tree]
        for xy in self.city.furniture_xy[self.city.furniture_kind == FurnitureKind.tree]:
            column, row = self.pixel(xy)
            for radius, factor, shift in ((1.75, 0.72, 0.0), (1.35, 1.0, 0.3), (0.7, 1.18, 0.6)):
                centre = round(column - shift * 2), round(row - shift * 2)
                tone = scaled(tuple(map(float, green)), factor)  # type: ignore[arg-type]
                cv2.circle(
                    self._page, centre, round(radius * PX_PER_M), tone, -1, cv2.LINE_AA
                )  # fmt: skip

    def pixel(self, xy: np.ndarray) -> tuple[float, float]:
        """Column and row of a place on `picture`."""
        return (float(xy[0]) - self._west) * PX_PER_M, (self._north - float(xy[1])) * PX_PER_M

    def _fill(self, polygon: np.ndarray, color: Color) -> None:
        cv2.fillPoly(self._page, [self._fixed(polygon)], color, cv2.LINE_AA, _SHIFT)

    def _stroke(self, points: np.ndarray, width_m: float, color: Color) -> None:
        thick = max(1, round(width_m * PX_PER_M))
        cv2.polylines(
            self._page, [self._fixed(points)], False, color, thick, cv2.LINE_AA, _SHIFT
        )  # fmt: skip

    def _fixed(self, points: np.ndarray) -> np.ndarray:
        place = np.stack([points[:, 0] - self._west, self._north - points[:, 1]], axis=1)
        return np.rint((place * PX_PER_M - 0.5) * (1 << _SHIFT)).astype(np.int32)


class _Sheet:
    """A square cut out of a map, with lines, marks and labels on it."""

    def __init__(
        self, city_map: CityMap, middle: tuple[float, float], span_m: float, size: int
    ) -> None:
        self.city, self._size = city_map.city, size
        self._scale = size / span_m  # pixels a metre
        self._corner = np.array([middle[0] - span_m / 2, middle[1] + span_m / 2])
        zoom = self._scale / PX_PER_M
        left, top = city_map.pixel(self._corner)
        moved = np.array([[zoom, 0, -left * zoom], [0, zoom, -top * zoom]])
        source = city_map.picture
        if zoom < 0.7:  # warpAffine alone would skip pixels
            half = round(1 / zoom)
            source = cv2.resize(
                source, (source.shape[1] // half, source.shape[0] // half),
                interpolation=cv2.INTER_AREA,
            )  # fmt: skip
            moved[0, 0] *= city_map.picture.shape[1] / source.shape[1]
            moved[1, 1] *= city_map.picture.shape[0] / source.shape[0]
        outside = tuple(map(int, color_of(city_map.look.paving)))
        self.picture = cv2.warpAffine(
            source, moved, (size, size), flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT, borderValue=outside,
        )  # fmt: skip
        self._labels = Labels(self.picture)
        self._text_px = max(7, round(size / 52))

    def line(self, points: np.ndarray, color: tuple[int, int, int], width_m: float) -> None:
        fixed = np.rint(np.array([self.pixel(xy) for xy in points]) * 16).astype(np.int32)
        thick = max(2, round(width_m * self._scale))
        cv2.polylines(self.picture, [fixed], False, (255, 255, 255), thick + 3, cv2.LINE_AA, 4)
        cv2.polylines(self.picture, [fixed], False, color, thick, cv2.LINE_AA, 4)
        taken = np.zeros((self._size, self._size), np.uint8)
        cv2.polylines(taken, [fixed], False, 255, thick + 3, cv2.LINE_8, 4)
        self._labels.reserve(taken > 0)

    def badge(self, xy: np.ndarray, text: str, color: tuple[int, int, int]) -> None:
        """A disc with a letter or a number in it."""
        column, row = (round(value) for value in self.pixel(xy))
        radius = round(0.95 * self._text_px)
        cv2.circle(self.picture, (column, row), radius + 2, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(self.picture, (column, row), radius, color, -1, cv2.LINE_AA)
        plain = Labels(self.picture)
        plain.along(text, (column, row), 0.0, round(0.9 * self._text_px), (255, 255, 255), color)
        taken = np.zeros((self._size, self._size), np.uint8)
        cv2.circle(taken, (column, row), radius + 3, 255, -1)
        self._labels.reserve(taken > 0)

    def agent(self, xy: tuple[float, float], heading: float) -> None:
        """A wedge that points where the walker looks, with the field of view before it."""
        column, row = self.pixel(np.array(xy))
        turn, length = np.radians(heading), 1.5 * self._text_px
        ahead = np.array([np.sin(turn), -np.cos(turn)])
        side = np.array([-ahead[1], ahead[0]])
        here = np.array([column, row])
        layer = self.picture.copy()
        reach, middle = round(4.2 * length), (round(column), round(row))
        cv2.ellipse(
            layer, middle, (reach, reach), heading - 90.0, -45, 45, (255, 226, 120), -1, cv2.LINE_AA
        )  # fmt: skip
        cv2.addWeighted(layer, 0.38, self.picture, 0.62, 0, dst=self.picture)
        wedge = [
            here + length * ahead, here - 0.8 * length * ahead + 0.75 * length * side,
            here - 0.35 * length * ahead, here - 0.8 * length * ahead - 0.75 * length * side,
        ]  # fmt: skip
        shape = np.rint(wedge).astype(np.int32)
        cv2.polylines(self.picture, [shape], True, (255, 255, 255), 4, cv2.LINE_AA)
        cv2.fillPoly(self.picture, [shape], AGENT_COLOR, cv2.LINE_AA)
        taken = np.zeros((self._size, self._size), np.uint8)
        cv2.circle(taken, (round(column), round(row)), round(1.3 * length), 255, -1)
        self._labels.reserve(taken > 0)

    def landmarks(self, indices: Iterable[int]) -> None:
        """Dots with names, as many as there is room for."""
        chosen = [k for k in indices if self._is_inside(self._sign_xy(k))]
        for index in chosen:
            column, row = (round(value) for value in self.pixel(self._sign_xy(index)))
            cv2.circle(self.picture, (column, row), DOT_PX, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(self.picture, (column, row), 4, (36, 42, 92), -1, cv2.LINE_AA)
            self._labels.taken[max(0, row - 5) : row + 6, max(0, column - 5) : column + 6] = True
        for index in chosen:
            anchor = self.pixel(self._sign_xy(index))
            self._labels.pill(self.city.landmark_names[index], anchor, self._text_px)

    def uncovered(self, indices: Iterable[int]) -> list[int]:
        """Landmarks whose place is in the picture and under no label or line."""
        free = []
        for index in indices:
            if self._is_inside(self._sign_xy(index)):
                column, row = (round(value) for value in self.pixel(self._sign_xy(index)))
                if not self._labels.taken[row - 5 : row + 6, column - 5 : column + 6].any():
                    free.append(index)
        return free

    def streets(self) -> None:
        """Names along the streets, once each."""
        named: set[int] = set()
        order = sorted(range(len(self.city.lines)), key=lambda k: -len(self.city.lines[k]))
        for index in order:
            street = int(self.city.line_street[index])
            if street in named:
                continue
            line = self.city.lines[index]
            middle = len(line) // 2
            a, b = line[max(0, middle - 2)], line[min(len(line) - 1, middle + 2)]
            if not self._is_inside(line[middle]):
                continue
            angle = float(np.degrees(np.arctan2(b[1] - a[1], b[0] - a[0])))
            angle = (angle + 90.0) % 180.0 - 90.0
            name = self.city.street_names[street].upper()
            if self._labels.along(
                name, self.pixel(line[middle]), angle, round(0.8 * self._text_px),
                (250, 250, 250), (40, 42, 50),
            ):  # fmt: skip
                named.add(street)

    def pixel(self, xy: np.ndarray) -> tuple[float, float]:
        east, south = float(xy[0]) - self._corner[0], self._corner[1] - float(xy[1])
        return float(east * self._scale), float(south * self._scale)

    def _sign_xy(self, index: int) -> np.ndarray:
        return self.city.sign_p0[index, :2] + self.city.sign_u[index, :2] / 2

    def _is_inside(self, xy: np.ndarray) -> bool:
        column, row = self.pixel(xy)
        return 8 <= column < self._size - 8 and 8 <= row < self._size - 8


def _between_junctions(line: np.ndarray) -> tuple[int, int]:
    """First and last index of a centre line that are 11 m from its ends."""
    at = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    inside = np.flatnonzero((at > 11.0) & (at < at[-1] - 11.0))
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
