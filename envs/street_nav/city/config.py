"""What can be set about a city and about the routes through it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

MIN_BLOCKS, MAX_BLOCKS = 4, 10
MAX_LANDMARKS = 160
MIN_BLOCK_M, MAX_BLOCK_M = 52.0, 90.0


class Layout(str, Enum):
    mixed = "mixed"  # a grid on one side, curved streets on the other, two diagonals
    grid = "grid"  # straight streets, right angles
    organic = "organic"  # curved throughout, one diagonal, many T junctions


@dataclass(kw_only=True, slots=True)
class CityConfig:
    """One city.

    num_blocks: cells per side of the lattice before streets are removed and diagonals are added.
    block_m: mean distance between parallel streets, in metres.
    num_landmarks: named places with a sign; the names are unique in the city.
    num_parks: blocks that become parks.
    trees, traffic: density of street trees and of parked cars, 1 is usual.
    sign_scale: size of the signs, 1 is usual; larger ones are easier to read in small pictures.
    """

    seed: int = 0
    layout: Layout = Layout.mixed
    num_blocks: int = 6
    block_m: float = 62.0
    num_landmarks: int = 80
    num_parks: int = 3
    trees: float = 1.0
    traffic: float = 1.0
    sign_scale: float = 1.0

    def __post_init__(self) -> None:
        try:
            self.layout = Layout(self.layout)
        except ValueError:
            allowed = ", ".join(layout.value for layout in Layout)
            raise ValueError(f"layout must be one of {allowed}; got {self.layout!r}") from None
        _require_int("seed", self.seed, 0, 2**63 - 1)
        _require_int("num_blocks", self.num_blocks, MIN_BLOCKS, MAX_BLOCKS)
        _require_int("num_landmarks", self.num_landmarks, 0, MAX_LANDMARKS)
        _require_int("num_parks", self.num_parks, 0, self.num_blocks**2 // 4)
        self.block_m = _within("block_m", self.block_m, MIN_BLOCK_M, MAX_BLOCK_M)
        self.trees = _within("trees", self.trees, 0.0, 3.0)
        self.traffic = _within("traffic", self.traffic, 0.0, 3.0)
        self.sign_scale = _within("sign_scale", self.sign_scale, 0.5, 3.0)


@dataclass(kw_only=True, slots=True)
class RouteConfig:
    """Which walks are dealt, and how densely their waypoints lie.

    min_turns, max_turns: the number of turns is drawn uniformly between them.
    turn_deg: a turn changes the heading by at least this much; going straight on by less.
    max_crossings: intersections that one leg may cross without turning.
    drop_rate: share of the passing waypoints that are left out, as in the study (crossed
        intersections are never left out).
    clearance_m: passing waypoints keep this distance from both ends of their leg, as in the study.
    held_out_fraction: of all canonical ids, by a hash salted with `salt`.
    pool_size: routes kept per number of turns and split; episodes draw among them.
    """

    min_turns: int = 2
    max_turns: int = 10
    turn_deg: float = 30.0
    max_crossings: int = 1
    drop_rate: float = 0.5
    clearance_m: float = 8.0
    held_out_fraction: float = 0.5
    salt: int = 0
    pool_size: int = 1024

    def __post_init__(self) -> None:
        _require_int("min_turns", self.min_turns, 0, 20)
        _require_int("max_turns", self.max_turns, self.min_turns, 20)
        _require_int("max_crossings", self.max_crossings, 0, 4)
        _require_int("salt", self.salt, 0, 2**63 - 1)
        _require_int("pool_size", self.pool_size, 1, 100_000)
        self.turn_deg = _within("turn_deg", self.turn_deg, 20.0, 60.0)
        self.drop_rate = _within("drop_rate", self.drop_rate, 0.0, 1.0)
        self.clearance_m = _within("clearance_m", self.clearance_m, 0.0, 100.0)
        self.held_out_fraction = _within("held_out_fraction", self.held_out_fraction, 0.0, 1.0)


def as_city(value: CityConfig | Mapping[str, Any]) -> CityConfig:
    """A config from a mapping of its fields, or itself. Raises ValueError for unknown fields."""
    return value if isinstance(value, CityConfig) else CityConfig(**_known(CityConfig, value))


def as_routes(value: RouteConfig | Mapping[str, Any]) -> RouteConfig:
    """A config from a mapping of its fields, or itself. Raises ValueError for unknown fields."""
    return value if isinstance(value, RouteConfig) else RouteConfig(**_known(RouteConfig, value))


def _known(kind: type[CityConfig] | type[RouteConfig], given: Mapping[str, Any]) -> dict[str, Any]:
    names = [field.name for field in fields(kind)]
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise ValueError(f"{kind.__name__} must have {', '.join(names)}; got {unknown}")
    return dict(given)


def _require_int(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}; got {value!r}")


def _within(name: str, value: Any, low: float, high: float) -> float:
    """The value as a float, so that 62 and 62.0 describe one city."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}; got {value!r}")
    return float(value)
