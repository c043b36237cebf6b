"""Suites: cells are checked when they are composed, and are what their labels say."""

import functools
import logging
from pathlib import Path
from typing import Any

import pytest
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.envs.settings import Modality, Split
from cardinal_gym.envs.street_nav.config import StreetNavConfig
from cardinal_gym.training.config import (
    Axis,
    CellConfig,
    EvaluateConfig,
    SuiteConfig,
    cell_envs,
)
from cardinal_gym.training.demonstrations import bare_env
from cardinal_gym.training.evaluate import check_tasks
from cardinal_gym.training.sampler import task_seed
from toys import experiment

CONF = Path(__file__).parents[2] / "conf/suite"
LADDERS = sorted(path.stem for path in CONF.glob("*_ladder.yaml"))
CARDS, STREETS = "cardinal/GeneralPoints-v0", "cardinal/StreetNav-v0"
ENVS = {"gp": ("env=gp_text",), "nav": ("env=nav_text", "env.routes.pool_size=64")}
SMALL = EvaluateConfig(episodes=4, final_episodes=4)


def fitted(game: Any = None, /, **suite: Any) -> SuiteConfig:
    return SuiteConfig(**suite).fitted(game or GeneralPointsConfig())


@functools.cache
def composed(suite: str) -> Any:
    """In pictures where a suite has nothing else to show; nothing is drawn here."""
    world = ENVS[suite.split("_")[0]]
    modality = "image" if "look" in suite else "text"
    return experiment(*world, f"suite={suite}", f"env.modality={modality}")


def task_ids(env: Any, count: int = 8) -> list[str]:
    bare = bare_env(env.shifted(modality="text"))
    return [bare.reset(seed=task_seed(7, "evaluate", k))[1]["task_id"] for k in range(count)]


@pytest.mark.parametrize("name", LADDERS)
def test_a_ladder_climbs_from_the_training_value(name: str) -> None:
    config = composed(name)
    cells = config.suite.cells
    (axis,) = {cell.axis for cell in cells.values()}
    steps = [cell.severity for cell in cells.values()]
    assert cells["id"].severity == 0
    assert cells["id"].shift == {}
    assert steps == sorted(steps)
    assert len(set(steps)) >= 3
    changed = {repr(env) for env in cell_envs(config.env, config.suite).values()}
    assert len(changed) == len(cells)
    assert axis is not None


@pytest.mark.parametrize("name", LADDERS)
def test_a_ladder_is_of_one_task_per_seed_unless_it_is_of_difficulty(name: str) -> None:
    config = composed(name)
    envs = cell_envs(config.env, config.suite)
    ids = {cell: task_ids(env) for cell, env in envs.items()}
    is_paired = [ids[cell] == ids["id"] for cell in envs if cell != "id"]
    if config.suite.cells["id"].axis is Axis.difficulty:
        assert not all(is_paired)
    else:
        assert all(is_paired)
        assert len(set(ids["id"])) > 4


@pytest.mark.parametrize("name", ["gp_rule_ladder", "gp_value_ladder", "gp_cards_ladder"])
def test_cards_ladders_hold_for_a_trained_experiment_too(name: str) -> None:
    """Whose rules have two operators and whose targets are drawn."""
    fewer = () if name == "gp_rule_ladder" else (f"+suite.common.targets={[*range(1, 16)]}",)
    config = experiment("experiment=gp_l", f"suite={name}", *fewer)
    check_tasks(config.env, config.suite, SMALL)
    envs = cell_envs(config.env, config.suite)
    assert {tuple(env.rule.operators) for env in envs.values()} == {("+", "-")}
    assert {tuple(r.operators) for env in envs.values() for r in env.solvable_under} <= {("+", "-")}


