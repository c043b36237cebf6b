"""What a run keeps of the tasks it trains on and measures on, and what its report says of it."""

from pathlib import Path
from typing import Any

import pytest
from cardinal_gym.agents.config import PolicyConfig
from cardinal_gym.training.contamination import DealtTasks, check_contamination
from cardinal_gym.training.files import atomic_write_json
from cardinal_gym.training.overlap import OVERLAP_FILE, read_overlap, write_overlap
from cardinal_gym.training.report import load_run, summary
from cardinal_gym.training.report.build import collect
from cardinal_gym.training.report.method import cell_note
from cardinal_gym.training.report.training_tasks import NOT_RECORDED, overlap_notes
from report_fixture import write_run
from toys import experiment

SCRATCH = PolicyConfig(name="tiny")
CELLS = {"id": frozenset({frozenset({"ranks A"}), frozenset({"ranks B"})})}


def dealt(*seen: str, unknown: tuple[str, ...] = (), unit: str = "hand") -> DealtTasks:
    return DealtTasks(unit, {"sft": frozenset({"ranks X", *seen})}, CELLS, unknown)


def told(root: Path, tasks: DealtTasks, policy: PolicyConfig = SCRATCH) -> tuple[str, bool]:
    root.mkdir(parents=True)
    write_overlap(root, tasks, policy)
    return overlap_notes(root)


def test_no_overlap_is_said(tmp_path: Path) -> None:
    said, is_warning = told(tmp_path / "run", dealt())
    assert said == (
        "Overlap of training and evaluation (the first 2 distinct evaluation tasks of each cell, "
        "by canonical id): none is among the first tasks of SFT."
    )
    assert not is_warning


def test_an_overlap_is_flagged(tmp_path: Path) -> None:
    said, is_warning = told(tmp_path / "run", dealt("ranks B"))
    assert "SFT has met evaluation tasks (1 of 2 in id)" in said
    assert is_warning


def test_a_checkpoint_of_another_run_brings_its_training_along(tmp_path: Path) -> None:
    """Over two runs: pretrained in the first, trained on in the second, measured in the third."""
    first, second = tmp_path / "a" / "first", tmp_path / "a" / "second"
    told(first, DealtTasks("hand", {"pretrain": frozenset({"ranks A"})}, CELLS))
    told(second, dealt(), PolicyConfig(name="p", path=str(first / "seed_0/base/policy")))
    measured = DealtTasks("hand", {}, CELLS)
    policy = PolicyConfig(name="p", path=str(second / "seed_0/sft/policy"))
    said, is_warning = told(tmp_path / "eval", measured, policy)
    assert "pretraining has met evaluation tasks (1 of 2 in id)" in said
    assert "none is among the first tasks of SFT" in said
    assert is_warning


def test_what_nobody_recorded_is_not_claimed(tmp_path: Path) -> None:
    hub = PolicyConfig(name="p", path="some/hub-model")
    said, is_warning = told(tmp_path / "one", DealtTasks("hand", {}, CELLS), hub)
    assert "what the policy was trained on before is not known" in said
    assert "none is among" not in said
    assert not is_warning
    assert "do not name their tasks" in told(tmp_path / "two", dealt(unknown=("warmup",)))[0]
    baseline = told(tmp_path / "three", DealtTasks("hand", {}, CELLS), PolicyConfig(name="random"))
    assert "this policy was trained on nothing" in baseline[0]
    assert overlap_notes(tmp_path) == (NOT_RECORDED, False)
    (tmp_path / OVERLAP_FILE).write_text('{"measured": 3}')
    assert overlap_notes(tmp_path) == (NOT_RECORDED, False)


def test_tasks_of_another_kind_are_not_compared(tmp_path: Path) -> None:
    run = tmp_path / "a" / "first"
    told(run, dealt("ranks A", unit="hand and target"))
    policy = PolicyConfig(name="p", path=str(run / "seed_0/sft/policy"))
    said, is_warning = told(tmp_path / "eval", DealtTasks("hand", {}, CELLS), policy)
    assert "its run a/first trained on other tasks (hand and target)" in said
    assert not is_warning


def test_a_record_is_written_once(tmp_path: Path) -> None:
    told(tmp_path / "run", dealt())
    before = read_overlap(tmp_path / "run")
    write_overlap(tmp_path / "run", dealt("ranks A"), SCRATCH)
    assert read_overlap(tmp_path / "run") == before


def test_the_check_tells_what_it_looked_at() -> None:
    config = experiment("experiment=gp_l", "env.modality=text")
    found = check_contamination(config, ("warmup", "sft"))
    assert set(found.trained) == {"warmup", "sft"}
    assert set(found.measured) == set(config.suite.cells)
    assert all(len(tasks) > 50 for tasks in found.measured.values())
    keys = frozenset[str]().union(*found.trained.values())
    assert not any(keys & task for tasks in found.measured.values() for task in tasks)


def test_a_cell_that_was_asked_for_on_training_tasks_is_flagged(tmp_path: Path) -> None:
    config = experiment(
        "experiment=gp_l", "env.modality=text", "+suite.cells.seen.shift={split: train}"
    )
    tasks = check_contamination(config, ("sft",))
    said, is_warning = told(tmp_path / "run", tasks)
    assert is_warning
    assert " in seen)" in said
    assert " in id" not in said


@pytest.mark.parametrize("seen", [(), ("ranks B",)])
def test_page_and_terminal_say_it(tmp_path: Path, seen: tuple[str, ...]) -> None:
    folder = write_run(tmp_path, seeds=1, milestones=1, episodes=16, final_episodes=16, samples=0)
    assert cell_note(load_run(folder)).endswith(NOT_RECORDED)
    write_overlap(folder, dealt(*seen), SCRATCH)
    said = "SFT has met evaluation tasks" if seen else "none is among the first tasks of SFT"
    assert said in cell_note(load_run(folder))
    terminal = summary(folder)
    assert said in " ".join(terminal.splitlines())
    assert ("WARNING: Overlap" in terminal) == bool(seen)
    assert max(map(len, terminal.splitlines())) <= 88
    cautions = collect(load_run(folder)).verdict.cautions
    assert any(said in text for text in cautions) == bool(seen)


def test_a_damaged_record_of_an_earlier_run_is_not_known(tmp_path: Path) -> None:
    run: dict[str, Any] = {"unit": "hand", "trained": {}, "unknown": [], "before": None}
    (tmp_path / "first").mkdir()
    atomic_write_json(tmp_path / "first" / OVERLAP_FILE, {**run, "measured": {}})
    policy = PolicyConfig(name="p", path=str(tmp_path / "first" / "sft"))
    said, _ = told(tmp_path / "second", dealt(), policy)
    assert "what the policy was trained on before is not known" in said
