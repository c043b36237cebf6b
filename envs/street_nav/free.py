"""A walk in free movement: every allowed action is carried out, and the stop is judged."""

from typing import Any

import numpy as np

from ..core import Verdict
from .actions import FORWARD, STOP, TURN_RULES, Action, whole_degrees
from .answer import Answer, read_answer, write_answer
from .config import StreetNavConfig
from .judge import Assessment, Perception, StreetNavOutcome, read_move
from .metrics import ndtw, spl
from .oracle import FreeOracle, flawed_free_action
from .paths import distance_m, expanded, path_length_m, shortest_path
from .prompts import Script
from .reward import free_terms, total_reward
from .task import Description, Scene
from .types import Route, World
from .walk import facing_after, turned, way_ahead

_STOPPED_WRONG = (StreetNavOutcome.premature_stop, StreetNavOutcome.overshoot)
MIN_WAYS = 3  # of an intersection
_MOVES = (StreetNavOutcome.moved, StreetNavOutcome.turned)


class FreeWalk:
    """The state of one episode in free movement.

    sentences: the route description. shown: the present observation. visited: nodes, in order.
    path: nodes of the route. is_over: the agent has stopped. is_given_up: never.
    """

    is_given_up = False

    def __init__(self, route: Route, world: World, config: StreetNavConfig, script: Script) -> None:
        self.route = route
        self.is_over = False
        self._world = world
        self._config = config
        self._script = script
        self._turns = TURN_RULES[config.rule]
        self.sentences = Description(route, script.voice).sentences
        self.path, self._corners = expanded(world, route)
        self.visited = [self.path[0]]
        self._oracle = FreeOracle(world, self.path, self._turns)
        self._eyes = Perception([w.sight.name for w in route.waypoints if w.sight is not None])
        self._was_near = self._distance() <= config.success_m
        self._likeness: float | None = None  # nDTW of the walk so far, once it is asked for
        self._look(self.path[0], whole_degrees(route.init_heading))

    def right_action(self) -> str:
        """What leads along the route; off the route, the shortest way to the destination."""
        return self._oracle.action(self.scene.node, self.scene.facing)

    def wrong_action(self, rng: np.random.Generator) -> str | None:
        """A turn that leads off the way; it never ends the episode."""
        return flawed_free_action(self.right_action(), self._turns, rng)

    def answer(self, action: str) -> str:
        """An answer with this action, what is seen, and the sentence that it belongs to."""
        leg = sum(corner <= self._oracle.at for corner in self._corners[1:-1])
        is_turn = action not in (FORWARD, STOP)
        quoted = self._script.quoted(2 * leg + (1 if is_turn else 2), self.sentences)
        return write_answer(self._seen, quoted, action, self._config.answer)

    def take(self, text: str) -> tuple[Verdict, str | None]:
        """Carry out an answer; the verdict, and the action that was carried out, if any."""
        config = self._config
        answer = read_answer(text, config.answer)
        perceived = self._perceive(answer)
        place = len(self.visited) - 1
        action, fault = read_move(answer, self._turns)
        if action is None:
            assert fault is not None
            outcome = fault
        else:
            outcome = self._carry_out(action)
        found = Assessment(outcome, action, *perceived, False, fault is None)
        terms = free_terms(found, self._ndtw() if self.is_over else 0.0, config.reward)
        verdict = Verdict(
            outcome=outcome.value,
            success=found.is_arrival,
            reward=total_reward(terms, config.reward),
            terms=terms,
            feedback=self._script.feedback(outcome, STOP if outcome in _STOPPED_WRONG else None),
            details={
                "correct": not found.is_fault,
                "recognized": found.recognized,
                "instruction_right": None,
                "place": place,
            },
        )
        return verdict, action.canonical if action is not None and outcome in _MOVES else None

    def measures(self) -> dict[str, Any]:
        """What is reported at the end; `is_over` says whether the agent has stopped."""
        world, config = self._world, self._config
        walked = path_length_m(world, self.visited)
        shortest = path_length_m(world, shortest_path(world, self.path[0], self.path[-1]))
        distance = self._distance()
        success = self.is_over and distance <= config.success_m
        return {
            "distance_m": distance,
            "walked_m": walked,
            "shortest_m": shortest,
            "spl": spl(success, walked, shortest),
            "ndtw": self._ndtw(),
        }

    def _carry_out(self, action: Action) -> StreetNavOutcome:
        node, facing = self.scene.node, self.scene.facing
        exits = self._world.exits(node)
        if action.word is not None:
            self._look(node, turned(facing, action.word, self._turns, exits))
            return StreetNavOutcome.turned
        if action.canonical == STOP:
            self.is_over = True
            if self._distance() <= self._config.success_m:
                return StreetNavOutcome.arrived
            passed = self._was_near
            return StreetNavOutcome.overshoot if passed else StreetNavOutcome.premature_stop
        ahead = way_ahead(facing, exits)
        if ahead is None:
            return StreetNavOutcome.blocked
        self.visited.append(ahead)
        self._likeness = None
        self._oracle.follow(ahead)
        self._look(ahead, facing_after(self._world, node, ahead))
        self._was_near = self._was_near or self._distance() <= self._config.success_m
        return StreetNavOutcome.moved

    def _look(self, node: int, facing: int) -> None:
        ways = sorted(whole_degrees(heading) for heading in self._world.exits(node).values())
        sights = self._world.sights(node)
        self.scene = Scene(node, facing, len(ways) >= MIN_WAYS, sights, tuple(ways))
        self._seen = self._script.seen(self.scene)
        self.shown = self._script.shown(self.scene, self._seen)

    def _perceive(self, answer: Answer) -> tuple[bool, bool]:
        scene, sights = self.scene, self.scene.sights
        return self._eyes.judge(answer.observation, self._seen, scene.intersection, sights, sights)

    def _distance(self) -> float:
        return distance_m(self._world, self.visited[-1], self.path[-1])

    def _ndtw(self) -> float:
        if self._likeness is None:
            self._likeness = self._compare()
        return self._likeness

    def _compare(self) -> float:
        position = self._world.position
        walk, route = map(position, self.visited), map(position, self.path)
        return ndtw(list(walk), list(route), self._config.success_m)
