"""Calls of the map in one episode, and those that the oracle makes."""

import numpy as np

from ..core import Verdict
from ..settings import Modality
from ..tools import CALLED, TOOL_ERROR, Call, read_call, write_call
from .answer import KEYS, AnswerFormat
from .config import StreetNavConfig
from .prompts import Script
from .surroundings import HERE, surroundings
from .task import Scene
from .tools import MAP
from .types import World

ASK = write_call(MAP, HERE)


class MapCalls:
    """What was asked and told in one episode.

    told: the map's words for the present place; None where it was not asked since one came here.
    In image mode the picture shows the map while `told` is not None. remarks: what a self-contained
    observation says of calls at this place.
    """

    def __init__(self, world: World, config: StreetNavConfig, script: Script) -> None:
        self.told: str | None = None
        self._world, self._script = world, script
        self._settings = config.tools.map
        self._is_tagged = config.answer is AnswerFormat.tagged
        self._is_image = config.modality is Modality.image
        self._made = 0
        self._is_unread = False  # the last call, since the last answer
        self._is_asked = False  # since the last answer

    @property
    def num_left(self) -> int:
        return self._settings.budget - self._made

    @property
    def remarks(self) -> list[str]:
        unread = [self._script.unread_call()] * self._is_unread
        return unread if self.told is None else [self.told, *unread]

    @property
    def spent(self) -> float:
        """What the calls have cost."""
        return self._made * self._settings.cost

    def read(self, text: str) -> Call | None:
        """The call in a text; None where there is none, or an answer."""
        return read_call(text, [MAP], KEYS, is_tagged=self._is_tagged)

    def ask(self, call: Call, scene: Scene) -> Verdict:
        """What the map tells of a place; it must be asked about `here`."""
        self._made += 1
        self._is_asked = True
        is_read = call.argument is not None and call.argument.strip().casefold() == HERE
        self._is_unread = not is_read
        said = self._script.unread_call()
        if is_read:
            reach, at = self._settings.reach_m, (scene.node, scene.facing)
            found = None if self._is_image else surroundings(self._world, *at, reach)
            said = self.told = self._script.map_said(found)
        return Verdict(
            outcome=CALLED if is_read else TOOL_ERROR,
            success=False,
            reward=0.0 - self._settings.cost,  # never -0.0
            terms={MAP: 0.0 - self._settings.cost},
            feedback=self._script.with_calls_left(said, self.num_left),
            details={"tool": MAP},
        )

    def answered(self, moved: bool) -> None:
        """An answer was given; a map of another place is put away."""
        self._is_asked = self._is_unread = False
        if moved:
            self.told = None

    def oracle_call(self, rng: np.random.Generator) -> str | None:
        """The oracle asks once before a share of its answers. rng: the same between two answers."""
        wants = rng.random() < self._settings.oracle_share
        return ASK if wants and self.num_left and not self._is_asked else None
