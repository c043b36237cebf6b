"""`cardinal eval` plays what nobody has played before, and no more."""

import csv
import functools
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.types import Episode
from cardinal_gym.training import evaluate as module
from cardinal_gym.training import result_keys
from cardinal_gym.training.config import ExperimentConfig
from cardinal_gym.training.evaluation import run_evaluation
from cardinal_gym.training.launch import job_name
from cardinal_gym.training.override_errors import to_config
from cardinal_gym.training.results import main as results
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf
from toys import tiny_policy

GROUPS = ("env=", "policy=", "suite=")
SMALL = (
    "env=gp_text", "env.max_turns=2", "trackers=[]", "evaluate.episodes=6",
    "evaluate.final_episodes=6", "evaluate.batch_episodes=4", "evaluate.sample_episodes=2",
    "evaluate.max_new_tokens=6",
)  # fmt: skip


@functools.cache
def composed(*groups: str) -> DictConfig:
    with initialize_config_module("cardinal_gym.conf", version_base="1.3"):
        return compose("eval", overrides=[*SMALL[:1], *groups, *SMALL[1:]])


def configured(folder: Path, *overrides: str) -> ExperimentConfig:
    """Groups are composed once each; settings are as on the command line."""
    settings = [each for each in overrides if not each.startswith(GROUPS)]
    cfg = composed(*(each for each in overrides if each.startswith(GROUPS))).copy()
    for each in (f"output_dir={folder}", *settings):
        key, _, value = each.partition("=")
        OmegaConf.update(cfg, key, yaml.safe_load(value))
    return to_config(cfg)


@pytest.fixture
def played(played: list[list[Episode]], monkeypatch: pytest.MonkeyPatch) -> list[list[Episode]]:
    """The rollouts that are really played; no report is drawn."""
    monkeypatch.setattr("cardinal_gym.training.evaluation.finish", lambda *_: None)
    return played


def numbers(rollouts: Sequence[Sequence[Episode]]) -> list[list[int]]:
    return [[episode.group for episode in episodes] for episodes in rollouts]


def results_of(root: Path) -> dict[str, bytes]:
    """Everything that a report reads, by path."""
    part = root / "seed_0"
    files = [*part.glob("evals/**/*"), *part.glob("episodes/**/*"), part / "evals.jsonl"]
    return {
        str(path.relative_to(part)): path.read_bytes()
        for path in files
        if path.is_file() and not path.name.endswith(".timing.json") and path.name != "evals.jsonl"
    }


def saved(policy: Policy, folder: Path) -> str:
    policy.save(folder)
    return f"policy.path={folder}"


def test_a_second_run_loads_and_plays_nothing_and_leaves_the_same_files(
    tmp_path: Path, played: list[list[Episode]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tiny_policy(spread=3.0), tmp_path / "policy")
    first = run_evaluation(configured(tmp_path, "name=first", path))
    assert numbers(played) == [[0, 1, 2, 3], [4, 5]] * 4  # sampled and greedy, in two cells
    played.clear()
    monkeypatch.delattr("cardinal_gym.training.measured.load_policy")
    again = run_evaluation(configured(tmp_path, "name=again", path))
    assert played == []
    wanted = results_of(first)
    assert len(wanted) > 2 * 3 * 2
    assert results_of(again) == wanted


def test_pictures_of_kept_episodes_are_drawn_again(
    tmp_path: Path, played: list[list[Episode]]
) -> None:
    overrides = ("env=gp_image", "policy=random", "evaluate.final_episodes=2")
    first = run_evaluation(configured(tmp_path, "name=first", *overrides))
    played.clear()
    again = run_evaluation(configured(tmp_path, "name=again", *overrides))
    assert played == []
    wanted = results_of(first)
    assert any(name.endswith(".png") for name in wanted)
    assert results_of(again) == wanted


def test_more_episodes_and_more_cells_cost_what_is_new(
    tmp_path: Path, played: list[list[Episode]]
) -> None:
    one = ("policy=random", "suite.only=[id]", "evaluate.metrics=[success_within_turns]")
    run_evaluation(configured(tmp_path, "name=one", *one))
    played.clear()
    run_evaluation(configured(tmp_path, "name=more", *one, "evaluate.final_episodes=9"))
    assert numbers(played) == [[6, 7, 8]]
    played.clear()
    wider = [each for each in one if not each.startswith("suite.")]
    run_evaluation(configured(tmp_path, "name=wider", *wider, "evaluate.final_episodes=9"))
    assert numbers(played) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]  # of the other cell alone
    played.clear()
    fewer = run_evaluation(configured(tmp_path, "name=fewer", *one, "evaluate.final_episodes=3"))
    assert played == []
    assert b'"n": 3' in results_of(fewer)["evals/cells/base_000000_id_success_within_turns.json"]


