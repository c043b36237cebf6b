"""The street navigation environment: an episode, composed of the parts of this folder."""

import json
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from ..core import FreeText, LanguageEnv, Observation, Verdict
from ..settings import Modality, as_render_mode, given_config
from ..tools import Call
from .actions import TURN_RULES, spelt_action
from .answer import ACTION
from .calls import ASK, MapCalls
from .config import Mode, StreetNavConfig, config_of
from .free import FreeWalk
from .present import Presenter
from .prompts import Script, legend_text
from .rail import RailWalk
from .tally import Tally
from .tools import MAP
from .types import Route, World
from .wording import SIDES, octant
from .worlds import open_world

_CALLS = 1  # the stream of the oracle's calls
_RANDOM_CALLS = 0.1  # share of the random agent's steps that ask, while calls are left
_SEED_RANGE = 2**63  # of the integer from which an episode's other streams are derived


class StreetNavEnv(LanguageEnv):
    """Follow a route description through a city.

    ## Description
    A route of several legs is drawn from `self.np_random`: in a procedural city, or with
    world="virl" in V-IRL's real data. The description has two sentences for each leg: turn, and
    walk on until a landmark. In mode `rail` only the right action moves the agent, on to the next
    place, and a place allows `attempts` answers. In mode `free` every allowed action is carried
    out. The rule in force says how directions are named (`actions.py`), the wording whose words the
    description uses (`wording.py`). One seed gives the same route under every rule, wording, mode,
    modality and look.

    ## Action Space
    The model's raw text, `FreeText(max_answer_chars)`. The answer in it is an object like
    `{"current observation": "Otter Bank is on your left front; You observe an intersection",
    "current instruction": "3. Turn left.", "action": "turn_direction(left)"}`; the format `tagged`
    wants it between <answer> and </answer>. Any text is judged, in bounded time.

    With `tools.map.budget`, a text without an answer may be a call instead, `{"map": "here"}`. So
    many calls a walk take no turn and no attempt; one that asks something else is spent (outcome
    tool_error), a further one counts as an answer without an action (outcome over_budget).

    ## Observation
    `text`: self-contained; the rule, the route description, what was observed and done so far, and
    what is observed now; after a wrong answer also the verifier's message. `update`: what a running
    conversation gains in this turn. `image`, in image mode only: uint8 [H, W, 3], the views front
    and right above back and left; no text then names a landmark or an intersection that is seen.
    A map tells where the agent is and looks, the streets that lead on, and intersections and
    landmarks within reach (`surroundings.py`): in words, or in image mode as a picture to the right
    of the views, black until it is asked for. It knows neither route nor action; it is shown until
    the agent moves. With `fog` the words tell nothing of a place, so that only a map does.
    `info` is for logs: task_id, split, rule, visual, wording, mode, num_places; after a step also
    turn, outcome, success, reward_terms, feedback, correct, recognized, instruction_right, place;
    with tools also tool, tool_calls and tool_errors;
    at the end episode_return, and in free movement distance_m, walked_m, shortest_m, spl, ndtw.

    ## Rewards
    The terms of `reward.kind` (see `reward.py`); study: +1 right, -1 wrong, -1.5 wrong together
    with a wrong remark about the intersection. `episode_return` in the last `info` is their mean
    over the places of the rail, their sum, or their discounted sum. A call pays -`tools.map.cost`
    (term `map`), which the sum and the mean count like a reward.

    ## Termination
    The right `stop()` terminates; in free movement any `stop()`. Wrong answers beyond `attempts` at
    one place, and `max_turns` answers, truncate.

    ## References
    *SFT Memorizes, RL Generalizes* (https://arxiv.org/abs/2501.17161) and V-IRL
    (https://arxiv.org/abs/2402.03310); how each part departs stands at the top of its file.

    ## Version History
    * v0: first version.
    """

    metadata = {"render_modes": ["rgb_array", "ansi", "human"], "render_fps": 2}  # noqa: RUF012

    def __init__(
        self,
        config: StreetNavConfig | Mapping[str, Any] | None = None,
        render_mode: str | None = None,
        streets: World | None = None,
        **fields: Any,
    ) -> None:
        """Takes a configuration, or its fields by name, not both. ValueError for a bad value.

        streets: a world to walk in, instead of the one that the configuration describes.
        """
        config = given_config(StreetNavConfig, config_of, config, fields)
        self.config = config
        self.render_mode = as_render_mode(render_mode, self.metadata["render_modes"])
        self.max_turns = config.max_turns
        self.tools = config.tools.offered
        self.action_space = FreeText(config.max_answer_chars)
        self.observation_space = _observation_space(config)
        self._world = streets
        self._script = Script(config)
        self._presenter: Presenter | None = None
        self._walk: RailWalk | FreeWalk
        self._past: list[str] = []  # lines of the history
        self._tally = Tally()
        self._labels = {
            "split": config.split.value,
            "rule": config.rule.value,
            "visual": config.visual,
            "wording": config.wording.value,
            "mode": config.mode.value,
        }

    @property
    def world(self) -> World:
        """The world in which this environment walks; opened when it is first needed."""
        if self._world is None:
            self._world = open_world(self.config)
        return self._world

    @property
    def route(self) -> Route:
        """The route of the present episode; ValueError before the first reset."""
        self._require_task()
        return self._walk.route

    @property
    def walk(self) -> "RailWalk | FreeWalk":
        """Where the agent is and has been; ValueError before the first reset."""
        self._require_task()
        return self._walk

    def oracle_action(self) -> str:
        """An answer that earns the maximum return, or a call before it, see `tools`.

        ValueError before the first reset.
        """
        self._require_task()
        answer = self._walk.answer(self._walk.right_action())
        if not self.tools:
            return answer
        rng = np.random.default_rng([self._episode_seed, self._turn, _CALLS])
        return self._asked.oracle_call(rng) or answer

    def flawed_action(self) -> str | None:
        """A well-formed wrong answer, another one at every turn.

        None where the next wrong answer would end the episode.
        """
        self._require_task()
        rng = np.random.default_rng([self._episode_seed, self._turn])
        action = self._walk.wrong_action(rng)
        return None if action is None else self._walk.answer(action)

    def random_action(self, rng: np.random.Generator) -> str:
        """An action of the rule in force, all equally likely; the other fields are right.

        While calls of the map are left, a call one time in ten.
        """
        self._require_task()
        if self.tools and self._asked.num_left and rng.random() < _RANDOM_CALLS:
            return ASK
        actions = TURN_RULES[self.config.rule].actions
        return self._walk.answer(actions[int(rng.integers(len(actions)))])

    def legend(self) -> str:
        """The rule in force and its actions, for a person who plays."""
        return legend_text(self.config)

    def spelt_out(self, typed: str) -> str:
        """A bare action (`forward()`, `forward`, `north`) as an answer that says nothing else.

        `map` asks for the map, where there is one.
        """
        if "{" in typed:
            return typed
        if self.tools and typed.strip().casefold() == MAP:
            return ASK
        action = spelt_action(typed, TURN_RULES[self.config.rule])
        return f"<answer>{json.dumps({ACTION: action})}</answer>"

    @property
    def percept_sizes(self) -> tuple[int, ...]:
        """Is this an intersection? In which direction is the landmark (8), or is there none?"""
        return 2, 1 + len(SIDES)

    def percepts(self) -> tuple[int, ...]:
        """Intersection or not; direction of the landmark from where one looks, 0 for none.

        Of several landmarks the one that the description names. ValueError before the first reset.
        """
        scene = self.walk.scene
        if not scene.sights:
            return int(scene.intersection), 0
        return int(scene.intersection), 1 + octant(
            (round(scene.sights[0].bearing) - scene.facing) % 360
        )

    def render(self) -> Any:
        """`rgb_array`: the views beside a map of the walk, uint8 [H, W, 3]; `ansi`: the text.

        `human`, called at every reset and step: writes the text to the terminal and, in image mode,
        opens the picture in the desktop's viewer (without a desktop: names its file).
        """
        self._require_task()
        if self.render_mode == "rgb_array":
            return self._pictures().beside_map(self._walk)
        if self.render_mode == "ansi":
            return self._spoken
        if self.render_mode == "human":
            self._pictures().present(self._spoken, self._walk)
        return None

    def map(self, size: int) -> np.ndarray:
        """The route and how far it was walked, north up: uint8 [size, size, 3]."""
        self._require_task()
        return self._pictures().map(self._walk, size)

    def _deal(self, options: dict[str, Any]) -> None:
        config = self.config
        self._episode_seed = int(self.np_random.integers(_SEED_RANGE))
        route = options.get("route")
        if route is None:
            route = self.world.deal(self.np_random, config.split.value)
        elif not isinstance(route, Route):
            raise ValueError(f"options['route'] must be a Route; got {type(route).__name__}")
        kind = RailWalk if config.mode is Mode.rail else FreeWalk
        self._walk = kind(route, self.world, config, self._script)
        self._asked = MapCalls(self.world, config, self._script)
        self._opening = self._script.opening(self._walk.sentences)
        self._past = []
        self._tally = Tally()
        if self._presenter is not None:
            self._presenter.forget()
        self._skip(options.get("place", 0))

    def _skip(self, place: int) -> None:
        """Begin at a later place, as if the oracle had walked there."""
        last = len(self._walk.route.waypoints) - 1 if self.config.mode is Mode.rail else 0
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place <= last:
            raise ValueError(f"options['place'] must be 0 to {last} on this route; got {place!r}")
        for _ in range(place):
            if self.config.modality is Modality.image and self.config.views.frames > 1:
                self._pictures().frames(self._walk)  # it is among the places last seen
            self._judge(self._walk.answer(self._walk.right_action()))
        self._tally = Tally()

    def _judge(self, action: str) -> Verdict:
        before, place = self._walk.shown, self._walk.scene if self.tools else None
        verdict, moved = self._walk.take(action)
        if moved is not None:
            self._past.append(self._script.step(len(self._past) + 1, before, moved))
        self._moved = moved is not None
        if self.tools:
            self._asked.answered(self._walk.scene != place)
        self._tally.add(verdict.reward, bool(verdict.details["correct"]))
        return verdict

    def _call_in(self, action: str) -> Call | None:
        return self._asked.read(action)

    def _ask(self, call: Call) -> Verdict:
        self._moved = False
        return self._asked.ask(call, self._walk.scene)

    def _say_over_budget(self, call: Call) -> str:
        return self._script.over_budget()

    def _is_over(self, verdict: Verdict) -> bool:
        return self._walk.is_over

    def _is_out_of_turns(self) -> bool:
        return self._walk.is_given_up or super()._is_out_of_turns()

    def _observe(self, verdict: Verdict | None) -> Observation:
        script, shown = self._script, self._walk.shown
        if verdict is None or not self.tools or verdict.details.get("tool") is None:
            self._fault = "" if verdict is None or self._moved else verdict.feedback
        remarks = self._fault
        if self.tools:
            remarks = script.together(remarks, *self._asked.remarks)
        text = update = script.text(self._opening, self._past, shown, remarks)
        if verdict is not None:
            update = verdict.feedback
            if self._moved:
                update = script.update(update, len(self._past) + 1, shown)
        self._spoken = text
        image = None
        if self.config.modality is Modality.image:
            image = self._pictures().seen(self._walk, self._asked.told is not None)
        if self.render_mode == "human":
            self.render()
        return Observation(text=text, update=update, image=image)

    def _task_info(self) -> dict[str, Any]:
        route = self._walk.route
        return {"task_id": route.id, **self._labels, "num_places": len(route.waypoints)}

    def _verdict_info(self, verdict: Verdict) -> dict[str, Any]:
        info = super()._verdict_info(verdict)
        if self._done:
            num_places = len(self._walk.route.waypoints)
            info["episode_return"] = self._tally.episode_return(
                self.config, self._asked.spent, num_places
            )
            info["accuracy"] = self._tally.accuracy
            info.update(self._walk.measures())
        return info

    def _pictures(self) -> Presenter:
        if self._presenter is None:
            self._presenter = Presenter(self.world, self.config)
        return self._presenter

    def _require_task(self) -> None:
        if not hasattr(self, "_walk"):
            raise ValueError("there is no task yet: call reset() first")


def _observation_space(config: StreetNavConfig) -> gym.spaces.Dict:
    spaces: dict[str, gym.Space[Any]] = {"text": FreeText(), "update": FreeText()}
    if config.modality is Modality.image:
        spaces["image"] = gym.spaces.Box(0, 255, config.picture_shape, np.uint8)
    return gym.spaces.Dict(spaces)
