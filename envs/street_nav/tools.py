"""The settings of street navigation's tools. Nothing here draws: `config.py` needs them."""

import math
from dataclasses import dataclass, field

from ..settings import require_number
from ..tools import ToolConfig, as_section

MAP = "map"
MIN_REACH_M = 10.0


@dataclass(kw_only=True, slots=True)
class MapConfig(ToolConfig):
    """The map: what every tool has, and

    reach_m: how far around the agent it shows, as the crow flies.
    """

    reach_m: float = 120.0

    def __post_init__(self) -> None:
        ToolConfig.__post_init__(self)  # super() does not work in a class with slots
        allowed = f"at least {MIN_REACH_M:g}"
        require_number("reach_m", self.reach_m, allowed, MIN_REACH_M, math.inf)


@dataclass(kw_only=True, slots=True)
class StreetNavTools:
    """Tools by name; one without a budget is not there.

    map: tells where the agent is, and what is around.
    """

    map: MapConfig = field(default_factory=MapConfig)

    def __post_init__(self) -> None:
        self.map = as_section(MapConfig, "tools.map", self.map)

    @property
    def offered(self) -> dict[str, ToolConfig]:
        """Those with a budget."""
        return {MAP: self.map} if self.map.budget else {}
