"""Exported episodes: what is written, and that it comes back as the oracle's own rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cardinal_gym.agents.config import Family
from cardinal_gym.agents.rows import collate
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.training.demonstrations import OracleDemonstrations
from cardinal_gym.training.sft_files import FileDemonstrations, export_demonstrations
from chat_files import TEXT, VISION, same, tiny_policy

EPISODES = {"seed": 3, "revision_fraction": 0.7, "max_wrong_attempts": 3, "stream": "sft"}


@pytest.mark.parametrize("context", ContextMode)
@pytest.mark.parametrize("family", Family)
def test_an_export_comes_back_as_the_rows_of_the_oracle(
    family: Family,
    context: ContextMode,
    tmp_path: Path,
) -> None:
    policy, env = tiny_policy(family, context), general_points(family)
    export_demonstrations(env, tmp_path / "data", 16, **EPISODES)
    imported = FileDemonstrations(policy, tmp_path / "data", seed=0)
    expected = OracleDemonstrations(policy, env, **EPISODES).rows(range(16))
    turns = [json.loads(line)["messages"] for line in lines_of(tmp_path / "data" / "train.jsonl")]
    assert max(map(len, turns)) >= 6  # three turns and more are among them
    assert len(imported) == 16
    for row, oracle in zip(imported, expected, strict=True):
        assert same(row, oracle)
    collate(policy, expected[:4])  # pictures and placeholders fit


def test_an_export_says_what_it_holds_and_stores_each_picture_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    about = export_demonstrations(general_points(VISION), folder, 12, **EPISODES)
    records = [json.loads(line) for line in lines_of(folder / "train.jsonl")]
    assert json.loads((folder / "dataset.json").read_text()) == about
    assert about["count"] == len(records) == 12
    assert about["distinct_tasks"] == len({record["task_id"] for record in records})
    assert about["env"]["split"] == "train"
    assert about["versions"]["packages"]["numpy"] == np.__version__
    assert all(len(record["images"]) == 1 for record in records)  # however many turns
    assert {name for record in records for name in record["images"]} == {
        str(path.relative_to(folder)) for path in (folder / "images").iterdir()
    }


def test_wrong_attempts_are_exported_with_weight_0(tmp_path: Path) -> None:
    export_demonstrations(general_points(TEXT), tmp_path / "data", 8, **EPISODES)
    for line in lines_of(tmp_path / "data" / "train.jsonl"):
        weights = [m["weight"] for m in json.loads(line)["messages"] if m["role"] == "assistant"]
        assert weights == [0] * (len(weights) - 1) + [1]


def test_the_same_export_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_demonstrations(general_points(VISION), tmp_path / name, 5, **EPISODES)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*")} for name in "ab"
    )
    assert first == second


def test_an_interrupted_export_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("cardinal_gym.training.sft_files.store_picture", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_demonstrations(general_points(VISION), tmp_path / "data", 5, **EPISODES)
    assert list(tmp_path.iterdir()) == []


def test_an_export_overwrites_nothing_and_resumes_only_itself(tmp_path: Path) -> None:
    env, folder = general_points(TEXT), tmp_path / "data"
    about = export_demonstrations(env, folder, 3, **EPISODES)
    with pytest.raises(ValueError, match="must be new or empty"):
        export_demonstrations(env, folder, 3, **EPISODES)
    assert export_demonstrations(env, folder, 3, **EPISODES, resume=True) == about
    with pytest.raises(ValueError, match="must be new or empty"):
        export_demonstrations(env, folder, 4, **EPISODES, resume=True)


@pytest.mark.parametrize("split", ["eval", "all"])
def test_evaluation_tasks_are_not_exported(split: str, tmp_path: Path) -> None:
    env = GeneralPointsConfig(split=split)
    with pytest.raises(ValueError, match=r"env\.split must be train"):
        export_demonstrations(env, tmp_path / "data", 1, **EPISODES)


def general_points(family: Family) -> GeneralPointsConfig:
    modality = "image" if family is VISION else "text"
    return GeneralPointsConfig(
        prompt="compact", modality=modality, visual={"width": 112, "height": 56}
    )


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()
