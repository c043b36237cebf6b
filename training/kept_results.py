"""One policy's part of the results database, as `evaluate` uses it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..agents.config import SamplingConfig
from ..agents.types import Episode
from .config import CellConfig, ExperimentConfig, SuiteConfig, cell_envs
from .distributed import Workers
from .files import atomic_write_json
from .result_keys import (
    PolicyKey,
    cell_details,
    policy_key,
    results_version,
    sampling_details,
)
from .result_schema import DATABASE_NAME, Place
from .result_store import ResultStore


@dataclass(frozen=True, slots=True)
class KeptPlay:
    """What one policy does in one cell under one sampling."""

    store: ResultStore
    number: int

    def read(self, places: Sequence[Place]) -> dict[Place, Episode]:
        """Those of these that are there, by number and sample, without what they observed."""
        known = self.store.known(self.number)
        there = [place for place in places if place in known]
        return dict(zip(there, self.store.read(self.number, there), strict=True))

    def add(self, episodes: Sequence[Episode]) -> None:
        """Keep a shard."""
        self.store.add(self.number, episodes)


@dataclass(frozen=True, slots=True)
class KeptResults:
    """What is kept of a policy, for the cells of a suite."""

    store: ResultStore
    policy: PolicyKey
    suite: SuiteConfig

    def play(self, cell: str, env: Any, sampling: SamplingConfig, seed: int) -> KeptPlay:
        """env: what is played in that cell. seed: of the evaluation."""
        details, labels = cell_details(env), self.suite.cells[cell]
        assert isinstance(labels, CellConfig)
        number = self.store.play(self.policy, details, sampling_details(sampling, seed))
        self.store.label(
            details,
            self.suite.name,
            cell,
            axis=None if labels.axis is None else labels.axis.value,
            severity=labels.severity,
            title=labels.title,
        )
        return KeptPlay(self.store, number)

    def refuse_mixing(self, folder: Path) -> None:
        """ValueError if the results in `folder` are those of another policy, or of another version
        of this program; note whose they are.

        The configuration names a policy by its place, and what stands there may have changed.
        """
        path, version = folder / "policy.json", results_version()
        record = {
            "digest": self.policy.digest,
            "name": self.policy.name,
            "path": self.policy.path,
            "version": version,
        }
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            atomic_write_json(path, record)
            return
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored.get("digest") != self.policy.digest:
            raise ValueError(
                f"results in {folder} must be of one policy; got those of another than what "
                f"{self.policy.path or self.policy.name} holds now: choose another name"
            )
        if stored.get("version", version) != version:
            raise ValueError(
                f"results in {folder} must be of one version; got those of {stored['version']}, "
                f"and this is {version}: choose another name"
            )


@contextmanager
def kept_results(
    config: ExperimentConfig, workers: Workers, policy: PolicyKey | None = None
) -> Iterator[KeptResults | None]:
    """A policy's part of the database, on the main process; None on the others.

    policy: whose; None: that of the configuration, which has been loaded if it is the hub's.
    """
    if not workers.is_main:
        yield None
        return
    with ResultStore(database_path(config)) as store:
        yield KeptResults(store, policy or key_of(config), config.suite)


def is_all_kept(config: ExperimentConfig, policy: PolicyKey) -> bool:
    """Whether `cardinal eval` would find every episode in the database; nothing is written."""
    if not database_path(config).exists():
        return False
    chosen = config.evaluate
    with ResultStore(database_path(config), create=False) as store:
        for env in cell_envs(config.env, config.suite).values():
            for greedy in {metric.is_greedy for metric in chosen.metrics}:
                played = cell_details(env.single_attempt() if greedy else env)
                drawn = sampling_details(chosen.sampling(greedy), chosen.seed)
                play = store.find(policy, played, drawn)
                wanted = chosen.places(chosen.final_episodes, greedy)
                if play is None or not store.known(play).issuperset(wanted):
                    return False
    return True


def key_of(config: ExperimentConfig) -> PolicyKey:
    """Of the policy that a run measures."""
    return policy_key(config.policy, f"{config.experiment}/{config.name}")


def database_path(config: ExperimentConfig) -> Path:
    """Where the results of a run are kept."""
    named = config.evaluate.database
    return Path(config.output_dir) / DATABASE_NAME if named is None else Path(named)
