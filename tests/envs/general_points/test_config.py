from typing import Any

import pytest
from cardinal_gym.envs.general_points.config import (
    RULES,
    VISUALS,
    GeneralPointsConfig,
    Modality,
    RewardConfig,
    RewardKind,
    Rule,
)


def test_presets_mappings_and_dataclasses_are_taken() -> None:
    config = GeneralPointsConfig(
        modality="image",
        rule="faces_as_ranks",
        split_rule={"name": "mine", "face_values": {"K": 3}},
        solvable_under=["faces_as_ten", Rule(name="other")],
        visual="red_suits",
        reward={"kind": "study"},
    )
    assert config.modality is Modality.image
    assert config.rule == RULES["faces_as_ranks"]
    assert config.split_rule.value_table == (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 3)
    assert [rule.name for rule in config.compared_rules] == [
        *("faces_as_ranks", "mine", "faces_as_ten", "other")
    ]
    assert config.visual == VISUALS["red_suits"]
    assert config.reward.kind is RewardKind.study
    assert GeneralPointsConfig(reward="binary").reward.kind is RewardKind.binary


def test_presets_are_copied() -> None:
    GeneralPointsConfig(rule="faces_as_ten").rule.face_values["J"] = 99
    assert GeneralPointsConfig(rule="faces_as_ten").rule.value_table[-3:] == (10, 10, 10)


def test_the_presets_of_faces() -> None:
    faces = {name: rule.value_table[-3:] for name, rule in RULES.items()}
    assert faces == {
        "faces_as_ten": (10, 10, 10),
        "faces_as_ranks": (11, 12, 13),
        "faces_as_sevens": (7, 7, 7),
        "faces_shifted": (12, 13, 11),
        "aces_high": (11, 12, 13),
    }
    assert RULES["aces_high"].value_table[0] == 14


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"modality": "sound"}, "modality must be one of text, image; got 'sound'"),
        ({"rule": "faces_as_tan"}, "rule must be one of faces_as_ten, .*; got 'faces_as_tan'"),
        (
            {"rule": {"nam": "x"}},
            "rule must have a name and fields of name, face_values, operators",
        ),
        ({"visual": "pink"}, "visual must be one of .*; got 'pink'"),
        ({"num_cards": 7}, "num_cards must be 2 to 6; got 7"),
        ({"num_cards": 4.0}, r"num_cards must be an integer .*; got 4\.0"),
        ({"target": "24"}, "target must be an integer of at most 12 digits; got '24'"),
        ({"target": True}, "target must be an integer"),
        ({"held_out_fraction": 1.5}, r"held_out_fraction must be in \[0, 1\]; got 1\.5"),
        ({"max_turns": 0}, "max_turns must be at least 1; got 0"),
        ({"discount": -0.1}, r"discount must be in \[0, 1\]; got -0\.1"),
        ({"reward": "gold"}, "reward must be one of study, binary, weighted; got 'gold'"),
        ({"reward": {"kin": "study"}}, r"reward must have kind and weights; got \['kin'\]"),
        ({"reward": {"weights": {"luck": 1.0}}}, "reward.weights must name accuracy, format"),
        ({"reward": {"weights": {"format": -1.0}}}, "reward.weights must not be negative"),
        ({"split": "test"}, "split must be one of train, eval, all; got 'test'"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GeneralPointsConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"face_values": {"B": 1}}, "face_values must name ranks of A, 2, .*; got 'B'"),
        ({"face_values": {"J": 1.5}}, r"face_values\[J\] must be an integer"),
        ({"operators": ["+", "^"]}, r"operators must be some of \['\+', '-', '\*', '/'\]"),
        ({"operators": []}, "operators must be some of"),
    ],
)
def test_bad_rules_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rule(name="mine", **fields)


@pytest.mark.parametrize("kind", ["sum", "discounted"])
def test_pay_for_stalling_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="episode_return must not add up paid wrong answers"):
        GeneralPointsConfig(episode_return=kind)
    GeneralPointsConfig(episode_return=kind, reward="study")
    GeneralPointsConfig(episode_return=kind, max_turns=1)
    GeneralPointsConfig(episode_return=kind, reward=RewardConfig(weights={"accuracy": 1.0}))
