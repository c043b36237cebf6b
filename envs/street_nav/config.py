"""Everything that can be set about street navigation, with the defaults."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

from ..core import MAX_TEXT_CHARS
from ..settings import (
    Modality,
    PromptStyle,
    Split,
    did_you_mean,
    member,
    require_flag,
    require_number,
)
from .actions import Rule
from .answer import AnswerFormat
from .city.config import CityConfig, RouteConfig
from .render.config import as_look
from .reward import RewardConfig, RewardKind
from .tools import StreetNavTools
from .wording import Wording

MIN_VIEW_PX, MAX_VIEW_PX = 28, 640
MIN_FOV_DEG, MAX_FOV_DEG = 40.0, 120.0
MAX_FRAMES = 8
MIN_SUCCESS_M = 1e-6
PANORAMA_PX = (512, 1024, 2048, 3072, 4096, 6144)  # the last two only for large, narrow views
MAX_WHOLE_PX = 3072  # wider panoramas are drawn no higher than the views reach
PANORAMA_PITCH_DEG = 48.0  # above and below the horizon; wider views need more
PITCH_MARGIN_DEG = 1.0
CROSS_PX = 5  # between the four views, and between grids


class WorldKind(str, Enum):
    city = "city"  # procedural
    virl = "virl"  # a folder of V-IRL's real data


class Mode(str, Enum):
    """How answers move the agent."""

    rail = "rail"  # the study's: only the right action moves it, on to the next place
    free = "free"  # every allowed action is carried out


class EpisodeReturn(str, Enum):
    """What an episode of several answers is worth."""

    mean = "mean"  # on the rail the sum over the number of places, so that all routes weigh alike
    sum = "sum"
    discounted = "discounted"  # sum of discount^k * reward_k


@dataclass(kw_only=True, slots=True)
class ViewConfig:
    """The picture: four views in a grid, front and right above back and left.

    size: of one view in pixels (28 to 640; below 112 signs cannot be read, only their colours).
    fov_deg: horizontal field of view of one view.
    frames: grids in one picture, side by side: the newest on the right, black where there is none.
    """

    size: int = 224
    fov_deg: float = 90.0
    frames: int = 1

    def __post_init__(self) -> None:
        _require_int("size", self.size, MIN_VIEW_PX, MAX_VIEW_PX)
        _require_int("frames", self.frames, 1, MAX_FRAMES)
        span = f"{MIN_FOV_DEG:g} to {MAX_FOV_DEG:g}"
        require_number("fov_deg", self.fov_deg, span, MIN_FOV_DEG, MAX_FOV_DEG)

    @property
    def grid_px(self) -> int:
        """Side of one grid of four views."""
        return 2 * self.size + CROSS_PX

    @property
    def panorama_px(self) -> int:
        """Width of a panorama with about one column for each column of a view."""
        wanted = self.size * 360.0 / self.fov_deg
        return next((width for width in PANORAMA_PX if width >= 0.9 * wanted), PANORAMA_PX[-1])

    @property
    def pitch_deg(self) -> float:
        """How far above and below the horizon a panorama must reach to fill a view."""
        if self.panorama_px > MAX_WHOLE_PX:
            return self.fov_deg / 2 + PITCH_MARGIN_DEG
        return max(PANORAMA_PITCH_DEG, self.fov_deg / 2)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the whole picture, [H, W, 3]."""
        return self.grid_px, self.frames * (self.grid_px + CROSS_PX) - CROSS_PX, 3


