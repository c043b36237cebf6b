"""The numbers of a report: counted from the files, with n and an interval each."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.training.report import analysis, load_run, report
from cardinal_gym.training.report.matching import matched
from cardinal_gym.training.report.results import Run


def test_the_table_counts_what_the_files_count(five_seeds: Path) -> None:
    run = load_run(five_seeds)
    row = next(r for r in analysis.table(run) if r.cell == "ood_ranks")
    lines = [
        json.loads(line)
        for path in sorted(five_seeds.glob("seed_*/evals.jsonl"))
        for line in path.read_text().splitlines()
    ]
    last = max(line["step"] for line in lines if line["arm"] == "grpo")
    kept = [
        line
        for line in lines
        if (line["arm"], line["step"], line["cell"]) == ("grpo", last, "ood_ranks")
        and line["metric"] == row.metric
    ]
    rate = row.rates["grpo"]
    assert rate.estimate == sum(line["successes"] for line in kept) / (5 * 192)
    assert (rate.n, rate.num_seeds, rate.num_tasks) == (960, 5, kept[0]["num_tasks"])
    assert rate.low < rate.estimate < rate.high
    gap = row.differences["sft", "grpo"]
    assert gap.estimate == pytest.approx(rate.estimate - row.rates["sft"].estimate)


def test_differences_pair_the_same_deal(one_seed: Path) -> None:
    """The order of episodes in a file says nothing: the reset seed does."""
    before = analysis.table(load_run(one_seed))[0].differences["sft", "grpo"]
    path = next(one_seed.glob("seed_0/evals/cells/grpo_000293_id_success*.npz"))
    with np.load(path) as stored:
        arrays = {name: stored[name][::-1] for name in stored}
    np.savez(path, **arrays)
    assert analysis.table(load_run(one_seed))[0].differences["sft", "grpo"] == before


def test_milestones_with_fewer_episodes_are_compared_on_the_common_ones(one_seed: Path) -> None:
    match = matched(load_run(one_seed), "ood_ranks", "success_within_turns")
    assert match is not None
    assert match.difference.n in (96, 192)
    first, second = match.steps[0][1:]
    assert first > 0
    assert second > 0


def test_a_curve_begins_at_the_base_and_ends_at_the_final_policy(five_seeds: Path) -> None:
    run = load_run(five_seeds)
    curve = analysis.curve(run, "sft", "ood_ranks", "greedy_single")
    assert [len(line) for line in curve.lines.values()] == [4] * 5
    assert (curve.points[0].flops, curve.points[0].step) == (0, 0)
    assert curve.points[-1].flops == pytest.approx(1.03e13)


def test_compute_is_accounted_by_stage(five_seeds: Path) -> None:
    rows = {row.arm: row for row in analysis.spending(load_run(five_seeds))}
    assert list(rows) == ["pretrain", "warmup", "sft", "grpo"]
    assert rows["pretrain"].amounts["flops"] == 6 * 800_000 * 2_000_000
    assert rows["grpo"].amounts["cpu_s"] == 400


def test_without_episode_files_intervals_are_plain_ones(one_seed: Path) -> None:
    shutil.rmtree(one_seed / "seed_0" / "evals")
    row = analysis.table(load_run(one_seed))[0]
    assert row.differences == {}
    assert row.rates["sft"].n == 192
    report(one_seed)


def test_equal_id_success_has_intervals_on_every_rate(one_seed: Path) -> None:
    match = matched(load_run(one_seed), "ood_ranks", "success_within_turns")
    assert match is not None
    for rate in (*match.rates, *match.id_rates):
        assert rate.low < rate.estimate < rate.high
        assert rate.n in (96, 192)
    first, second = match.rates
    assert first.n == second.n == match.difference.n
    assert match.difference.estimate == pytest.approx(second.estimate - first.estimate)


def test_recognition_stands_beside_success_where_there_are_pictures(
    pictures: Path, five_seeds: Path
) -> None:
    lines = evaluations(pictures)
    for row in analysis.table(load_run(pictures)):
        assert row.recognition.keys() == row.rates.keys() == {"base", "sft", "grpo"}
        for arm, read in row.recognition.items():
            found = [
                line for line in lines
                if (line["arm"], line["cell"], line["metric"]) == (arm, row.cell, row.metric)
            ]  # fmt: skip
            last = max(found, key=lambda line: line["step"])
            assert read.estimate == last["recognized"] / last["n"]
            assert (read.n, read.num_tasks) == (192, last["num_tasks"])
            assert read.low < read.estimate < read.high
    assert not any(row.recognition for row in analysis.table(load_run(five_seeds)))


def test_the_tables_name_n_and_limits_of_every_rate(pictures: Path) -> None:
    tables = pictures / "report" / "tables"
    expected = {
        "final.csv": ("", "recognition_"),
        "outcomes.csv": ("",),
        "matched.csv": ("id_first_", "id_second_", "ood_first_", "ood_second_"),
    }
    for name, kinds in expected.items():
        with (tables / name).open() as file:
            rows = list(csv.DictReader(file))
        assert rows, name
        for row in rows:
            for kind in kinds:
                low, rate, high = (float(row[kind + key]) for key in ("low", "rate", "high"))
                assert low <= rate <= high
                assert int(row[kind + "n"]) in (96, 192)


def test_an_outcome_clusters_as_success_does(five_seeds: Path, one_seed: Path) -> None:
    assert_shares_hold(load_run(five_seeds))
    for path in one_seed.glob("seed_0/evals/cells/*.npz"):  # as older runs wrote them
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored if name != "outcome"}
        np.savez(path, **arrays)
    assert_shares_hold(load_run(one_seed))


def assert_shares_hold(run: Run) -> None:
    rates = {
        (row.metric, row.cell, arm): rate
        for row in analysis.table(run)
        for arm, rate in row.rates.items()
    }
    rows = analysis.outcome_rows(run)
    assert {(row.metric, row.cell, row.arm) for row in rows} == rates.keys()
    for row in rows:
        assert sum(share.estimate for share in row.shares.values()) == pytest.approx(1)
        assert row.shares["correct"] == rates[row.metric, row.cell, row.arm]
        assert all(share.low < share.high for share in row.shares.values())


def evaluations(folder: Path) -> list[dict]:
    return [
        json.loads(line)
        for path in sorted(folder.glob("seed_*/evals.jsonl"))
        for line in path.read_text().splitlines()
    ]
