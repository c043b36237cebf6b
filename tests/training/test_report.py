"""The report of a run: its numbers, its words, and what it makes of incomplete or damaged runs."""

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.training.report import (
    NotARun,
    analysis,
    build,
    load_run,
    main,
    report,
    samples,
    style,
    words,
)
from report_fixture import write_run

SMALL = {"milestones": 3, "episodes": 96, "final_episodes": 192, "samples": 2}


@pytest.fixture(scope="module")
def five_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("runs"), seeds=5, **SMALL)
    report(folder)
    return folder


@pytest.fixture
def one_seed(tmp_path: Path) -> Path:
    return write_run(tmp_path, seeds=1, **SMALL)


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
    match = analysis.matched(load_run(one_seed), "ood_ranks", "success_within_turns")
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


def test_the_verdict_says_who_loses_and_by_how_much(five_seeds: Path) -> None:
    verdict = build.collect(load_run(five_seeds)).verdict
    assert verdict.headline.startswith("With faces as ranks, SFT loses success")
    assert re.search(r"GRPO − SFT = \+\d+\.\d points \[\+", verdict.details[0])
    assert verdict.cautions == ()


def test_one_seed_is_told_to_be_one(one_seed: Path) -> None:
    cautions = build.collect(load_run(one_seed)).verdict.cautions
    assert "One training seed" in cautions[0]


def test_no_difference_is_claimed_where_there_is_none(one_seed: Path) -> None:
    for path in one_seed.glob("seed_0/evals/cells/*.npz"):
        source = one_seed / "seed_0/evals/cells/base_000000_id_success_within_turns.npz"
        if path != source:
            shutil.copy(source, path)
    verdict = build.collect(load_run(one_seed)).verdict
    assert verdict.headline == "With faces as ranks, SFT and GRPO cannot be told apart."


def test_a_report_is_one_page_with_files_beside_it(five_seeds: Path) -> None:
    folder = five_seeds / "report"
    assert (folder / "index.html").is_file()
    assert (folder / "slide.png").read_bytes().startswith(samples.PNG_MAGIC)
    with (folder / "tables" / "differences.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["to"] for row in rows} == {"sft", "grpo"}
    assert all(float(row["low"]) <= float(row["difference"]) for row in rows)
    assert {path.suffix for path in (folder / "figures").iterdir()} == {".svg"}


def test_a_report_is_the_same_every_time(five_seeds: Path) -> None:
    page = five_seeds / "report" / "index.html"
    before = page.read_bytes()
    assert report(five_seeds) == page
    assert page.read_bytes() == before


def test_the_page_names_no_other_address(five_seeds: Path) -> None:
    class Addresses(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
                    self.found.append(value or "")

    reader = Addresses()
    reader.feed((five_seeds / "report" / "index.html").read_text())
    assert all(address.startswith(("#", "data:")) for address in reader.found)


def test_every_interval_stands_with_its_n(five_seeds: Path) -> None:
    text = (five_seeds / "report" / "index.html").read_text()
    assert text.count("n = 960, ") >= 2
    assert "5 seeds" in text


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


def test_without_episode_files_intervals_are_plain_ones(one_seed: Path) -> None:
    shutil.rmtree(one_seed / "seed_0" / "evals")
    row = analysis.table(load_run(one_seed))[0]
    assert row.differences == {}
    assert row.rates["sft"].n == 192
    report(one_seed)


def test_compute_that_was_not_recorded_leaves_steps(one_seed: Path) -> None:
    path = one_seed / "seed_0" / "evals.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [{k: v for k, v in line.items() if k != "flops"} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))
    assert "Compute was not recorded" in report(one_seed).read_text()


def test_pictures_of_an_image_run_are_in_the_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path, seeds=1, image=True, **SMALL)
    shown = samples.browser(samples.read_samples(load_run(folder)))
    assert len(shown.pictures) == 4  # two hands, black and red, each once
    assert "Reading the cards, solving the hand" in report(folder).read_text()


def test_numbers_that_a_browser_cannot_read_are_left_out(one_seed: Path) -> None:
    path = next((one_seed / "seed_0" / "episodes").glob("*.jsonl"))
    record = json.loads(path.read_text().splitlines()[0])
    record["return"], record["turns"][0]["reward"] = float("nan"), float("inf")
    record["turns"][0]["answer"] = "\ud800"
    path.write_text(json.dumps(record) + "\n")
    text = report(one_seed).read_text(encoding="utf-8")
    data = text.partition('id="data">')[2].partition("</script>")[0]

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    json.loads(data, parse_constant=refuse)


def test_a_text_run_says_nothing_of_reading(five_seeds: Path) -> None:
    assert "Reading the cards" not in (five_seeds / "report" / "index.html").read_text()


def test_a_picture_outside_its_folder_is_not_shown(one_seed: Path) -> None:
    secret = one_seed.parent / "secret.png"
    secret.write_bytes(samples.PNG_MAGIC)
    sample = samples.read_samples(load_run(one_seed))[0]
    assert samples.picture_path(sample, "../../../secret.png") is None
    assert samples.picture_path(sample, str(secret)) is None


def test_pictures_and_episodes_that_do_not_fit_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path, seeds=1, image=True, **SMALL)
    monkeypatch.setattr(samples, "MAX_PICTURE_BYTES", 1)
    monkeypatch.setattr(samples, "MAX_EPISODES", 3)
    shown = samples.browser(samples.read_samples(load_run(folder)))
    assert shown.pictures == []
    assert len(shown.episodes) == 3
    assert "3 of 18 stored episodes" in shown.notes[0]
    assert "pictures did not fit" in shown.notes[1]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    "name", ["ink", "muted", "base", "sft", "grpo", "good", "extra1", "extra2"]
)
def test_text_can_be_read_on_its_ground(name: str, theme: int) -> None:
    """WCAG AA: a contrast of at least 4.5 to 1."""
    text, paper = (_luminance(style.COLOURS[key][theme]) for key in (name, "paper"))
    assert (max(text, paper) + 0.05) / (min(text, paper) + 0.05) >= 4.5


def test_every_colour_marks_one_meaning() -> None:
    marks = [pair[0] for pair in style.COLOURS.values()]
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize(
    ("shift", "title", "phrase"),
    [
        ({"rule": "faces_as_ranks"}, "Unseen rule: faces as ranks", "with faces as ranks"),
        ({"visual": {"name": "neon"}}, "Unseen look: neon", "with neon"),
        ({"visual": "red_suits", "rule": "sevens"}, "Unseen rule and look: sevens and red suits",
         "with sevens and red suits"),
        ({"num_cards": 5}, "Shifted: num cards 5", "with num cards 5"),
        (None, "Far away", "on “far away”"),
    ],
)  # fmt: skip
def test_a_cell_is_named_by_what_it_shifts(shift: dict | None, title: str, phrase: str) -> None:
    named = words.cell_words("far_away", shift)
    assert (named.title, named.phrase) == (title, phrase)


def test_numbers_are_printed_with_true_signs() -> None:
    assert words.points(-0.0934) == "−9.3 points"
    assert words.points(0.0002) == "±0.0 points"
    assert words.scaled(1.03e13, "FLOP") == "10.3 TFLOP"
    assert words.grouped(12345) == "12\u202f345"


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


def _luminance(colour: str) -> float:
    """Relative luminance of #rrggbb as the WCAG define it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
