from typing import Any

import gymnasium as gym
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
        (
            {"reward": {"weights": {"format": -1.0}}},
            r"reward.weights.format must be a number, at least 0; got -1\.0",
        ),
        ({"split": "test"}, "split must be one of train, eval, all; got 'test'"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GeneralPointsConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rule": 5}, r"rule must be a preset's name \(faces_as_ten, .*\), .*; got 5"),
        ({"rule": None}, "rule must be a preset's name .*; got None"),
        ({"split_rule": []}, r"split_rule must be a preset's name .*; got \[\]"),
        ({"split_rule": "tens"}, "split_rule must be one of faces_as_ten, .*; got 'tens'"),
        ({"rule": {"name": "x", "face_values": [1]}}, r"rule\.face_values must map .*; got \[1\]"),
        ({"rule": {"name": "x", "face_values": None}}, r"rule\.face_values must map .*; got None"),
        ({"rule": {"name": 5}}, r"rule\.name must be text; got 5"),
        (
            {"rule": {"name": "x", "operators": "+-"}},
            r"rule\.operators must be some of .*; got '\+-'",
        ),
        ({"rule": {"name": "x", "operators": None}}, r"rule\.operators must be .*; got None"),
        (
            {"solvable_under": "faces_as_ten"},
            "solvable_under must be a list .*; got 'faces_as_ten'",
        ),
        ({"solvable_under": ["tens"]}, r"solvable_under\[0\] must be one of .*; got 'tens'"),
        ({"solvable_under": None}, "solvable_under must be a list of rules; got None"),
        ({"targets": 5}, "targets must be a list of integers; got 5"),
        ({"targets": "12"}, "targets must be a list of integers; got '12'"),
        ({"targets": [1, None]}, "targets must be an integer of at most 12 digits; got None"),
        ({"held_out_fraction": "a"}, r"held_out_fraction must be in \[0, 1\]; got 'a'"),
        ({"held_out_fraction": float("nan")}, r"held_out_fraction must be in \[0, 1\]; got nan"),
        ({"discount": None}, r"discount must be in \[0, 1\]; got None"),
        ({"discount": True}, r"discount must be in \[0, 1\]; got True"),
        ({"replacement": "yes"}, "replacement must be true or false; got 'yes'"),
        ({"solvable_only": 0}, "solvable_only must be true or false; got 0"),
        ({"require_face_card": None}, "require_face_card must be true or false; got None"),
        ({"reward": None}, r"reward must be a kind \(study, binary, weighted\), .*; got None"),
        ({"reward": 5}, "reward must be a kind .*; got 5"),
        (
            {"reward": {"kind": "study", "weights": None}},
            "reward.weights must map accuracy, format, recognition, tags, consistency to numbers; "
            "got None",
        ),
        (
            {"reward": {"weights": {"accuracy": "x"}}},
            "reward.weights.accuracy must be a number, at least 0; got 'x'",
        ),
        ({"reward": {"weights": {"format": None}}}, "reward.weights.format must be .*; got None"),
        ({"reward": {"weights": {"format": float("inf")}}}, "reward.weights.format .*; got inf"),
    ],
)
def test_values_of_the_wrong_type_are_refused_like_bad_values(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        gym.make("cardinal/GeneralPoints-v0", **fields)


def test_sequences_other_than_lists_are_taken() -> None:
    rule = Rule(name="mine", operators=("+", "-"))
    config = GeneralPointsConfig(targets=range(1, 4), rule=rule, solvable_under=(rule,))
    assert (config.targets, config.rule.operators) == ([1, 2, 3], ["+", "-"])
    assert config.solvable_under == [rule]


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
