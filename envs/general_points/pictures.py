"""The picture of an episode's hand, drawn when it is first asked for.

Everything that draws is imported then.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..desktop import Desktop
from .config import VisualConfig

if TYPE_CHECKING:
    from .render import CardRenderer


class HandPictures:
    """Draws for one environment."""

    def __init__(self, visual: VisualConfig) -> None:
        self._visual = visual
        self._desktop = Desktop()
        self._renderer: CardRenderer | None = None
        self._picture: np.ndarray | None = None

    def forget(self) -> None:
        """A new hand is dealt."""
        self._picture = None

    def picture(self, ranks: tuple[str, ...], seed: Sequence[int]) -> np.ndarray:
        """The hand, uint8 [H, W, 3], the caller's own copy; `seed` scatters and lights it."""
        if self._picture is None:
            if self._renderer is None:
                from .render import CardRenderer

                self._renderer = CardRenderer(self._visual)
            self._picture = self._renderer.render(ranks, np.random.default_rng(seed))
        return self._picture.copy()

    def present(self, ranks: tuple[str, ...], seed: Sequence[int]) -> None:
        """Show the hand to a person."""
        self._desktop.show(self.picture(ranks, seed), "cards.png")
