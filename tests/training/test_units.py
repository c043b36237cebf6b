"""What is one observation: a hand of cards whatever its target, unless the target is to count."""

from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.training.report import load_run, main
from cardinal_gym.training.report.analysis import table
from cardinal_gym.training.statistics import Cluster, units
from eval_folders import write_eval


def test_a_hand_is_its_sorted_values_and_a_route_its_path() -> None:
    ids = np.array(["1-3-5-10|3", "1-3-5-10|27", "2-3-5-10|3", "city-5/0a1b"])
    assert units(ids).tolist() == ["1-3-5-10", "1-3-5-10", "2-3-5-10", "city-5/0a1b"]
    assert units(ids, Cluster.task).tolist() == ids.tolist()
    assert units([]).size == 0


@pytest.fixture
def drawn_targets(tmp_path: Path) -> Path:
    """A hundred tasks, which are twenty-five hands with four targets each."""
    folder = write_eval(tmp_path / "gp_l" / "a", "random", 0.4)
    for path in (folder / "seed_0" / "evals" / "cells").glob("*.npz"):
        columns = dict(np.load(path))
        columns["task_id"] = [f"{int(i[:3]) // 4}|{int(i[:3]) % 4}" for i in columns["task_id"]]
        np.savez(path, **columns)
    return folder


def test_reports_cluster_by_hand_and_by_task_where_asked(drawn_targets: Path) -> None:
    rates = {each: table(load_run(drawn_targets, each))[0].rates["base"] for each in Cluster}
    assert {each: rate.num_tasks for each, rate in rates.items()} == {
        Cluster.hand: 25,
        Cluster.task: 100,
    }
    assert rates[Cluster.hand].estimate == rates[Cluster.task].estimate
    width = {each: rate.high - rate.low for each, rate in rates.items()}
    assert width[Cluster.hand] > 1.5 * width[Cluster.task]  # targets of one hand agree here


def test_the_page_says_what_its_tasks_are(
    drawn_targets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for choice, said in (("task", "hands with their targets."), ("hand", "whatever their targets")):
        assert main([str(drawn_targets), "--cluster", choice]) == 0
        assert (
            f"Tasks are distinct hands{' with' * (choice == 'task')}"
            in Path(capsys.readouterr().out.strip()).read_text()
        )
        assert said in (drawn_targets / "report" / "index.html").read_text()
    with pytest.raises(SystemExit, match="2"):
        main([str(drawn_targets), "--cluster", "deck"])
    assert "invalid choice: 'deck'" in capsys.readouterr().err
