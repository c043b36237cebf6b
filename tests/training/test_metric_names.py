"""Every metric that is defined is logged by some training, and the README says what it means."""

import fnmatch
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import cardinal_gym.training
import gymnasium as gym
import numpy as np
import pytest
from cardinal_gym.agents.config import Family
from cardinal_gym.envs.general_points.config import GeneralPointsConfig
from cardinal_gym.envs.settings import Modality
from cardinal_gym.training import grpo_update
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.arm_results import tracked
from cardinal_gym.training.cell_results import CellResult
from cardinal_gym.training.config import BudgetConfig, PretrainConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.grpo_config import LengthConfig, SamplerCorrection
from cardinal_gym.training.judging.pay import ModelPay
from cardinal_gym.training.loop import Stage, TrainState, train
from cardinal_gym.training.metrics import METRICS, definition_of, read_jsonl
from cardinal_gym.training.objective import Scored
from cardinal_gym.training.sft_files import FileDemonstrations
from cardinal_gym.training.supervised import SupervisedStage
from cardinal_gym.training.vision_warmup import VisionStage
from chat_files import ANSWERED, ASKED, write_lines
from test_judging import MODEL, Liking
from test_preference import pairs
from test_preference import stage as dpo_stage
from test_tool_turns import ASK
from toys import (
    bandit,
    grpo_config,
    grpo_stage,
    guess,
    noisy_returns,
    optim,
    recorded,
    run_steps,
    tiny_policy,
)

Made = tuple[Stage, TrainState]


def sft(folder: Path) -> Made:
    """On a file: it has passes."""
    policy = tiny_policy()
    write_lines(folder / "data.jsonl", {"messages": [ASKED, ANSWERED]})
    demonstrations = FileDemonstrations(policy, folder / "data.jsonl", seed=0)
    stage = SupervisedStage(
        "sft", demonstrations, batch_size=3, budget=BudgetConfig(steps=1), optim=optim()
    )
    return stage, TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"))


def grpo(folder: Path) -> Made:
    """With tools, a critic, a penalty, rewards for length and a correction."""
    config = grpo_config(
        group_size=8, max_new_tokens=1, advantage=AdvantageKind.gae, credit=Credit.turn_return,
        kl_coef=0.1, sampler_correction=SamplerCorrection.truncate,
        length=LengthConfig(overlong_fraction=0.5),
    )  # fmt: skip
    policy, reference = tiny_policy(), tiny_policy()
    return grpo_stage(policy, lambda: gym.make(ASK), config, reference=reference)


def paid_by_a_model(folder: Path) -> Made:
    config = grpo_config(reward=MODEL, max_new_tokens=1)
    return grpo_stage(tiny_policy(), bandit, config, pay=ModelPay(Liking()))


def dpo(folder: Path) -> Made:
    policy = tiny_policy()
    stage, state = dpo_stage(policy, pairs(policy))
    state.budget = BudgetConfig(steps=1)
    return stage, state


def vision(folder: Path) -> Made:
    policy = tiny_policy(Family.qwen_vl)
    env = GeneralPointsConfig(modality=Modality.image, num_cards=2, solvable_only=False)
    config = PretrainConfig(vision_steps=1, vision_batch_size=2)
    stage = VisionStage(policy, env, config, seed=0)
    state = TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"), stage.parameters)
    return stage, state


RUNS: tuple[Callable[[Path], Made], ...] = (sft, grpo, paid_by_a_model, dpo, vision)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What one step of every kind of training writes, with the numbers of an evaluation."""
    found = {"evaluation": set(tracked([evaluated()]))}
    for make in RUNS:
        folder = tmp_path_factory.mktemp(make.__name__)
        stage, state = make(folder)
        train(stage, state, folder, checkpoint_every=1, keep_checkpoints=1)
        lines = [
            line for name in ("metrics", "timings") for line in read_jsonl(folder / f"{name}.jsonl")
        ]
        found[make.__name__] = {name for line in lines for name in line} - {"kind", "step"}
    return found


def evaluated() -> CellResult:
    return CellResult(
        cell="id", metric="greedy_single", n=4, num_tasks=4, successes=1, recognized=2, outcomes={},
        mean_turns=1.0, mean_tokens=1.0, per_episode="", answers=4, answers_right=2,
        measures={"spl": 0.5},
    )  # fmt: skip


def test_every_metric_is_logged_by_some_run(logged: dict[str, set[str]]) -> None:
    told = {definition_of(name) for names in logged.values() for name in names}
    assert [name for name, definition in METRICS.items() if definition not in told] == []
    assert None not in told  # nothing is logged without a definition
    assert len(set(METRICS.values())) == len(METRICS)


def test_users_find_the_usual_numbers(logged: dict[str, set[str]]) -> None:
    assert logged["sft"] >= {"loss", "lr", "grad_norm", "token_accuracy", "epoch", "tokens_per_s"}
    assert logged["grpo"] >= {
        "reward/mean", "reward/std", "advantage/mean", "advantage/std", "ratio/mean", "ratio/max",
        "sampler_gap/max", "kl", "entropy", "value/loss", "tokens_per_s", "memory/peak_mib",
    }  # fmt: skip
    assert "tokens_per_s" not in logged["vision"]  # which reads no tokens


def test_the_readme_defines_every_metric_and_no_other() -> None:
    names = _defined_in_the_readme()
    assert len(names) == len(set(names)) > 40
    assert [name for name in METRICS if not _matches(name, names)] == []
    odd = [name for name in names if name not in METRICS and not fnmatch.filter(METRICS, name)]
    assert odd == []


def test_spreads_and_maxima_are_those_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all episodes, and of the tokens that are trained on, over micro-batches of one row."""
    noisy_returns(monkeypatch)
    episodes = recorded(monkeypatch)
    scored: list[Scored] = []
    objective = grpo_update.objective
    monkeypatch.setattr(
        grpo_update, "objective", lambda *args: scored.append(args[0]) or objective(*args)
    )
    config = grpo_config(optim=optim(micro_batch_tokens=1), epochs=2)
    stage, state = grpo_stage(tiny_policy(spread=3.0), guess, config)
    (metrics,) = run_steps(stage, state, 1)

    def trained(name: str) -> np.ndarray:
        parts = [getattr(each, name)[each.mask > 0].detach().numpy() for each in scored]
        return np.concatenate(parts).astype(float)

    returns = [episode.episode_return for episode in episodes]
    gap = np.abs(trained("old") - trained("sampler"))
    ratio = np.exp(trained("logp") - trained("old"))
    assert metrics["reward/std"] == pytest.approx(np.std(returns, ddof=1))
    assert metrics["advantage/mean"] == pytest.approx(trained("advantages").mean(), abs=1e-6)
    assert metrics["advantage/std"] == pytest.approx(trained("advantages").std())
    assert metrics["ratio/mean"] == pytest.approx(ratio.mean(), rel=1e-5)
    assert metrics["ratio/max"] == pytest.approx(ratio.max(), rel=1e-5)
    assert metrics["sampler_gap/max"] == pytest.approx(gap.max(), rel=1e-3)
    assert 0 < metrics["sampler_gap/mean"] < metrics["sampler_gap/max"] < 1e-4


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _defined_in_the_readme() -> list[str]:
    """The names in the first column of the table of metrics."""
    (folder,) = cardinal_gym.training.__path__
    text = (Path(folder) / "README.md").read_text(encoding="utf-8")
    _, _, section = text.partition("\n## Metrics\n")
    rows = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