@pytest.mark.parametrize(
    ("change", "count"),
    [
        ("evaluate.temperature=0.5", 2),  # argmax does not depend on it
        ("evaluate.seed=3", 4),
        ("env.reward.weights.format=0.2", 4),
        ("policy.context=single_turn", 4),
        ("evaluate.metrics=[greedy_single]", 0),
        ("suite=general_points", 0),  # the same cells under another name
    ],
)
def test_what_changes_an_episode_is_played_again_and_nothing_else(
    change: str, count: int, tmp_path: Path, played: list[list[Episode]]
) -> None:
    path = saved(tiny_policy(), tmp_path / "policy")
    small = ("evaluate.final_episodes=2", path)
    run_evaluation(configured(tmp_path, "name=first", *small))
    played.clear()
    run_evaluation(configured(tmp_path, "name=again", *small, change))
    assert len(played) == count


def test_an_interrupted_run_goes_on_after_its_last_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, played: list[list[Episode]]
) -> None:
    config = configured(tmp_path, "policy=random", "suite.only=[id]")
    rollout = module.rollout

    def dies(*args: Any, **settings: Any) -> list[Episode]:
        if len(played) == 1:
            raise KeyboardInterrupt
        return rollout(*args, **settings)

    monkeypatch.setattr(module, "rollout", dies)
    with pytest.raises(KeyboardInterrupt):
        run_evaluation(config)
    assert numbers(played) == [[0, 1, 2, 3]]
    monkeypatch.setattr(module, "rollout", rollout)
    root = run_evaluation(replace(config, resume=True))
    assert numbers(played) == [[0, 1, 2, 3], [4, 5], [0, 1, 2, 3], [4, 5]]
    whole = run_evaluation(configured(tmp_path / "other", "policy=random", "suite.only=[id]"))
    assert results_of(root) == results_of(whole)


def test_results_of_two_policies_are_not_mixed_in_one_folder(
    tmp_path: Path, played: list[list[Episode]]
) -> None:
    path = saved(tiny_policy(seed=0), tmp_path / "policy")
    config = configured(tmp_path, path, "suite.only=[id]")
    before = results_of(run_evaluation(config))
    saved(tiny_policy(seed=1), tmp_path / "policy")  # another one in the same place
    with pytest.raises(ValueError, match=r"^results in .*evals must be of one policy; got those"):
        run_evaluation(replace(config, resume=True))
    assert results_of(tmp_path / "scratch/default") == before
    played.clear()
    run_evaluation(replace(config, name="other"))
    assert played


def test_jobs_of_a_sweep_over_long_paths_have_folders_of_their_own() -> None:
    long = "policy.path=" + "runs/an_experiment/" * 8
    names = [job_name(f"{long}{arm}") for arm in ("sft", "grpo")]
    assert len(set(names)) == 2
    assert all(len(name) == 120 for name in names)
    assert job_name("policy.path=runs/a,seed=1") == "policy.path=runs_a,seed=1"


def test_several_attempts_at_a_task_are_kept_each(
    tmp_path: Path, played: list[list[Episode]]
) -> None:
    path = saved(tiny_policy(spread=3.0), tmp_path / "policy")
    one = (path, "suite.only=[id]", "evaluate.final_episodes=3")
    run_evaluation(configured(tmp_path, "name=one", *one))
    played.clear()
    root = run_evaluation(configured(tmp_path, "name=two", *one, "evaluate.samples=2"))
    assert [[e.member for e in episodes] for episodes in played] == [[1, 1, 1]]  # argmax is known
    stored = results_of(root)["evals/cells/base_000000_id_success_within_turns.json"]
    assert b'"n": 6' in stored
    assert b'"n": 3' in results_of(root)["evals/cells/base_000000_id_greedy_single.json"]


