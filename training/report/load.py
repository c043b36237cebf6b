"""Reads a comparison's run folder: evaluations, metrics, sample episodes, what it was made with.

    config.yaml, environment.json            as `RunFolder` writes them
    seed_<k>/evals.jsonl                     one line per (arm, step, cell, metric)
    seed_<k>/<arm>/metrics.jsonl             training metrics
    seed_<k>/base/spent.json                 what pretraining and warm-up cost
    seed_<k>/episodes/<arm>_<step>_<cell>[_<metric>].jsonl   samples, pictures beside them

Nothing but the configuration and one evaluation, metrics or episode file is required: a run in
progress, a single seed or a single arm is read as far as it goes; `Run.notes` says what is missing.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ..metrics import read_jsonl
from ..statistics import Cluster
from .results import COMPUTE_FIELDS, Evaluation, NotARun, Run

STAGES = {"compare": ("sft", "grpo"), "sft": ("sft",), "grpo": ("grpo",), "pretrain": ("base",)}


def load_run(folder: Path | str, cluster: Cluster = Cluster.hand) -> Run:
    """Read a run folder; NotARun (a ValueError, one line) if there is nothing to report on.

    cluster: what is one observation; runs store the finer id, so that either can be chosen.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotARun(f"run must be a folder that a training command wrote; got {folder}")
    if not (folder / "config.yaml").exists() and not any(folder.glob("seed_*/evals.jsonl")):
        raise NotARun(_why_not(folder))
    notes: list[str] = []
    evaluations: list[Evaluation] = []
    metrics: dict[tuple[int, str], list[dict[str, Any]]] = {}
    spent: dict[int, dict[str, Any]] = {}
    files: list[tuple[int, Path]] = []
    config = _mapping(folder / "config.yaml", notes)
    parts = _parts(folder, config)
    for seed, part in parts:
        evaluations += _evaluations(seed, part, notes)
        for path in [part / "metrics.jsonl", *sorted(part.glob("*/metrics.jsonl"))]:
            arm = path.parent.name if path.parent != part else _stage(config, folder)
            lines = _lines(path, notes)
            if lines:
                metrics[seed, arm] = lines
        cost = _mapping(part / "base" / "spent.json")
        if cost:
            spent[seed] = cost
        stored = [*part.glob("episodes/*.jsonl"), *part.glob("*/episodes/*.jsonl")]
        files += [(seed, path) for path in sorted(stored)]
    if not evaluations and not metrics and not files:
        raise NotARun(_why_not(folder))
    return Run(
        folder=folder,
        config=config,
        environment=_mapping(folder / "environment.json", notes),
        evaluations=tuple(replace(each, cluster=cluster) for each in evaluations),
        metrics=metrics,
        spent=spent,
        episode_files=tuple(files),
        is_done=(folder / "done.json").exists() or _all_done(config, [part for _, part in parts]),
        notes=tuple(notes),
        cluster=cluster,
    )


def _why_not(folder: Path) -> str:
    """One line; where runs stand below the folder, it names them."""
    below = sorted(path.parent.name for path in folder.glob("*/config.yaml"))
    if below:
        return (
            f"run must be one of the runs in {folder} ({', '.join(below)}); got the folder itself"
        )
    return f"run must hold config.yaml and evaluations, metrics or episodes; got {folder} without"


def _parts(folder: Path, config: Mapping[str, Any]) -> list[tuple[int, Path]]:
    """(training seed, folder) of a comparison; a single stage is one part, the folder itself."""
    numbered = [(path.name.removeprefix("seed_"), path) for path in folder.glob("seed_*")]
    seeds = sorted((int(name), path) for name, path in numbered if name.isdigit() and path.is_dir())
    single = config.get("seed", 0)
    return seeds or [(single if isinstance(single, int) else 0, folder)]


def _all_done(config: Mapping[str, Any], parts: list[Path]) -> bool:
    """Whether every stage has ended, although the run is not marked yet: its report comes first."""
    stages = STAGES.get(str(config.get("command")), ())
    wanted = config.get("seeds", 1) if config.get("command") == "compare" else 1
    finished = [all((part / stage / "done.json").exists() for stage in stages) for part in parts]
    return bool(stages) and len(parts) == wanted and all(finished)


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
        recognized=_count(line, "recognized"),
        outcomes={str(k): int(v) for k, v in (line.get("outcomes") or {}).items()},
        compute={name: float(line[name]) for name in COMPUTE_FIELDS if line.get(name) is not None},
        arrays=_inside(part, arrays) if isinstance(arrays, str) else None,
        answers=_count(line, "answers"),
        answers_right=_count(line, "answers_right"),
    )


def _count(line: Mapping[str, Any], name: str) -> int | None:
    """A count that not every game has, and not every run kept."""
    return None if line.get(name) is None else int(line[name])


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


def _mapping(path: Path, notes: list[str] | None = None) -> dict[str, Any]:
    """A JSON or YAML mapping; empty, with a note, if it cannot be had."""
    notes = [] if notes is None else notes
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
