"""The demo's plan: measured once, kept for the time that it was made for."""

import json
import os
from pathlib import Path

import pytest
from cardinal_gym.training import calibration
from cardinal_gym.training.calibration import update_seconds
from cardinal_gym.training.config import ExperimentConfig
from cardinal_gym.training.demo import PLAN_UPDATE_S, kept_scale, plan_path
from cardinal_gym.training.failures import Failed


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "update_seconds", lambda config, processes: PLAN_UPDATE_S)


@pytest.mark.usefixtures("measured")
def test_a_plan_for_another_time_is_refused(tmp_path: Path) -> None:
    path, config = tmp_path / "default.plan.json", ExperimentConfig()
    scale = kept_scale(path, config, 15.0, 2)
    before = path.read_text()
    with pytest.raises(ValueError, match=r"minutes must be 15, as planned in .*; got 40") as caught:
        kept_scale(path, config, 40.0, 2)
    assert "use another name" in str(caught.value)
    assert kept_scale(path, config, 15.0, 2) == scale == json.loads(before)["scale"]


@pytest.mark.usefixtures("measured")
def test_one_process_is_given_half_the_work(tmp_path: Path) -> None:
    scales = [kept_scale(tmp_path / f"{n}.json", ExperimentConfig(), 11.0, n) for n in (1, 2, 4)]
    assert scales == pytest.approx([0.5, 1.0, 1.0])


def test_names_with_dots_have_plans_of_their_own(tmp_path: Path) -> None:
    paths = {plan_path(tmp_path / name) for name in ("v1", "v1.2", "v1.3")}
    assert paths == {tmp_path / f"{name}.plan.json" for name in ("v1", "v1.2", "v1.3")}


def dies_or_waits(config, number, barrier, done, seconds) -> None:
    if number == 0:
        os._exit(3)
    barrier.wait(200)


def measures(config, number, barrier, done, seconds) -> None:
    barrier.wait(200)
    done[number] += 1
    seconds[number] = 0.5 + number


@pytest.mark.slow
def test_calibration_ends_when_one_of_its_processes_dies() -> None:
    with pytest.raises(Failed, match="its process 0 ended early with exit status 3"):
        update_seconds(ExperimentConfig(), 2, measure=dies_or_waits)


@pytest.mark.slow
def test_calibration_takes_the_median_of_its_processes() -> None:
    assert update_seconds(ExperimentConfig(), 2, measure=measures) == 1.0
