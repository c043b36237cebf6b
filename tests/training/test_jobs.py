"""Jobs that end badly: the user's mistakes, killed processes and bugs are told apart."""

import os
import signal
from pathlib import Path

import pytest
from cardinal_gym.training.config import BudgetConfig
from cardinal_gym.training.failures import FAILURE, USAGE, exit_status
from cardinal_gym.training.jobs import Job, JobCrashed, JobFailed, JobRefused, run_jobs


def finish(status: Path) -> None:
    status.with_name("finished").touch()


def mistake(status: Path) -> None:
    BudgetConfig(steps=0)


def crash(status: Path) -> None:
    {}["lost"]


def die(status: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run(folder: Path, work: object) -> None:
    run_jobs([Job(name="seed 0 sft", work=work, arguments=())], processes=1, folder=folder,
             threads=1)  # fmt: skip


def test_a_job_that_ends_well(tmp_path: Path) -> None:
    run(tmp_path, finish)
    assert (tmp_path / "finished").exists()


def test_a_mistake_of_the_user_in_a_job_is_theirs_in_the_command(tmp_path: Path) -> None:
    with pytest.raises(JobRefused) as caught:
        run(tmp_path, mistake)
    wanted = "seed 0 sft failed: steps must be positive or null; got 0; see "
    assert str(caught.value) == f"{wanted}{tmp_path / 'seed_0_sft.log'}"
    assert exit_status(caught.value) == USAGE


def test_a_crash_in_a_job_is_a_bug_with_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(JobCrashed, match="seed 0 sft failed: KeyError: 'lost'; see") as caught:
        run(tmp_path, crash)
    assert exit_status(caught.value) is None  # so the command ends with 1 and a traceback
    assert 'test_jobs.py", line' in str(caught.value)
    assert "in crash" in str(caught.value)


def test_a_killed_job_is_neither(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="seed 0 sft failed: killed by signal 9; see") as caught:
        run(tmp_path, die)
    assert exit_status(caught.value) == FAILURE