@dataclass(kw_only=True, slots=True)
class StreetNavConfig:
    """One street navigation environment.

    world, data_dir: a procedural city, or the folder of a V-IRL data set.
    city, look: of a procedural city; `look` takes a preset's name, a mapping of fields, or the
        dataclass. Looks change pixels and nothing else.
    routes: which walks are dealt; of real data its drop_rate, clearance_m, held_out_fraction, salt.
    rule: the action space in force. wording: whose words the route description uses.
    attempts: answers allowed at one place of the rail; the last wrong one ends the episode.
    max_turns: answers in one episode.
    success_m: free movement: how near to the destination one must stop.
    fog: observations in words tell nothing of a place: no landmark, no intersection, no heading, no
        ways on. What is there only a map tells.
    history: answers of the past that an observation repeats; None: all of them.
    tools: what may be asked before an answer; calls are turns of their own with their own budgets.
    """

    id: str = "cardinal/StreetNav-v0"
    modality: Modality = Modality.text
    world: WorldKind = WorldKind.city
    data_dir: str | None = None
    city: CityConfig = field(default_factory=CityConfig)
    look: Any = "harbor"
    routes: RouteConfig = field(default_factory=RouteConfig)
    rule: Rule = Rule.absolute
    wording: Wording = Wording.both
    mode: Mode = Mode.rail
    split: Split = Split.train
    prompt: PromptStyle = PromptStyle.study
    answer: AnswerFormat = AnswerFormat.json
    reward: RewardConfig = field(default_factory=RewardConfig)
    episode_return: EpisodeReturn = EpisodeReturn.mean
    discount: float = 0.9
    attempts: int = 2
    max_turns: int = 256
    success_m: float = 25.0
    fog: bool = False
    history: int | None = None
    views: ViewConfig = field(default_factory=ViewConfig)
    tools: StreetNavTools = field(default_factory=StreetNavTools)
    max_answer_chars: int = MAX_TEXT_CHARS

    def __post_init__(self) -> None:
        self._coerce()
        _require_int("attempts", self.attempts, 1, 1_000)
        _require_int("max_turns", self.max_turns, 1, 1_000_000)
        _require_int("max_answer_chars", self.max_answer_chars, 1, 10**12)
        if self.history is not None:
            _require_int("history", self.history, 0, 1_000_000)
        require_number("discount", self.discount, "in [0, 1]", 0.0, 1.0)
        require_flag("fog", self.fog)
        require_number("success_m", self.success_m, "positive", MIN_SUCCESS_M, math.inf)
        if (self.world is WorldKind.virl) != (self.data_dir is not None):
            raise ValueError(
                "data_dir must be the folder of a V-IRL data set with world=virl, and null with "
                f"world=city; got {self.data_dir!r} with {self.world.value}"
            )
        if self.fog and self.modality is Modality.image:
            raise ValueError("fog must be false with modality=image: pictures are clear; got true")
        self._refuse_paid_stalling()

    @property
    def visual(self) -> str:
        """The name of what the world looks like, for logs."""
        if self.world is WorldKind.virl:
            return "street_view"
        return as_look(self.look).name

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """Of what the agent sees in image mode, [H, W, 3]: the views, and a map if it can ask."""
        height, width, channels = self.views.shape
        room = CROSS_PX + self.views.grid_px if self.tools.map.budget else 0
        return height, width + room, channels

    def single_attempt(self) -> "StreetNavConfig":
        """The same walks without revision: the first answer at each place counts."""
        return replace(self, attempts=1)

    def shifted(self, **changes: Any) -> "StreetNavConfig":
        """A copy with some fields replaced.

        A mapping for `city`, `routes` or `views` replaces only the fields that it names; another
        `data_dir` brings its world with it. Raises ValueError, with the key, for an unknown field.
        """
        for name, kind in _SECTIONS.items():
            if name in changes and name != "reward":  # of which each kind has its own fields
                changes[name] = _section(kind, name, changes[name], getattr(self, name))
        if changes.get("data_dir") is not None:
            changes.setdefault("world", WorldKind.virl)
        return replace(self, **changes)

    def _coerce(self) -> None:
        for name, kind in _ENUMS.items():
            setattr(self, name, member(kind, name, getattr(self, name)))
        as_look(self.look)  # raises ValueError for what is no look
        if isinstance(self.reward, str):
            self.reward = RewardConfig(kind=member(RewardKind, "reward", self.reward))
        for name, kind in _SECTIONS.items():
            setattr(self, name, _section(kind, name, getattr(self, name)))

    def _refuse_paid_stalling(self) -> None:
        """Pay for a wrong answer must not exceed what it costs, or one would err on purpose."""
        if self.reward.kind is not RewardKind.weighted or self.mode is Mode.free:
            return
        weights = self.reward.weights
        paid = sum(weights.get(term, 0.0) for term in ("format", "observation", "instruction"))
        cost = weights.get("wrong", 0.0)
        if self.attempts > 1 and paid > cost + 1e-9:
            raise ValueError(
                f"reward.weights must punish a wrong answer by at least what its fields pay "
                f"({paid:g}); got wrong {cost:g}"
            )


def config_of(values: Mapping[str, Any]) -> StreetNavConfig:
    """A configuration from its fields by name; ValueError for an unknown one."""
    return StreetNavConfig(**_known(StreetNavConfig, "fields", values))


_ENUMS: dict[str, type[Enum]] = {
    "modality": Modality,
    "world": WorldKind,
    "rule": Rule,
    "wording": Wording,
    "mode": Mode,
    "split": Split,
    "prompt": PromptStyle,
    "answer": AnswerFormat,
    "episode_return": EpisodeReturn,
}


_SECTIONS: dict[str, type] = {
    "city": CityConfig,
    "routes": RouteConfig,
    "views": ViewConfig,
    "reward": RewardConfig,
    "tools": StreetNavTools,
}


def _section(kind: Any, name: str, value: Any, base: Any = None) -> Any:
    """A section from a mapping of its fields, or itself; what is not named is as in `base`.

    Raises ValueError that begins with the section's name.
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        known = ", ".join(each.name for each in fields(kind))
        raise ValueError(f"{name} must be a section with {known}; got {value!r}")
    given = _known(kind, name, value)
    try:
        return kind(**given) if base is None else replace(base, **given)
    except ValueError as error:
        said = str(error)
        raise ValueError(said if said.startswith(f"{name}.") else f"{name}.{said}") from error


def _known(kind: Any, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    known = [each.name for each in fields(kind)]
    unknown = [key for key in values if key not in known]
    if unknown:
        got = f"{', '.join(unknown)}{did_you_mean(unknown[0], known)}"
        raise ValueError(f"{name} must be among {', '.join(known)}; got {got}")
    return dict(values)


def _require_int(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}; got {value!r}")
