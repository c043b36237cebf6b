"""The environment as gymnasium and a trainer see it; worlds are chessboards or a small city."""

import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from boards import ID, SMALL, WRONG, make, on_board
from cardinal_gym.envs.street_nav.actions import Rule
from cardinal_gym.envs.street_nav.config import StreetNavConfig
from cardinal_gym.envs.street_nav.env import StreetNavEnv
from cardinal_gym.envs.street_nav.reward import maximum_return
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv


@pytest.mark.parametrize("modality", ["text", "image"])
@pytest.mark.parametrize("mode", ["rail", "free"])
@pytest.mark.parametrize("render_mode", [None, "rgb_array", "ansi"])
def test_check_env_is_clean(
    modality: str, mode: str, render_mode: str | None, monkeypatch: Any, tmp_path: Path
) -> None:
    # check_env also tries `human`, in a new environment: let it write its picture here.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    env = on_board(modality=modality, mode=mode, views={"size": 28}, render_mode=render_mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)
        if render_mode is not None:
            env.reset(seed=0)
            assert env.render() is not None


def test_gymnasium_makes_it_and_plays_an_episode() -> None:
    env = make(prompt="compact", history=2)
    observation, info = env.reset(seed=3)
    assert observation["update"] == observation["text"]
    assert set(observation) == {"text", "update"}
    assert {"task_id", "split", "rule", "visual", "wording", "mode"} <= set(info)
    done, turns = False, 0
    while not done:
        assert "episode_return" not in info
        observation, _, done, truncated, info = env.step(env.unwrapped.oracle_action())
        turns += 1
        assert not truncated
    assert info["success"]
    assert turns == info["turn"] == info["num_places"]
    assert info["episode_return"] == pytest.approx(1.3)
    json.dumps(info)
    with pytest.raises(ValueError, match="the episode is over"):
        env.unwrapped.step(WRONG)


@pytest.mark.parametrize("mode", ["rail", "free"])
@pytest.mark.parametrize("wording", ["both", "matching", "other"])
@pytest.mark.parametrize("rule", [rule.value for rule in Rule])
def test_the_oracle_earns_the_maximum_on_200_routes_of_a_city(
    rule: str, wording: str, mode: str
) -> None:
    env = StreetNavEnv(
        city=SMALL, rule=rule, wording=wording, mode=mode, split="eval", episode_return="sum"
    )
    for seed in range(200):
        _, info = env.reset(seed=seed)
        done = truncated = False
        while not (done or truncated):
            _, _, done, truncated, info = env.step(env.oracle_action())
        places = info["num_places"] if mode == "rail" else None
        assert info["success"]
        assert info["episode_return"] == pytest.approx(maximum_return(env.config.reward, places))


def test_one_seed_is_one_route_under_every_rule_wording_mode_modality_and_look() -> None:
    def ids(**fields: Any) -> list[str]:
        env = make(split="eval", **fields)
        return [env.reset(seed=seed)[1]["task_id"] for seed in range(10)]

    expected = ids()
    assert len(set(expected)) > 5
    for fields in (
        {"rule": "relative"},
        {"wording": "other"},
        {"mode": "free"},
        {"prompt": "compact"},
        {"look": "neon"},
    ):
        assert ids(**fields) == expected, fields


def test_routes_of_training_and_evaluation_are_disjoint() -> None:
    def ids(split: str) -> set[str]:
        env = make(split=split)
        return {env.reset(seed=seed)[1]["task_id"] for seed in range(150)}

    assert not ids("train") & ids("eval")


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_place_has_so_many_attempts_and_a_right_action_restores_them(attempts: int) -> None:
    env = on_board(attempts=attempts)
    env.reset(seed=0)
    for _ in range(2):
        for _ in range(attempts - 1):
            assert env.step(WRONG)[2:4] == (False, False)
        env.step(env.oracle_action())
    for _ in range(attempts - 1):
        assert env.step(WRONG)[2:4] == (False, False)
    _, _, terminated, truncated, info = env.step(WRONG)
    assert (terminated, truncated, info["success"]) == (False, True, False)
    assert 0 < info["progress"] < 1
    assert info["accuracy"] == pytest.approx(2 / (2 + 3 * attempts - 2))


def test_the_turn_limit_truncates() -> None:
    env = on_board(max_turns=2)
    env.reset(seed=0)
    assert env.step(env.oracle_action())[2:4] == (False, False)
    assert env.step(env.oracle_action())[2:4] == (False, True)


def test_flawed_answers_are_wrong_well_formed_and_never_the_last() -> None:
    env = on_board(attempts=3, reward="weighted")
    env.reset(seed=0)
    said = set()
    for _ in range(2):
        text = env.flawed_action()
        assert text is not None
        said.add(text)
        _, reward, terminated, truncated, info = env.step(text)
        assert (terminated, truncated, info["correct"]) == (False, False, False)
        assert info["reward_terms"]["format"] == 1.0
        assert reward == pytest.approx(0.0)
    assert env.flawed_action() is None
    env.step(env.oracle_action())
    assert env.flawed_action() is not None


@pytest.mark.parametrize("kind", ["mean", "sum", "discounted"])
def test_what_an_episode_is_worth(kind: str) -> None:
    env = on_board(reward="study", episode_return=kind, discount=0.5)
    for _ in range(2):  # what the first episode earned does not count in the second
        env.reset(seed=1)
        info = env.step(WRONG)[4]  # -1, and the start is no intersection
        while "episode_return" not in info:
            info = env.step(env.oracle_action())[4]
        places = info["num_places"]
        expected = {
            "mean": (places - 1) / places,
            "sum": places - 1.0,
            "discounted": -1 + sum(0.5**turn for turn in range(1, places + 1)),
        }
        assert info["episode_return"] == pytest.approx(expected[kind])


