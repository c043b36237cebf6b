"""Measuring: every cell of a suite, on the same seeds for every policy.

Metrics (see `MetricKind`): the study's own first, success within `max_turns` sampled attempts with
feedback (arXiv 2501.17161, section 5: its evaluator samples with the checkpoint's defaults); the
first of those attempts alone; and one greedy attempt. Draws are keyed by the evaluation seed and
the episode's number, so two policies answer the same hands with the same random numbers, and
measuring leaves training untouched.

A finished result is two files, written atomically, and is never computed twice:

    <folder>/evals/cells/<label>_<cell>_<metric>.json   counts (`CellResult`)
    <folder>/evals/cells/<label>_<cell>_<metric>.npz    one entry per episode (task_id, seed, ...)
"""

import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from ..agents.config import SamplingConfig
from ..agents.rollout import rollout
from ..agents.types import Agent, Episode
from .config import EvaluateConfig, MetricKind, SuiteConfig, shifted
from .demonstrations import bare_env
from .distributed import Workers
from .episodes import write_episodes
from .files import atomic_write_bytes, atomic_write_json
from .progress import ProgressReporter
from .sampler import task_seed

MakeAgent = Callable[[SamplingConfig], Agent]

NUM_CHECKED = 256  # training tasks dealt before a run starts


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """Counts of one cell under one metric.

    n: episodes; num_tasks: distinct task ids among them (episodes of one task are not independent).
    recognized: episodes whose last answer named the cards rightly, None when none were to be read.
    """

    cell: str
    metric: str
    n: int
    num_tasks: int
    successes: int
    recognized: int | None
    outcomes: dict[str, int]
    mean_turns: float
    mean_tokens: float
    per_episode: str


def evaluate(
    make_agent: MakeAgent,
    env: Any,
    suite: SuiteConfig,
    config: EvaluateConfig,
    *,
    num_episodes: int,
    folder: Path,
    label: str,
    keep_episodes: bool,
    workers: Workers,
    reporter: ProgressReporter | None = None,
) -> list[CellResult]:
    """Measure an agent on every cell and metric; finished results are read back, not repeated.

    env: the environment's configuration dataclass; each cell is a shift of it on the eval split.
    label: names the policy in file names, e.g. "sft_000300".
    keep_episodes: also write the first `sample_episodes` of every cell, with their pictures.

    Raises ValueError for an empty suite or a shift that the environment does not know.
    """
    if not suite.cells:
        raise ValueError(f"suite {suite.name!r} must have at least one cell; got none")
    cells = {
        name: shifted(env, {"split": "eval", **cell.shift}) for name, cell in suite.cells.items()
    }
    results = []
    for number, (name, cell_env) in enumerate(cells.items()):
        if reporter is not None:
            reporter.update(stage=f"evaluating {label}", done=number / len(cells), step=number)
        if not keep_episodes:
            config = replace(config, sample_episodes=0)
        job = _Job(make_agent, cell_env, name, config, num_episodes, folder, label, workers)
        results += job.run()
    return results


def check_tasks(env: Any, suite: SuiteConfig, config: EvaluateConfig) -> None:
    """Deal every evaluation task of a suite once, in words, and some training tasks.

    Raises ValueError, naming the cell, where one cannot be dealt: better now than after hours of
    training.
    """
    largest = max(config.episodes, config.final_episodes)
    dealt: dict[str, tuple[dict[str, Any], str, int]] = {}
    dealt["training"] = ({}, "sft", min(largest, NUM_CHECKED))
    for name, cell in suite.cells.items():
        dealt[f"cell {name}"] = ({"split": "eval", **cell.shift}, "evaluate", largest)
    for place, (shift, stream, count) in dealt.items():
        bare = bare_env(shifted(env, {**shift, "modality": "text"}))
        try:
            for index in range(count):
                bare.reset(seed=task_seed(config.seed, stream, index))
        except ValueError as error:
            raise ValueError(f"tasks for {place} must exist: {error}") from error


