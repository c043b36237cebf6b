"""Reads a comparison's run folder: evaluations, metrics, sample episodes, what it was made with.

    config.yaml, environment.json            as `RunFolder` writes them
    seed_<k>/evals.jsonl                     one line per (arm, step, cell, metric)
    seed_<k>/<arm>/metrics.jsonl             training metrics; timings.jsonl beside it
    seed_<k>/**/episodes/<arm>_<step>_<cell>[_<metric>].jsonl   samples, pictures beside them

Nothing but one readable evaluation or metrics file is required: a run in progress, a single seed or
a single arm is read as far as it goes, and `Run.notes` says what is missing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..metrics import read_jsonl

ARM_ORDER = ("base", "sft", "grpo")
CELL_ORDER = ("id", "rule_ood", "visual_ood")
METRIC_ORDER = ("success_within_turns", "greedy_single", "sampled_single")
COMPUTE_FIELDS = ("flops", "train_tokens", "sampled_tokens", "env_steps", "cpu_s")


class NotARun(ValueError):
    """The folder holds nothing a report could be made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """One evaluation, episode by episode.

    seeds: the environment's reset seed; two policies met the same task under the same seed.
    recognized: 1, 0, or -1 where nothing was to be read. All arrays are [n].
    """

    task_ids: np.ndarray
    seeds: np.ndarray
    success: np.ndarray
    recognized: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One policy on one cell under one metric. `compute`: those COMPUTE_FIELDS that are known."""

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
                return Outcomes(
                    task_ids=np.asarray(stored["task_id"]).astype(str),
                    seeds=np.asarray(stored["seed"]),
                    success=success,
                    recognized=np.asarray(stored.get("recognized", unread)),
                )
        except (OSError, ValueError, KeyError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything of one run folder that a report shows.

    metrics: (training seed, arm) -> lines of its metrics.jsonl; timings likewise.
    notes: plain sentences on what is missing or damaged.
    """

    folder: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    evaluations: tuple[Evaluation, ...]
    metrics: Mapping[tuple[int, str], list[dict[str, Any]]]
    timings: Mapping[tuple[int, str], list[dict[str, Any]]]
    episode_files: tuple[tuple[int, Path], ...]
    is_done: bool
    notes: tuple[str, ...] = field(default=())

    @property
    def title(self) -> str:
        experiment = self.config.get("experiment") or self.folder.parent.name
        return f"{experiment}/{self.config.get('name') or self.folder.name}"

    @property
    def arms(self) -> list[str]:
        return in_order({e.arm for e in self.evaluations}, ARM_ORDER)

    @property
    def cells(self) -> list[str]:
        return in_order({e.cell for e in self.evaluations}, CELL_ORDER)

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


def load_run(folder: Path | str) -> Run:
    """Read a run folder; NotARun (a ValueError, one line) if there is nothing to report on."""
    folder = Path(folder)
    if not folder.is_dir():
        raise NotARun(f"run must be a folder that a training command wrote; got {folder}")
    notes: list[str] = []
    evaluations: list[Evaluation] = []
    metrics: dict[tuple[int, str], list[dict[str, Any]]] = {}
    timings: dict[tuple[int, str], list[dict[str, Any]]] = {}
    files: list[tuple[int, Path]] = []
    config = _mapping(folder / "config.yaml", notes)
    for seed, part in _parts(folder, config):
        evaluations += _evaluations(seed, part, notes)
        for path in [part / "metrics.jsonl", *sorted(part.glob("*/metrics.jsonl"))]:
            arm = path.parent.name if path.parent != part else _stage(config, folder)
            lines = _lines(path, notes)
            if lines:
                metrics[seed, arm] = lines
                timings[seed, arm] = _lines(path.with_name("timings.jsonl"), notes)
        files += [(seed, path) for path in sorted(part.rglob("episodes/*.jsonl"))]
    if not evaluations and not metrics and not files:
        raise NotARun(
            f"run must hold evaluations, metrics or episodes (seed_*/evals.jsonl, metrics.jsonl, "
            f"episodes/*.jsonl); got {folder} without any"
        )
    return Run(
        folder=folder,
        config=config,
        environment=_mapping(folder / "environment.json", notes),
        evaluations=tuple(evaluations),
        metrics=metrics,
        timings=timings,
        episode_files=tuple(files),
        is_done=(folder / "done.json").exists(),
        notes=tuple(notes),
    )