@pytest.mark.parametrize("name", ["gp_rule_ladder", "gp_ranks_ladder"])
def test_how_many_ranks_move_is_the_severity_of_a_ladder_of_rules(name: str) -> None:
    config = composed(name)
    own = config.env.rule.value_table
    for name, env in cell_envs(config.env, config.suite).items():
        moved = sum(a != b for a, b in zip(own, env.rule.value_table, strict=True))
        assert moved == config.suite.cells[name].severity


def test_how_many_properties_differ_is_the_severity_of_the_look_ladder() -> None:
    config = composed("gp_look_ladder")
    own = config.env.visual
    properties = ("suits", "table", "deck", "layout", "font", "face", "palette")
    for name, env in cell_envs(config.env, config.suite).items():
        differ = sum(getattr(own, key) != getattr(env.visual, key) for key in properties)
        assert differ == config.suite.cells[name].severity
        assert (env.visual.width, env.visual.height) == (own.width, own.height)


@pytest.mark.parametrize(
    ("env", "cells"),
    [
        ("gp_text", ["id", "ood_ranks"]),
        ("gp_image", ["id", "ood_ranks", "ood_red"]),
        ("nav_text", ["id", "ood_relative"]),
        ("nav_image", ["id", "ood_relative", "ood_winter"]),
    ],
)
def test_the_study_has_the_cells_of_the_environment_at_hand(env: str, cells: list[str]) -> None:
    assert list(experiment(f"env={env}").suite.cells) == cells  # it is the suite by default


def test_a_cell_may_be_another_game_in_the_same_modality() -> None:
    config = experiment("env=gp_text", "suite=transfer")
    envs = cell_envs(config.env, config.suite)
    assert {name: env.id for name, env in envs.items()} == {
        "id": CARDS, "streets": STREETS, "streets_relative": STREETS,
    }  # fmt: skip
    assert config.suite.name == "transfer"
    assert all(env.split is Split.eval for env in envs.values())
    assert all(env.prompt is config.env.prompt for env in envs.values())
    check_tasks(config.env, config.suite, SMALL)
    walks = StreetNavConfig(modality=Modality.image)
    seen = cell_envs(walks, fitted(walks, cells={"cards": {"env": CARDS}}))
    assert seen["cards"].modality is Modality.image


def test_what_all_cells_share_is_said_once_and_a_cell_may_differ() -> None:
    suite = fitted(common={"max_turns": 2}, cells={"a": {}, "b": {"shift": {"max_turns": 7}}})
    envs = cell_envs(GeneralPointsConfig(), suite)
    assert [env.max_turns for env in envs.values()] == [2, 7]


