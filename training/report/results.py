"""Results of a run as typed values: evaluations, their episodes, and the run they belong to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...agents.config import called
from ..episode_columns import TERM_PREFIX
from ..statistics import Cluster, units
from .games import CARDS, WALKS, GameWords, game_of
from .words import CellWords, arm_words, cell_words, titled_words

ARM_ORDER = ("base", "sft", "grpo")
CELL_ORDER = ("id", "rule_ood", "visual_ood")
METRIC_ORDER = ("success_within_turns", "greedy_single", "sampled_single")
SOLVED = ("correct", "success", "solved", "arrived")  # outcomes of an answer that is right
FREE_MEASURES = ("spl", "ndtw", "distance_m")
COMPUTE_FIELDS = ("flops", "train_tokens", "sampled_tokens", "env_steps", "cpu_s")


class NotARun(ValueError):
    """The folder holds nothing a report could be made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """One evaluation, episode by episode.

    units: by what intervals cluster: the task, or its hand of cards whatever the target.
    seeds: the environment's reset seed; two policies met the same task under the same seed.
    recognized: 1, 0, or -1 where nothing was to be read. All arrays are [n].
    outcome: of the last answer; None where runs did not keep it.
    answers, answers_right: of a walk, whose every answer is a step; None in other games.
    sample: number of the attempt at the same deal.  num_turns, num_tokens: answers and sampled
        tokens.  returns, reward_terms: what it is worth, and terms of its last answer, NaN where
        there is none.  None, or no terms, in files of older versions.
    free: of walks in free movement, by name: spl, ndtw, distance_m; none of other episodes.
    """

    task_ids: np.ndarray
    units: np.ndarray
    seeds: np.ndarray
    success: np.ndarray
    recognized: np.ndarray
    outcome: np.ndarray | None = None
    answers: np.ndarray | None = None
    answers_right: np.ndarray | None = None
    sample: np.ndarray | None = None
    num_turns: np.ndarray | None = None
    num_tokens: np.ndarray | None = None
    returns: np.ndarray | None = None
    reward_terms: Mapping[str, np.ndarray] = field(default_factory=dict)
    free: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def deals(self) -> np.ndarray:
        """What two policies' episodes are paired by: (reset seed, attempt). int64 [n, 2]"""
        attempt = np.zeros_like(self.seeds) if self.sample is None else self.sample
        return np.stack([self.seeds, attempt], axis=1).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One policy on one cell under one metric. `compute`: those COMPUTE_FIELDS that are known.

    answers, answers_right: over all walks; None in other games and in runs that did not count.
    cluster: of the episodes.
    """

    train_seed: int
    arm: str
    step: int
    cell: str
    metric: str
    successes: int
    n: int
    num_tasks: int
    recognized: int | None
    outcomes: Mapping[str, int]
    compute: Mapping[str, float]
    arrays: Path | None
    answers: int | None = None
    answers_right: int | None = None
    cluster: Cluster = Cluster.hand

    @property
    def rate(self) -> float:
        return self.successes / self.n

    @cached_property
    def episodes(self) -> Outcomes | None:
        """Per-episode arrays; None if they were not kept or cannot be read."""
        if self.arrays is None:
            return None
        try:
            with np.load(self.arrays, allow_pickle=False) as stored:
                success = np.asarray(stored["success"], dtype=bool)
                unread = np.full(success.size, -1, dtype=np.int8)
                answers, answers_right = _steps(stored)
                task_ids = np.asarray(stored["task_id"]).astype(str)
                return Outcomes(
                    task_ids=task_ids,
                    units=units(task_ids, self.cluster),
                    seeds=np.asarray(stored["seed"]),
                    success=success,
                    recognized=np.asarray(stored.get("recognized", unread)),
                    outcome=np.asarray(stored["outcome"]) if "outcome" in stored else None,
                    answers=answers,
                    answers_right=answers_right,
                    sample=_column(stored, "sample"),
                    num_turns=_column(stored, "num_turns"),
                    num_tokens=_column(stored, "num_tokens"),
                    returns=_column(stored, "return"),
                    reward_terms={
                        name.removeprefix(TERM_PREFIX): np.asarray(stored[name])
                        for name in stored
                        if name.startswith(TERM_PREFIX)
                    },
                    free={
                        name: values
                        for name in FREE_MEASURES
                        if name in stored and np.isfinite(values := np.asarray(stored[name])).all()
                    },
                )
        except (OSError, ValueError, KeyError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything of one run folder that a report shows.

    metrics: (training seed, arm) -> lines of its metrics.jsonl.
    spent: training seed -> stage of the base -> what it cost (`base/spent.json`).
    notes: plain sentences on what is missing or damaged.
    cluster: what is one observation.
    policies, sources: of several evaluations side by side (`joint`), arm -> what the policy is
        called, and the run folder it was measured in; empty in a run of its own.
    """

    folder: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    evaluations: tuple[Evaluation, ...]
    metrics: Mapping[tuple[int, str], list[dict[str, Any]]]
    spent: Mapping[int, Mapping[str, Any]]
    episode_files: tuple[tuple[int, Path], ...]
    is_done: bool
    notes: tuple[str, ...] = field(default=())
    cluster: Cluster = Cluster.hand
    policies: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Path] = field(default_factory=dict)

    @property
    def title(self) -> str:
        experiment = self.config.get("experiment") or self.folder.parent.name
        return f"{experiment}/{self.config.get('name') or self.folder.name}"

    @property
    def arms(self) -> list[str]:
        return in_order({e.arm for e in self.evaluations}, tuple(self.policies) or ARM_ORDER)

    @property
    def cells(self) -> list[str]:
        """In the suite's order, in distribution first."""
        return in_order({e.cell for e in self.evaluations}, ("id", *self.shifts, *CELL_ORDER))

    @property
    def cell_configs(self) -> dict[str, Mapping[str, Any]]:
        """The cells of the suite, as configured."""
        cells = _path(self.config, "suite", "cells")
        known = cells.items() if isinstance(cells, dict) else ()
        return {str(k): v for k, v in known if isinstance(v, dict)}

    @property
    def shifts(self) -> dict[str, Mapping[str, Any]]:
        """What every cell of the suite changes in the environment, as configured."""
        return {name: cell.get("shift") or {} for name, cell in self.cell_configs.items()}

    @property
    def reads_pictures(self) -> bool:
        """Whether recognition means something: in text mode the cards are given in words."""
        modality = _path(self.config, "env", "modality")
        if modality is not None:
            return modality == "image"
        return any(each.recognized is not None for each in self.evaluations)

    @property
    def game(self) -> GameWords:
        """How to speak of what was played."""
        name = _path(self.config, "env", "id")
        if isinstance(name, str):
            return game_of(name)
        return WALKS if any(each.answers is not None for each in self.evaluations) else CARDS

    @property
    def has_one_base(self) -> bool:
        """Whether all training seeds start from the same pretrained weights."""
        places = (("pretrain", "seed"), ("policy", "path"))
        return any(_path(self.config, *place) is not None for place in places)

    def own_shift(self, cell: str) -> dict[str, Any]:
        """What sets a cell apart from the one in distribution."""
        common = self.shifts.get("id", {})
        shift = self.shifts.get(cell, {})
        return {name: value for name, value in shift.items() if common.get(name) != value}

    def words(self, cell: str) -> CellWords:
        title = self.cell_configs.get(cell, {}).get("title")
        if title:
            return titled_words(str(title))
        return cell_words(cell, self.own_shift(cell))

    def arm_words(self, arm: str) -> str:
        """A policy that was only measured is not the base of anything."""
        return self.policies.get(arm) or self.measured or arm_words(arm)

    @property
    def measured(self) -> str | None:
        """Who was measured, of a run that trained nobody and measured one policy."""
        if self.config.get("command") != "eval" or self.policies:
            return None
        policy = self.config.get("policy")
        if not isinstance(policy, Mapping) or not isinstance(policy.get("name"), str):
            return "Policy"
        return called(policy["name"], policy.get("path"), policy.get("model"))

    @property
    def metric_names(self) -> list[str]:
        return in_order({e.metric for e in self.evaluations}, METRIC_ORDER)

    @property
    def train_seeds(self) -> list[int]:
        return sorted({e.train_seed for e in self.evaluations} | {k for k, _ in self.metrics})

    def select(self, arm: str, cell: str, metric: str) -> dict[int, list[Evaluation]]:
        """Evaluations of an arm along training, by training seed, earliest first."""
        found: dict[int, list[Evaluation]] = {}
        for each in self.evaluations:
            if (each.arm, each.cell, each.metric) == (arm, cell, metric):
                found.setdefault(each.train_seed, []).append(each)
        return {seed: sorted(found[seed], key=lambda e: e.step) for seed in sorted(found)}


def in_order(names: Iterable[str], known: tuple[str, ...]) -> list[str]:
    """Known names in their order, then the others alphabetically."""
    present = set(names)
    first = [name for name in dict.fromkeys(known) if name in present]
    return first + sorted(present - set(known))


def _column(stored: Mapping[str, np.ndarray], name: str) -> np.ndarray | None:
    return np.asarray(stored[name]) if name in stored else None


def _steps(stored: Mapping[str, np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Answers and right ones of every walk, both [n]; None, None where no answer is a step.

    Right answers are stored as -1 in games without steps and for walks without an answer.
    """
    if "num_right" not in stored or "num_turns" not in stored:
        return None, None
    right, turns = np.asarray(stored["num_right"]), np.asarray(stored["num_turns"])
    if not (right >= 0).any():
        return None, None
    return np.where(right >= 0, turns, 0), np.maximum(right, 0)


def _path(config: Mapping[str, Any], *names: str) -> Any:
    """A nested value; None where the path leads nowhere."""
    value: Any = config
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
