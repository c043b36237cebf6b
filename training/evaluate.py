"""Measuring: every cell of a suite, on the same seeds for every policy.

Metrics (see `MetricKind`): the study's own first, success within `max_turns` sampled attempts with
feedback (arXiv 2501.17161, section 5: its evaluator samples with the checkpoint's defaults); the
first of those attempts alone (on walks: no wrong answer anywhere); and one greedy attempt. Draws
are keyed by the evaluation seed and the episode's number, so two policies answer the same hands
with the same random numbers, and measuring leaves training untouched.

A finished result is two files, written atomically, and is never computed twice:

    <folder>/evals/cells/<label>_<cell>_<metric>.json   counts (`CellResult`)
    <folder>/evals/cells/<label>_<cell>_<metric>.npz    one entry per episode (task_id, seed, ...)
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym

from ..agents.config import SamplingConfig
from ..agents.rollout import rollout
from ..agents.types import Agent, Episode
from .cell_results import CellResult, count_cell, first_attempt, packed
from .config import EvaluateConfig, MetricKind, SuiteConfig, shifted
from .demonstrations import bare_env
from .distributed import Workers
from .episodes import write_episodes
from .files import atomic_write_bytes, atomic_write_json
from .progress import ProgressReporter
from .sampler import task_seed

MakeAgent = Callable[[SamplingConfig], Agent]

NUM_CHECKED = 256  # training tasks dealt before a run starts


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
    reporter: told the episodes played of all cells, and the success so far in the present one.
    keep_episodes: also write the first `sample_episodes` of every cell, with their pictures.

    Raises ValueError for an empty suite or a shift that the environment does not know.
    """
    if not suite.cells:
        raise ValueError(f"suite {suite.name!r} must have at least one cell; got none")
    cells = {
        name: shifted(env, {"split": "eval", **cell.shift}) for name, cell in suite.cells.items()
    }
    if not keep_episodes:
        config = replace(config, sample_episodes=0)
    jobs = [
        _Job(make_agent, cell_env, name, config, num_episodes, folder, label, workers)
        for name, cell_env in cells.items()
    ]
    counter = _Counter(
        reporter,
        f"evaluating {label}",
        total=num_episodes * sum(len(job.missing) for job in jobs),
        processes=workers.size,
    )
    return [result for job in jobs for result in job.run(counter)]


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
class _Counter:
    """Episodes of one evaluation, over all its cells, as the reporter is told of them.

    total: to be played by all processes; each counts its own and takes the others to be as fast.
    """

    reporter: ProgressReporter | None
    stage: str
    total: int
    processes: int
    done: int = 0  # by this process, in rollouts that have ended

    def tell(self, cell: str, played: Sequence[Episode], more: int = 0, _: int = 0) -> None:
        """How far the rollout of a cell is: `played` and `more` that have just ended.

        Success is that of `played` alone: the first to end are those that were solved.
        """
        if self.reporter is None:
            return
        done = (self.done + len(played) + more) * self.processes
        rate = sum(episode.success for episode in played) / max(len(played), 1)
        self.reporter.update(
            stage=self.stage,
            step=min(done, self.total),
            total=self.total,
            unit="episode",
            quantity=f"{cell} success {rate:.2f}" if played else cell,
        )


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
    results: dict[MetricKind, CellResult | None] = field(init=False)

    def __post_init__(self) -> None:
        self.results = {metric: self._read(metric) for metric in self.config.metrics}

    @property
    def missing(self) -> list[bool]:
        """The rollouts still to be played: whether greedy."""
        return sorted({_is_greedy(m) for m, result in self.results.items() if result is None})

    def run(self, counter: _Counter) -> list[CellResult]:
        for greedy in self.missing:
            episodes = self._play(greedy, counter)
            for metric, result in self.results.items():
                if result is None and _is_greedy(metric) is greedy:
                    self.results[metric] = self._write(metric, episodes)
        return [result for result in self.results.values() if result is not None]

    def _play(self, greedy: bool, counter: _Counter) -> list[Episode]:
        """Every episode, sampled with all attempts or greedily with one."""
        config = self.config
        env = self.env.single_attempt() if greedy else self.env
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
                on_progress=partial(counter.tell, self.cell, episodes),
            )
            counter.tell(self.cell, episodes)
        counter.done += len(episodes)
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
            episodes = [first_attempt(episode) for episode in episodes]
        path, arrays = self._paths(metric)
        where = str(arrays.relative_to(self.folder))
        result = count_cell(self.cell, metric, episodes, per_episode=where)
        if self.workers.is_main:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write_bytes(arrays, packed(episodes))
            if metric is not MetricKind.sampled_single and self.config.sample_episodes:
                kept = episodes[: self.config.sample_episodes]
                write_episodes(self.folder / "episodes", path.stem, kept)
            atomic_write_json(path, asdict(result))
        return result


def _is_greedy(metric: MetricKind) -> bool:
    return metric is MetricKind.greedy_single
