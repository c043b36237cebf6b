"""Compiled code on disk: used again when whole, done without where there is no disk."""

import errno
import logging
from pathlib import Path
from typing import Any

import pytest
from cardinal_gym.envs.street_nav.render.compiled import kernel
from numba.core import caching, config


def doubled(number: int) -> int:
    return number + number


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def hits(dispatcher: Any) -> int:
    return sum(dispatcher.stats.cache_hits.values())


def test_machine_code_is_kept_and_a_damaged_file_is_made_anew(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = kernel()(doubled), kernel()(doubled)
    assert (first(21), hits(first)) == (42, 0)
    assert (second(21), hits(second)) == (42, 1)
    for ending in ("nbi", "nbc"):
        (path,) = folder.rglob(f"*.{ending}")
        path.write_bytes(path.read_bytes()[:-20])
        caplog.clear()
        third, fourth = kernel()(doubled), kernel()(doubled)
        assert (third(21), hits(third)) == (42, 0)
        assert "cannot use the machine code" in caplog.text
        assert (fourth(21), hits(fourth)) == (42, 1)


def test_a_full_disk_is_no_obstacle(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    with caplog.at_level(logging.WARNING):
        assert kernel()(doubled)(21) == 42
    assert "No space left" in caplog.text


def test_code_is_compiled_where_no_folder_can_be_written(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    with caplog.at_level(logging.WARNING):
        assert kernel()(doubled)(21) == 42
    assert "machine code is not kept" in caplog.text
