from typing import Any

import pytest
from cardinal_gym.envs.street_nav.city.config import (
    CityConfig,
    Layout,
    as_city,
    as_routes,
)


def test_mappings_and_dataclasses_are_taken() -> None:
    assert as_city({"seed": 3, "layout": "grid"}) == CityConfig(seed=3, layout=Layout.grid)
    config = CityConfig(seed=3)
    assert as_city(config) is config
    assert as_routes({"max_turns": 3}).max_turns == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layout": "round"}, r"layout must be one of mixed, grid, organic; got 'round'"),
        ({"seed": -1}, r"seed must be an integer from 0 to"),
        ({"num_blocks": 3}, r"num_blocks must be an integer from 4 to 10; got 3"),
        ({"num_blocks": True}, r"num_blocks must be an integer"),
        ({"num_landmarks": 1000}, r"num_landmarks must be an integer from 0 to 160"),
        ({"block_m": 10.0}, r"block_m must be a number from 52 to 90"),
        ({"trees": float("nan")}, r"trees must be a number from 0 to 3"),
        ({"colour": 1}, r"CityConfig must have seed, .*; got \['colour'\]"),
    ],
)
def test_bad_cities_are_named_with_what_is_allowed(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_city(fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_turns": 4, "max_turns": 2}, r"max_turns must be an integer from 4 to 20; got 2"),
        ({"drop_rate": 1.5}, r"drop_rate must be a number from 0 to 1; got 1.5"),
        ({"pool_size": 0}, r"pool_size must be an integer from 1"),
        ({"turns": 1}, r"RouteConfig must have min_turns, .*; got \['turns'\]"),
    ],
)
def test_bad_routes_are_named_with_what_is_allowed(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_routes(fields)
