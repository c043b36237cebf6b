"""Plays the evaluation tasks with one policy: success, length, and what its thoughts are like.

Sampled at the evaluation's temperature, with all attempts that the environment allows; the tasks
and the random numbers are those of `training/evaluate.py`, so every policy and every stage meets
the same. Unlike there the prompt may ask for a length, and thoughts are read step by step. A result
is one file per policy and cell, written atomically, and is never computed twice:

    <stage>/<policy>_<cell>.npz     one entry per episode: task_id, success, num_tokens, steps, ...
    <stage>/episodes/               the first episodes in words, for `cardinal view`
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np

from ...agents.config import SamplingConfig
from ...agents.policy import Policy
from ...agents.policy_agent import PolicyAgent
from ...agents.rollout import rollout
from ...agents.types import Episode
from ..cell_results import packed
from ..config import ExperimentConfig, LengthConfig, cell_envs
from ..distributed import Workers
from ..episodes import write_episodes
from ..files import atomic_write_bytes
from ..grpo_config import LengthReward
from ..judging.pay import Scorer
from ..length_request import with_length_requests
from ..progress import ProgressReporter
from ..sampler import task_seed
from .plan import PlannedStage
from .thoughts import thought_arrays

SCORE_PREFIX = "score_"  # of arrays with the scores of a reward model, before its name
Measured = dict[str, np.ndarray]  # by name, one entry per episode


def measure_policy(
    policy: Policy,
    name: str,
    stage: PlannedStage,
    folder: Path,
    workers: Workers,
    reporter: ProgressReporter | None = None,
    judges: Mapping[str, Scorer] = MappingProxyType({}),
) -> None:
    """Measure one policy on every cell and at every asked length of an `evaluate` stage.

    judges: reward models by name, which score the last answers beside the rule.
    """
    config = stage.config
    count = config.evaluate.final_episodes
    for place, env, asked in places(stage, name):
        path = folder / f"{name}_{place}.npz"
        if path.exists():
            continue
        length = _asking(config.grpo.length, asked)
        episodes = _play(policy, config, env, length, workers, reporter, f"{name} on {place}")
        if workers.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            kept = episodes[: config.evaluate.sample_episodes]
            write_episodes(folder / "episodes", f"{name}_{place}", kept)
            atomic_write_bytes(path, _packed(episodes, asked, judges))
        workers.wait()
        assert len(episodes) == count


def places(stage: PlannedStage, policy: str) -> list[tuple[str, Any, int | None]]:
    """Where a stage measures a policy: name, environment, asked tokens (None: not asked)."""
    envs = cell_envs(stage.envs[policy], stage.config.suite)
    named = place_names(list(envs), stage.stage.asked_tokens)
    return [(name, envs[cell], count) for cell, name, count in named]


def place_names(
    cells: Sequence[str], asked_tokens: Sequence[int]
) -> list[tuple[str, str, int | None]]:
    """Every cell at every asked length: the cell, the name in file names, asked tokens."""
    asked: list[int | None] = [*asked_tokens] or [None]
    return [
        (cell, cell if count is None else f"{cell}@{count}", count)
        for cell in cells
        for count in asked
    ]


def read_measured(path: Path) -> Measured:
    """The arrays of one finished result."""
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _play(
    policy: Policy,
    config: ExperimentConfig,
    env: Any,
    length: LengthConfig,
    workers: Workers,
    reporter: ProgressReporter | None,
    what: str,
) -> list[Episode]:
    chosen = config.evaluate
    agent = PolicyAgent(
        policy,
        SamplingConfig(
            temperature=chosen.temperature,
            top_p=chosen.top_p,
            max_new_tokens=chosen.max_new_tokens,
        ),
    )
    mine = workers.share(range(chosen.final_episodes))
    episodes: list[Episode] = []
    for start in range(0, len(mine), chosen.batch_episodes):
        part = mine[start : start + chosen.batch_episodes]
        episodes += rollout(
            partial(_made, env, length),
            agent,
            [task_seed(chosen.seed, "evaluate", index) for index in part],
            groups=part,
            members=[0] * len(part),
            run_seed=chosen.seed,
            step=0,
        )
        if reporter is not None:
            reporter.update(
                stage=f"measuring {what}", step=len(episodes), total=len(mine), unit="episode"
            )
    return workers.gather(episodes)


def _made(env: Any, length: LengthConfig) -> gym.Env[Any, Any]:
    return with_length_requests(gym.make(env.id, config=env), length)


def _asking(length: LengthConfig, asked: int | None) -> LengthConfig:
    """The section with one number to ask for; no request where none is."""
    if asked is None:
        return replace(length, kind=LengthReward.none)
    return replace(length, kind=LengthReward.l1_exact, asked_tokens=[asked, asked])


def _packed(episodes: list[Episode], asked: int | None, judges: Mapping[str, Scorer]) -> bytes:
    with np.load(io.BytesIO(packed(episodes))) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays |= thought_arrays(episodes)
    last = [(each.turns[-1].observation, each.turns[-1].completion.text) for each in episodes]
    arrays |= {f"{SCORE_PREFIX}{name}": judge.scores(last) for name, judge in judges.items()}
    if asked is not None:
        arrays["asked"] = np.full(len(episodes), asked, dtype=np.int32)
    buffer = io.BytesIO()
    save: Any = np.savez_compressed  # its stub takes the names for flags
    save(buffer, **arrays)
    return buffer.getvalue()
