"""What stands beside every comparison: corrected p, McNemar's test, what n could have seen."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.training.report import latex, load_run, summary
from cardinal_gym.training.report.analysis import TableRow, table
from cardinal_gym.training.report.comparisons import over_cells, sight, sight_words
from cardinal_gym.training.report.matching import all_matched
from cardinal_gym.training.report.verdict import judge
from cardinal_gym.training.report.words import grouped
from cardinal_gym.training.statistics import (
    PairedDifference,
    detectable,
    holm,
    mcnemar,
    needed_tasks,
    paired_difference,
)


@pytest.fixture(scope="module")
def rows(pictures: Path) -> list[TableRow]:
    return table(load_run(pictures))


def test_a_family_is_all_cells_of_a_metric_and_pair_of_arms(rows: list[TableRow]) -> None:
    for metric in {row.metric for row in rows}:
        for pair in (("base", "sft"), ("base", "grpo"), ("sft", "grpo")):
            family = [row.differences[pair] for row in rows if row.metric == metric]
            assert len(family) == 3
            expected = holm([found.p_value for found in family])
            assert [found.adjusted_p for found in family] == pytest.approx(expected.tolist())
            assert {found.num_compared for found in family} == {3}


def test_metrics_and_pairs_are_corrected_apart() -> None:
    first, second = compared(0.2), compared(0.1)
    tables = [{("a", "b"): first, ("a", "c"): second}, {("a", "b"): second}, {("a", "b"): first}]
    one, two, three = over_cells(tables, ["m", "m", "other"])
    assert [found.num_compared for found in one.values()] == [2, 1]
    assert one["a", "b"].adjusted_p == pytest.approx(2 * first.p_value)
    assert two["a", "b"].num_compared == 2
    assert three["a", "b"].adjusted_p == first.p_value


def test_checkpoints_at_equal_id_success_are_a_family(pictures: Path) -> None:
    matches = all_matched(load_run(pictures), "success_within_turns")
    assert [match.cell for match in matches] == ["ood_ranks", "ood_red"]
    expected = holm([match.difference.p_value for match in matches])
    assert [m.difference.adjusted_p for m in matches] == pytest.approx(expected.tolist())


def test_mcnemars_test_is_of_the_same_episodes(rows: list[TableRow]) -> None:
    for row in rows:
        for pair, found in row.differences.items():
            exact = row.mcnemars[pair]
            assert (exact.n, exact.num_tasks) == (found.n, found.num_tasks)
            assert (exact.only_a, exact.only_b) == (found.only_a, found.only_b)


def test_the_files_hold_all_of_it(pictures: Path, rows: list[TableRow]) -> None:
    with (pictures / "report" / "tables" / "differences.csv").open() as file:
        lines = {(r["metric"], r["cell"], r["from"], r["to"]): r for r in csv.DictReader(file)}
    assert len(lines) == 3 * 3 * 3
    row = rows[1]
    for (a, b), found in row.differences.items():
        line, known = lines[row.metric, row.cell, a, b], sight(found)
        assert float(line["holm_p"]) == pytest.approx(found.adjusted_p, rel=1e-2)
        assert float(line["mcnemar_p"]) == pytest.approx(row.mcnemars[a, b].flip_p, rel=1e-2)
        assert float(line["detectable"]) == pytest.approx(known.detectable, abs=1e-5)
        assert line["tasks_for_target"] == ("" if known.tasks is None else str(known.tasks))
    with (pictures / "report" / "tables" / "matched.csv").open() as file:
        assert all(0 < float(line["detectable"]) < 1 for line in csv.DictReader(file))


def test_every_comparison_on_the_page_says_what_it_could_have_seen(pictures: Path) -> None:
    text = (pictures / "report" / "index.html").read_text()
    told = re.findall(
        r"<td>\d+\.\d points<small>[125] points? would need [^<]+ tasks</small></td>", text
    )
    assert len(told) == 3 * 3 * 3
    assert text.count("Holm p ") >= 2 * 3 * 3 * 3  # in the table, and beside what was seen
    assert text.count("Not corrected for the number of comparisons") == 0


def test_the_terminal_tells_it_too(pictures: Path, rows: list[TableRow]) -> None:
    said = summary(pictures).splitlines()
    place = next(k for k, line in enumerate(said) if line.startswith("points seen"))
    seen = detectable(rows[0].differences["base", "sft"])
    assert seen is not None
    assert said[place + 2].split()[1] == f"{100 * seen:.1f};"
    corrected = next(k for k, line in enumerate(said) if line.startswith("p after Holm"))
    assert re.search(r"(<?0\.\d{3} of 3 +){2}<?\d\.\d{3} of 3", said[corrected + 2])


def test_a_sight_names_the_next_smaller_target() -> None:
    found = compared(0.1)
    known = sight(found)
    assert known.detectable == detectable(found)
    assert 0.05 < (known.detectable or 0) < 0.2
    assert known.target == 0.05
    assert known.tasks == needed_tasks(found, 0.05)
    expected = f"200 tasks see {100 * (known.detectable or 0):.1f} points; "
    assert sight_words(found) == f"{expected}5 points would need {grouped(known.tasks or 0)} tasks"


def test_a_sight_knows_when_nothing_helps() -> None:
    rng = np.random.default_rng(0)
    ids, seeds = np.tile(np.arange(3), 4), np.repeat(np.arange(4), 3)
    found = paired_difference(rng.random(12) < 0.5, seeds % 2, ids, seeds)
    assert sight_words(found).startswith("3 tasks, 4 seeds see ")
    never = replace(sight(found), detectable=0.9, target=0.05, tasks=None, seeds=None)
    assert never.tasks is None
    few = paired_difference([0, 1, 1], [1, 0, 1], ["x", "y", "z"])
    assert sight_words(few) == "3 tasks see no difference"


def test_headlines_claim_what_stands_after_the_correction(rows: list[TableRow]) -> None:
    """The same differences, once clear and once not clear among many."""
    said = judge(rows, [], rows[0].metric, is_done=True, has_one_base=False)
    assert "SFT loses success" in said.headline
    weaker = [
        replace(row, differences={pair: replace(found, adjusted_p=0.3)
                                  for pair, found in row.differences.items()})
        for row in rows
    ]  # fmt: skip
    unsaid = judge(weaker, [], rows[0].metric, is_done=True, has_one_base=False)
    assert unsaid.headline.endswith("SFT and GRPO cannot be told apart.")
    (caution,) = [text for text in unsaid.cautions if text.startswith("Not clear after Holm's")]
    assert "GRPO − SFT with faces as ranks" in caution


def test_latex_tables_are_whole(pictures: Path, rows: list[TableRow]) -> None:
    tables = pictures / "report" / "tables"
    for name, columns in (("final.tex", 6), ("differences.tex", 9)):
        text = (tables / name).read_text()
        lines = [line for line in text.splitlines() if line.endswith(r"\\")]
        parts = [line for line in lines if r"\multicolumn" in line]
        assert len(parts) == 3
        assert {line.count(" & ") for line in lines if line not in parts} == {columns - 1}
        assert text.count("{") == text.count("}")
        assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
        assert text.isascii()
    rate = rows[0].rates["sft"]
    told = f"{100 * rate.estimate:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
    assert told in (tables / "final.tex").read_text()


def test_latex_prints_any_name() -> None:
    assert latex.escaped("50% of a_b & {x}\\") == r"50\% of a\_b \& \{x\}\textbackslash{}"


def compared(gain: float) -> PairedDifference:
    rng = np.random.default_rng(1)
    a, b = rng.random(200) < 0.3, rng.random(200) < 0.3 + gain
    assert mcnemar(a, b, np.arange(200)).n == 200
    return paired_difference(a, b, np.arange(200))
