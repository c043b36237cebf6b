"""Street navigation played by hand: keys in a terminal, typed answers in a pipe."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.envs.street_nav.env import StreetNavEnv
from cardinal_gym.training.streets import (
    Walker,
    export_walk,
    half_blocks,
    key_names,
    walk_in_window,
)
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "envs" / "street_nav"))
from grid_world import GridWorld

COMMAND = [
    sys.executable,
    "-c",
    "from cardinal_gym.training import cli; cli.main()",
    "play",
    "env=street_nav",
    "env.city.num_blocks=4",
    "env.city.num_landmarks=60",
    "seed=3",
]


def make(**fields: object) -> StreetNavEnv:
    env = StreetNavEnv(city={"num_blocks": 4, "num_landmarks": 60}, **fields)
    env.reset(seed=3)
    return env


@pytest.mark.parametrize("rule", ["absolute", "relative", "clock", "degrees"])
@pytest.mark.parametrize("mode", ["rail", "free"])
def test_a_person_can_walk_a_whole_route_with_the_keys(rule: str, mode: str) -> None:
    env = make(rule=rule, mode=mode)
    walker = Walker(env)
    done = False
    while not done:
        right = env.walk.right_action()
        if right == "forward()":
            action = walker.press("up")
        elif right == "stop()":
            action = walker.press("space")
        else:
            for _ in walker.ways:
                action = walker.press("enter")
                if action == right:
                    break
                assert walker.press("right") is None
        assert action == right
        _, _, done, truncated, info = env.step(env.walk.answer(right))
        assert not truncated
        if not done:
            walker.look()
    assert info["success"]


def test_the_streets_are_told_as_angles_from_where_one_looks() -> None:
    walker = Walker(make())
    first = walker.ways_line()
    assert first.startswith("streets: ")
    assert first.count("[") == 1
    walker.press("right")
    assert walker.ways_line() != first
    walker.press("left")
    assert walker.ways_line() == first
    assert walker.press("x") is None


def test_a_picture_in_half_blocks() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:20] = (255, 0, 0)
    lines = half_blocks(picture, 6).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("\x1b[38;2;255;0;0;48;2;255;0;0m▀")
    assert "38;2;0;0;0;48;2;0;0;0m" in lines[1]
    assert [line.count("▀") for line in lines] == [6, 6]


def test_without_a_terminal_actions_are_typed() -> None:
    done = subprocess.run(
        [*COMMAND, "hands=1"],
        input="turn_direction(north)\nturn_direction(northeast)\nfly()\n?\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Route description:" in done.stdout
    assert "0 of 1 task solved" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_in_a_terminal_the_arrow_keys_walk() -> None:
    import pty
    import select

    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [*COMMAND, "env.mode=free"])
    seen, keys = "", [b"\x1b[C", b"\x1b[D", b"\r", b"?", b" ", b"q"]
    deadline = time.monotonic() + 200
    waiting_for = "streets: "
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            seen += os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # the child has closed its side
            break
        if waiting_for in seen.rpartition("\x1b[K")[2] and keys:
            os.write(terminal, keys.pop(0))
            seen += "\x1b[K"
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, seen
    assert "Route description:" in seen
    assert "turned; reward 0" in seen
    assert '"action":' in seen
    assert "premature stop; reward" in seen
    assert "0 of 1 task solved" in seen


@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_a_walk_is_exported_with_a_map(ending: str, tmp_path: Path) -> None:
    env = StreetNavEnv(
        streets=GridWorld(), split="all", render_mode="rgb_array", views={"size": 48}
    )
    film, plan = export_walk(env, 1, tmp_path / f"walk.{ending}")
    assert film.stat().st_size > 2_000
    with Image.open(plan) as picture:
        assert picture.size == (1000, 1000)
    if ending == "gif":
        with Image.open(film) as frames:
            assert frames.n_frames == len(env.walk.visited)
    with pytest.raises(ValueError, match=r"must end in \.gif or \.mp4"):
        export_walk(env, 1, tmp_path / "walk.webm")
    with pytest.raises(ValueError, match="export must be a file that can be written"):
        export_walk(env, 1, tmp_path / "nowhere" / "walk.gif")


def test_without_a_screen_a_window_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform in ("darwin", "win32"):
        pytest.skip("always has a screen")
    env = make()
    with pytest.raises(ValueError, match="window must be false on a machine without"):
        walk_in_window(env, lambda: env.reset()[0])


def test_keys_that_arrive_together_are_told_apart() -> None:
    assert key_names("\x1b[A\x1b[A\x1bOC\rm") == ["up", "up", "right", "enter", "m"]
    assert key_names("") == ["q"]
