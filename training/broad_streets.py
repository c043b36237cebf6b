"""Broad walks: every way of naming directions and of describing routes, in cities of their own.

A foundation model knows what "left" means before it is trained to answer in compass names. So a
tiny base walks under every rule and wording; what training then leaves out is unseen in training
alone, as in the study. Pairs of rule and wording can be withheld from the base too, and looks are
unless they are named. Its cities are none in which policies are trained or measured. With a map the
base meets every number of calls from none to the budget, so that it knows walks with and without,
and where there is fog, half of its walks are in clear air.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..agents.policy import Policy
from ..agents.rows import Row
from ..envs.core import LanguageEnv
from ..envs.settings import Split
from ..envs.street_nav.actions import Rule
from ..envs.street_nav.config import StreetNavConfig, WorldKind
from ..envs.street_nav.wording import Wording
from .config import PretrainConfig
from .demonstrations import (
    Conversation,
    bare_env,
    encode_rows,
    num_wrong_attempts,
    oracle_conversation,
)
from .sampler import task_rng, task_seed

_CALLS, _FOG = 1_001, 1_002  # name the streams that numbers of calls and the weather come from
FOGGY = 0.5  # share of the base's walks that are in fog, where the experiment's are


@dataclasses.dataclass(frozen=True, slots=True)
class Walk:
    """One broad task: what the environment is set to.

    maps: calls of the map; None: as many as the experiment allows. fog: as in the environment.
    """

    rule: Rule
    wording: Wording
    city_seed: int
    look: Any  # as in the environment's configuration
    maps: int | None = None
    fog: bool = False


class BroadEpisodes:
    """Conversations on walks over rules, wordings and cities, addressed by index."""

    def __init__(
        self, env: StreetNavConfig, config: PretrainConfig, *, seed: int, stream: str = "pretrain"
    ) -> None:
        self._config = config
        self._seed = seed
        self._stream = stream
        self._walks = broad_walks(env, config)
        self._budget, self._is_foggy = env.tools.map.budget, env.fog
        self._envs = StreetEnvs(env)

    def conversation(self, index: int) -> Conversation:
        rng = task_rng(self._seed, self._stream, index)
        config = self._config
        walk = self._walks[int(rng.integers(len(self._walks)))]
        maps, fog = self._draw_maps(index), self._draw_fog(index)
        env = self._envs[dataclasses.replace(walk, maps=maps, fog=fog)]
        wrong = num_wrong_attempts(rng, config.revision_fraction, config.max_wrong_attempts)
        return oracle_conversation(env, task_seed(self._seed, self._stream, index), wrong)

    def _draw_maps(self, index: int) -> int | None:
        """Calls of the map on walk `index`; a stream of its own, so that the walks stay."""
        if not self._budget:
            return None
        rng = np.random.default_rng([self._seed, _CALLS, index])
        return int(rng.integers(self._budget + 1))

    def _draw_fog(self, index: int) -> bool:
        """Whether walk `index` is in fog; a stream of its own too."""
        rng = np.random.default_rng([self._seed, _FOG, index])
        return self._is_foggy and bool(rng.random() < FOGGY)


class BroadWalks:
    """The rows of `BroadEpisodes`; the settings are the same."""

    def __init__(
        self,
        policy: Policy,
        env: StreetNavConfig,
        config: PretrainConfig,
        *,
        seed: int,
        stream: str = "pretrain",
    ) -> None:
        self._policy = policy
        self._episodes = BroadEpisodes(env, config, seed=seed, stream=stream)

    def rows(self, indices: Sequence[int]) -> list[Row]:
        conversations = (self._episodes.conversation(index) for index in indices)
        return [row for each in conversations for row in encode_rows(self._policy, each)]


class StreetEnvs:
    """The environments of walks, each made when it is first asked for."""

    def __init__(self, env: StreetNavConfig) -> None:
        self._env = env
        self._made: dict[tuple[Any, ...], LanguageEnv] = {}  # a city has one look

    def __getitem__(self, walk: Walk) -> LanguageEnv:
        key = walk.rule, walk.wording, walk.city_seed, walk.maps, walk.fog
        if key not in self._made:
            city = dataclasses.replace(self._env.city, seed=walk.city_seed)
            tools = self._env.tools
            if walk.maps is not None:
                own = dataclasses.replace(tools.map, budget=walk.maps)
                tools = dataclasses.replace(tools, map=own)
            shifted = self._env.shifted(
                rule=walk.rule,
                wording=walk.wording,
                world=WorldKind.city,  # of real data the base sees nothing
                data_dir=None,
                city=city,
                look=walk.look,
                split=Split.all,
                tools=tools,
                fog=walk.fog,
            )
            self._made[key] = bare_env(shifted)
        return self._made[key]


def broad_walks(env: StreetNavConfig, config: PretrainConfig) -> list[Walk]:
    """Every allowed pair of rule and wording in every city.

    Raises ValueError for a name that is none, when nothing is left, or when a city is the
    experiment's own.
    """
    streets = config.streets
    if streets.first_city_seed <= env.city.seed < streets.first_city_seed + streets.num_cities:
        raise ValueError(
            "pretrain.streets.first_city_seed must leave out the experiment's own city "
            f"{env.city.seed}; got {streets.first_city_seed} with {streets.num_cities} cities"
        )
    looks = streets.looks or [env.look]
    withheld = {tuple(pair.split("/")) for pair in streets.withheld}
    return [
        Walk(Rule(rule), Wording(wording), streets.first_city_seed + k, looks[k % len(looks)])
        for k in range(streets.num_cities)
        for rule in streets.rules
        for wording in streets.wordings
        if (rule, wording) not in withheld
    ]
