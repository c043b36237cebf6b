"""Compiled code on disk: used again when whole, done without where there is no disk."""

import errno
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from cardinal_gym.envs.street_nav.render import compiled
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


def test_code_that_contains_other_files_is_made_anew_when_they_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kernel()(doubled)(21) == 42
    monkeypatch.setattr(compiled, "_shared_sources", lambda: 7)
    again = kernel()(doubled)
    assert (again(21), hits(again)) == (42, 0)


def test_every_file_whose_kernels_others_contain_is_watched() -> None:
    sources = {path.stem: path.read_text() for path in Path(compiled.__file__).parent.glob("*.py")}
    kernels = {name for name, text in sources.items() if "@kernel(" in text}
    texts = [text for name, text in sources.items() if name in kernels]
    imported = {name for text in texts for name in re.findall(r"^from \.(\w+) import", text, re.M)}
    called_from_python = {"board", "kerbs"}
    assert (kernels & imported) - called_from_python <= set(compiled.SHARED)
    assert {"buffers", "compiled"} <= set(compiled.SHARED)