def test_history_and_its_limit() -> None:
    env, short, none = on_board(), on_board(history=2), on_board(history=0)
    texts = []
    for each in (env, short, none):
        each.reset(seed=1)
        for _ in range(4):
            observation, *_ = each.step(each.oracle_action())
        texts.append(observation["text"])
    assert [line[:4] for line in texts[0].splitlines() if line[1:2] == "_"] == [
        f"{letter}_{n}:" for n in range(1, 5) for letter in "OA"
    ] + ["O_5:"]
    assert [line[:4] for line in texts[1].splitlines() if line[1:2] == "_"] == [
        "O_3:", "A_3:", "O_4:", "A_4:", "O_5:",
    ]  # fmt: skip
    assert "A_4" not in texts[2]
    assert "O_5: " in texts[2]


_SCRIPT = """
import hashlib, json, gymnasium as gym, cardinal_gym.envs
digest = hashlib.sha256()
for mode in ("rail", "free"):
    env = gym.make("cardinal/StreetNav-v0", city={"num_blocks": 4, "num_landmarks": 60}, mode=mode)
    for seed in range(5):
        digest.update(json.dumps(env.reset(seed=seed)).encode())
        for _ in range(4):
            digest.update(str(env.unwrapped.flawed_action()).encode())
            digest.update(json.dumps(env.step(env.unwrapped.oracle_action())).encode())
import sys
drawing = [m for m in ("torch", "cv2", "PIL", "numba", "transformers") if m in sys.modules]
print(digest.hexdigest(), drawing)
"""


def test_episodes_are_the_same_in_every_process_and_text_loads_no_drawing_library() -> None:
    printed = {
        subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(printed) == 1
    assert printed.pop().endswith(" []\n")


def test_several_environments_step_together() -> None:
    vector = SyncVectorEnv([lambda: make(prompt="compact")] * 2)
    observations, _ = vector.reset(seed=[0, 1])
    alone = [make(prompt="compact").reset(seed=seed)[0]["text"] for seed in (0, 1)]
    assert list(observations["text"]) == alone
    later, *_ = vector.step((WRONG, WRONG))
    assert all(text.endswith(" wrong stop") for text in later["text"])
    with pytest.raises(ValueError, match="shared_memory=False"):
        AsyncVectorEnv([make])


@pytest.mark.parametrize("answer", ["json", "tagged"])
@pytest.mark.parametrize("mode", ["rail", "free"])
def test_any_text_gets_a_verdict_in_bounded_time(answer: str, mode: str) -> None:
    env = on_board(answer=answer, mode=mode, max_turns=1_000, attempts=1_000)
    env.reset(seed=0)
    field = '{"current observation": "%s", "current instruction": "%s", "action": "%s"}'
    texts = [
        *("", "\x00", "null", "{}", "[]", "{" * 100_000, '{"action":' * 9_000, "9" * 100_000),
        field % ("no " * 30_000, "1", "jump()"),
        field % ("not an intersection" * 4_000, "9" * 80_000, "turn_direction(" * 5_000),
        '{"action": {"a": [1]}, "current observation": null, "current instruction": 7}',
        '{"action": "turn_direction(\\ud800)"}',
        '{"action": "turn_direction(٣)"}',
        '{"action": 3}',
        "\ud800",
        "x" * 1_000_000,
    ]
    for text in texts:
        for said in (text, f"<answer>{text}</answer>"[:1_000_000]):
            started = time.process_time()
            info = env.step(said)[4]
            assert time.process_time() - started < 2.0
            assert info["outcome"] in ("unparsable", "illegal_action")


def test_configuration_by_fields_by_dataclass_and_mistakes() -> None:
    config = StreetNavConfig(city=SMALL, prompt="compact", rule="relative")
    assert gym.make(ID, config=config).unwrapped.config == config
    assert make(prompt="compact", rule="relative").unwrapped.config == config
    shifted = config.shifted(rule="clock", city={"seed": 2}, views={"size": 100})
    assert (shifted.rule, shifted.city.seed, shifted.city.num_blocks) == (Rule.clock, 2, 4)
    assert shifted.views.size == 100
    assert config.shifted(data_dir="somewhere").visual == "street_view"
    for fields, said in (
        ({"promt": "compact"}, r"fields must be among .*; got promt \(did you mean prompt\?\)"),
        ({"rule": "both"}, r"rule must be one of absolute, relative, clock, degrees; got 'both'"),
        ({"look": "ugly"}, "look must be one of harbor"),
        ({"views": {"size": 700}}, "size must be a whole number from 28 to 640; got 700"),
        ({"views": {"fov_deg": 10}}, "fov_deg must be 40 to 120; got 10"),
        ({"attempts": 0}, "attempts must be a whole number from 1 "),
        ({"success_m": 0}, "success_m must be positive; got 0"),
        ({"data_dir": "/tmp"}, "data_dir must be the folder"),
        ({"reward": {"weights": {"luck": 1}}}, "reward.weights must name accuracy"),
        ({"reward": {"weights": {"format": 1}}}, "must punish a wrong answer"),
        ({"city": {"blocks": 3}}, "city must be among seed, .*; got blocks"),
    ):
        with pytest.raises(ValueError, match=said):
            StreetNavConfig(**fields) if "promt" not in fields else gym.make(ID, **fields)
    with pytest.raises(ValueError, match="give either config or its fields"):
        gym.make(ID, config=config, split="eval")
    with pytest.raises(ValueError, match="call reset"):
        StreetNavEnv().oracle_action()