def test_a_file_that_is_no_database_is_told_before_a_run_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not to be lost")
    with pytest.raises(ValueError, match=r"^results database must be a SQLite file; got .*notes"):
        run_evaluation(configured(tmp_path, "policy=random", f"evaluate.database={path}"))
    assert path.read_text() == "not to be lost"
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_results_of_another_version_are_not_taken_for_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, played: list[list[Episode]]
) -> None:
    small = ("policy=random", "evaluate.metrics=[greedy_single]", "suite.only=[id]")
    root = run_evaluation(configured(tmp_path, "name=old", *small))
    played.clear()
    monkeypatch.setattr(result_keys, "RESULTS_VERSION", 2)
    run_evaluation(configured(tmp_path, "name=new", *small))
    assert numbers(played) == [[0, 1, 2, 3], [4, 5]]
    with pytest.raises(ValueError, match=r"^results in .*/old/.* must be of one version; got .*/1"):
        run_evaluation(configured(tmp_path, "name=old", "resume=true", *small))
    monkeypatch.setattr(result_keys, "RESULTS_VERSION", 1)
    file = root / "seed_0/evals/cells/base_000000_id_greedy_single.json"
    file.write_text('{"cell": "id", "colour": "red"}')
    with pytest.raises(ValueError, match=r"^results must be those of this version; got .*single.j"):
        run_evaluation(configured(tmp_path, "name=old", "resume=true", *small))


def test_what_has_been_kept_is_listed_with_intervals(
    tmp_path: Path, played: list[list[Episode]], capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("evaluate.metrics=[success_within_turns]", "suite=gp_rule_ladder")
    for policy in ("oracle", "random"):
        run_evaluation(configured(tmp_path, f"name={policy}", f"policy={policy}", *small))
    database = str(tmp_path / "results.sqlite")
    capsys.readouterr()
    assert results([database]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("n = 6, " in line for line in lines) == 2 * 4 * 2  # policies, cells, metrics
    assert [line.split(" ")[0] for line in lines if line and line[0] != " "] == ["oracle", "random"]
    ceilings = [line for line in lines if "100.0% [" in line and "ladder/id " in line]
    assert [line.split()[0] for line in ceilings] == ["success_within_turns", "sampled_single"]
    ceiling = ceilings[0]
    assert "T 0.6 top-p 0.9, 6 tokens, seed 1000000" in ceiling
    assert results([database, "--policy", "oracle", "--cell", "moved_*"]) == 0
    assert capsys.readouterr().out.count("n = 6, ") == 3 * 2
    for wrong, said in (
        (["--policy", "nobody"], "--policy must be of what is there, oracle, random; got nobody"),
        (["--cell", "x"], "--cell must be of what is there, gp_rule_ladder/id, .*; got x"),
    ):
        assert results([database, *wrong]) == 2
        told = capsys.readouterr().err
        assert told.startswith("cardinal results: " + said.partition(", .*")[0])
        assert told.count("\n") == 1


def test_what_has_been_kept_can_be_had_as_csv(
    tmp_path: Path, played: list[list[Episode]], capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("evaluate.metrics=[success_within_turns]", "suite=gp_rule_ladder")
    run_evaluation(configured(tmp_path, "policy=oracle", *small))
    database, target = str(tmp_path / "results.sqlite"), tmp_path / "out.csv"
    assert results([database, "--csv", str(target)]) == 0
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["severity"]) for row in rows[::2]] == [0, 1, 2, 3]
    metrics = [row["metric"] for row in rows]
    assert metrics == ["success_within_turns", "sampled_single"] * 4
    assert {(row["axis"], row["n"], row["success"]) for row in rows} == {("rule", "6", "1.0")}
    before = target.read_bytes()
    assert results([database, "--csv", str(target)]) == 2
    assert target.read_bytes() == before
    each = tmp_path / "episodes.csv"
    assert results([database, "--csv", str(each), "--episodes"]) == 0
    with each.open(newline="") as file:
        episodes = list(csv.DictReader(file))
    assert len(episodes) == 4 * 6
    with sqlite3.connect(database) as stored:
        tasks = {task for (task,) in stored.execute("SELECT task_id FROM episodes")}
    assert {row["task_id"] for row in episodes} == tasks
    assert results([str(tmp_path / "none.sqlite")]) == 2
    assert "results database must exist" in capsys.readouterr().err
