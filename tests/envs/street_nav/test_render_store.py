"""Scenes on disk: the same when read again, made anew when damaged."""

import errno
import logging
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cardinal_gym.envs.street_nav.city.builder import build_city
from cardinal_gym.envs.street_nav.city.config import CityConfig
from cardinal_gym.envs.street_nav.city.scene import City
from cardinal_gym.envs.street_nav.render import store
from cardinal_gym.envs.street_nav.render.config import as_look
from cardinal_gym.envs.street_nav.render.scene import Scene
from cardinal_gym.envs.street_nav.render.store import open_scene, scene_key

LOOK = as_look("desert")


@pytest.fixture(scope="module")
def city() -> City:
    return build_city(CityConfig(seed=5, num_blocks=4, num_landmarks=10, num_parks=0))


@pytest.fixture(scope="module")
def kept(city: City, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scene]:
    folder = tmp_path_factory.mktemp("scenes")
    return folder, open_scene(city, LOOK, False, folder)


def file_of(folder: Path) -> Path:
    (path,) = folder.glob("scene-*.bin")
    return path


def assert_same(one: Scene, other: Scene) -> None:
    for part in ("quads", "sprites", "textures", "ground", "air"):
        a, b = getattr(one, part), getattr(other, part)
        for name, value in a._asdict().items():
            assert type(value) is type(getattr(b, name))
            assert np.array_equal(value, getattr(b, name)), f"{part}.{name}"


def test_a_scene_is_read_again_as_it_was(
    city: City, kept: tuple[Path, Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, scene = kept
    monkeypatch.setattr(store, "build_scene", lambda *_: pytest.fail("made anew"))
    assert_same(open_scene(city, LOOK, False, folder), scene)


def test_its_arrays_cannot_be_written_to(city: City, kept: tuple[Path, Scene]) -> None:
    folder, scene = kept
    for one in (scene, open_scene(city, LOOK, False, folder)):
        with pytest.raises(ValueError, match="read-only"):
            one.textures.texels[0] = 0


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text"])
def test_a_damaged_file_is_made_anew(
    city: City, kept: tuple[Path, Scene], tmp_path: Path, damage: str,
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder, scene = kept
    content = bytearray(file_of(folder).read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    content = {"cut": content[:1000], "empty": b"", "text": b"hello"}.get(damage, content)
    (tmp_path / file_of(folder).name).write_bytes(bytes(content))
    monkeypatch.setattr(store, "build_scene", lambda *_: scene)
    with caplog.at_level(logging.WARNING):
        assert open_scene(city, LOOK, False, tmp_path) is scene
    assert "making it anew" in caplog.text
    assert file_of(tmp_path).read_bytes() == file_of(folder).read_bytes()


def test_where_nothing_can_be_written_nothing_is_kept(
    city: City, kept: tuple[Path, Scene], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setattr(store, "build_scene", lambda *_: kept[1])
    with caplog.at_level(logging.WARNING):
        assert open_scene(city, LOOK, False, blocked / "folder") is kept[1]
    assert "cannot keep" in caplog.text


def test_a_scene_is_read_where_its_file_cannot_be_touched(
    city: City, kept: tuple[Path, Scene], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", read_only)
    monkeypatch.setattr(store, "build_scene", lambda *_: pytest.fail("made anew"))
    with caplog.at_level(logging.WARNING):
        assert_same(open_scene(city, LOOK, False, kept[0]), kept[1])
    assert not caplog.text


def test_every_flipped_bit_and_every_cut_is_noticed(
    city: City, kept: tuple[Path, Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = file_of(kept[0]).read_bytes()
    path = tmp_path / file_of(kept[0]).name
    monkeypatch.setattr(store, "build_scene", lambda *_: kept[1])
    rng = np.random.default_rng(0)
    places = [0, 8, 16, 24, len(content) - 1, int(rng.integers(len(content)))]
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        for spoiled in (bytes(flipped), content[:place]):
            path.write_bytes(spoiled)
            assert open_scene(city, LOOK, False, tmp_path) is kept[1]
            assert path.stat().st_size == len(content)


def test_a_whole_file_of_another_version_is_made_anew(
    city: City, kept: tuple[Path, Scene], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    other = tmp_path / file_of(kept[0]).name
    other.write_bytes(b"".join(map(bytes, store._pieces({"quads.old": np.arange(3)}))))
    monkeypatch.setattr(store, "build_scene", lambda *_: kept[1])
    assert open_scene(city, LOOK, False, tmp_path) is kept[1]
    assert "making it anew" in caplog.text


def _open(city: City, folder: Path, barrier: Any, results: Any) -> None:
    barrier.wait()
    results.put(open_scene(city, LOOK, False, folder).textures.texels.sum(dtype=np.int64))


def test_many_processes_that_make_one_scene_at_once_leave_one_sound_file(
    city: City, kept: tuple[Path, Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "build_scene", lambda *_: kept[1])
    context = multiprocessing.get_context("fork")  # which the patch above survives
    barrier, results = context.Barrier(3), context.Queue()
    workers = [
        context.Process(target=_open, args=(city, tmp_path, barrier, results)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    sums = {results.get(timeout=120) for _ in workers}
    for worker in workers:
        worker.join()
    assert sums == {kept[1].textures.texels.sum(dtype=np.int64)}
    assert [path.name for path in tmp_path.iterdir()] == [file_of(kept[0]).name]
    assert file_of(tmp_path).read_bytes() == file_of(kept[0]).read_bytes()


def test_scenes_that_were_not_used_for_longest_make_room(
    city: City, kept: tuple[Path, Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "build_scene", lambda *_: kept[1])
    size = file_of(kept[0]).stat().st_size
    for age, name in enumerate(("scene-new.bin", "scene-old.bin", "city-other.npz")):
        (tmp_path / name).write_bytes(bytes(1000))
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    monkeypatch.setattr(store, "MAX_BYTES", size + 1500)
    open_scene(city, LOOK, False, tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {file_of(kept[0]).name, "scene-new.bin", "city-other.npz"}


def test_a_key_names_all_that_a_scene_depends_on(city: City) -> None:
    key = scene_key(city, LOOK, False)
    assert key == scene_key(city, as_look("desert", name="another name"), False)
    others = [
        scene_key(city, LOOK, True),
        scene_key(city, as_look("desert", clouds=0.1), False),
        scene_key(build_city(CityConfig(seed=6, num_blocks=4, num_landmarks=10)), LOOK, False),
    ]
    assert len({key, *others}) == 4