def in_order(names: Iterable[str], known: tuple[str, ...]) -> list[str]:
    """Known names in their order, then the others alphabetically."""
    present = set(names)
    return [name for name in known if name in present] + sorted(present - set(known))


def _parts(folder: Path, config: Mapping[str, Any]) -> list[tuple[int, Path]]:
    """(training seed, folder) of a comparison; a single stage is one part, the folder itself."""
    numbered = [(path.name.removeprefix("seed_"), path) for path in folder.glob("seed_*")]
    seeds = sorted((int(name), path) for name, path in numbered if name.isdigit() and path.is_dir())
    single = config.get("seed", 0)
    return seeds or [(single if isinstance(single, int) else 0, folder)]


def _stage(config: Mapping[str, Any], folder: Path) -> str:
    stage = config.get("stage")
    if isinstance(stage, str):
        return stage
    words = f"{config.get('experiment', '')} {folder.parent.name} {folder.name}".lower()
    return next((arm for arm in ("grpo", "sft") if arm in words), "base")


def _evaluations(seed: int, part: Path, notes: list[str]) -> list[Evaluation]:
    """The last line of each (arm, step, cell, metric): a repeated evaluation replaces the first."""
    found: dict[tuple[Any, ...], Evaluation] = {}
    for number, line in enumerate(_lines(part / "evals.jsonl", notes), start=1):
        try:
            one = _evaluation(seed, part, line)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            notes.append(f"{part.name}/evals.jsonl line {number} was left out ({reason}).")
            continue
        found[one.arm, one.step, one.cell, one.metric] = one
    return list(found.values())


def _evaluation(seed: int, part: Path, line: Mapping[str, Any]) -> Evaluation:
    n, successes = int(line["n"]), int(line["successes"])
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"successes must be between 0 and n; got {successes} of {n}")
    arrays = line.get("per_episode")
    return Evaluation(
        train_seed=seed,
        arm=str(line["arm"]),
        step=int(line.get("step") or 0),
        cell=str(line["cell"]),
        metric=str(line["metric"]),
        successes=successes,
        n=n,
        num_tasks=int(line.get("num_tasks") or n),
        recognized=None if line.get("recognized") is None else int(line["recognized"]),
        outcomes={str(k): int(v) for k, v in (line.get("outcomes") or {}).items()},
        compute={name: float(line[name]) for name in COMPUTE_FIELDS if line.get(name) is not None},
        arrays=_inside(part, arrays) if isinstance(arrays, str) else None,
    )


def _inside(folder: Path, relative: str) -> Path | None:
    """A file below `folder` or the run, named relative to either; None if there is none."""
    for base in (folder, folder.parent):
        path = (base / relative).resolve()
        if path.is_relative_to(folder.parent.resolve()) and path.is_file():
            return path
    return None


def _lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    try:
        return [line for line in read_jsonl(path) if isinstance(line, dict)]
    except (OSError, ValueError) as error:
        notes.append(f"A file could not be read: {error}.")
        return []


def _mapping(path: Path, notes: list[str]) -> dict[str, Any]:
    """A JSON or YAML mapping; empty, with a note, if it cannot be had."""
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except FileNotFoundError:
        notes.append(f"{path.name} is missing.")
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        notes.append(f"{path.name} could not be read ({type(error).__name__}).")
        return {}
    return value if isinstance(value, dict) else {}