def test_only_some_cells_may_be_asked_for() -> None:
    config = experiment("env=gp_text", "suite=general_points_rules", "suite.only=[ood_sevens,id]")
    assert list(config.suite.cells) == ["id", "ood_sevens"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "field": ({"cells": {"a": {"shift": {"rulez": 1}}}}, r"suite.cells.a.shift: a shift of .* got"),
    "type": (
        {"cells": {"a": {"shift": {"num_cards": "many"}}}},
        "suite.cells.a.shift.num_cards must be an integer .*; got 'many'",
    ),
    "preset": (
        {"cells": {"a": {"shift": {"visual": "blue"}}}},
        "suite.cells.a.shift.visual must be one of black_suits, .*; got 'blue'",
    ),
    "inner field": (
        {"cells": {"a": {"shift": {"visual": {"colour": "blue"}}}}},
        "suite.cells.a.shift.visual fields must be among name, .*; got colour",
    ),
    "common": ({"common": {"target": "x"}, "cells": {"a": {}}}, "suite.common.target must be"),
    "foreign field": (
        {"cells": {"a": {"env": STREETS, "shift": {"num_cards": 3}}}},
        f"suite.cells.a.shift: a shift of {STREETS} must name fields of .*; got num_cards",
    ),
    "foreign preset": (
        {"cells": {"a": {"env": STREETS, "shift": {"look": "mars"}}}},
        "suite.cells.a.shift.look must be one of harbor, .*mars",
    ),
    "id": ({"cells": {"a": {"shift": {"id": STREETS}}}}, "suite.cells.a.shift.id must be"),
    "environment": ({"cells": {"a": {"env": "Chess-v0"}}}, "cells.a.env must be one of cardinal/"),
    "axis": ({"cells": {"a": {"axis": "colour"}}}, "cells.a.axis must be one of rule, "),
    "severity": (
        {"cells": {"a": {"axis": "rule", "severity": -1}}},
        "cells.a.severity must be a number, at least 0; got -1",
    ),
    "no axis": ({"cells": {"a": {"severity": 1}}}, "cells.a.severity must come with an axis"),
    "name": ({"cells": {"a/b": {}}}, r"cells must have names of letters.*; got 'a/b'"),
    "only": (
        {"cells": {"a": {}, "b": {}}, "only": ["c"]},
        "suite.only must name cells of a, b; got c",
    ),
    "pictures": (
        {"cells": {"a": {"modality": "image"}}, "name": "looks"},
        "suite must have a cell for env.modality=text; got looks with a",
    ),
    "another game": (
        {"env": STREETS, "name": "walks", "cells": {"a": {}}},
        f"suite must be one for {CARDS}; got walks, which is for {STREETS}: choose another",
    ),
    "other games": (
        {"by_env": {STREETS: {"a": {}}}, "name": "walks"},
        f"suite must be one for {CARDS}; got walks, which is for {STREETS}: choose another",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_cell_that_cannot_be_is_told_in_one_line(name: str) -> None:
    suite, said = REFUSED[name]
    with pytest.raises(ValueError, match=f"^{said}") as caught:
        fitted(**suite)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("world", "suite", "rules", "count"),
    [
        ("gp", "general_points_cross", ["id", "ood_ranks", "ood_shifted"], 9),
        ("nav", "street_nav_cross", ["id", "ood_relative", "ood_clock"], 9),
        ("gp", "general_points_image", ["id", "ood_ranks"], 3),
    ],
)
def test_in_words_a_look_is_no_cell(world: str, suite: str, rules: list[str], count: int) -> None:
    assert list(experiment(f"env={world}_text", f"suite={suite}").suite.cells) == rules
    assert len(experiment(f"env={world}_image", f"suite={suite}").suite.cells) == count


def test_looks_alone_are_refused_in_words() -> None:
    looks = SuiteConfig(name="looks", cells={"red": {"shift": {"visual": "red_suits"}}})
    with pytest.raises(ValueError, match=r"have a cell for env.modality=text; got looks with red"):
        looks.fitted(GeneralPointsConfig(modality=Modality.text))
    with pytest.raises(ValueError, match=r"have a cell for env.modality=text; got street_nav_look"):
        experiment("env=nav_text", "suite=street_nav_looks")


def test_a_suite_of_another_game_is_refused_when_it_is_composed() -> None:
    with pytest.raises(ValueError, match=f"^suite must be one for {STREETS}; got general_points"):
        experiment("env=nav_text", "suite=general_points")
    with pytest.raises(ValueError, match=r"^suite.cells.own.shift.rule must be one of"):
        experiment("env=gp_text", "+suite.cells.own.shift.rule=primes")


def test_cells_that_are_not_paired_with_the_first_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cells = {
        "id": CellConfig(),
        "other": CellConfig(shift={"rule": "aces_high"}),
        "harder": CellConfig(shift={"num_cards": 3}, axis=Axis.difficulty),
    }
    env = GeneralPointsConfig()
    with caplog.at_level(logging.WARNING):
        check_tasks(env, SuiteConfig(cells=cells), EvaluateConfig(episodes=30, final_episodes=30))
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("suite.cells.other deals other tasks than suite.cells.id")
    caplog.clear()
    paired = SuiteConfig(common={"solvable_under": ["faces_as_ten", "aces_high"]}, cells=cells)
    check_tasks(env, paired, EvaluateConfig(episodes=30, final_episodes=30))
    assert not caplog.records