@dataclass(slots=True)
class _Job:
    """One cell of one policy: at most two rollouts, up to three results."""

    make_agent: MakeAgent
    env: Any
    cell: str
    config: EvaluateConfig
    num_episodes: int
    folder: Path
    label: str
    workers: Workers

    def run(self) -> list[CellResult]:
        wanted = self.config.metrics
        results = {metric: self._read(metric) for metric in wanted}
        sampled = [m for m in wanted if m is not MetricKind.greedy_single and results[m] is None]
        if sampled:
            episodes = self._play(greedy=False, max_turns=None)
            for metric in sampled:
                results[metric] = self._write(metric, episodes)
        if MetricKind.greedy_single in wanted and results[MetricKind.greedy_single] is None:
            episodes = self._play(greedy=True, max_turns=1)
            results[MetricKind.greedy_single] = self._write(MetricKind.greedy_single, episodes)
        return [result for result in results.values() if result is not None]

    def _play(self, *, greedy: bool, max_turns: int | None) -> list[Episode]:
        config = self.config
        env = self.env if max_turns is None else shifted(self.env, {"max_turns": max_turns})
        agent = self.make_agent(
            SamplingConfig(
                temperature=config.temperature,
                top_p=config.top_p,
                greedy=greedy,
                max_new_tokens=config.max_new_tokens,
            )
        )
        mine = self.workers.share(range(self.num_episodes))
        episodes: list[Episode] = []
        for start in range(0, len(mine), config.batch_episodes):
            part = mine[start : start + config.batch_episodes]
            episodes += rollout(
                lambda: gym.make(env.id, config=env),
                agent,
                [task_seed(config.seed, "evaluate", index) for index in part],
                groups=part,
                members=[0] * len(part),
                run_seed=config.seed,
                step=0,
            )
        return self.workers.gather(episodes)

    def _paths(self, metric: MetricKind) -> tuple[Path, Path]:
        stem = f"{self.label}_{self.cell}_{metric.value}"
        cells = self.folder / "evals" / "cells"
        return cells / f"{stem}.json", cells / f"{stem}.npz"

    def _read(self, metric: MetricKind) -> CellResult | None:
        path, _ = self._paths(metric)
        if not path.exists():
            return None
        result = CellResult(**json.loads(path.read_text(encoding="utf-8")))
        return result if result.n == self.num_episodes else None

    def _write(self, metric: MetricKind, episodes: Sequence[Episode]) -> CellResult:
        if metric is MetricKind.sampled_single:
            episodes = [_first_turn(episode) for episode in episodes]
        path, arrays = self._paths(metric)
        where = str(arrays.relative_to(self.folder))
        result = _count(self.cell, metric, episodes, per_episode=where)
        if self.workers.is_main:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write_bytes(arrays, _pack(episodes))
            if metric is not MetricKind.sampled_single and self.config.sample_episodes:
                kept = episodes[: self.config.sample_episodes]
                write_episodes(self.folder / "episodes", path.stem, kept)
            atomic_write_json(path, asdict(result))
        return result


def _first_turn(episode: Episode) -> Episode:
    first = episode.turns[:1]
    return replace(episode, turns=first, success=bool(first and first[0].success))


def _count(
    cell: str, metric: MetricKind, episodes: Sequence[Episode], *, per_episode: str
) -> CellResult:
    seen = [_recognized(episode) for episode in episodes]
    known = [value for value in seen if value is not None]
    last = Counter(e.turns[-1].outcome if e.turns else e.status.value for e in episodes)
    return CellResult(
        cell=cell,
        metric=metric.value,
        n=len(episodes),
        num_tasks=len({episode.task_id for episode in episodes}),
        successes=sum(episode.success for episode in episodes),
        recognized=sum(known) if known else None,
        outcomes=dict(sorted(last.items())),
        mean_turns=float(np.mean([len(episode.turns) for episode in episodes])),
        mean_tokens=float(np.mean([episode.num_sampled_tokens for episode in episodes])),
        per_episode=per_episode,
    )


def _recognized(episode: Episode) -> bool | None:
    return episode.turns[-1].details.get("recognized") if episode.turns else None


def _pack(episodes: Sequence[Episode]) -> bytes:
    """The per-episode arrays as an .npz file."""
    seen = [_recognized(episode) for episode in episodes]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        task_id=np.array([episode.task_id for episode in episodes]),
        seed=np.array([episode.seed for episode in episodes], dtype=np.int64),
        success=np.array([episode.success for episode in episodes]),
        recognized=np.array([-1 if value is None else int(value) for value in seen], dtype=np.int8),
        num_turns=np.array([len(episode.turns) for episode in episodes], dtype=np.int16),
        num_tokens=np.array([episode.num_sampled_tokens for episode in episodes], dtype=np.int32),
    )
    return buffer.getvalue()
