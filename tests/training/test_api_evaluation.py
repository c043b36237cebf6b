"""`cardinal eval` of a model behind a server: recorded like any policy, and nothing paid twice."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from cardinal_gym.training.checks import check_run
from cardinal_gym.training.config import ExperimentConfig
from cardinal_gym.training.evaluation import run_evaluation
from cardinal_gym.training.failures import Failed
from toys import experiment

sys.path.insert(0, str(Path(__file__).parents[1] / "agents"))
from fault_server import Body, Say, serving

KEY = "sk-canary-0123456789"


def asked(url: str, *overrides: str) -> ExperimentConfig:
    return experiment(
        "env=gp_text", "suite=general_points", "policy=api", f"policy.base_url={url}",
        "policy.model=judge-1", "policy.api.backoff_s=0.001", "policy.api.max_retries=1",
        "policy.api.input_usd_per_million=1", "policy.api.output_usd_per_million=5",
        "evaluate.metrics=[success_within_turns]", "evaluate.final_episodes=6",
        "evaluate.batch_episodes=4", "evaluate.sample_episodes=1", "env.max_turns=2",
        "trackers=[]", *overrides,
    )  # fmt: skip


def test_a_run_whose_server_dies_is_resumed_without_paying_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    needed = 2 * 6 * 2  # cells, episodes, turns

    def mortal(_: Body, number: int) -> Say:
        dead = Say(status=500, raw=f"out of order, {KEY}")
        return Say("pass", usage=(100, 20)) if number < 17 else dead

    with serving(mortal) as server:
        port = server.server_address[1]
        with pytest.raises(
            Failed, match=r"asked 2 times; .* same command with resume=true"
        ) as told:
            run_evaluation(asked(server.url))
    with serving(lambda *_: Say("pass", usage=(100, 20)), port) as server:
        url = server.url
        root = run_evaluation(asked(url, "resume=true", "policy.api.concurrency=2"))
        assert len(server.bodies) == needed - 17
        assert server.keys == [f"Bearer {KEY}"] * len(server.bodies)
    records = lines(root / "seed_0" / "evals.jsonl")
    assert [(record["cell"], record["n"]) for record in records] == [("id", 6), ("ood_ranks", 6)]
    assert [record["mean_tokens"] for record in records] == [40.0, 40.0]
    spent = lines(root / "api_usage.jsonl")
    assert [use["requests"] for use in spent] == [17, needed - 17]
    assert sum(use["usd"] for use in spent) == pytest.approx(needed * (100 + 20 * 5) / 1e6)
    printed = capsys.readouterr()
    assert "judge-1: 17 answers from the server" in printed.out
    assert "judge-1: 7 answers from the server (0 retries)" in printed.out
    assert "700 input and 140 output tokens; $0.0014" in printed.out
    texts = [printed.out, printed.err, caplog.text, str(told.value), repr(told.value.__context__)]
    assert not [text for text in texts if KEY in text]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"config.yaml", "api_answers.sqlite", "evals.jsonl"} <= {path.name for path in files}
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize("name", ["api", "human", "oracle"])
def test_who_has_no_weights_cannot_be_trained(name: str) -> None:
    with pytest.raises(ValueError, match=f"path or a build to be trained; got {name}, which eval"):
        check_run(experiment(f"policy={name}"), "grpo")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("policy.base_url=null", "policy.base_url must be given for a policy behind a server"),
        ("policy.model=null", "policy.model must be given for a policy behind a server"),
        ("policy.path=some/folder", "policy.path must be null where policy.base_url names"),
        ("policy.max_context=512", "policy.max_context must be null for a policy behind a server"),
        ("policy.api.cache=config.yaml", "policy.api.cache must be a cache of answers; got config"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_asked_or_written(
    override: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("name: a file that is no database\n" * 100)
    with serving(lambda *_: Say()) as server:
        with pytest.raises(ValueError, match=reason):
            run_evaluation(asked(server.url, override))
        assert not server.bodies
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
