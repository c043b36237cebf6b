"""A walk on the rail: only the right action moves the agent, and each place has few attempts."""

from typing import Any

import numpy as np

from ..core import Verdict
from .actions import TURN_RULES
from .answer import read_answer, write_answer
from .config import StreetNavConfig
from .judge import Perception, judge_rail
from .oracle import flawed_rail_action
from .prompts import Script
from .reward import rail_terms, total_reward
from .task import Description, Place, Scene
from .types import Route, World


class RailWalk:
    """The state of one episode on the rail.

    sentences: the route description. shown: the present observation.
    is_over: the destination is reached. is_given_up: a place has used up its attempts.
    """

    def __init__(self, route: Route, world: World, config: StreetNavConfig, script: Script) -> None:
        self.route = route
        self.is_over = self.is_given_up = False
        self._world = world
        self._config = config
        self._script = script
        self._turns = TURN_RULES[config.rule]
        self._description = Description(route, script.voice)
        self.sentences = self._description.sentences
        self._eyes = Perception([w.sight.name for w in route.waypoints if w.sight is not None])
        self._arrive(0)

    @property
    def scene(self) -> Scene:
        return self._place.scene

    @property
    def visited(self) -> list[int]:
        """Nodes from the start to the present one."""
        return [waypoint.node for waypoint in self.route.waypoints[: self._at + 1]]

    def right_action(self) -> str:
        return self._place.action

    def wrong_action(self, rng: np.random.Generator) -> str | None:
        """A wrong action, None where it would end the episode."""
        if self._attempts + 1 >= self._config.attempts:
            return None
        return flawed_rail_action(self._place.action, self._turns, rng)

    def answer(self, action: str) -> str:
        """An answer with this action and the other fields right."""
        return write_answer(self._seen, self._quoted, action, self._config.answer)

    def take(self, text: str) -> tuple[Verdict, str | None]:
        """Judge an answer and move on if it is right; the action that moved the agent, or None."""
        config, place = self._config, self._place
        answer = read_answer(text, config.answer)
        exact = self._seen, self._quoted
        visible = self._world.sights(place.scene.node)
        found = judge_rail(answer, place, self._turns, exact, self._eyes, visible)
        terms = rail_terms(found, config.reward)
        done = None if found.action is None else found.action.canonical
        is_last = self._at == len(self.route.waypoints) - 1
        index, is_right = self._at, found.is_right
        if is_right:
            self.is_over = is_last
            if not is_last:
                self._arrive(index + 1)
        else:
            self._attempts += 1
            self.is_given_up = self._attempts >= config.attempts
        verdict = Verdict(
            outcome=found.outcome.value,
            success=is_right and is_last,
            reward=total_reward(terms, config.reward),
            terms=terms,
            feedback=self._script.feedback(found.outcome, None if is_right else done),
            details={
                "correct": is_right,
                "recognized": found.recognized,
                "instruction_right": found.instruction_right,
                "place": index,
            },
        )
        return verdict, done if is_right and not is_last else None

    def measures(self) -> dict[str, Any]:
        """What is reported at the end: the share of the route's places that were left behind."""
        done = self._at + self.is_over
        return {"progress": done / len(self.route.waypoints)}

    def _arrive(self, index: int) -> None:
        self._at = index
        self._attempts = 0
        self._place: Place = self._description.place(index)
        scene = self._place.scene
        self._seen = self._script.seen(scene)
        self._quoted = self._script.quoted(self._place.instruction, self.sentences)
        self.shown = self._script.shown(scene, self._seen)
