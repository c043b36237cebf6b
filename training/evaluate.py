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
from .config import EvaluateConfig, MetricKind, SuiteConfig, cell_envs
from .distributed import Workers
from .episode_records import replayed
from .episodes import write_episodes
from .files import atomic_write_bytes, atomic_write_json
from .kept_results import KeptPlay, KeptResults
from .progress import ProgressReporter
from .result_schema import Place
from .sampler import task_seed
from .task_checks import check_tasks

__all__ = ["MakeAgent", "check_tasks", "evaluate"]

MakeAgent = Callable[[SamplingConfig], Agent]


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
    kept: KeptResults | None = None,
) -> list[CellResult]:
    """Measure an agent on every cell and metric; finished results are read back, not repeated.

    env: the environment's configuration dataclass; each cell is a shift of it on the eval split.
    label: names the policy in file names, e.g. "sft_000300".
    reporter: told the episodes played of all cells, and the success so far in the present one.
    keep_episodes: also write the first `sample_episodes` of every cell, with their pictures.
    kept: this policy's part of a results database, on the main process: what is there is not played
        again, and what is played is added, shard by shard. None: everything is played.

    Raises ValueError for an empty suite or a shift that the environment does not know.
    """
    if not suite.cells:
        raise ValueError(f"suite {suite.name!r} must have at least one cell; got none")
    cells = cell_envs(env, suite)
    if not keep_episodes:
        config = replace(config, sample_episodes=0)
    jobs = [
        _Job(make_agent, cell_env, name, config, num_episodes, folder, label, workers, kept)
        for name, cell_env in cells.items()
    ]
    counter = _Counter(
        reporter,
        f"evaluating {label if kept is None else kept.policy.name}",
        total=sum(len(job.places(greedy)) for job in jobs for greedy in job.missing),
        processes=workers.size,
    )
    return [result for job in jobs for result in job.run(counter)]


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

    def skip(self, count: int) -> None:
        """So many of the episodes need not be played."""
        self.total -= count

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
    kept: KeptResults | None
    results: dict[MetricKind, CellResult | None] = field(init=False)

    def __post_init__(self) -> None:
        self.results = {metric: self._read(metric) for metric in self.config.metrics}

    @property
    def missing(self) -> list[bool]:
        """The rollouts still to be played: whether greedy."""
        return sorted({m.is_greedy for m, result in self.results.items() if result is None})

    def run(self, counter: _Counter) -> list[CellResult]:
        for greedy in self.missing:
            episodes = self._play(greedy, counter)
            for metric, result in self.results.items():
                if result is None and metric.is_greedy is greedy:
                    self.results[metric] = self._write(metric, episodes)
        return [result for result in self.results.values() if result is not None]

    def _play(self, greedy: bool, counter: _Counter) -> list[Episode]:
        """Every episode, sampled with all attempts or greedily with one."""
        config = self.config
        env = self.env.single_attempt() if greedy else self.env
        sampling = config.sampling(greedy)
        kept = self.kept.play(self.cell, env, sampling, config.seed) if self.kept else None
        places = self.places(greedy)
        found = self.workers.broadcast(self._kept_episodes(kept, env, places))
        missing = [place for place in places if place not in found]
        counter.skip(len(found))
        shard = config.batch_episodes * self.workers.size
        own: list[Episode] = []
        agent = self.make_agent(sampling) if missing else None
        for start in range(0, len(missing), shard):
            assert agent is not None
            part = missing[start : start + shard]
            fresh = self._roll(env, agent, self.workers.share(part), own, counter)
            own += fresh
            played = self.workers.gather(fresh)
            if kept is not None:
                kept.add(played)
            found |= {(episode.group, episode.member): episode for episode in played}
        counter.done += len(own)
        return [found[place] for place in places]

    def places(self, greedy: bool) -> list[Place]:
        return self.config.places(self.num_episodes, greedy)

    def _roll(
        self, env: Any, agent: Agent, part: list[Place], own: list[Episode], counter: _Counter
    ) -> list[Episode]:
        """This process's part of a shard. own: what it has played of this rollout before."""
        fresh = rollout(
            lambda: gym.make(env.id, config=env),
            agent,
            [task_seed(self.config.seed, "evaluate", index) for index, _ in part],
            groups=[index for index, _ in part],
            members=[sample for _, sample in part],
            run_seed=self.config.seed,
            step=0,
            on_progress=partial(counter.tell, self.cell, own),
        )
        counter.tell(self.cell, [*own, *fresh])
        return fresh

    def _kept_episodes(
        self, kept: KeptPlay | None, env: Any, places: Sequence[Place]
    ) -> dict[Place, Episode]:
        """What need not be played; the first ones are seen once more, for the report."""
        if kept is None:
            return {}
        found = kept.read(places)
        shown = [place for place in places[: self.config.sample_episodes] if place in found]
        return found | {place: replayed(env, found[place]) for place in shown}

    def _paths(self, metric: MetricKind) -> tuple[Path, Path]:
        stem = f"{self.label}_{self.cell}_{metric.value}"
        cells = self.folder / "evals" / "cells"
        return cells / f"{stem}.json", cells / f"{stem}.npz"

    def _read(self, metric: MetricKind) -> CellResult | None:
        path, _ = self._paths(metric)
        if not path.exists():
            return None
        try:
            result = CellResult(**json.loads(path.read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"results must be those of this version; got {path}, which cannot be read: choose "
                "another name"
            ) from error
        return result if result.n == len(self.places(metric.is_greedy)) else None

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
