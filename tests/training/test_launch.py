"""What a program under `@command` does with good and bad command lines, and how it ends."""

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cardinal_gym.training.config import BudgetConfig, ExperimentConfig
from cardinal_gym.training.failures import Failed, exit_status
from cardinal_gym.training.launch import (
    FLAGS,
    FLAGS_WITH_VALUE,
    NOT_BEGUN,
    FolderOf,
    command,
    flags_first,
)
from cardinal_gym.training.run_place import run_root
from hydra._internal.utils import get_args_parser


class Ending:
    """How one start of a program ended."""

    def __init__(self, status: int, stdout: str, stderr: str, configs: list[ExperimentConfig]):
        self.status, self.stdout, self.stderr, self.configs = status, stdout, stderr, configs


Start = Callable[..., Ending]


@pytest.fixture
def start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Start]:
    """start(*arguments, does=..., folder=...) runs a program in an empty folder."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    monkeypatch.chdir(tmp_path)

    def run(
        *arguments: str,
        does: Callable[[], object] = lambda: None,
        folder: FolderOf | None = None,
    ) -> Ending:
        configs: list[ExperimentConfig] = []

        @command("grpo", folder=folder)
        def main(config: Any) -> None:
            configs.append(config)
            does()

        monkeypatch.setattr("sys.argv", ["cardinal grpo", *arguments])
        status = 0
        try:
            main()
        except SystemExit as ending:
            status = int(ending.code or 0)
        return Ending(status, *capsys.readouterr(), configs)

    yield run
    root.handlers[:], root.level = before, level


def test_the_configuration_arrives_as_a_dataclass(start: Start) -> None:
    ending = start("experiment=gp_l", "seed=3", "grpo.group_size=4")
    (config,) = ending.configs
    assert (config.experiment, config.seed, config.grpo.group_size) == ("gp_l", 3, 4)
    assert (ending.status, ending.stderr) == (0, "")


def test_nothing_is_written_beside_the_run_folder(start: Start, tmp_path: Path) -> None:
    start("seed=3")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("grpo.group_sz=4", "cardinal grpo: grpo.group_sz is not a key of grpo; did you mean"),
        ("policy=huge", "cardinal grpo: policy must be one of api, human, llama_3_2_11b_vision, "),
        ("grpo.group_size=1", "cardinal grpo: grpo.group_size must be at least 2; got 1\n"),
        ("--seed=3", "cardinal grpo: --seed is not a flag; a setting is written without dashes"),
        ("--multirn", "cardinal grpo: --multirn is not a flag (did you mean --multirun?)"),
        ("-x", "cardinal grpo: -x is not a flag; short ones: -h, "),
        ("--cfg=jobs", "cardinal grpo: --cfg must be one of job, hydra, all; got jobs\n"),
        ("--config-dir", "cardinal grpo: --config-dir must be followed by a value; got none\n"),
        ("--config-dir=nowhere", "cardinal grpo: Additional config directory '"),
        ("--config-name=nothing", "cardinal grpo: nothing must be a configuration file"),
    ],
)
def test_a_mistake_ends_in_one_line_and_status_2(start: Start, argument: str, said: str) -> None:
    ending = start(argument)
    assert ending.status == 2
    assert ending.stderr.startswith(said)
    assert ending.stderr.count("\n") == 1
    assert (ending.stdout, ending.configs) == ("", [])


def test_a_value_error_of_the_package_is_the_users_to_mend(start: Start) -> None:
    ending = start(does=refuse)
    assert ending.status == 2
    assert ending.stderr == "cardinal grpo: steps must be positive or null; got 0\n"


def test_a_value_error_from_inside_a_library_is_a_bug(start: Start) -> None:
    with pytest.raises(ValueError, match="cannot reshape"):
        start(does=lambda: np.zeros(2).reshape(3, 3))


def test_any_other_exception_is_a_bug(start: Start) -> None:
    with pytest.raises(KeyError):
        start(does=lambda: {}["lost"])


def test_ctrl_c_says_how_to_go_on(start: Start) -> None:
    ending = start(does=raising(KeyboardInterrupt()))
    assert ending.status == 130
    assert ending.stderr.count("\n") == 1
    assert "resume=true" in ending.stderr


def test_ctrl_c_before_there_is_a_folder_does_not_speak_of_resuming(
    start: Start, tmp_path: Path
) -> None:
    root = tmp_path / "runs" / "scratch" / "default"
    ending = start(does=raising(KeyboardInterrupt()), folder=run_root)
    assert ending.status == 130
    assert ending.stderr == f"cardinal grpo: {NOT_BEGUN}\n"

    def begin() -> None:
        root.mkdir(parents=True)
        (root / "config.yaml").touch()
        raise KeyboardInterrupt

    assert "resume=true" in start(does=begin, folder=run_root).stderr


def test_a_full_disk_is_told_in_one_line(start: Start) -> None:
    ending = start(does=raising(OSError(errno.ENOSPC, "disk is full", "runs/a")))
    assert (ending.status, ending.stderr) == (1, "cardinal grpo: disk is full: runs/a\n")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Failed("seed 0 sft failed: killed by signal 9"), 1),
        (OSError(errno.ENOSPC, "disk is full"), 1),
        (KeyError("lost"), None),
        (ValueError("of a library"), None),
    ],
)
def test_only_what_a_user_can_mend_ends_with_2(error: Exception, status: int | None) -> None:
    with pytest.raises(type(error)) as caught:
        exec("raise error", {"__name__": "library", "error": error})
    assert exit_status(caught.value) == status


def test_an_exit_status_of_the_programs_own_is_kept(start: Start) -> None:
    assert start(does=raising(SystemExit(7))).status == 7


def test_a_sweep_runs_every_job_in_a_folder_of_its_own_name(start: Start) -> None:
    ending = start("-m", "seed=1,2", "grpo.optim.lr=0.001", "resume=true")
    names = [config.name for config in ending.configs]
    assert names == ["grpo.optim.lr=0.001,seed=1", "grpo.optim.lr=0.001,seed=2"]


def test_a_name_that_was_given_comes_before_what_differs(start: Start) -> None:
    ending = start("-m", "name=floor", "seed=1,2")
    assert [config.name for config in ending.configs] == ["floor,seed=1", "floor,seed=2"]
    alone = start("-m", "name=a,b", "experiment=gp_l")
    assert [config.name for config in alone.configs] == ["a", "b"]
    assert start("name=floor", "seed=1").configs[0].name == "floor"


def test_a_folder_that_is_taken_is_refused_before_the_program_begins(
    start: Start, tmp_path: Path
) -> None:
    taken = tmp_path / "runs" / "gp_l" / "old"
    taken.mkdir(parents=True)
    (taken / "config.yaml").write_text("{}")
    ending = start("experiment=gp_l", "name=old", folder=run_root)
    assert (ending.status, ending.configs) == (2, [])
    assert ending.stderr.startswith("cardinal grpo: run folder must be new; got runs/gp_l/old")
    assert len(start("experiment=gp_l", "name=old", "resume=true", folder=run_root).configs) == 1
    assert [path.name for path in taken.iterdir()] == ["config.yaml"]


def test_a_place_that_cannot_be_written_is_refused_by_its_name(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ending = start("output_dir=file/runs", folder=run_root)
    assert (ending.status, ending.configs) == (2, [])
    assert ending.stderr.startswith(
        "cardinal grpo: output_dir must lead to a folder that can be written; got file/runs/scratch"
    )
    assert "Not a directory" in ending.stderr


def test_only_the_first_process_of_a_launch_looks_at_the_folder(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "scratch" / "default").mkdir(parents=True)
    (tmp_path / "runs" / "scratch" / "default" / "config.yaml").touch()
    monkeypatch.setenv("RANK", "1")
    assert start(folder=run_root).status == 0


def test_a_failing_job_does_not_end_the_others_of_a_sweep(start: Start) -> None:
    ending = start("-m", "seed=1,2", does=refuse)
    assert len(ending.configs) == 2
    assert ending.status == 2
    assert ending.stderr.endswith("cardinal grpo: steps must be positive or null; got 0\n")


def test_a_folder_of_ones_own_adds_rules_and_looks(start: Start, tmp_path: Path) -> None:
    (tmp_path / "mine" / "rules").mkdir(parents=True)
    (tmp_path / "mine" / "rules" / "elevens.yaml").write_text(
        "# @package env.rule\nname: elevens\nface_values: {J: 11, Q: 11, K: 11}\n"
    )
    (config,) = start("--config-dir", str(tmp_path / "mine"), "rules=elevens").configs
    assert config.env.rule.name == "elevens"
    (unknown,) = [start("--config-dir", str(tmp_path / "mine"), "rules=twelves").stderr]
    assert "elevens" in unknown


def test_cfg_prints_the_configuration_and_runs_nothing(start: Start) -> None:
    ending = start("--cfg", "job", "seed=5")
    assert "seed: 5" in ending.stdout
    assert ending.configs == []


def test_the_switch_for_tracebacks_is_not_left_on(start: Start) -> None:
    start("grpo.group_sz=4")
    assert "HYDRA_FULL_ERROR" not in os.environ


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        ("a=1 -m b=2,3", "-m a=1 b=2,3"),
        ("a=1 --config-dir mine b=2", "--config-dir mine a=1 b=2"),
        ("a=1 --cfg job --resolve b=2", "--cfg job --resolve a=1 b=2"),
        ("--info b=2", "--info b=2"),
        ("~a +b=-1 -m", "-m ~a +b=-1"),
        ("a=1 --cfg", "--cfg a=1"),
    ],
)
def test_flags_may_stand_anywhere(given: str, ordered: str) -> None:
    assert flags_first(given.split()) == ordered.split()


def test_a_flag_between_overrides_works(start: Start) -> None:
    ending = start("experiment=gp_l", "-m", "seed=1,2")
    assert [config.seed for config in ending.configs] == [1, 2]


def test_the_lists_of_flags_are_hydras() -> None:
    actions = [action for action in get_args_parser()._actions if action.option_strings]
    known = {name for action in actions for name in action.option_strings}
    assert set(FLAGS) == {name for name in known if name.startswith("--")}
    with_value = {name for action in actions if action.nargs != 0 for name in action.option_strings}
    assert set(FLAGS_WITH_VALUE) == with_value


def refuse() -> None:
    BudgetConfig(steps=0)


def raising(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run
