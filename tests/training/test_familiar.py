"""Cells of a suite that the pretrained base has met already are told."""

import logging
from copy import deepcopy
from dataclasses import asdict
from functools import cache
from typing import Any

import pytest
from cardinal_gym.training import broad_cards
from cardinal_gym.training.familiar import (
    UNSEEN_FACES,
    familiar_cells,
    familiar_note,
    warn_of_familiar_cells,
)
from toys import experiment


@cache
def composed(name: str) -> dict[str, Any]:
    suite = ["suite=street_nav_looks"] if name == "nav_vl" else []
    return asdict(experiment(f"experiment={name}", *suite))


def changed(name: str, *path: str, to: Any) -> dict[str, Any]:
    """The experiment's configuration with one entry replaced."""
    config = deepcopy(composed(name))
    place = config
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = to
    return config


def test_a_look_that_the_base_was_pretrained_on_is_not_unseen() -> None:
    assert familiar_cells(composed("nav_vl")) == {"ood_desert": "look desert"}
    looks = "pretrain", "streets", "looks"
    other = changed("nav_vl", *looks, to=["harbor", "winter"])
    assert familiar_cells(other) == {"ood_winter": "look winter"}
    assert familiar_cells(changed("nav_vl", *looks, to=[])) == {}


def test_words_have_no_look() -> None:
    assert familiar_cells(changed("nav_vl", "env", "modality", to="text")) == {}


def test_a_rule_that_the_base_walks_under_is_told_unless_it_is_withheld() -> None:
    told = familiar_cells(composed("nav_l"))
    assert told["ood_relative"] == "rule relative"
    assert told["ood_relative_other"] == "rule relative, wording other"
    withheld = changed("nav_l", "pretrain", "streets", "withheld", to=["relative/both"])
    assert familiar_cells(withheld).keys() == told.keys() - {"ood_relative"}


def test_a_policy_that_is_not_built_here_has_seen_what_nobody_knows() -> None:
    assert familiar_cells(changed("nav_vl", "policy", "build", to=None)) == {}
    assert familiar_cells(changed("nav_vl", "pretrain", to=None)) == {}


@pytest.mark.parametrize(
    ("faces", "found"),
    [
        ({"J": 7, "Q": 7, "K": 7}, {"own": "rule own"}),
        ({"J": 11, "Q": 2, "K": 3}, {}),  # J 11 is kept from the base
        ({"J": 7, "Q": 7, "K": 31}, {}),  # beyond what it draws
        ({"A": 14, "J": 7, "Q": 7, "K": 7}, {}),  # it moves faces alone
        ({"J": 10, "Q": 10, "K": 10}, {}),  # the training rule
    ],
)
def test_a_rule_of_cards_that_the_base_may_draw_is_told(
    faces: dict[str, int], found: dict[str, str]
) -> None:
    own = {"own": {"shift": {"rule": {"name": "own", "face_values": faces}}}}
    assert familiar_cells(changed("gp_l", "suite", "cells", to=own)) == found


def test_the_studys_cells_of_cards_are_new_to_the_base() -> None:
    assert familiar_cells(composed("gp_l")) == {}
    assert UNSEEN_FACES == broad_cards.OOD_FACES


def test_it_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_familiar_cells(composed("nav_vl"))
        warn_of_familiar_cells(composed("gp_l"))
    assert caplog.messages == [familiar_note(composed("nav_vl"))]
    assert "ood_desert (look desert)" in caplog.messages[0]


@pytest.mark.parametrize("config", [{}, {"env": None}, {"suite": {"cells": []}, "env": {"id": 3}}])
def test_any_configuration_can_be_asked(config: dict[str, Any]) -> None:
    assert familiar_note(config) is None
