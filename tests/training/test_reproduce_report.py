"""The reproduction's report: its numbers are those of the runs, and it leaves the runs alone."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.training.report import analysis
from cardinal_gym.training.report.load import load_run
from cardinal_gym.training.reproduce import plan
from cardinal_gym.training.reproduce.build import build_report
from cardinal_gym.training.reproduce.config import ReproduceConfig
from cardinal_gym.training.reproduce.details import gains
from cardinal_gym.training.reproduce.findings import METRIC, Findings, findings
from cardinal_gym.training.reproduce.plan import planned
from cardinal_gym.training.reproduce.runner import reproduce
from cardinal_gym.training.reproduce.words import counts, headline
from test_reproduce import chosen, compose_once, finished


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("taken")
    return {"gp_l": finished(root), "gp_vl": finished(root, image=True)}


@pytest.fixture(scope="module")
def config(
    folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReproduceConfig]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "compose_experiment", compose_once)
        yield chosen("gp_l", "gp_vl", runs=folders, output_dir=str(tmp_path_factory.mktemp("runs")))


@pytest.fixture(scope="module")
def found(config: ReproduceConfig) -> Findings:
    return findings(config, planned(config, []))


@pytest.fixture(scope="module")
def page(folders: dict[str, Path], config: ReproduceConfig) -> Path:
    """The page of a reproduction from two finished folders, which stay as they were."""
    before = {name: snapshot(folder) for name, folder in folders.items()}
    page = reproduce(config, [])
    assert page is not None
    assert {name: snapshot(folder) for name, folder in folders.items()} == before
    return page


def test_the_cells_have_the_numbers_of_the_runs_own_report(
    folders: dict[str, Path], found: Findings
) -> None:
    own = {row.cell: row for row in analysis.table(load_run(folders["gp_vl"]))[:3]}
    for cell in (cell for cell in found.cells if cell.study == "gp_vl"):
        row = own[cell.claim.cell]
        assert dict(cell.rates) == row.rates
        for pair, contrast in cell.contrasts.items():
            assert contrast.ours is not None
            assert contrast.ours.estimate == row.differences[pair].estimate
            assert contrast.ours.low == row.differences[pair].low
            assert contrast.ours.num_compared == 3  # of the six, those that were measured


def test_unmeasured_cells_are_told_and_not_counted(found: Findings) -> None:
    assert len(found.cells) == 6
    assert [cell.study for cell in found.cells if not cell.rates] == ["nav_l", "nav_vl", "nav_vl"]
    assert "3 cells" in headline(found)
    assert all("of 3 cells" in line for line in counts(found))


def test_the_files_tell_the_same_verdicts(page: Path) -> None:
    cells = rows_of(page.parent / "cells.csv")
    assert len(cells) == 18
    loss = next(r for r in cells if (r["title"], r["to"]) == ("GP-L, rule", "sft"))
    assert (loss["published_points"], loss["verdict"]) == ("-8.1", "reproduced")
    assert float(loss["high"]) < 0
    assert {row["verdict"] for row in cells if row["study"] == "nav_l"} == {"not measured"}
    text = (page.parent / "reproduce.md").read_text()
    assert "| **GP-L, rule** | published | 11.5 | 3.4 | 15.0 | −8.1 | +3.5 | +11.6 |" in text
    assert "reproduced" in text
    assert {"recognition.csv", "matched.csv", "rates.csv"} <= {
        p.name for p in page.parent.iterdir()
    }


def test_the_page_needs_no_network_and_tells_settings_that_differ(page: Path) -> None:
    html = page.read_text()
    outside = re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', html)
    assert outside == []
    assert "<script" not in html
    assert "gp_l was taken from a run with other settings" in html
    assert "arXiv 2501.17161" in html
    assert html.count("<svg") >= 2


def test_nothing_is_written_over_without_being_asked(page: Path, config: ReproduceConfig) -> None:
    with pytest.raises(ValueError, match="add resume=true to go on"):
        reproduce(config, [])


def test_a_report_without_any_cell_still_says_so(tmp_path: Path) -> None:
    page, summary = build_report(chosen("lr", output_dir=str(tmp_path)), [], tmp_path)
    assert "None of the study's six cells has been measured yet." in summary
    assert page.exists()


def test_gains_by_attempts_count_what_was_solved_by_then(folders: dict[str, Path]) -> None:
    run = load_run(folders["gp_l"])
    for each in run.evaluations:  # as if some had needed a second answer
        if each.metric == METRIC and each.episodes is not None:
            each.episodes.num_turns[::3] = 2  # type: ignore[index]
    first, second = (g for g in gains(run, METRIC, {1: 0.5, 2: 2.0}) if g.cell == "ood_ranks")

    def solved(arm: str, turns: int) -> float:
        last = analysis.finals(run, arm, "ood_ranks", METRIC).values()
        parts = [each.episodes for each in last]
        return float(np.mean([p.success & (p.num_turns <= turns) for p in parts]))  # type: ignore

    for gain, turns in ((first, 1), (second, 2)):
        assert gain.rates["grpo"].estimate == pytest.approx(solved("grpo", turns))
        ours = gain.gains["grpo"].estimate
        assert ours == pytest.approx(solved("grpo", turns) - solved("base", turns))
    grown = second.growth["grpo"].estimate
    assert grown == pytest.approx(second.gains["grpo"].estimate - first.gains["grpo"].estimate)
    assert first.growth == {}
