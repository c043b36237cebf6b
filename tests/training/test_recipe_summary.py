"""The numbers of a recipe's summary, from results made by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cardinal_gym.agents.types import Completion, Turn
from cardinal_gym.envs.core import Observation
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.training.config import SuiteConfig
from cardinal_gym.training.metrics import definition_of
from cardinal_gym.training.recipes.asked_lengths import over_lengths
from cardinal_gym.training.recipes.config import RecipeConfig
from cardinal_gym.training.recipes.plan import planned
from cardinal_gym.training.recipes.summary import write_summary
from cardinal_gym.training.recipes.thoughts import COUNTS, read_thought
from toys import grpo_config, grpo_stage, guess, run_steps, tiny_policy

RIGHT = {"warm": [1, 0, 0, 1], "rl": [1, 1, 0, 1]}
TOKENS = {"warm": [40, 60, 80, 40], "rl": [40, 40, 60, 26]}


def recipe() -> RecipeConfig:
    stages: dict[str, Any] = {
        "base": {"kind": "pretrain"},
        "warm": {"kind": "sft"},
        "rl": {"kind": "grpo"},
        "measured": {"kind": "evaluate", "policies": ["warm", "rl"], "asked_tokens": [50]},
    }
    suite = SuiteConfig(cells={"id": {}})
    return RecipeConfig(
        experiment="mine", about="Why.", env=GeneralPointsConfig(), suite=suite, stages=stages
    )


def write_results(root: Path) -> None:
    """One seed: four tasks for each of two policies, and ten steps of RL."""
    folder = root / "seed_0" / "measured"
    folder.mkdir(parents=True)
    for name, right in RIGHT.items():
        counts = {count: np.array([4, 4, 4, 4]) for count in (*COUNTS, "tags", "sound", "thinks")}
        counts["rechecks"] = np.array([0, 2, 0, 0])
        np.savez(
            folder / f"{name}_id@50.npz", task_id=["a", "b", "c", "d"],
            success=np.array(right, dtype=bool), num_tokens=TOKENS[name], asked=[50] * 4,
            **{**counts, "tags": np.array([1, 1, 1, 0]), "sound": np.zeros(4)},
        )  # fmt: skip
    (root / "seed_0" / "rl").mkdir()
    steps = [{"step": step, "success": step / 10} for step in range(1, 21)]
    lines = "".join(json.dumps(step) + "\n" for step in steps)
    (root / "seed_0" / "rl" / "metrics.jsonl").write_text(lines)
    spent = {"flops": 2_500_000_000_000, "cpu_s": 12.0, "peak_mib": 300.0}
    (root / "seed_0" / "rl" / "spent.json").write_text(json.dumps(spent))


def test_the_summary_holds_rates_gains_lengths_and_costs(tmp_path: Path) -> None:
    write_results(tmp_path)
    config = recipe()
    text = write_summary(config, planned(config), tmp_path)
    found = json.loads((tmp_path / "recipe.json").read_text())
    (evaluation,) = found["evaluations"]
    warm, rl = evaluation["policies"]
    assert (evaluation["unit"], warm["n"], warm["num_units"]) == ("hands", 4, 4)
    assert (warm["success"]["estimate"], rl["success"]["estimate"]) == (0.5, 0.75)
    assert warm["tokens"]["estimate"] == 55.0
    assert (warm["tokens_right"]["estimate"], warm["tokens_wrong"]["estimate"]) == (40.0, 70.0)
    assert (rl["missed_by"]["estimate"], rl["asked"]) == ((10 + 10 + 10 + 24) / 4, 50)
    assert rl["rechecks"]["estimate"] == 2 / 16
    assert rl["tags"]["estimate"] == 0.75
    (gain,) = evaluation["gains"]
    assert (gain["from"], gain["to"], gain["success"]["estimate"]) == ("warm", "rl", 0.25)
    assert gain["tokens"]["estimate"] == (0 - 20 - 20 - 14) / 4
    assert gain["tokens_saved"]["estimate"] == pytest.approx(1 - 166 / 220)
    assert gain["tokens_wrong"]["estimate"] == -20  # of the one task that both got wrong
    assert gain["further"]["rechecks"]["estimate"] == 0
    assert gain["further"]["tags"]["estimate"] == 0
    (trained,) = found["training"]
    assert trained["metrics"]["success"]["first"] == pytest.approx(0.15)
    assert trained["metrics"]["success"]["last"] == pytest.approx(1.95)
    assert trained["metrics"]["success"]["change"] is None  # one seed has no spread
    assert trained["metrics"]["success"]["over_seeds"] == {"first": None, "last": None}
    costs = {cost["stage"]: cost["tflops"] for cost in found["costs"]}
    assert costs == {"base": None, "warm": None, "rl": 2.5}
    assert "fewer than 3 seeds" in text
    assert "| rl | warm | id@50 | 4 | +0.250 [" in text
    assert "| rl | grpo | warm | 2.5 |  | 12 | 300 |" in text


@pytest.mark.parametrize("told", [0.0, 0.5, 1.0])
def test_tokens_per_asked_token_are_the_slope_of_each_episode(told: float) -> None:
    """A policy gives so much of each token asked beyond 60; another always the same."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 4, size=12)
    labels = {"unit": np.repeat([*"abcd"], 3), "run_seed": np.tile([0, 1, 2], 4)}
    measured = []
    for asked in (40, 60, 90):
        kept = {"num_tokens": 60 + told * (asked - 60) + noise, **labels}
        deaf = {"num_tokens": 60 + noise, **labels}
        measured.append((f"id@{asked}", asked, {"deaf": deaf, "kept": kept}))
    found = over_lengths(measured, [("deaf", "kept")])
    deaf, kept = found["policies"]
    assert deaf["slope"]["estimate"] == pytest.approx(0, abs=1e-9)
    assert kept["slope"]["estimate"] == pytest.approx(told)
    assert kept["slope"]["low"] == pytest.approx(told)  # episodes differ in height alone
    (gain,) = found["gains"]
    assert gain["slope"]["estimate"] == pytest.approx(told)
    assert (gain["n"], kept["n"], kept["asked"]) == (36, 36, [40, 60, 90])
    distances = [np.abs(60 + told * (a - 60) + noise - a).mean() for a in (40, 60, 90)]
    assert kept["missed_by"]["estimate"] == pytest.approx(np.mean(distances))
    assert gain["missed_by"]["estimate"] == pytest.approx(
        kept["missed_by"]["estimate"] - deaf["missed_by"]["estimate"]
    )
    within = np.mean([60 + told * (a - 60) + noise <= a for a in (40, 60, 90)])
    assert kept["within"]["estimate"] == pytest.approx(within)


