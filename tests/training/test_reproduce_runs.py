"""A reproduction from scratch at toy size: runs, is interrupted, goes on, and reports."""

import json
from pathlib import Path

import pytest
from cardinal_gym.training.jobs import JobFailed
from cardinal_gym.training.reproduce import runner
from cardinal_gym.training.reproduce.runner import reproduce
from test_reproduce import composed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
TOY = (
    "policy.build.hidden_size=32", "policy.build.num_layers=2", "policy.build.num_heads=2",
    "pretrain.budget.steps=1", "pretrain.batch_size=2", "warmup.budget.steps=1",
    "warmup.batch_size=2", "sft.batch_size=2", "sft.budget.tflops=1e-6", "grpo.budget.tflops=1e-6",
    "grpo.groups_per_step=2", "grpo.group_size=2", "grpo.max_new_tokens=6",
    "evaluate.max_new_tokens=6", "evaluate.episodes=3", "evaluate.milestones=1",
    "evaluate.sample_episodes=1", "trackers=[]", "policy.device=cpu", "processes=2",
)  # fmt: skip


def test_a_toy_reproduction_goes_on_where_it_stopped_and_ends_with_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ["only=[gp_l,no_warmup,turns]", "seeds=1", f"output_dir={tmp_path}", *TOY]
    whole = runner.run_jobs

    def stopped(jobs, **options):  # type: ignore[no-untyped-def]
        whole(jobs[:1], **options)
        raise JobFailed("stopped on purpose")

    monkeypatch.setattr(runner, "run_jobs", stopped)
    with pytest.raises(JobFailed):
        reproduce(composed(*typed), typed)
    root = tmp_path / "reproduce" / "default"
    base = root / "gp_l" / "seed_0" / "base" / "done.json"
    written = base.stat().st_mtime_ns

    monkeypatch.setattr(runner, "run_jobs", whole)
    again = [*typed, "resume=true"]
    page = reproduce(composed(*again), again)
    assert page == root / "report" / "index.html"
    assert base.stat().st_mtime_ns == written
    assert (root / "gp_l" / "done.json").exists()
    assert (root / "no_warmup" / "without" / "done.json").exists()
    assert len(json.loads((root / "times.json").read_text())) == 3 + 2 + 3
    assert {"cells.csv", "variants.csv", "turns.csv"} <= {p.name for p in page.parent.iterdir()}
    overlap = json.loads((root / "turns" / "contamination.json").read_text())
    assert set(overlap["before"]["trained"]) == {"pretrain", "warmup", "sft", "grpo"}
