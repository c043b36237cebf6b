"""A recipe's figures and page, from results made by hand, and from a finished folder alone."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cardinal_gym.training.files import plain
from cardinal_gym.training.recipes.figures import all_figures
from cardinal_gym.training.recipes.gains import tokens_saved
from cardinal_gym.training.recipes.outline import is_recipe, outline_of, read_outline
from cardinal_gym.training.recipes.over_training import curve, differences
from cardinal_gym.training.recipes.plan import planned
from cardinal_gym.training.recipes.report import report_again
from cardinal_gym.training.recipes.summary import summary
from cardinal_gym.training.recipes.tables import all_tables
from cardinal_gym.training.report import main
from cardinal_gym.training.report.results import NotARun
from cardinal_gym.training.statistics import Cluster
from test_recipe_summary import recipe, write_results


def finished(root: Path) -> Path:
    """A folder as `cardinal run` leaves it."""
    write_results(root)
    stored = plain({"command": "run", **dataclasses.asdict(recipe())})
    (root / "config.yaml").write_text(yaml.safe_dump(stored, sort_keys=False))
    return root


def test_a_finished_folder_gives_its_report_again(tmp_path: Path) -> None:
    root, config = finished(tmp_path), recipe()
    assert is_recipe(root)
    assert read_outline(root) == outline_of(config, planned(config))
    page = report_again(root).read_text()
    found = json.loads((root / "recipe.json").read_text())
    assert found == json.loads(json.dumps(summary(outline_of(config, planned(config)), root)))
    assert "http" not in page.split("</style>")[1].replace("http://www.w3.org", "")
    for table in all_tables(found):
        assert table.title in page
        assert all(name in page for name in table.head)
    names = [path.name for path in sorted((root / "report" / "figures").glob("*.svg"))]
    assert names == ["mine_asked.svg", "mine_training.svg"]
    text = (root / "recipe.md").read_text()
    assert all(f"](report/figures/{name})" in text for name in names)


def test_a_folder_without_a_measured_seed_or_of_another_command_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        NotARun, match=r"run must be the folder of a recipe, with config\.yaml; got"
    ):
        report_again(tmp_path)
    root = finished(tmp_path / "mine")
    next((root / "seed_0" / "measured").glob("rl_*.npz")).unlink()
    with pytest.raises(NotARun, match=r"stages.measured must have been measured; got no complete"):
        report_again(root)


def test_a_hand_is_one_observation_whatever_its_target_unless_asked(tmp_path: Path) -> None:
    root = finished(tmp_path)
    for path in (root / "seed_0" / "measured").glob("*.npz"):
        columns = dict(np.load(path))
        columns["task_id"] = ["1-2|3", "1-2|2", "1-5|5", "1-5|6"]
        np.savez(path, **columns)
    told = {}
    for cluster in ("hand", "task"):
        assert main([str(root), "--cluster", cluster]) == 0
        (evaluation,) = json.loads((root / "recipe.json").read_text())["evaluations"]
        row = evaluation["policies"][0]
        told[cluster] = evaluation["unit"], row["num_units"], row["tokens"]["num_tasks"]
        assert f"| n | {evaluation['unit']} |" in (root / "recipe.md").read_text()
        assert f"95 %, over {evaluation['unit']}; differences" in (
            (root / "report" / "index.html").read_text()
        )
    assert told == {"hand": ("hands", 2, 2), "task": ("hands with their targets", 4, 4)}
    stored = yaml.safe_load((root / "config.yaml").read_text())
    stored["env"]["id"] = "cardinal/StreetNav-v0"
    (root / "config.yaml").write_text(yaml.safe_dump(stored, sort_keys=False))
    assert read_outline(root).game.units[Cluster.task] == "routes"


def test_stages_of_another_version_are_read_as_far_as_they_are_known(tmp_path: Path) -> None:
    root = finished(tmp_path)
    stored = yaml.safe_load((root / "config.yaml").read_text())
    stored["stages"]["rl"]["of_tomorrow"] = 3
    del stored["stages"]["rl"]["judges"]
    (root / "config.yaml").write_text(yaml.safe_dump(stored, sort_keys=False))
    assert [stage.start for stage in read_outline(root).stages] == [None, "base", "warm", None]


def test_the_figures_follow_what_there_is_to_tell(tmp_path: Path) -> None:
    config = recipe()
    write_results(tmp_path)
    found = summary(outline_of(config, planned(config)), tmp_path)
    assert [each.name for each in all_figures(found)] == ["mine_asked", "mine_training"]
    for row in found["evaluations"][0]["policies"]:
        del row["asked"]
        row["judged"] = {"head": {"score": row["success"]}}
    found["training"] = []
    drawn = all_figures(found)
    assert [each.name for each in drawn] == ["mine_policies", "mine_gains", "mine_judged"]
    assert all(each.png.startswith(b"\x89PNG") for each in drawn)
    assert "rl over warm" in drawn[1].svg
    assert "rl, by head" in drawn[2].svg


def test_a_curve_is_the_mean_over_seeds_of_each_tenth() -> None:
    first: list[float | None] = [float(step) for step in range(20)]
    second: list[float | None] = [None] * 10 + [1.0] * 10
    parts = curve([first, second])
    assert len(parts) == 10
    assert (parts[0]["at"], parts[0]["estimate"], parts[0]["n"]) == (0.05, 0.5, 1)
    assert parts[0]["low"] is None
    assert (parts[9]["estimate"], parts[9]["n"]) == ((18.5 + 1.0) / 2, 2)
    assert parts[9]["low"] < parts[9]["estimate"] < parts[9]["high"]


def test_stages_side_by_side_are_compared_over_all_of_training_by_seed(tmp_path: Path) -> None:
    for seed, lengths in enumerate([(40.0, 50.0), (44.0, 52.0), (60.0, None)]):
        for stage, length in zip(("a", "b"), lengths, strict=True):
            folder = tmp_path / f"seed_{seed}" / stage
            folder.mkdir(parents=True)
            row = {} if length is None else {"episodes/mean_tokens": length}
            (folder / "metrics.jsonl").write_text(json.dumps({"step": 1, **row}) + "\n")
    (found,) = differences(tmp_path, [("a", "b")], [0, 1, 2])
    assert (found["metric"], found["by_seed"]) == ("episodes/mean_tokens", [10.0, 8.0])
    assert found["change"]["estimate"] == 9.0


def test_tokens_saved_are_a_ratio_of_means_with_the_paired_spread() -> None:
    rng = np.random.default_rng(0)
    shared: dict[str, Any] = {
        "unit": np.repeat([f"task {i}" for i in range(200)], 3),
        "run_seed": np.tile([0, 1, 2], 200),
    }
    before = rng.uniform(20, 100, 600)
    after = 0.8 * before + rng.normal(0, 1, 600)
    found = tokens_saved({"num_tokens": before, **shared}, {"num_tokens": after, **shared})
    assert found.estimate == pytest.approx(1 - after.mean() / before.mean())
    assert found.low < 0.2 < found.high
    assert found.high - found.low < 0.02  # answers of any length, alike by 20 %
