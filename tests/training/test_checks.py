"""What cannot work is refused before a run folder exists, in one line with the full key."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cardinal_gym.training import compare, run
from cardinal_gym.training.checks import (
    check_run,
    check_sight,
    warn_of_compact_prompt,
    warn_of_learning_rates,
)
from cardinal_gym.training.config import ExperimentConfig
from cardinal_gym.training.distributed_config import DistributedConfig, refuse_second_tasks
from cardinal_gym.training.runs import opened
from toys import experiment

SMALL = (
    "env=gp_text", "policy.build.hidden_size=16", "policy.build.num_layers=1",
    "policy.build.num_heads=2", "trackers=[]", "evaluate.episodes=8", "evaluate.final_episodes=8",
)  # fmt: skip


def small(*overrides: str) -> ExperimentConfig:
    return experiment(*SMALL, *overrides)


@pytest.mark.parametrize("command", ["compare", "grpo", "sft", "pretrain", "eval"])
def test_a_run_that_can_work_is_let_through(command: str) -> None:
    check_run(small(), command)


@pytest.mark.parametrize(
    ("prompt", "tokenizer", "is_told"),
    [("compact", "BPE", True), ("compact", "WordLevel", False), ("study", "BPE", False)],
)
def test_a_model_from_elsewhere_that_is_asked_in_tiny_words_is_told_of(
    prompt: str, tokenizer: str, is_told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": tokenizer}}))
    warn_of_compact_prompt(small(f"env.prompt={prompt}", f"policy.path={tmp_path}"))
    assert ("env.prompt is compact" in caplog.text) is is_told


@pytest.mark.parametrize(
    ("override", "tokenizer", "is_told"),
    [
        ("grpo.optim.lr=1e-4", "BPE", True), ("grpo.optim.lr=1e-6", "BPE", False),
        ("policy.lora.rank=8", "BPE", False), ("grpo.optim.lr=1e-4", "WordLevel", False),
    ],
)  # fmt: skip
def test_a_whole_model_from_elsewhere_is_told_of_a_tiny_policys_learning_rate(
    override: str, tokenizer: str, is_told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": tokenizer}}))
    warn_of_learning_rates(small(override, f"policy.path={tmp_path}"), ["grpo"])
    assert ("grpo.optim.lr=0.0001 suits the tiny policies" in caplog.text) is is_told


@pytest.mark.parametrize(("algorithm", "is_told"), [("dapo", True), ("loss/dapo", False)])
def test_a_tiny_policy_is_told_of_a_large_models_learning_rate(
    algorithm: str, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_learning_rates(experiment("experiment=gp_l", f"algorithm={algorithm}"), ["grpo"])
    assert ("algorithm=loss/NAME has an algorithm's loss alone" in caplog.text) is is_told


def test_a_server_that_is_asked_in_tiny_words_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    server = ("policy=api", "policy.base_url=http://localhost:1/v1", "policy.model=large")
    warn_of_compact_prompt(experiment("env=gp_text", *server))
    assert "large was trained on them" in caplog.text


@pytest.mark.parametrize(
    ("override", "command", "said"),
    [
        (
            "+suite.cells.own.shift.rule=primes",
            "eval",
            "suite.cells.own.shift.rule must be one of faces_as_ten, .*; got 'primes'",
        ),
        (
            "+suite.cells.own.shift.num_cards=9",
            "compare",
            "suite.cells.own.shift.num_cards must be 2 to 6; got 9",
        ),
        (
            "+suite.cells.own.shift.rulez=primes",
            "sft",
            "suite.cells.own.shift: a shift of .* must name fields of .*; got rulez",
        ),
        ("trackers=[wand]", "grpo", "trackers must be among .*wandb.*; got wand"),
        (
            "evaluate.max_new_tokens=1024",
            "eval",
            r"evaluate.max_new_tokens must be at most \d+, what prompts of \d+ tokens leave of "
            r"policy.build.max_position \(1024\); got 1024",
        ),
        (
            "grpo.max_new_tokens=1020",
            "grpo",
            r"grpo.max_new_tokens must be at most .* policy.build.max_position \(1024\); got 1020",
        ),
        (
            "policy.max_context=64",
            "compare",
            r"evaluate.max_new_tokens must be at most .* policy.max_context \(64\); got 64",
        ),
        ("env.split=all", "sft", r"tasks of warmup \(env.split=all\): training and evaluation"),
        ("sft.data=nowhere.jsonl", "sft", "sft.data: demonstrations must be a file .*nowhere"),
        (
            "warmup.length_requests=0.5",
            "grpo",
            "warmup.length_requests must be 0 unless grpo.length.kind is l1_exact or l1_max; got",
        ),
        ("policy.path=/nowhere", "grpo", "policy folder must exist; got '/nowhere'"),
        ("policy.device=gpu", "compare", "policy.device must be auto, cpu, cuda or cuda:<n>; got"),
        (
            "env.modality=image",
            "compare",
            "env.modality must be text for tiny_text, a language model that cannot see; got image",
        ),
        ("seeds=3", "grpo", "seeds must be 1 for grpo, .* got 3: write -m seed=0,1,2 .*"),
    ],
)
def test_what_cannot_work_is_refused_before_a_folder_is_made(
    override: str, command: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"^{said}") as caught:
        opened(small(override, f"output_dir={tmp_path}"), command).__enter__()
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("distributed.sharding=fsdp2", "distributed.sharding must be none for compare, .* fsdp2"),
        ("distributed.peer_timeout_s=9", "distributed.peer_timeout_s must be 30.0 for .* got 9.0"),
    ],
)
def test_what_starts_its_own_processes_refuses_to_be_spread(setting: str, said: str) -> None:
    small().distributed.refuse_spreading("compare")
    with pytest.raises(ValueError, match=f"^{said}"):
        small(setting).distributed.refuse_spreading("compare")


def test_what_starts_its_own_processes_is_started_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    with pytest.raises(ValueError, match=r"^run must be started once, .* got 8 processes"):
        DistributedConfig().refuse_spreading("run")


@pytest.mark.parametrize("start", [compare.main, run.main])
def test_compare_refuses_nodes_and_run_to_be_spread(
    start: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    overrides = ["hardware=multi_node", f"output_dir={tmp_path}"]
    if start is run.main:
        overrides = ["hardware=8xh100", f"output_dir={tmp_path}", "recipe=distill"]
    monkeypatch.setattr("sys.argv", ["cardinal", *overrides])
    with pytest.raises(SystemExit) as left:
        start()
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert "distributed.sharding must be none for run" in told or "num_nodes must be 1" in told
    assert list(tmp_path.iterdir()) == []


def test_grpos_own_answers_do_not_matter_to_sft() -> None:
    check_run(small("grpo.max_new_tokens=5000"), "sft")


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"image": "lost.png"}, "line 1: a picture must be a file; got lost.png"),
        ({"text": "cards " * 300}, "line 1: a conversation must fit into the policy's 256 tokens"),
    ],
)
def test_files_of_demonstrations_are_read_whole_before_pretraining(
    question: dict[str, str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "export").mkdir()
    record = {
        "messages": [
            {"role": "user", "content": question.get("text", "<image>target 24")},
            {"role": "assistant", "content": "no"},
        ],
        "images": [question["image"]] if "image" in question else [],
    }
    (tmp_path / "export" / "train.jsonl").write_text(json.dumps(record) + "\n")
    config = small(
        f"sft.data={tmp_path / 'export'}", "policy.build.max_position=256",
        "policy.build.family=mllama", "policy.context=single_turn", "policy.build.num_layers=2",
    )  # fmt: skip
    with pytest.raises(ValueError, match=f"^sft.data: .*train.jsonl, {said}"):
        check_run(config, "compare")


def test_a_language_model_is_not_shown_pictures(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    pictures = small(f"policy.path={tmp_path}", "env.modality=image")
    with pytest.raises(ValueError, match=rf"^env.modality must be text for {tmp_path}, .* image$"):
        check_sight(pictures)
    cell = small(f"policy.path={tmp_path}", "+suite.cells.own.shift.modality=image")
    with pytest.raises(ValueError, match=r"^suite.cells.own.modality must be text for "):
        check_sight(cell)
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    check_sight(pictures)


@pytest.mark.parametrize("damaged", ["{", "[]", "{}", "\xff"])
def test_what_a_damaged_policy_can_see_is_left_to_loading(damaged: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(damaged.encode("latin-1"))
    (tmp_path / "tokenizer.json").write_bytes(damaged.encode("latin-1"))
    config = small(f"policy.path={tmp_path}", "env.modality=image")
    check_sight(config)
    warn_of_compact_prompt(config)


@pytest.mark.parametrize("policy", ["random", "oracle", "human"])
def test_who_has_no_weights_takes_no_path(policy: str) -> None:
    said = f"^policy.path must be left out with policy={policy}, which has no weights; got mine$"
    with pytest.raises(ValueError, match=said):
        experiment(f"policy={policy}", "policy.path=mine")


def test_a_second_task_of_a_cluster_job_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("SLURM_PROCID", "0")
    refuse_second_tasks()
    monkeypatch.setenv("SLURM_PROCID", "3")
    with pytest.raises(ValueError, match=r"must start one task .*; this is number 3: for several"):
        refuse_second_tasks()
    monkeypatch.setenv("RANK", "3")  # told by a launcher
    refuse_second_tasks()
