"""The report of walks: accuracy per step beside success, in the words of streets."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cardinal_gym.training import view
from cardinal_gym.training.report import analysis, build, load_run, report, samples, summary
from cardinal_gym.training.report.export import evaluations_csv, final_csv, step_differences_csv
from cardinal_gym.training.report.pairing import step_accuracy
from cardinal_gym.training.statistics import wilson
from report_fixture import SMALL, write_run
from walk_report import METRIC, NUM_STEPS, without_steps, write_walks
from webdriver import Browser, missing

BROWSER = pytest.mark.skipif(missing() is not None, reason=missing() or "")
PAIRS = {("base", "sft"), ("base", "grpo"), ("sft", "grpo")}


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Walks with pictures on three training seeds, with their report; not to be changed."""
    folder = write_walks(tmp_path_factory.mktemp("runs"), seeds=3, image=True)
    report(folder)
    return folder


@pytest.fixture
def one_walk(tmp_path: Path) -> Path:
    """Walks in text on one training seed, without a report."""
    return write_walks(tmp_path, seeds=1)


def test_accuracy_per_step_is_counted_from_the_files(walks: Path) -> None:
    lines = [
        json.loads(line)
        for path in sorted(walks.glob("seed_*/evals.jsonl"))
        for line in path.read_text().splitlines()
    ]
    for row in analysis.table(load_run(walks)):
        assert row.steps.keys() == row.rates.keys() == {"base", "sft", "grpo"}
        for arm, rate in row.steps.items():
            found = [line for line in lines if (line["arm"], line["cell"]) == (arm, row.cell)]
            right, answers = (sum(line[k] for line in found) for k in ("answers_right", "answers"))
            assert (rate.estimate, rate.n) == (right / answers, answers)
            assert (rate.num_seeds, rate.num_tasks) == (3, row.rates[arm].num_tasks)
            assert rate.low < rate.estimate < rate.high
        assert row.step_differences.keys() == PAIRS
        for (a, b), found in row.step_differences.items():
            change = row.steps[b].estimate - row.steps[a].estimate
            assert found.estimate == pytest.approx(change)
            assert (found.n, found.num_seeds) == (3 * 96, 3)
            assert found.low < found.estimate < found.high


def test_cards_have_no_steps(tmp_path: Path) -> None:
    folder = write_run(tmp_path, seeds=1, **SMALL)
    run = load_run(folder)
    rows = analysis.table(run)
    assert not any(row.steps or row.step_differences for row in rows)
    assert "step" not in final_csv(rows).splitlines()[0]
    assert "answers" not in evaluations_csv(run).splitlines()[0]
    contents = build.collect(run)
    assert "step_differences.csv" not in contents.downloads
    assert not any("Step by step" in text for text in contents.verdict.details)
    assert "right steps" not in summary(folder)


def test_runs_that_counted_no_answers_tell_success_alone(one_walk: Path) -> None:
    before = analysis.table(load_run(one_walk))
    after = analysis.table(load_run(without_steps(one_walk)))
    assert [row.rates for row in after] == [row.rates for row in before]
    assert not any(row.steps or row.step_differences for row in after)
    assert "right steps" not in summary(one_walk)


def test_without_episode_files_accuracy_has_wilsons_interval(one_walk: Path) -> None:
    shutil.rmtree(one_walk / "seed_0" / "evals")
    row = analysis.table(load_run(one_walk))[0]
    rate = row.steps["sft"]
    expected = wilson(round(rate.estimate * rate.n), rate.n, num_tasks=rate.num_tasks)
    assert rate == expected
    assert row.step_differences == {}
    assert step_accuracy([]) is None


def test_the_terminal_tells_steps_in_a_column_or_in_blocks(tmp_path: Path, one_walk: Path) -> None:
    row = analysis.table(load_run(one_walk))[0]
    said = summary(one_walk).splitlines()
    head = next(k for k, line in enumerate(said) if line.startswith("right steps %"))
    sizes = [rate.n for rate in row.steps.values()]
    size = f"{min(sizes)} to {max(sizes)}" if len(set(sizes)) > 1 else str(sizes[0])
    assert said[head + 1] == f"{METRIC} (n = {size} answers)"
    assert f"{100 * row.steps['base'].estimate:.1f} [" in said[head + 2]
    below = next(k for k, line in enumerate(said) if line.startswith("right steps, in points"))
    change = row.step_differences["base", "sft"]
    assert f" {100 * change.estimate:+.1f} [{100 * change.low:+.1f}, " in said[below + 2]
    alone = write_walks(tmp_path / "alone", seeds=1, arms=())
    rate = analysis.table(load_run(alone))[0].steps["base"]
    _, heading, line, *_ = summary(alone).splitlines()
    assert line[heading.index("right steps %") :].startswith(f"{100 * rate.estimate:.1f} [")
    assert summary(alone).isascii()


