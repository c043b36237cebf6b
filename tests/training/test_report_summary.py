"""The rates that a command tells at its end, and what `eval` looks at before it loads a policy."""

import json
from pathlib import Path
from typing import Any

import pytest
from cardinal_gym.training import evaluation
from cardinal_gym.training.report import load_run, summary
from cardinal_gym.training.report.analysis import table
from cardinal_gym.training.statistics import wilson
from report_fixture import write_run
from toys import experiment

SMALL: dict[str, Any] = {
    "milestones": 1, "episodes": 32, "final_episodes": 48, "samples": 0, "seeds": 1,
}  # fmt: skip


def test_one_policy_is_a_line_for_every_cell_and_metric(tmp_path: Path) -> None:
    run = write_run(tmp_path, arms=(), **SMALL)
    title, head, *lines, note = summary(run).splitlines()
    assert title == "gp_l/full"
    assert head.split("  ")[0] == "cell"
    assert head.endswith(" n  tasks")
    assert note == "brackets: 95 % intervals over tasks (distinct hands)"
    for line, row in zip(lines, table(load_run(run)), strict=True):
        rate = row.rates["base"]
        told = f"{100 * rate.estimate:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
        assert line.split() == [row.cell, row.metric, *told.split(), "48", str(rate.num_tasks)]
    assert len({len(line) for line in (head, *lines)}) == 1  # aligned to the right
    assert summary(run).isascii()


def test_of_pictures_it_also_tells_what_was_read(tmp_path: Path) -> None:
    said = summary(write_run(tmp_path, image=True, arms=(), **SMALL)).splitlines()
    place = said[1].index("read rightly %")
    row = table(load_run(tmp_path / "gp_vl" / "full"))[0]
    assert said[2][place:].startswith(f"{100 * row.recognition['base'].estimate:.1f} [")


def test_arms_stand_side_by_side_and_their_differences_below(tmp_path: Path) -> None:
    run = write_run(tmp_path, **{**SMALL, "seeds": 3})
    said = summary(run).splitlines()
    first = table(load_run(run))[0]
    head = next(line for line in said if line.startswith("success %"))
    assert head.split()[2:] == ["Base", "SFT", "GRPO"]
    size = f"success_within_turns (n = 144, {first.rates['sft'].num_tasks} tasks, 3 seeds)"
    values = said[said.index(size) + 1]
    for arm, word in (("base", "Base"), ("sft", "SFT"), ("grpo", "GRPO")):
        at = head.index(f" {word}") + 1
        assert values[at:].startswith(f"{100 * first.rates[arm].estimate:.1f} [")
    below = next(line for line in said if line.startswith("difference in points"))
    assert [part.strip() for part in below.split("  ") if part.strip()][1:] == [
        "SFT - Base", "GRPO - Base", "GRPO - SFT",
    ]  # fmt: skip
    change = first.differences["base", "sft"]
    assert f"  {100 * change.estimate:+.1f} [{100 * change.low:+.1f}, " in summary(run)
    assert said[-1] == "brackets: 95 % intervals over tasks (distinct hands) and training seeds"
    assert max(map(len, said)) <= 88


def test_a_run_without_evaluations_says_so(tmp_path: Path) -> None:
    (tmp_path / "seed_0" / "sft").mkdir(parents=True)
    (tmp_path / "config.yaml").write_text("experiment: e\nname: n\n")
    (tmp_path / "seed_0" / "sft" / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    assert summary(tmp_path) == "e/n\nno evaluation"


def test_eval_tells_the_rates_and_where_the_report_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluation.run_evaluation(measured("policy=oracle"))
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "scratch/default: oracle"
    assert said[3].split()[:3] == ["id", "greedy_single", "100.0"]
    low = 100 * wilson(8, 8).low
    assert float(said[3].split("[")[1].split(",")[0]) <= low  # at most as sure as eight tasks
    assert said[-2:] == [
        "report: runs/scratch/default/report/index.html",
        "episodes: cardinal view runs/scratch/default --list",
    ]
    (line, *_) = (tmp_path / "runs/scratch/default/seed_0/evals.jsonl").read_text().splitlines()
    assert json.loads(line)["successes"] == 8


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("+suite.cells.odd.shift={rule: nines}", "suite.cells.odd.shift.rule must be one of"),
        ("env.target=5000", "tasks for .* must exist"),
        ("trackers=[abacus]", "abacus"),
        ("policy.path=null", "policy.path must name a checkpoint folder or a hub model"),
        ("name=taken", "run folder must be new; got runs/scratch/taken"),
    ],
)
def test_eval_looks_at_everything_else_before_it_loads_the_policy(
    override: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/scratch/taken/kept").mkdir(parents=True)
    monkeypatch.setattr("cardinal_gym.training.measured.load_policy", pytest.fail)
    with pytest.raises(ValueError, match=reason):
        evaluation.run_evaluation(measured("policy.path=some/folder", override))
    assert [path.name for path in (tmp_path / "runs/scratch").iterdir()] == ["taken"]


def measured(*overrides: str) -> Any:
    """A small evaluation."""
    return experiment(
        "env=gp_text", "suite=general_points", "evaluate.metrics=[greedy_single]", "trackers=[]",
        "evaluate.episodes=8", "evaluate.final_episodes=8", "evaluate.sample_episodes=1",
        *overrides,
    )  # fmt: skip
