"""The reproduction's report: its numbers are those of the runs, and it leaves the runs alone."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.training.report import analysis
from cardinal_gym.training.report.load import load_run
from cardinal_gym.training.reproduce import plan
from cardinal_gym.training.reproduce.build import build_report
from cardinal_gym.training.reproduce.config import ReproduceConfig
from cardinal_gym.training.reproduce.contamination import overlaps
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
    made = {"gp_l": finished(root), "gp_vl": finished(root, image=True)}
    for folder, seen in zip(made.values(), (0, 2), strict=True):
        told = {"num_tasks": 40, "seen": {"warmup": 0, "grpo": seen}}
        record = {"unit": "hand", "measured": {"id": told, "ood_ranks": told}}
        (folder / "contamination.json").write_text(json.dumps(record))
    return made


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


def test_tasks_that_were_trained_on_are_flagged_by_cell(page: Path, found: Findings) -> None:
    told = {(row.label, row.cell): (row.is_bad, row.is_recorded) for row in found.overlaps}
    assert told["gp_l", "ood_ranks"] == (False, True)
    assert told["gp_vl", "ood_ranks"] == (True, True)
    text = (page.parent / "reproduce.md").read_text()
    assert "WARNING: evaluation tasks were trained on (gp_vl, id; gp_vl, ood_ranks)" in text
    assert "0 of 40 tasks are among the first of warm-up, GRPO | recorded in the run" in text
    assert "**OVERLAP**: of 40 tasks, 2 in GRPO too" in text
    assert "WARNING: evaluation tasks were trained on" in page.read_text()


def test_a_run_without_a_record_has_its_tasks_dealt_again(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    (run,) = planned(chosen("gp_l", runs={"gp_l": folder}), [])
    rows = overlaps([replace(run, differs=())], {"gp_l": load_run(folder)})
    assert [(row.cell, row.is_recorded, row.is_bad) for row in rows] == [
        ("id", False, False), ("ood_ranks", False, False),
    ]  # fmt: skip
    assert set(rows[0].seen) == {"pretrain", "warmup", "sft", "grpo"}
    assert rows[0].num_tasks > 100
    assert overlaps([replace(run, differs=("env.targets=[10]",))], {"gp_l": load_run(folder)}) == []


def test_every_comparison_tells_what_it_could_have_seen(page: Path) -> None:
    rows = rows_of(page.parent / "cells.csv")
    known = [row for row in rows if row["verdict"] != "not measured"]
    assert known
    assert all(0 < float(row["detectable"]) <= 1 for row in known)
    text = (page.parent / "reproduce.md").read_text()
    claims = [line for line in text.splitlines() if line.startswith("| | here, n = ")]
    assert claims
    assert all(line.count("; sees ") == 3 for line in claims)
    assert page.read_text().count('class="sees"') >= 3 * len(claims)


def test_the_cells_are_a_latex_table(page: Path) -> None:
    lines = (page.parent / "cells.tex").read_text().splitlines()
    assert lines[2] == r"\begin{tabular}{llccccccrrr}"
    body = [line for line in lines if line.endswith(r"\\")]
    assert {line.count("&") for line in body} == {10}
    assert body[1].startswith("GP-L, rule & published & 11.5 & 3.4 & 15.0 & $-8.1$")
    assert "(sees " in body[2]


def test_a_report_of_what_has_finished_says_what_is_missing(
    config: ReproduceConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    studies = {name: config.studies[name] for name in ("gp_l", "gp_vl")}
    studies["gp_vl"] = replace(studies["gp_vl"], run=None)
    part = replace(config, studies=studies, report_only=True, output_dir=str(tmp_path))
    one = tmp_path / "reproduce" / "default" / "gp_vl" / "seed_0" / "base"
    one.mkdir(parents=True)
    (one / "done.json").write_text("{}")
    page = reproduce(part, [])
    assert page is not None
    said = "Not finished, and left out: gp_vl (1 of 15 policies are there); the same command with"
    assert said in capsys.readouterr().out
    assert said in page.read_text()
    assert not (tmp_path / "reproduce" / "default" / "config.yaml").exists()
    with pytest.raises(ValueError, match="report_only must have a finished run to report on"):
        reproduce(replace(part, only=["gp_vl"]), [])


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
