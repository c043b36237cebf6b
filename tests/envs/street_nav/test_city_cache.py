import errno
import hashlib
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cardinal_gym.envs.street_nav.city import cache, files
from cardinal_gym.envs.street_nav.city.config import CityConfig
from cities import small_city
from test_city import same_bytes

ARRAYS = {"a": np.arange(6).reshape(2, 3), "words": np.array(["Amber Cafe", "Iris Park"])}
SMALL = CityConfig(seed=1, num_blocks=4, num_landmarks=40)
TINY = CityConfig(seed=2, num_blocks=4, num_landmarks=10, num_parks=0)


def made_once(path: Path) -> dict[str, np.ndarray]:
    """Reads, or fails where nothing sound is kept."""

    def make() -> dict[str, np.ndarray]:
        raise AssertionError("made anew")

    return cache.cached_arrays(path, make)


def test_what_was_made_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "one.npz"
    cache.cached_arrays(path, lambda: ARRAYS)
    kept = made_once(path)
    assert all(np.array_equal(kept[name], ARRAYS[name]) for name in ARRAYS)
    assert [entry.name for entry in path.parent.iterdir()] == ["one.npz"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_file_is_made_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "one.npz"
    cache.cached_arrays(path, lambda: ARRAYS)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    spoiled = {"cut": content[:-9], "flipped": content, "empty": b"", "other": b"PK" * 99}
    path.write_bytes(bytes(spoiled[damage]))
    with caplog.at_level(logging.WARNING):
        cache.cached_arrays(path, lambda: ARRAYS)
    assert "making it anew" in caplog.text
    assert np.array_equal(made_once(path)["a"], ARRAYS["a"])


def test_a_file_with_the_right_digest_but_no_arrays_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    path.write_bytes(hashlib.sha256(b"not a zip").digest() + b"not a zip")
    assert np.array_equal(cache.cached_arrays(path, lambda: ARRAYS)["a"], ARRAYS["a"])


def test_a_folder_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        made = cache.cached_arrays(tmp_path / "file" / "one.npz", lambda: ARRAYS)
    assert made is ARRAYS
    assert "cannot keep" in caplog.text


def test_a_city_from_the_cache_equals_the_one_that_was_built(tmp_path: Path) -> None:
    built = cache.open_city(SMALL, tmp_path)
    (path,) = tmp_path.iterdir()
    path.chmod(0o400)
    read = cache.open_city(SMALL, tmp_path)
    assert same_bytes(built, read)
    assert same_bytes(built, small_city())
    assert not read.node_xy.flags.writeable


def _store(path: Path) -> int:
    return int(cache.cached_arrays(path, lambda: ARRAYS)["a"].sum())


def test_many_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(_store, [path] * 12) == [15] * 12
    assert [entry.name for entry in tmp_path.iterdir()] == ["one.npz"]


def _built(folder: Path, barrier: Any, results: Any) -> None:
    barrier.wait()
    city = cache.open_city(TINY, folder)
    results.put((os.getpid(), hashlib.sha256(city.node_xy.tobytes()).hexdigest()))


def test_many_processes_that_build_one_city_at_once_leave_one_sound_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    workers = [context.Process(target=_built, args=(tmp_path, barrier, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    assert len({process for process, _ in found}) == 3
    expected = cache.build_city(TINY)
    assert {digest for _, digest in found} == {
        hashlib.sha256(expected.node_xy.tobytes()).hexdigest()
    }
    (path,) = tmp_path.iterdir()
    made_once(path)
    assert same_bytes(cache.open_city(TINY, tmp_path), expected)


KILLED_AMID_WRITING = """
import os, signal, sys
from pathlib import Path
from cardinal_gym.envs.street_nav.city.files import keep

def pieces():
    yield bytes(1_000_000)
    os.kill(os.getpid(), signal.SIGKILL)

keep(Path(sys.argv[1]), pieces())
"""


def test_what_a_killed_process_left_is_no_file_and_is_removed_in_time(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    done = subprocess.run([sys.executable, "-c", KILLED_AMID_WRITING, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()  # one unfinished file
    cache.cached_arrays(path, lambda: ARRAYS)
    assert set(tmp_path.iterdir()) == {left, path}  # perhaps somebody is still writing it
    made_once(path)
    os.utime(left, (0, time.time() - files.STALE_S - 1))
    path.unlink()
    cache.cached_arrays(path, lambda: ARRAYS)
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_keeps_nothing_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(100)
        raise OSError(errno.ENOSPC, "No space left on device")

    files.keep(tmp_path / "one.npz", pieces())
    assert "No space left" in caplog.text
    assert not list(tmp_path.iterdir())


def test_an_interrupt_amid_writing_leaves_nothing(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(100)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.keep(tmp_path / "one.npz", pieces())
    assert not list(tmp_path.iterdir())


def test_a_city_of_another_shape_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"{cache.city_key(TINY)}.npz"
    cache.cached_arrays(path, lambda: ARRAYS)  # sound, and no city
    assert cache.open_city(TINY, tmp_path).num_nodes > 0
    assert "making it anew" in caplog.text
    assert same_bytes(cache.open_city(TINY, tmp_path), cache.build_city(TINY))


def test_the_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(cache.ENV_VARIABLE, str(tmp_path))
    assert cache.cache_folder() == tmp_path
    monkeypatch.delenv(cache.ENV_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "cardinal-gym"
