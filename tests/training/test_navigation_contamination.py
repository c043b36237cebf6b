"""No policy walks a route in training on which it is measured; a cell's mistakes name their key."""

from dataclasses import replace

import pytest
from cardinal_gym.envs.street_nav.config import StreetNavConfig
from cardinal_gym.training import contamination
from cardinal_gym.training.config import CellConfig, SuiteConfig
from cardinal_gym.training.contamination import (
    check_contamination,
    evaluation_keys,
    training_keys,
)
from cardinal_gym.training.suite_config import cell_envs
from walks import shown, told

STAGES = ("pretrain", "warmup", "sft", "grpo")
TWO = "pretrain.streets.num_cities=2"


@pytest.fixture(autouse=True)
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small cities have few routes."""
    monkeypatch.setattr(contamination, "NUM_SAMPLED", 100)


@pytest.mark.parametrize("make", [told, shown])
def test_the_experiments_keep_their_routes_apart(make) -> None:
    config = make(TWO)
    check_contamination(config, STAGES)
    measured = set[str]().union(*evaluation_keys(config))
    assert len(measured) > 20
    for stage in STAGES:
        trained = set[str]().union(*training_keys(config, stage, 40))
        assert len(trained) > 10
        assert not trained & measured


def test_a_run_that_would_train_on_evaluation_routes_is_refused() -> None:
    everything = told(TWO, "env.split=all")
    check_contamination(everything, ("pretrain",))  # in its own cities, whatever the split
    for stage in STAGES[1:]:
        with pytest.raises(ValueError, match=rf"^tasks of {stage} \(env.split=all\): training and"):
            check_contamination(everything, (stage,))


def test_a_base_that_walks_where_is_trained_is_refused() -> None:
    config = told(TWO, "pretrain.streets.first_city_seed=0")
    with pytest.raises(
        ValueError, match="must leave out the experiment's own city 0; got 0 with 2"
    ):
        check_contamination(config, ("pretrain",))
    check_contamination(config, ("warmup", "sft", "grpo"))


def test_a_base_that_walks_where_a_cell_measures_is_refused() -> None:
    """Of thousands of routes few would be met by chance."""
    config = told("suite=street_nav_rules", TWO, "pretrain.streets.first_city_seed=1")
    message = (
        "^pretrain.streets.first_city_seed must leave out city 1 of suite.cells.ood_city; "
        "got 1 with 2 cities$"
    )
    with pytest.raises(ValueError, match=message):
        check_contamination(config, ("pretrain",))
    cells = {name: cell for name, cell in config.suite.cells.items() if name != "ood_city"}
    check_contamination(replace(config, suite=SuiteConfig(cells=cells)), ("pretrain",))


MISTAKES = {
    "views.sise": ({"views": {"sise": 3}}, "views must be among size, fov_deg, frames; got sise"),
    "routes.turns": ({"routes": {"turns": 3}}, "routes must be among min_turns, .*; got turns"),
    "city.sed": ({"city": {"sed": 1}}, "city must be among seed, .*; got sed"),
    "views.size": ({"views": {"size": 3}}, "views.size must be a whole number from 28 .*; got 3"),
    "views.fov_deg": (
        {"views": {"fov_deg": "wide"}},
        "views.fov_deg must be 40 to 120; got 'wide'",
    ),
    "routes.min_turns": (
        {"routes": {"min_turns": 9}},
        "routes.max_turns must be an integer from 9",
    ),
    "city.layout": ({"city": {"layout": "round"}}, "city.layout must be one of mixed, .*; got 'r"),
    "views": ({"views": 5}, "views must be a section with size, fov_deg, frames; got 5"),
    "city": ({"city": None}, "city must be a section with seed, .*; got None"),
    "reward": ({"reward": 5}, "reward must be a section with kind, weights, .*; got 5"),
    "weights": ({"reward": {"weights": {"wrong": "x"}}}, "reward.weights.wrong must be at least 0"),
    "discount": ({"discount": "half"}, r"discount must be in \[0, 1\]; got 'half'"),
    "success_m": ({"success_m": None}, "success_m must be positive; got None"),
    "rule": ({"rule": "relativ"}, "rule must be one of absolute, .*; got 'relativ'"),
    "look": ({"look": "neo"}, "look must be one of harbor, .*; got 'neo'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_cell_is_told_in_one_line_with_its_key(name: str) -> None:
    shift, said = MISTAKES[name]
    suite = SuiteConfig(cells={"own": CellConfig(shift=shift)})
    with pytest.raises(ValueError, match=rf"^suite\.cells\.own\.shift\.{said}") as raised:
        cell_envs(StreetNavConfig(routes={"min_turns": 2, "max_turns": 3}), suite)
    assert "\n" not in str(raised.value)


def test_a_cell_that_names_some_fields_keeps_the_others() -> None:
    config = told().env
    changed = config.shifted(city={"seed": 9}, routes={"salt": 2}, views={"frames": 2})
    assert (changed.city.num_blocks, changed.city.seed) == (4, 9)
    assert (changed.routes.drop_rate, changed.routes.salt) == (0.9, 2)
    assert (changed.views.size, changed.views.frames) == (config.views.size, 2)
