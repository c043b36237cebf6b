import hashlib
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import cardinal_gym.envs  # noqa: F401  (registers the environments)
import gymnasium as gym
import numpy as np
import pytest
from cardinal_gym.envs.general_points.config import RULES, VISUALS, GeneralPointsConfig
from cardinal_gym.envs.general_points.task import make_task, task_split
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

ID = "cardinal/GeneralPoints-v0"
WRONG = '{"cards": [], "number": [], "formula": "1+1"}'


def make(**fields: Any) -> gym.Env:
    return gym.make(ID, **fields)


def dealt(env: gym.Env, seeds: range) -> list[tuple[str, ...]]:
    return [tuple(env.reset(seed=seed)[1]["ranks"]) for seed in seeds]


@pytest.mark.parametrize("modality", ["text", "image"])
@pytest.mark.parametrize("render_mode", [None, "rgb_array", "ansi"])
def test_check_env_is_clean(
    modality: str, render_mode: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # check_env also tries `human`: let it write its picture here and open no viewer.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    env = make(modality=modality, render_mode=render_mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=render_mode is None)


def test_an_episode_of_revision() -> None:
    env = make(max_turns=3, prompt="compact")
    observation, info = env.reset(seed=3)
    assert observation["update"] == observation["text"]
    assert "image" not in observation
    assert {"task_id", "split", "rule", "visual", "ranks", "values", "target"} <= set(info)
    later, reward, terminated, truncated, info = env.step(WRONG)
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert later == {"text": f"{observation['text']} last 1 + 1 wrong", "update": "wrong"}
    assert (info["turn"], info["outcome"], info["recognized"]) == (1, "wrong_numbers", False)
    assert info["episode_return"] == 0.0  # so far: what it would be worth, ended here
    _, reward, terminated, truncated, info = env.step(env.unwrapped.oracle_action())
    assert (terminated, truncated, info["success"]) == (True, False, True)
    assert info["episode_return"] == reward == pytest.approx(1.2)
    json.dumps(info)


def test_the_turn_limit_truncates_and_the_last_answer_gets_its_own_reward() -> None:
    env = make(max_turns=2, reward="study")
    env.reset(seed=0)
    assert env.step(WRONG)[1:4] == (-2.0, False, False)
    _, reward, terminated, truncated, info = env.step("no answer")
    assert (reward, terminated, truncated) == (-3.0, False, True)
    assert info["episode_return"] == -3.0
    with pytest.raises(ValueError, match="the episode is over"):
        env.unwrapped.step(WRONG)


@pytest.mark.parametrize(
    ("episode_return", "expected"), [("last", 5.0), ("sum", 2.0), ("discounted", -0.5)]
)
def test_the_return_of_an_episode_is_a_choice(episode_return: str, expected: float) -> None:
    env = make(reward="study", episode_return=episode_return, discount=0.5)
    for seed in (0, 1):  # what the first episode earned does not count in the second
        env.reset(seed=seed)
        assert env.step("nothing")[1] == -3.0
        assert env.step(env.unwrapped.oracle_action())[4]["episode_return"] == expected


def test_one_seed_gives_the_same_hand_under_every_compared_rule_and_look() -> None:
    compared = ["faces_as_ten", "faces_as_ranks", "faces_as_sevens"]
    hands = [
        dealt(make(rule=rule, visual=visual, solvable_under=compared, split="eval"), range(40))
        for rule in compared
        for visual in ("black_suits", "red_suits")
    ]
    assert all(same == hands[0] for same in hands)
    assert len(set(hands[0])) > 20


def test_the_default_pair_of_rules_shares_its_eval_hands_and_ids() -> None:
    trained, shifted = make(split="eval"), make(rule="faces_as_ranks", split="eval")
    for seed in range(40):
        one, two = trained.reset(seed=seed)[1], shifted.reset(seed=seed)[1]
        assert (one["ranks"], one["task_id"]) == (two["ranks"], two["task_id"])


def test_a_rule_changes_answers_not_pixels_and_a_look_pixels_not_answers() -> None:
    def seen(rule: str, visual: str) -> tuple[np.ndarray, str]:
        env = make(modality="image", rule=rule, visual=visual, split="eval", require_face_card=True)
        observation, _ = env.reset(seed=5)
        return observation["image"], env.unwrapped.oracle_action()

    picture, answer = seen("faces_as_ten", "black_suits")
    same_picture, other_answer = seen("faces_as_ranks", "black_suits")
    other_picture, same_answer = seen("faces_as_ten", "red_suits")
    assert np.array_equal(picture, same_picture)
    assert answer != other_answer
    assert not np.array_equal(picture, other_picture)
    assert answer == same_answer


def test_the_picture_stays_the_same_in_an_episode_and_is_a_copy() -> None:
    env = make(modality="image")
    first = env.reset(seed=0)[0]["image"]
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(env.step(WRONG)[0]["image"], kept)
    height, width = VISUALS["black_suits"].height, VISUALS["black_suits"].width
    assert kept.shape == (height, width, 3)


@pytest.mark.parametrize("split", ["train", "eval", "all"])
def test_hands_meet_every_filter(split: str) -> None:
    env = make(split=split, require_face_card=True, rule="faces_shifted")
    rules = [RULES[name] for name in ("faces_shifted", "faces_as_ten", "faces_as_ranks")]
    config = env.unwrapped.config
    for ranks in dealt(env, range(60)):
        assert set(ranks) & set("JQK")
        assert all(make_task(ranks, rule, 24).is_solvable for rule in rules)
        if split != "all":
            assert task_split(config).is_eval_hand(ranks) == (split == "eval")


def test_unsolvable_hands_are_dealt_when_asked_for() -> None:
    env = make(solvable_only=False, split="all")
    tasks = [make_task(ranks, RULES["faces_as_ten"], 24) for ranks in dealt(env, range(100))]
    assert 10 < sum(not task.is_solvable for task in tasks) < 50


def test_a_configuration_without_hands_says_so() -> None:
    with pytest.raises(
        ValueError, match=r"no hand qualifies \(all were tried\): num_cards 4, target"
    ):
        make(target=999_999).reset(seed=0)
    with pytest.raises(ValueError, match=r"no hand qualified in 300 deals: num_cards 5"):
        make(target=99_999_999, num_cards=5).reset(seed=0)


def test_a_given_hand_is_dealt() -> None:
    env = make()
    _, info = env.reset(options={"ranks": ["3", "3", "8", "8"]})
    assert info["ranks"] == ["3", "3", "8", "8"]
    assert '"8/(3-8/3)=24"' in env.unwrapped.oracle_action()
    for bad in (["3", "3", "8"], [3, 3, 8, 8], 3388, None):
        with pytest.raises(ValueError, match="ranks must be 4 of A, 2, "):
            env.reset(options={"ranks": bad})


def test_asking_the_oracle_or_drawing_changes_no_hand() -> None:
    quiet, asked = make(oracle_style="random"), make(oracle_style="random", render_mode="rgb_array")
    quiet.reset(seed=0)
    asked.reset(seed=0)
    for _ in range(10):
        asked.unwrapped.oracle_action()
        asked.render()
        assert quiet.reset()[1]["ranks"] == asked.reset()[1]["ranks"]


def test_rendering(capsys: pytest.CaptureFixture[str]) -> None:
    picture = make(render_mode="rgb_array")
    picture.reset(seed=0)
    assert picture.render().dtype == np.uint8
    spoken = make(render_mode="ansi")
    observation, _ = spoken.reset(seed=0)
    assert spoken.render() == observation["text"]
    printed = make(render_mode="human")
    observation, _ = printed.reset(seed=0)
    assert capsys.readouterr().out == observation["text"] + "\n"
    printed.step(WRONG)
    assert "The formula is incorrect." in capsys.readouterr().out


def test_without_a_desktop_the_picture_is_written_and_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    make(render_mode="human", modality="image").reset(seed=0)
    path = capsys.readouterr().out.splitlines()[-1].removeprefix("picture: ")
    assert Path(path).parent.parent == tmp_path
    assert Path(path).stat().st_size > 1_000


def test_configuration_by_fields_by_dataclass_and_mistakes() -> None:
    config = GeneralPointsConfig(split="eval", prompt="compact")
    assert dealt(make(config=config), range(5)) == dealt(
        make(split="eval", prompt="compact"), range(5)
    )
    with pytest.raises(
        ValueError, match=r"fields must be among id, .*; got promt \(did you mean prompt\?\)$"
    ):
        make(promt="compact")
    with pytest.raises(ValueError, match="give either config or its fields"):
        make(config=config, split="eval")


_SCRIPT = """
import hashlib, json, gymnasium as gym, cardinal_gym.envs
env = gym.make("cardinal/GeneralPoints-v0", split="eval", oracle_style="random", num_cards=5)
digest = hashlib.sha256()
for seed in range(5):
    seen = env.reset(seed=seed)
    digest.update(json.dumps(seen).encode())
    digest.update(env.unwrapped.oracle_action().encode())
print(digest.hexdigest())
"""


def test_episodes_are_the_same_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == hashlib.sha256().digest_size * 2


def test_a_text_environment_loads_no_drawing_library() -> None:
    script = (
        "import sys, gymnasium as gym, cardinal_gym.envs;"
        f"gym.make('{ID}').reset(seed=0);"
        "print([m for m in ('torch', 'cv2', 'PIL', 'numba', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_several_environments_step_together() -> None:
    vector = SyncVectorEnv([lambda: make(prompt="compact")] * 2)
    observations, _ = vector.reset(seed=[0, 1])
    alone = [make(prompt="compact").reset(seed=seed)[0]["text"] for seed in (0, 1)]
    assert list(observations["text"]) == alone
    later, *_ = vector.step((WRONG, WRONG))
    assert all(text.endswith("last 1 + 1 wrong") for text in later["text"])


def test_shared_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="shared_memory=False"):
        AsyncVectorEnv([make])


@pytest.mark.parametrize("answer", ["json", "tagged"])
@pytest.mark.parametrize("modality", ["text", "image"])
def test_any_text_gets_a_verdict_in_bounded_time(answer: str, modality: str) -> None:
    env = make(answer=answer, modality=modality, max_turns=1_000, feedback="detail")
    env.reset(seed=0)
    texts = [
        *("", "\x00", "null", "{}", "[]", "{" * 100_000, '{"formula":' * 9_000, "9" * 100_000),
        '{"formula": "' + "(" * 100_000 + '"}',
        '{"formula": "' + "1+" * 49_000 + '1"}',
        '{"formula": "9**9**9**9"}',
        '{"formula": 1e999999}',
        '{"cards": {"a": [1]}, "number": null, "formula": null}',
        '{"cards": [[["5"]]], "number": [1e5, null], "formula": ["1"]}',
        '{"formula": "٣٣+１"}',
        '{"formula": "\\ud800"}',
        "\ud800",
        "x" * 1_000_000,
    ]
    for text in texts:
        for said in (text, f"<answer>{text}</answer>"[:1_000_000]):
            started = time.process_time()
            info = env.step(said)[4]
            assert time.process_time() - started < 2.0
            assert info["outcome"] in ("no_answer", "illegal_formula", "wrong_numbers")
