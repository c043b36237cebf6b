"""Attempts, turns, tokens and rewards of final policies, counted from per-episode arrays."""

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml
from cardinal_gym.training.report import export, load_run, summary
from cardinal_gym.training.report.analysis import table
from cardinal_gym.training.report.measures import Measure, measures
from cardinal_gym.training.report.tables import measures as lines_of
from cardinal_gym.training.statistics import clustered_mean, clustered_rate
from report_fixture import write_run

COUNT = 48


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """One seed, one metric's arrays as files of today: four attempts at each of twelve deals."""
    folder = write_run(
        tmp_path, seeds=1, milestones=1, episodes=COUNT, final_episodes=COUNT, samples=0
    )
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["env"]["max_turns"] = 5
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    for path in folder.glob("seed_0/evals/cells/*within_turns.npz"):
        rewrite(path)
    return folder


def rewrite(path: Path) -> None:
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored}
    deal = np.arange(COUNT) // 4
    rng = np.random.default_rng(len(path.name))
    arrays |= {
        "task_id": arrays["task_id"][deal], "seed": arrays["seed"][deal],
        "sample": np.arange(COUNT) % 4, "num_turns": rng.integers(1, 6, size=COUNT),
        "num_tokens": rng.integers(20, 200, size=COUNT),
        "return": rng.random(COUNT).astype(np.float32),
        "reward/accuracy": arrays["success"].astype(np.float32),
        "reward/format": np.where(np.arange(COUNT) == 0, np.nan, 1.0),
    }  # fmt: skip
    np.savez(path, **arrays)


def test_everything_is_counted_from_the_arrays(run_folder: Path) -> None:
    run = load_run(run_folder)
    found = by_name(measures(run), "success_within_turns", "id", "grpo")
    with np.load(run_folder / "seed_0/evals/cells/grpo_000293_id_success_within_turns.npz") as file:
        stored = {name: file[name] for name in file}
    success, ids = stored["success"], stored["task_id"]
    grid = success.reshape(-1, 4)
    rate = clustered_rate(success, ids)
    assert found["pass@1"].value.estimate == pytest.approx(rate.estimate)
    assert found["pass@4"].value.estimate == grid.any(axis=1).mean()
    assert found["pass^4"].value.estimate == grid.all(axis=1).mean()
    assert found["pass@4"].value.n == 12
    for turn in (1, 3, 5):
        expected = clustered_rate(success & (stored["num_turns"] <= turn), ids)
        assert found[f"solved by turn {turn}"].value == expected
    assert found["solved by turn 5"].value == rate
    assert "solved by turn 10" not in found
    assert found["tokens per episode"].value == clustered_mean(stored["num_tokens"], ids)
    assert found["reward: accuracy"].value.estimate == pytest.approx(success.mean())
    assert (found["reward: format"].value.estimate, found["reward: format"].value.n) == (1, 47)
    assert not found["return"].is_share


def test_free_walks_tell_spl_ndtw_and_how_far_from_the_destination_they_ended(
    run_folder: Path,
) -> None:
    folder = run_folder / "seed_0/evals/cells"
    rng = np.random.default_rng(0)
    walked = {
        "spl": rng.random(COUNT).astype(np.float32),
        "ndtw": rng.random(COUNT).astype(np.float32),
        "distance_m": 300 * rng.random(COUNT).astype(np.float32),
    }
    for name in ("grpo_000293_id", "grpo_000293_ood_ranks"):
        path = folder / f"{name}_success_within_turns.npz"
        with np.load(path) as stored:
            arrays = {key: stored[key] for key in stored}
        is_free = name.endswith("id")  # elsewhere, as on the rail, there is nothing to tell
        nothing = np.full(COUNT, np.nan, np.float32)
        np.savez(path, **arrays, **{k: v if is_free else nothing for k, v in walked.items()})
    rows = measures(load_run(run_folder))
    found = by_name(rows, "success_within_turns", "id", "grpo")
    assert found["SPL"].is_share
    assert found["SPL"].value == clustered_mean(walked["spl"], arrays_of(folder)["task_id"])
    assert found["nDTW"].value.estimate == pytest.approx(walked["ndtw"].mean(), rel=1e-5)
    metres = found["metres from the destination"]
    assert (metres.is_share, metres.value.n) == (False, COUNT)
    assert metres.value.estimate == pytest.approx(walked["distance_m"].mean(), rel=1e-5)
    assert "SPL" not in by_name(rows, "success_within_turns", "ood_ranks", "grpo")
    assert "within_turns,id,grpo,nDTW,1,0." in export.measures_csv(rows)


def arrays_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "grpo_000293_id_success_within_turns.npz") as stored:
        return {name: stored[name] for name in stored}


def test_files_of_older_versions_tell_less(run_folder: Path) -> None:
    found = by_name(measures(load_run(run_folder)), "greedy_single", "ood_ranks", "sft")
    assert set(found) == {"answers per episode", "tokens per episode"}
    assert found["tokens per episode"].value.estimate == 30


def test_attempts_are_paired_by_their_number(run_folder: Path) -> None:
    """Four attempts share a reset seed: each meets its own, in whatever order files hold them."""
    before = table(load_run(run_folder))[0].differences["sft", "grpo"]
    assert before.n == COUNT
    assert before.num_tasks <= 12
    path = run_folder / "seed_0/evals/cells/sft_000662_id_success_within_turns.npz"
    with np.load(path) as stored:
        order = np.random.default_rng(0).permutation(COUNT)
        arrays = {name: stored[name][order] for name in stored}
    np.savez(path, **arrays)
    assert table(load_run(run_folder))[0].differences["sft", "grpo"] == before


def test_every_measure_has_its_interval_and_n(run_folder: Path) -> None:
    run = load_run(run_folder)
    rows = measures(run)
    lines = list(csv.DictReader(export.measures_csv(rows).splitlines()))
    assert len(lines) == len(rows) > 50
    for line in lines:
        assert float(line["low"]) <= float(line["value"]) <= float(line["high"])
        assert int(line["n"]) > 0
        assert 0 < int(line["num_tasks"]) <= COUNT
    within = [row for row in rows if row.metric == "success_within_turns"]
    shown = lines_of(run, within)
    assert len(shown) == len(within) / 3
    assert all(line["size"].startswith("n = ") for line in shown)
    assert all("[" in value["interval"] for line in shown for value in line["values"])
    (first,) = [line for line in shown if line["name"] == "pass@4" and "distrib" in line["title"]]
    assert first["values"][0]["value"].endswith("%")


def test_the_terminal_tells_of_several_attempts(run_folder: Path) -> None:
    run, said = load_run(run_folder), summary(run_folder).splitlines()
    found = by_name(measures(run), "success_within_turns", "ood_ranks", "sft")["pass@4"].value
    place = next(k for k, line in enumerate(said) if line.startswith("several attempts %"))
    told = [f"{100 * x:.1f}" for x in (found.estimate, found.low, found.high)]
    (line,) = [line for line in said[place:] if line.startswith("  ood_ranks pass@4 ")]
    assert f"{told[0]} [{told[1]}, {told[2]}]" in line
    assert not any("pass@1 " in line for line in said)


def by_name(rows: list[Measure], metric: str, cell: str, arm: str) -> dict[str, Measure]:
    wanted = (metric, cell, arm)
    return {row.name: row for row in rows if (row.metric, row.cell, row.arm) == wanted}
