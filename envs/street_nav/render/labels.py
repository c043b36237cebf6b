"""Labels on pictures that never overlap: each is put where nothing is yet, or left out."""

from dataclasses import dataclass

import cv2
import numpy as np

from .lettering import fitted, line_mask

PAD_PX = 4
_DIRECTIONS = 16


@dataclass(frozen=True, slots=True)
class Box:
    """Whole pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


class Labels:
    """Puts labels on a picture uint8 [H, W, 3], in place, and remembers what is taken."""

    def __init__(self, picture: np.ndarray, font: str = "inter") -> None:
        self.picture, self.font = picture, font
        self.taken = np.zeros(picture.shape[:2], bool)
        self.boxes: list[Box] = []

    def reserve(self, mask: np.ndarray) -> None:
        """Keeps labels away from where bool [H, W] is set."""
        self.taken |= mask

    def pill(
        self,
        text: str,
        anchor: tuple[float, float],
        height_px: int,
        *,
        away_px: float = 10.0,
        reach_px: float = 70.0,
        color: tuple[int, int, int] = (32, 34, 40),
        paper: tuple[int, int, int] = (255, 255, 255),
    ) -> Box | None:
        """A text on a rounded ground near a point, with a line to it if it is far; None if full."""
        ink = self._ink(text, height_px)
        height, width = ink.shape[0] + 2 * PAD_PX, ink.shape[1] + 2 * PAD_PX + 4
        away = away_px
        while away <= reach_px:
            for k in range(_DIRECTIONS):
                turn = 2 * np.pi * k / _DIRECTIONS
                x = anchor[0] + np.cos(turn) * (away + width / 2)
                y = anchor[1] - np.sin(turn) * (away + height / 2)
                box = self._free(x, y, width, height)
                if box is not None:
                    self._leader(anchor, box, away, away_px, color)
                    self._draw_pill(box, ink, color, paper)
                    return box
            away += max(6.0, 0.6 * height)
        return None

    def along(
        self,
        text: str,
        middle: tuple[float, float],
        angle_deg: float,
        height_px: int,
        color: tuple[int, int, int],
        halo: tuple[int, int, int],
    ) -> bool:
        """A text turned by an angle (counter-clockwise) over a point; False if there is no room."""
        ink = np.pad(self._ink(text, height_px), 3)
        side = int(np.ceil(np.hypot(*ink.shape))) + 2
        turned = cv2.getRotationMatrix2D((ink.shape[1] / 2, ink.shape[0] / 2), angle_deg, 1.0)
        turned[:, 2] += side / 2 - np.array(ink.shape[::-1]) / 2
        mask = cv2.warpAffine(ink, turned, (side, side), flags=cv2.INTER_LINEAR)
        around = cv2.dilate(mask, np.ones((5, 5), np.uint8))
        left, top = round(middle[0] - side / 2), round(middle[1] - side / 2)
        height, width = self.picture.shape[:2]
        if left < 0 or top < 0 or left + side > width or top + side > height:
            return False
        where = np.s_[top : top + side, left : left + side]
        if (self.taken[where] & (around > 0)).any():
            return False
        for cover, tone in ((cv2.GaussianBlur(around, (3, 3), 0), halo), (mask, color)):
            share = cover[..., None].astype(np.float32) / 255.0
            part = self.picture[where]
            part[...] = np.rint(part * (1 - share) + np.array(tone) * share)
        self.taken[where] |= around > 0
        return True

    def _ink(self, text: str, height_px: int) -> np.ndarray:
        mask = line_mask(text, self.font)
        cap = line_mask("Hg", self.font).shape[0]
        scale = height_px / cap
        width, height = round(mask.shape[1] * scale), max(1, round(mask.shape[0] * scale))
        return fitted([text], self.font, max(1, width), height, stretch=1.0)

    def _free(self, x: float, y: float, width: int, height: int) -> Box | None:
        left, top = round(x - width / 2), round(y - height / 2)
        box = Box(left, top, left + width, top + height)
        rows, columns = self.picture.shape[:2]
        if box.left < 1 or box.top < 1 or box.right > columns - 1 or box.bottom > rows - 1:
            return None
        around = self.taken[box.top - 1 : box.bottom + 1, box.left - 1 : box.right + 1]
        return None if around.any() else box

    def _leader(
        self, anchor: tuple[float, float], box: Box, away: float, near: float,
        color: tuple[int, int, int],
    ) -> None:  # fmt: skip
        if away <= near + 1:
            return
        end = (
            int(np.clip(anchor[0], box.left, box.right - 1)),
            int(np.clip(anchor[1], box.top, box.bottom - 1)),
        )
        start = round(anchor[0]), round(anchor[1])
        cv2.line(self.picture, start, end, color, 1, cv2.LINE_AA)

    def _draw_pill(
        self, box: Box, ink: np.ndarray, color: tuple[int, int, int], paper: tuple[int, int, int]
    ) -> None:
        height, width = box.bottom - box.top, box.right - box.left
        cover = np.zeros((height, width), np.uint8)
        radius = min(5, height // 2)
        cv2.rectangle(cover, (radius, 0), (width - 1 - radius, height - 1), 255, -1)
        cv2.rectangle(cover, (0, radius), (width - 1, height - 1 - radius), 255, -1)
        for x in (radius, width - 1 - radius):
            for y in (radius, height - 1 - radius):
                cv2.circle(cover, (x, y), radius, 255, -1, cv2.LINE_AA)
        part = self.picture[box.top : box.bottom, box.left : box.right]
        share = cover[..., None] / 255.0 * 0.90
        part[...] = np.rint(part * (1 - share) + np.array(paper) * share)
        top = (height - ink.shape[0]) // 2
        left = (width - ink.shape[1]) // 2
        share = ink[..., None] / 255.0
        text = part[top : top + ink.shape[0], left : left + ink.shape[1]]
        text[...] = np.rint(text * (1 - share) + np.array(color) * share)
        self.taken[box.top : box.bottom, box.left : box.right] = True
        self.boxes.append(box)
