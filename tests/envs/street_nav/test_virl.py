"""Real data: a small data set in V-IRL's format, sound and with everything that can be wrong."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cardinal_gym.envs  # noqa: F401  (registers the environments)
import gymnasium as gym
import numpy as np
import pytest
from cardinal_gym.envs.street_nav.city.config import RouteConfig
from cardinal_gym.envs.street_nav.types import WaypointKind
from cardinal_gym.envs.street_nav.virl.check import check, contact_sheet
from cardinal_gym.envs.street_nav.virl.dataset import read_dataset
from cardinal_gym.envs.street_nav.virl.geodesy import Plane, bearing_deg
from cardinal_gym.envs.street_nav.virl.world import VirlWorld
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from virl_files import MILESTONES, START, route, shifted, write_data

NORTH = [shifted(0.01 * k) for k in range(1, 7)]


def make(folder: Path, **fields: Any) -> gym.Env:
    fields.setdefault("split", "all")
    return gym.make("cardinal/StreetNav-v0", world="virl", data_dir=str(folder), **fields)


def play(env: gym.Env, seed: int) -> dict[str, Any]:
    _, info = env.reset(seed=seed)
    done = False
    while not done:
        _, _, done, truncated, info = env.step(env.unwrapped.oracle_action())
        assert not truncated
    return info


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("virl") / "data", [route(), *NORTH])


def test_real_data_runs_in_the_same_environment(data: Path) -> None:
    env = make(data, routes={"drop_rate": 0.0})
    observation, info = env.reset(options={"route": the_route(data)})
    assert "First, turn left to face north." in observation["text"]
    assert 'intersection where Otter "Fine" Bank is on your left front.' in observation["text"]
    assert "destination where Lotus Cafe is on your right." in observation["text"]
    assert (info["visual"], info["num_places"]) == ("street_view", 16)


def the_route(data: Path, **config: Any) -> Any:
    """The route of `virl_files.route` as it is dealt."""
    world = VirlWorld(data, RouteConfig(**{"drop_rate": 0.0, **config}))
    (first,) = [each for each in world.dataset.routes if each.start.geocode == START]
    rng = np.random.default_rng(0)
    while (dealt := world.deal(rng, "all")).id != f"{world.key}/{first.id}":
        pass
    return dealt


def test_a_leg_has_the_places_of_the_study(data: Path) -> None:
    waypoints = the_route(data).waypoints
    kinds = "".join(waypoint.kind.value[0] for waypoint in waypoints)
    assert kinds == "spppptpppptppppg"
    assert [w.heading for w in waypoints if w.kind is not WaypointKind.passing] == [0, 90, 0, 0]
    sights = [waypoint.sight for waypoint in waypoints if waypoint.sight is not None]
    assert [(sight.name, sight.bearing) for sight in sights] == [
        ('Otter "Fine" Bank', 315.0),
        ("Lotus Cafe", 90.0),
    ]
    assert [w.intersection for w in waypoints].count(True) == 2


def test_places_are_dropped_at_the_rate_and_near_the_ends(data: Path) -> None:
    assert len(the_route(data, drop_rate=1.0).waypoints) == 4
    assert len(the_route(data, clearance_m=30.0).waypoints) == 4 + 3 * 2
    lengths = {len(the_route(data, drop_rate=0.5).waypoints) for _ in range(3)}
    assert lengths < set(range(4, 17))


@pytest.mark.parametrize("mode", ["rail", "free"])
@pytest.mark.parametrize("rule", ["absolute", "relative", "clock", "degrees"])
def test_the_oracle_walks_real_streets(data: Path, mode: str, rule: str) -> None:
    env = make(data, mode=mode, rule=rule)
    for seed in range(5):
        info = play(env, seed)
        assert info["success"]
        if mode == "free":
            assert info["distance_m"] == 0.0
            assert info["walked_m"] == pytest.approx(301, abs=3)


def test_splits_are_disjoint_and_whole(data: Path) -> None:
    world = VirlWorld(data, RouteConfig(held_out_fraction=0.5))
    train, held_out = set(world.ids("train")), set(world.ids("eval"))
    assert not train & held_out
    assert train | held_out == set(world.ids("all"))
    assert len(world.ids("all")) == 7
    with pytest.raises(ValueError, match="split eval must hold a route"):
        VirlWorld(data, RouteConfig(held_out_fraction=0.0)).deal(np.random.default_rng(0), "eval")


def test_panoramas_are_turned_to_the_north(data: Path) -> None:
    world = VirlWorld(data)
    for node in range(5):
        panorama = world.panorama(node)
        assert panorama.dtype == np.uint8
        assert not panorama.flags.writeable
        red = panorama[64, :, 0].astype(int)
        heading = 360 * np.arange(256) / 256
        assert np.abs(red - 255 * np.abs(180 - heading) / 180).max() < 14
        assert panorama is world.panorama(node)


def test_positions_are_metres(data: Path) -> None:
    def on_the_globe(lat: float, lon: float) -> np.ndarray:
        lat, lon = np.deg2rad(lat), np.deg2rad(lon)
        east, north = np.cos(lat) * np.sin(lon), np.sin(lat)
        return 6_371_008.8 * np.array([np.cos(lat) * np.cos(lon), east, north])

    world = VirlWorld(data)
    geocodes = list(world.dataset.panoramas.values())
    for a, b in ((0, 5), (2, 11), (3, 40)):
        chord = np.linalg.norm(on_the_globe(*geocodes[a]) - on_the_globe(*geocodes[b]))
        found = np.hypot(*np.subtract(world.position(a), world.position(b)))
        assert found == pytest.approx(chord, rel=3e-3)


def test_cities_far_apart_do_not_meet() -> None:
    plane = Plane()
    geocodes = ((40.7, -74.0), (51.5, -0.1), (40.7, -74.0), (51.5, -0.101))
    places = [plane.place(geocode) for geocode in geocodes]
    assert places[0] == places[2] == (0.0, 0.0)
    assert np.hypot(*np.subtract(places[1], places[3])) == pytest.approx(69.2, abs=0.5)
    assert np.hypot(*np.subtract(places[0], places[1])) > 1e6
    assert bearing_deg((40.7, -74.0), (40.7, -73.9)) == pytest.approx(90.0, abs=0.1)
    assert bearing_deg((40.7, -74.0), (40.6, -74.0)) == pytest.approx(180.0)


def test_a_single_unwrapped_route_and_a_bare_list(tmp_path: Path) -> None:
    single = write_data(tmp_path / "one", [route()], value=route())
    assert len(read_dataset(single).routes) == 1
    bare = write_data(tmp_path / "bare", [route(), *NORTH], value=[route(), *NORTH])
    assert len(read_dataset(bare).routes) == 7
    assert len(read_dataset(write_data(tmp_path / "x", [route()], value=[route(), 3])).routes) == 1


def test_optional_keys_may_be_missing(tmp_path: Path) -> None:
    bare = route(milestone_info=..., init_heading=..., dest_place=...)
    del bare["route_results"]["landmark_list"]
    other = shifted(0.02) | {"milestone_info": None, "init_heading": 0}
    start = {"geocode": other["start_place"]["relocated_geocode"], "relocated_geocode": None}
    told = [bare, {**other, "start_place": start}]
    folder = write_data(tmp_path / "data", [bare, other], value=[told, 2])
    dataset = read_dataset(folder)
    assert not dataset.problems
    first, second = dataset.routes
    assert [leg.landmark for leg in first.legs] == [None, None, None]
    assert [round(leg.heading) % 360 for leg in first.legs] == [0, 90, 0]
    assert second.legs[-1].landmark == "Lotus Cafe"
    env = make(folder)
    texts = [env.reset(seed=seed)[0]["text"] for seed in range(9)]
    starts = {text.partition("1. ")[2][:20] for text in texts}
    assert len(starts) > 1  # where the agent looks at first is drawn
    play(make(folder), 0)


def test_what_macos_leaves_behind_is_ignored(tmp_path: Path) -> None:
    write_data(tmp_path / "zip" / "nyc", [route()])
    junk = tmp_path / "zip" / "__MACOSX" / "nyc"
    junk.mkdir(parents=True)
    (junk / "._route_infos.json").write_bytes(b"\x00\x05\x16\x07")
    (junk.parent / "route_infos.json").write_bytes(b"junk")
    views = tmp_path / "zip" / "nyc" / "street_views"
    (views / "._pano000.jpg").write_bytes(b"junk")
    (views / "__MACOSX").mkdir()
    assert not check(tmp_path / "zip").problems
    assert play(make(tmp_path / "zip"), 0)["success"]


PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "start": ({"start_place": {}}, "start_place.relocated_geocode must be"),
    "results": ({"route_results": None}, "route_results.geocode_list must be a list"),
    "empty": ({"route_results": {"geocode_list": []}}, "must be a list of 1 to 100 places"),
    "place": ({"route_results": {"geocode_list": [["a", 2]]}}, "geocode_list[0] must be"),
    "nan": ({"route_results": {"geocode_list": [[float("nan"), 2]]}}, "geocode_list[0] must be"),
    "far": ({"start_place": {"relocated_geocode": [0, 0]}}, "no panorama within 20 m"),
    "milestone": ({"milestone_info": "{'a'}"}, "milestone_info: block 0 must hold"),
    "count": ({"milestone_info": MILESTONES[: MILESTONES.index("}") + 1]}, "each of 3 legs; got 1"),
    "heading": ({"init_heading": "north"}, "init_heading must be a number"),
    "digits": ({"init_heading": 10**400}, "init_heading must be a number"),
    "digits in a place": (
        {"start_place": {"relocated_geocode": [10**400, 0]}},
        "start_place.relocated_geocode must be",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_faulty_route_is_reported_with_its_key_and_the_others_are_used(
    name: str, tmp_path: Path
) -> None:
    changes, said = PROBLEMS[name]
    folder = write_data(tmp_path / "data", [route(), NORTH[0]], [[NORTH[0], route(**changes)], 5])
    dataset = read_dataset(folder)
    assert str(dataset.problems[0]).startswith("route_infos.json: routes[1]: ")
    assert said in dataset.problems[0].message
    assert (len(dataset.routes), dataset.num_routes) == (1, 2)
    assert play(make(folder), 0)["success"]


def test_what_is_no_file_is_reported_and_not_waited_for(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "data", [route(), *NORTH])
    views = folder / "street_views"
    for name, make_it in (("pano003.jpg", os.mkfifo), ("pano020.jpg", os.mkdir)):
        (views / name).unlink()
        make_it(views / name)
    (views / "pano036.metadata.json").unlink()
    os.mkfifo(views / "pano036.metadata.json")
    report = check(folder)
    for name in ("pano003.jpg", "pano020.jpg", "pano036.metadata.json"):
        assert any(
            problem.file == f"street_views/{name}" and "something that is no file" in str(problem)
            for problem in report.problems
        )
    assert 0 < len(report.dataset.routes) < report.dataset.num_routes
    (folder / "gps_pano_mapping.pkl").unlink()
    os.mkfifo(folder / "gps_pano_mapping.pkl")
    assert any("something that is no file" in str(found) for found in read_dataset(folder).problems)


def test_faulty_files_are_reported_by_name(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "data", [route(), *NORTH])
    views = folder / "street_views"
    (views / "pano003.jpg").unlink()
    (views / "pano020.jpg").write_bytes((views / "pano020.jpg").read_bytes()[:500])
    (views / "pano036.metadata.json").write_text('{"rotation": "up"}')
    (views / "pano052.metadata.json").write_text("{")
    (views / "pano053.metadata.json").write_text(json.dumps({"rotation": 10**400}))
    picture = bytearray((views / "pano068.jpg").read_bytes())
    picture[200:-2] = bytes(len(picture) - 202)
    (views / "pano068.jpg").write_bytes(bytes(picture))
    report = check(folder)
    found = {(problem.file, problem.message.partition(";")[0]) for problem in report.problems}
    assert {
        ("street_views/pano003.jpg", "must be a picture that can be read"),
        ("street_views/pano020.jpg", "must be a whole JPEG picture"),
        ("street_views/pano036.metadata.json", "rotation must be a number of degrees"),
        ("street_views/pano052.metadata.json", "must be JSON"),
        ("street_views/pano053.metadata.json", "rotation must be a number of degrees"),
        ("street_views/pano068.jpg", "must be a picture that can be decoded"),
    } <= found
    keys = {problem.key for problem in report.problems if problem.file.endswith("pano003.jpg")}
    assert keys == {"routes[0]"}
    assert report.counts["routes"] == 7
    assert report.counts["sound routes"] == 2
    assert play(make(folder), 0)["success"]
    assert contact_sheet(report.dataset).ndim == 3


class Hostile:
    def __reduce__(self) -> tuple:
        return exec, ("raise SystemExit('hacked')",)


def test_a_hostile_pickle_runs_nothing_and_is_reported(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "data", [route()])
    (folder / "gps_pano_mapping.pkl").write_bytes(pickle.dumps({(1.0, 2.0): Hostile()}))
    problems = [str(problem) for problem in read_dataset(folder).problems]
    assert problems[0].startswith("gps_pano_mapping.pkl: byte ")
    assert "GLOBAL" in problems[0]
    with pytest.raises(ValueError, match=r"cardinal data check .* names them"):
        make(folder).reset(seed=0)


DEEP = b"]" + b"\x85" * 20_000  # ((((...),),),)
TWICE = b"]" + b"q\x00h\x00\x86" * 60  # each holds the one before it twice
HUGE = pickle.dumps(10**6000, 2)[2:-1]


@pytest.mark.parametrize("value", [DEEP, TWICE, HUGE, b"(" + HUGE + b"K\x01t"])
def test_values_too_deep_or_too_large_to_be_written_out_are_reported(
    value: bytes, tmp_path: Path
) -> None:
    folder = write_data(tmp_path / "data", [route()])
    (folder / "gps_pano_mapping.pkl").write_bytes(b"\x80\x02}K\x01" + value + b"s.")
    problem = read_dataset(folder).problems[0]
    assert (problem.file, problem.key) == ("gps_pano_mapping.pkl", "1")
    assert len(problem.message) < 200


def test_a_place_of_400_digits_is_reported_as_a_place(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "data", [route()])
    (folder / "gps_pano_mapping.pkl").write_bytes(pickle.dumps({(10**400, 0.5): "pano"}))
    problem = read_dataset(folder).problems[0]
    assert problem.key == "(a number of 1329 bits, 0.5)"


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a/b", "", "..", "a\0b", 3, None])
def test_a_mapping_names_no_file_outside_the_folder(name: Any, tmp_path: Path) -> None:
    folder = write_data(tmp_path / "data", [route()])
    mapping = pickle.loads((folder / "gps_pano_mapping.pkl").read_bytes())
    mapping[0.5, 0.5] = "fine" if name is None else name
    mapping["x"] = "fine"
    (folder / "gps_pano_mapping.pkl").write_bytes(pickle.dumps(mapping))
    dataset = read_dataset(folder)
    told = [problem.key for problem in dataset.problems]
    assert told == (["'x'"] if name is None else ["(0.5, 0.5)", "'x'"])
    assert len(dataset.routes) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["start_place", "route_results", "geocode_list", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_reported(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "route_infos.json").write_text(json.dumps(value))
    (folder / "gps_pano_mapping.pkl").write_bytes(pickle.dumps({}))
    dataset = read_dataset(folder)
    assert not dataset.routes
    assert dataset.problems
    shutil.rmtree(folder)


def test_no_data_set_is_told_in_one_line(tmp_path: Path) -> None:
    for folder, said in ((tmp_path / "none", "must be a folder"), (tmp_path, "with 0 such")):
        with pytest.raises(ValueError, match=said):
            make(folder).reset(seed=0)
    with pytest.raises(ValueError, match="data_dir must be the folder"):
        gym.make("cardinal/StreetNav-v0", world="virl")


def test_the_command_prints_counts_problems_and_a_contact_sheet(data: Path, tmp_path: Path) -> None:
    broken = write_data(tmp_path / "broken", [route()])
    (broken / "street_views" / "pano001.jpg").unlink()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = "from cardinal_gym.training import cli; cli.main()"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True
        )

    sound = run("data", "check", str(data))
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "sound routes: 7\n" in sound.stdout
    assert "problems: 0\n" in sound.stdout
    with Image.open(tmp_path / "data_contact_sheet.png") as sheet:
        assert sheet.width == 4 * 330 + 10
    faulty = run("data", "check", str(broken), "--sheet", "mine.png")
    assert faulty.returncode == 1
    assert "street_views/pano001.jpg: routes[0]: must be a picture" in faulty.stdout
    assert "\nturns: none, without a sound route\n" in faulty.stdout
    assert (tmp_path / "mine.png").exists()
    missing = run("data", "check", "nowhere")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr == "cardinal data check: data_dir must be a folder; got nowhere\n"
