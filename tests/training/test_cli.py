"""`cardinal`: help, dispatch, and the same programs as modules."""

import importlib
import importlib.metadata
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cardinal_gym.training import play
from cardinal_gym.training.cli import COMMANDS, main

HYDRA_COMMANDS = [name for name in COMMANDS if name not in ("data", "report", "results", "view")]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in COMMANDS)


def test_no_arguments_mean_help(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert "Usage:" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--version", "-V", "version"])
def test_the_version_is_that_of_the_distribution(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([flag])
    assert capsys.readouterr().out == f"cardinal-gym {importlib.metadata.version('cardinal-gym')}\n"


def test_an_unknown_command_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["gropo", "seed=1"])
    said = capsys.readouterr().err
    assert ending.value.code == 2
    assert said.startswith("cardinal: command must be one of demo, compare, ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_program(name: str) -> None:
    assert callable(importlib.import_module(f"cardinal_gym.training.{COMMANDS[name].module}").main)


OFTEN_USED = ("eval", "grpo")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in OFTEN_USED else [pytest.mark.slow])
        for name in HYDRA_COMMANDS
    ],
)
def test_help_of_a_command_shows_its_choices_and_settings(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", sys.argv)  # main sets it
    with pytest.raises(SystemExit) as ending:
        main([name, "--help"])
    said = capsys.readouterr().out
    assert not ending.value.code
    assert said.startswith(f"cardinal {name}: ")
    assert f"Usage: cardinal {name} " in said
    assert "rules: aces_high, faces_as_ranks" in said
    assert ("minutes: 15" if name == "demo" else "num_cards: 4") in said


@pytest.mark.parametrize("name", ["report", "results", "view"])
def test_help_of_a_program_for_run_folders(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", sys.argv)
    with pytest.raises(SystemExit) as ending:
        main([name, "--help"])
    assert not ending.value.code
    assert f"cardinal {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report"], "cardinal report: the following arguments are required: run (cardinal report"),
        (["view", "runs/a", "--epsiode", "3"], "cardinal view: unrecognized arguments: --epsiode"),
        (["results", "--cel", "id", "--cvs", "x"], "cardinal results: unrecognized arguments: "),
        (["data", "chek"], "cardinal data: argument command: invalid choice: 'chek'"),
    ],
)
def test_a_wrong_argument_is_told_in_one_line(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", sys.argv)
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    told = capsys.readouterr().err
    assert (ending.value.code, told.count("\n")) == (2, 1)
    assert told.startswith(said)


def test_a_module_is_the_same_program(tmp_path: Path) -> None:
    done = start("-m", "cardinal_gym.training.grpo", "grpo.group_sz=4", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("cardinal grpo: grpo.group_sz is not a key of grpo; ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_play_is_played_from_standard_input(tmp_path: Path) -> None:
    done = start(
        "-m", "cardinal_gym.training.play", "env=gp_image", "seed=3", "hands=2",
        "pictures=seen", "open_pictures=false", cwd=tmp_path, stdin="1+1\n?\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "wrong numbers; reward" in done.stdout
    assert '"formula": ' in done.stdout
    assert done.stdout.endswith("0 of 1 task solved\n")
    assert (tmp_path / "seen" / "001.png").is_file()


def test_playing_shows_the_legend_forgives_an_empty_line_and_counts_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["", "help", "2+2", "q"])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    monkeypatch.setattr("sys.argv", ["cardinal play", "env=gp_text", "seed=3"])
    play.main()
    said = capsys.readouterr().out
    assert said.count("Type a formula over the values") == 2  # at first, and when asked for
    assert said.count(play.HELP) == 2  # at first, and for the empty line
    assert said.count("reward") == 1  # of the one answer
    assert said.endswith("\n0 of 1 task solved (1 left unfinished)\n")


def test_a_task_without_an_answer_is_not_counted_as_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["?", "q"])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    monkeypatch.setattr("sys.argv", ["cardinal play", "env=nav_text", "seed=3"])
    play.main()
    said = capsys.readouterr().out
    assert "or in short forward, stop or x alone: north, northeast, " in said
    assert said.endswith("\n0 of 1 task solved\n")


def hear_interrupts() -> None:
    """In a child: a job that a shell starts in the background is told to ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_leaves_a_game_with_status_130(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cardinal_gym.training.play", "seed=3"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=tmp_path, preexec_fn=hear_interrupts,
    ) as game:  # fmt: skip
        assert game.stdin is not None
        game.stdin.write("1+1\n")
        game.stdin.flush()
        assert game.stdout is not None
        while "wrong numbers" not in game.stdout.readline():
            pass
        game.send_signal(signal.SIGINT)
        _, said = game.communicate(timeout=60)
    assert (game.returncode, said) == (130, "cardinal play: left\n")


@pytest.mark.slow
def test_accelerate_starts_a_command_as_a_module(tmp_path: Path) -> None:
    done = start(
        "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1",
        "-m", "cardinal_gym.training.grpo", "--cfg", "job", "seed=5", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "seed: 5" in done.stdout


def test_help_whose_reader_leaves_ends_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = [sys.executable, "-m", "cardinal_gym.training.plan", "--help"]
    done = subprocess.run(program, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def start(*arguments: str, cwd: Path, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], input=stdin, capture_output=True, text=True, cwd=cwd
    )
