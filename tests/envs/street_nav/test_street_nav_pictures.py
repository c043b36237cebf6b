"""What the environment shows: views, frames and maps, and that texts keep it to themselves."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from boards import WORLD, WRONG, make, on_board
from cardinal_gym.envs.street_nav.types import Sight
from grid_world import GridWorld


class SecondWorld(GridWorld):
    """The same streets; at one place everything to be seen is another."""

    def panorama(self, node: int) -> np.ndarray:
        return 255 - super().panorama(node)

    def sights(self, node: int) -> tuple[Sight, ...]:
        return (Sight(name="Other Place", bearing=3.0),)


@pytest.mark.parametrize("prompt", ["study", "compact"])
@pytest.mark.parametrize("wording", ["both", "other"])
@pytest.mark.parametrize("mode", ["rail", "free"])
def test_places_with_the_same_text_and_other_pictures_differ_only_in_pixels(
    prompt: str, wording: str, mode: str
) -> None:
    """What is seen at a place reaches the agent by the picture alone."""
    fields = {"prompt": prompt, "wording": wording, "mode": mode, "views": {"size": 28}}
    env = on_board(WORLD, modality="image", **fields)
    other = on_board(SecondWorld(), modality="image", **fields)
    env.reset(seed=1)
    route = env.route
    turned = [
        replace(w, intersection=not w.intersection) if w.kind.value != "passing" else w
        for w in route.waypoints
    ]
    changed = replace(route, waypoints=tuple(turned))
    one, _ = env.reset(seed=0, options={"route": route})
    two, _ = other.reset(seed=0, options={"route": changed})
    for _ in range(4):
        assert one["text"] == two["text"]
        assert one["update"] == two["update"]
        assert not np.array_equal(one["image"], two["image"])
        action = json.loads(env.oracle_action())["action"]
        answer = json.dumps({"action": action})
        one, two = env.step(answer)[0], other.step(answer)[0]


@pytest.mark.parametrize("prompt", ["study", "compact"])
def test_no_text_of_image_mode_says_what_the_picture_shows(prompt: str) -> None:
    env = on_board(modality="image", prompt=prompt, mode="rail", views={"size": 28})
    env.reset(seed=1)
    opening = env.step(WRONG)[0]["text"]
    described = opening.count("intersection")
    sights = (waypoint.sight for waypoint in env.route.waypoints)
    names = {s.name: opening.count(s.name) for s in sights if s is not None}
    done = False
    while not done:
        observation, _, done, _, _ = env.step(env.oracle_action())
        assert observation["text"].count("intersection") == described
        assert all(observation["text"].count(name) == n for name, n in names.items())
        assert "intersection" not in observation["update"]


def test_the_view_grid_has_the_orientation_that_the_prompt_says() -> None:
    """Red grows with the compass heading of what is seen, from 0 in the north to 255."""
    size = 28
    env = on_board(modality="image", mode="free", views={"size": size})
    observation, _ = env.reset(seed=1)
    assert (
        "front (top left), right (top right), back (bottom left), left (bottom right)"
        in (observation["text"])
    )
    for _ in range(6):
        facing = env.walk.scene.facing
        far = size + 5
        corners = {0: (0, 0), 90: (0, far), 180: (far, 0), 270: (far, far)}
        for turn, (row, column) in corners.items():
            middle = observation["image"][row : row + size, column + size // 2, 0].astype(float)
            seen = np.median(middle) / 256 * 360
            off = (seen - facing - turn + 180) % 360 - 180
            assert abs(off) < 8 or (facing + turn) % 360 > 350 or (facing + turn) % 360 < 10
        assert not observation["image"][size:far].any()
        assert not observation["image"][:, size:far].any()
        observation, *_ = env.step(env.oracle_action())


def test_the_right_view_is_the_front_view_after_a_right_turn() -> None:
    env = on_board(modality="image", mode="free", rule="degrees", views={"size": 40})
    env.reset(seed=1)
    pictures = {}
    for heading in (180, 270, 0, 90):
        env.step(json.dumps({"action": f"turn_direction({heading})"}))
        pictures[env.walk.scene.facing] = env._pictures().frames(env.walk)
    assert set(pictures) == {0, 90, 180, 270}
    for heading, picture in pictures.items():
        turned = pictures[(heading + 90) % 360]
        assert np.array_equal(picture[:40, 45:85], turned[:40, :40])
        assert np.array_equal(picture[45:, :40], turned[:40, 45:])


def test_several_frames_stand_side_by_side_the_newest_on_the_right() -> None:
    env = on_board(modality="image", views={"size": 28, "frames": 3})
    first = env.reset(seed=1)[0]["image"]
    assert first.shape == (61, 61 * 3 + 10, 3) == env.observation_space["image"].shape
    assert not first[:, : 2 * 66 - 5].any()
    again = env.step(WRONG)[0]["image"]
    assert np.array_equal(first, again)
    second = env.step(env.oracle_action())[0]["image"]
    assert np.array_equal(second[:, 66:127], first[:, 132:])
    assert not np.array_equal(second[:, 132:], first[:, 132:])
    second[:] = 0
    assert env.step(WRONG)[0]["image"].any()


@pytest.mark.parametrize("modality", ["text", "image"])
def test_rendering_shows_the_views_beside_a_map(modality: str) -> None:
    env = on_board(modality=modality, render_mode="rgb_array", views={"size": 48})
    env.reset(seed=1)
    before = env.render()
    assert before.shape == (101, 101 + 5 + 101, 3)
    env.step(env.oracle_action())
    after = env.render()
    assert not np.array_equal(before[:, 106:], after[:, 106:])  # the agent has moved on the map
    ansi = on_board(render_mode="ansi")
    observation, _ = ansi.reset(seed=1)
    assert ansi.render() == observation["text"]


def test_a_city_is_seen_and_drawn_on_a_map() -> None:
    env = make(modality="image", render_mode="rgb_array", views={"size": 112}).unwrapped
    observation, _ = env.reset(seed=3)
    assert observation["image"].shape == (229, 229, 3)
    assert observation["image"].std() > 20
    frame = env.render()
    assert frame.shape == (229, 229 + 5 + 229, 3)
    assert np.array_equal(frame[:, :229], observation["image"])
    later, *_ = env.step(env.oracle_action())
    assert not np.array_equal(later["image"], observation["image"])
    assert not np.array_equal(env.render()[:, 234:], frame[:, 234:])
    other = make(modality="image", views={"size": 112}, look="winter").unwrapped
    snowy, _ = other.reset(options={"route": env.route})
    assert snowy["text"] == observation["text"]
    assert not np.array_equal(snowy["image"], observation["image"])


@pytest.mark.parametrize(("fov_deg", "reach_deg"), [(90.0, 48.0), (120.0, 60.0)])
def test_a_panorama_reaches_as_far_up_and_down_as_the_views(
    fov_deg: float, reach_deg: float
) -> None:
    """Beyond its edge a view could only repeat the last row."""
    env = make(modality="image", views={"size": 112, "fov_deg": fov_deg}).unwrapped
    height, width, _ = env.world.renderer.shape
    assert height / 2 * 360 / width == pytest.approx(reach_deg, abs=360 / width)


def test_human_rendering_writes_text_and_names_the_picture(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    env = on_board(modality="image", render_mode="human", views={"size": 28})
    observation, _ = env.reset(seed=1)
    *printed, last = capsys.readouterr().out.splitlines()
    assert printed == observation["text"].splitlines()
    assert Path(last.removeprefix("picture: ")).stat().st_size > 500
