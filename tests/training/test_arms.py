"""What the trackers are told of one seed's base and arms."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cardinal_gym.agents.baselines import OracleAgent
from cardinal_gym.training import arms
from cardinal_gym.training.arms import SeedRun
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.metrics import definition_of
from cardinal_gym.training.progress import ProgressReporter
from toys import experiment, tiny_policy

Logged = list[tuple[str, int, dict[str, float]]]
RATES = [
    f"eval/{cell}/{metric}"
    for cell in ("id", "ood_ranks")
    for metric in ("success_within_turns", "greedy_single", "sampled_single")
]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Logged:
    """(arm, step, values) of everything that a tracker gets."""
    found: Logged = []

    class Tracker:
        def __init__(self, arm: str) -> None:
            self.arm = arm

        def log(self, values: Mapping[str, float], step: int) -> None:
            found.append((self.arm, step, dict(values)))

        def close(self) -> None:
            pass

    def make(names: Any, folder: Any, config: dict[str, Any], *, first_step: int = 0) -> Tracker:
        return Tracker(config["arm"])

    monkeypatch.setattr(arms, "make_trackers", make)
    return found


@pytest.fixture
def run(tmp_path: Path) -> SeedRun:
    config = experiment(
        "env=gp_text", "suite=general_points", "evaluate.final_episodes=4",
        "evaluate.milestones=1", "evaluate.max_new_tokens=4", "sft.budget.steps=2",
        "sft.batch_size=2",
    )  # fmt: skip
    return SeedRun(config, tmp_path / "seed_0", 0, Workers("cpu"), ProgressReporter())


def test_success_of_the_base_reaches_the_trackers_once(run: SeedRun, logged: Logged) -> None:
    run.measure_base(lambda _: OracleAgent(), 10)
    run.measure_base(lambda _: OracleAgent(), 10)  # resumed: read back
    ((arm, step, values),) = logged
    assert (arm, step) == ("base", 0)
    assert {name: values[name] for name in RATES} == dict.fromkeys(RATES, 1.0)
    assert values["flops"] == 0
    assert all(definition_of(name) for name in values)


def test_an_arm_tells_its_trackers_success_and_compute(
    run: SeedRun, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SeedRun, "_base", lambda self: tiny_policy())
    run.run_arm("sft")
    assert [(arm, step) for arm, step, _ in logged] == [("sft", 1), ("sft", 2), ("sft", 2)]
    first, second, measured = (values for _, _, values in logged)
    assert 0 < first["flops"] < second["flops"] == measured["flops"]
    assert 0 < first["tokens/train"] < second["tokens/train"]
    assert set(RATES) <= measured.keys()
    assert "loss" in first
