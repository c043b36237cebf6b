"""What tests of several files share: made-up runs for the report, a record of what is played."""

from pathlib import Path

import pytest
from cardinal_gym.agents.types import Episode
from cardinal_gym.training import evaluate
from cardinal_gym.training.report import report
from report_fixture import SMALL, write_run


@pytest.fixture(scope="session")
def five_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text run of five training seeds with its report, not to be changed."""
    folder = write_run(tmp_path_factory.mktemp("runs"), seeds=5, **SMALL)
    report(folder)
    return folder


@pytest.fixture
def one_seed(tmp_path: Path) -> Path:
    """A text run of one training seed, without a report."""
    return write_run(tmp_path, seeds=1, **SMALL)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image run of one training seed with its report, not to be changed."""
    folder = write_run(tmp_path_factory.mktemp("runs"), seeds=1, image=True, **SMALL)
    report(folder)
    return folder


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[list[Episode]]:
    """The episodes of every rollout that evaluation really plays."""
    rollouts: list[list[Episode]] = []
    rollout = evaluate.rollout
    monkeypatch.setattr(
        evaluate, "rollout", lambda *a, **k: rollouts.append(rollout(*a, **k)) or rollouts[-1]
    )
    return rollouts