def test_the_files_hold_what_the_page_says(walks: Path) -> None:
    rows = analysis.table(load_run(walks))
    tables = walks / "report" / "tables"
    assert (tables / "final.csv").read_text() == final_csv(rows)
    head, first, *_ = (line.split(",") for line in final_csv(rows).splitlines())
    rate = rows[0].steps["base"]
    assert float(first[head.index("step_accuracy_rate")]) == pytest.approx(rate.estimate, abs=1e-5)
    assert int(first[head.index("step_accuracy_n")]) == rate.n
    assert (tables / "step_differences.csv").read_text() == step_differences_csv(rows)
    assert len(step_differences_csv(rows).splitlines()) == 1 + 3 * 3
    assert ",answers,answers_right," in (tables / "evaluations.csv").read_text()


def test_a_sentence_for_every_cell_says_what_steps_did(walks: Path) -> None:
    details = build.collect(load_run(walks)).verdict.details
    said = [text for text in details if text.startswith("Step by step ")]
    assert len(said) == 3
    assert said[0].startswith("Step by step in distribution (n = ")
    assert " answers, " in said[0]
    assert any("with relative directions in other words (" in text for text in said)
    assert all("GRPO − SFT = " in text for text in said)


def test_streets_are_told_as_streets(walks: Path) -> None:
    text = (walks / "report" / "index.html").read_text()
    page = text.partition('id="data">')[0]
    for word in ("cards", "the hand", "same hand"):
        assert word not in page
    assert "Right steps, solved walks" in page
    assert "Reading the street, walking the route" in page
    assert "Unseen rule: relative directions, other words" in page
    assert "Unseen look: winter" in page
    assert page.count('class="read">right steps ') == 3 * (3 + 3)  # cells; arms and pairs
    names = {path.stem for path in (walks / "report" / "figures").glob("*.png")}
    assert {f"steps_{METRIC}", f"stepdifferences_{METRIC}", f"recognition_{METRIC}"} <= names
    assert "answers, " in (walks / "report" / "figures" / f"steps_{METRIC}.svg").read_text()


def test_only_clear_differences_are_bold(walks: Path) -> None:
    rows = analysis.table(load_run(walks))
    text = (walks / "report" / "index.html").read_text()
    clear = sum(d.is_clear for row in rows for d in row.differences.values())
    final = text.partition("<h2>Final policies</h2>")[2].partition("</table>")[0]
    assert final.count('<td class="clear">') == clear < 9


def test_street_views_are_kept_small_and_once(walks: Path) -> None:
    stored = samples.read_samples(load_run(walks))
    small = samples.browser(stored, compress=True).pictures
    files = {path.read_bytes() for path in (stored[0].folder / "images").glob("view*.png")}
    assert len(small) == len(files) == NUM_STEPS // 2
    assert all(uri.startswith("data:image/webp;base64,") for uri in small)
    assert sum(map(len, small)) < sum(map(len, files)) / 2
    broken = stored[0].folder / "images" / "view0.png"
    assert samples.picture_path(stored[0], "images/view0.png") == broken.resolve()


def test_a_damaged_picture_is_left_out(one_walk: Path) -> None:
    path = next(one_walk.glob("seed_0/episodes/images/view0.png"))
    path.write_bytes(samples.PNG_MAGIC + b"no picture")
    shown = samples.browser(samples.read_samples(load_run(one_walk)), compress=True)
    assert len(shown.pictures) == NUM_STEPS // 2 - 1
    assert "1 pictures did not fit" in shown.notes[0]


def test_the_terminal_shows_every_turn_with_its_picture(
    one_walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert view.main([str(one_walk), "--episode", "0", "--save", str(tmp_path / "kept")]) == 0
    parts = capsys.readouterr().out.split("--- turn ")
    assert len(parts) == 1 + NUM_STEPS
    for number, part in enumerate(parts[1:]):
        assert f"kept/episode_0_{number // 2}.png" in part
    assert len(list((tmp_path / "kept").iterdir())) == NUM_STEPS // 2


@pytest.mark.browser
@BROWSER
def test_a_walk_is_a_list_of_steps_that_open(walks: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile") as window:
        window.open_report(walks / "report" / "index.html")
        ask: Callable[[str], object] = window.run
        steps = "document.querySelector('.episode').querySelectorAll('.step')"
        assert ask(f"return {steps}.length") == NUM_STEPS
        opened = f"[...{steps}].map((e, i) => e.open ? i : -1).filter(i => i >= 0)"
        assert ask(f"return {opened}") == [0, 5]  # the first, and the first wrong one
        assert ask(f"return {steps}[1].textContent") == "2forward()✓"
        assert ask(f"return {steps}[2].textContent") == "3turn left✓"
        assert ask(f"return {steps}[5].querySelector('summary').textContent").endswith("wrong turn")
        window.click(".episode .step:nth-of-type(2) summary")
        wide = f"return [...{steps}[1].querySelectorAll('img')].map(i => i.naturalWidth)"
        assert ask(wide) == [117, 117]
        listed = str(ask("return document.querySelector('.list').textContent"))
        assert "12 answers" in listed
        assert "Relative directions, other words" in listed
        window.resize(390, 900)
        assert ask("return document.documentElement.scrollWidth - innerWidth") <= 0
        assert window.console() == []
