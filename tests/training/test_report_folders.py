"""What a report makes of runs that are unfinished, damaged or none."""

import shutil
from pathlib import Path

import pytest
from cardinal_gym.training.report import NotARun, load_run, main, report
from report_fixture import SMALL, write_run


@pytest.mark.parametrize("arms", [(), ("sft",), ("grpo",)])
def test_a_missing_arm_leaves_the_rest(tmp_path: Path, arms: tuple[str, ...]) -> None:
    folder = write_run(tmp_path, seeds=1, arms=arms, done=False, **SMALL)
    text = report(folder).read_text()
    assert "Run in progress" in text
    assert " solves " in text


def test_a_run_is_done_once_all_its_stages_are(tmp_path: Path) -> None:
    """The last report is written before the run is marked."""
    folder = write_run(tmp_path, seeds=2, done=False, **SMALL)
    assert not load_run(folder).is_done
    for seed in (0, 1):
        for arm in ("sft", "grpo"):
            (folder / f"seed_{seed}" / arm / "done.json").write_text("{}")
    assert load_run(folder).is_done


def test_damaged_files_cost_only_themselves(one_seed: Path) -> None:
    seed = one_seed / "seed_0"
    with (seed / "evals.jsonl").open("a") as file:
        file.write('{"arm": "sft"}\n{"arm": "sft", "step": 9, "cell": "id", "met')
    next((seed / "evals" / "cells").glob("sft_*.npz")).write_bytes(b"not a zip file")
    (one_seed / "environment.json").write_text("{")
    next((seed / "episodes").glob("*.jsonl")).write_text('{"turns": [1, null, {}]}\nx\n')
    shutil.rmtree(seed / "grpo")
    text = report(one_seed).read_text()
    assert "evals.jsonl line" in text
    assert "environment.json could not be read" in text


def test_folders_that_are_no_runs_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("mine")
    for folder, reason in [
        (tmp_path, "must hold config.yaml"),
        (tmp_path / "no", "must be a folder"),
    ]:
        assert main([str(folder)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("cardinal report: run ")
        assert reason in said
        assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    with pytest.raises(NotARun):
        load_run(tmp_path)


def test_a_folder_of_runs_names_them(one_seed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(one_seed.parent)]) == 2
    assert "(full); got the folder itself" in capsys.readouterr().err


def test_the_command_prints_where_the_page_is(
    five_seeds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(five_seeds)]) == 0
    assert capsys.readouterr().out.strip() == str(five_seeds / "report" / "index.html")
