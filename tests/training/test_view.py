"""`cardinal view`: a run's episodes in the terminal."""

import json
import shlex
from pathlib import Path

import pytest
from cardinal_gym.training import view
from PIL import Image
from report_fixture import write_run

SMALL = {"milestones": 2, "episodes": 32, "final_episodes": 48, "samples": 2, "seeds": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs"), image=True, **SMALL)


def test_the_list_numbers_the_episodes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert view.main([str(run), "--list", "--arm", "grpo", "--cell", "ood_red"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("grpo step 293, ood_red" in line for line in lines)
    number = lines[1].split()[0]
    assert view.main([str(run), "--episode", number]) == 0
    assert capsys.readouterr().out.splitlines()[0] == lines[1]


def test_an_episode_shows_every_turn(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    view.main([str(run), "--list"])
    listed = capsys.readouterr().out.splitlines()
    number = next(line.split()[0] for line in listed if "✗" in line)
    view.main([str(run), "--episode", number])
    said = capsys.readouterr().out
    assert "--- turn 1" in said
    assert "--- turn 2" in said
    assert '> {"cards": ["' in said
    assert "= wrong_value; reward 0.1 (accuracy 0, format 1)" in said
    assert "< wrong" in said
    assert "not solved (turn_limit, return 0.1)" in said


def test_pictures_are_saved(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert view.main([str(run), "--episode", "0", "--save", str(tmp_path / "new")]) == 0
    saved = tmp_path / "new" / "episode_0_0.png"
    assert Image.open(saved).size == (112, 56)
    assert f"picture: {saved}" in capsys.readouterr().out


def test_a_picture_becomes_two_pixels_a_cell() -> None:
    picture = Image.new("RGB", (2, 4), "white")
    picture.putpixel((0, 0), (1, 2, 3))
    lines = view.half_blocks(picture, columns=2).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("\x1b[38;2;1;2;3m\x1b[48;2;255;255;255m▀")
    assert lines[1].endswith("\x1b[0m")


def test_a_terminal_is_not_commanded_by_an_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path, **SMALL)
    path = folder / "seed_0" / "episodes" / "base_000000_id_success_within_turns.jsonl"
    record = json.loads(path.read_text().splitlines()[0])
    record["turns"][0]["answer"] = "\x1b]0;owned\x07 \x9b2J \u202e24\nnext"
    record["task_id"] = "\x1b[31m"
    path.write_text(json.dumps(record) + "\n")
    assert view.main([str(folder), "--episode", "0"]) == 0
    said = capsys.readouterr().out
    assert not set(said) & set("\x1b\x07\x9b\u202e")
    assert "next" in said


def test_without_options_it_lists_what_can_be_seen_and_how(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "_has_screen", lambda: False)
    assert view.main([str(run)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("gp_vl/full: finished\n")
    assert "  arms            base (step 0), sft (step 331, 662), grpo (step 146, 293)\n" in said
    assert "  cells           id, ood_ranks, ood_red\n" in said
    assert "stored episodes: 18, numbered 0 to 17\n" in said
    assert "  base  id         success_within_turns  2, " in said
    assert "  seed_*/episodes/*.jsonl  the stored episodes (9)\n" in said
    offered = [line.partition("  # ")[0] for line in said.splitlines() if "  # " in line]
    assert len(offered) == 3
    for command in offered:
        assert view.main(shlex.split(command)[2:]) == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--episode", "999"], "episode must be between 0 and 17; got 999"),
        (["--episode", "-1"], "episode must be between 0 and 17; got -1"),
        (["--list", "--arm", "ppo"], "arm must be one of base, grpo, sft; got ppo"),
        (["--list", "--seed", "9"], "no stored episode has all of these properties"),
    ],
)
def test_mistakes_are_told_in_one_line(
    run: Path, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert view.main([str(run), *arguments]) == 2
    assert capsys.readouterr().err == f"cardinal view: {reason}\n"


def test_a_folder_that_is_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert view.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("cardinal view: run must ")


def test_without_an_episode_the_report_is_written_once(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(view.webbrowser, "open", opened.append)
    monkeypatch.setattr(view, "_has_screen", lambda: True)
    page = run / "report" / "index.html"
    assert view.main([str(run)]) == 0
    assert capsys.readouterr().out.endswith(f"\nreport: {page}\n")
    written = page.stat().st_mtime_ns
    assert view.main([str(run)]) == 0
    assert page.stat().st_mtime_ns == written
    assert opened == [page.resolve().as_uri()] * 2
