"""A rollout that takes long says how far it is; a short one leaves the step's own line alone."""

import re
from typing import Any

import pytest
from cardinal_gym.training import rollout_progress
from cardinal_gym.training.progress import ProgressReporter
from toys import grpo_config, grpo_stage, guess, tiny_policy


class Reporter(ProgressReporter):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, Any]] = []

    def update(self, **told: Any) -> None:
        self.told.append(told)


@pytest.mark.parametrize("silent_s", [0.0, 3600.0])
def test_a_long_rollout_counts_its_episodes(
    silent_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout_progress, "SILENT_S", silent_s)
    stage, state = grpo_stage(tiny_policy(), guess, grpo_config(steps=4))
    state.reporter = reporter = Reporter()
    state.step = 1
    stage.update(state)
    if silent_s:
        assert reporter.told == []
        return
    assert {(told["stage"], told["step"], told["done"]) for told in reporter.told} == {
        ("grpo", 1, 0.25)
    }
    assert re.match(r"rollout [\d.]+(e\+\d+)? token/s", reporter.told[0]["quantity"])  # first turn
    last = reporter.told[-1]["quantity"]
    assert re.fullmatch(r"rollout 16/16 episodes, [\d.]+(e\+\d+)? token/s", last)