def test_one_asked_length_has_no_slope() -> None:
    data = {
        "mine": {"num_tokens": np.array([5]), "unit": np.array(["a"]), "run_seed": np.array([0])}
    }
    nothing: dict[str, list[Any]] = {"policies": [], "gains": []}
    assert over_lengths([("id", None, data)], []) == nothing
    assert over_lengths([("id@50", 50, data)], []) == nothing


def test_without_a_complete_seed_there_is_no_summary(tmp_path: Path) -> None:
    config = recipe()
    with pytest.raises(ValueError, match=r"stages.measured must have been measured; got no"):
        write_summary(config, planned(config), tmp_path)


def test_a_rollout_tells_the_lengths_of_right_and_of_wrong_episodes() -> None:
    stage, state = grpo_stage(tiny_policy(spread=3.0), guess, grpo_config(group_size=8))
    for metrics in run_steps(stage, state, 2):
        kinds = [f"episodes/mean_tokens_{kind}" for kind in ("right", "wrong")]
        share = metrics["success"]
        means = [metrics.get(name, 0.0) for name in kinds]
        whole = share * means[0] + (1 - share) * means[1]
        assert whole == pytest.approx(metrics["episodes/mean_tokens"])
        assert all(definition_of(name) for name in kinds)
        assert not any(name.startswith(("tokens/", "n/")) for name in metrics)


def turn(answer: str, **details: Any) -> Turn:
    observed = Observation(text="", update="", image=None)
    return Turn(
        observation=observed, prompt_ids=(), completion=Completion(text=answer), reward=0.0,
        reward_terms={}, outcome="", success=False, feedback="", details=details,
    )  # fmt: skip


def test_a_thought_is_read_by_the_hand_that_was_dealt() -> None:
    hand = {"ranks": ["J", "3"], "values": [11, 3], "target": 14}
    found = read_thought(turn("<think>J=11; 11+3=14 yes</think>", **hand))
    assert found is not None
    assert found.is_sound
    assert read_thought(turn('{"formula": "11+3"}', **hand)) is None
    assert read_thought(turn("<think>left</think>")) is None  # another game
