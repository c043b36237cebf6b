"""Several evaluations as one run: what `cardinal eval` measured of several policies, side by side.

Every run folder becomes an arm, called as its policy is. What compares the arms of a comparison
then compares the policies: the same episodes, paired, with the same intervals and corrections.
Folders that do not fit are refused (`fit`); cells that not all of them measured are told.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..statistics import Cluster
from .fit import check_fit
from .load import load_run
from .results import ARM_ORDER, NotARun, Run

FOLDER = "reports"  # beside the run folders
MAX_NAME_CHARS = 100
SHARED = " / "  # between values that differ from run to run


def load_joint(
    folders: Sequence[Path], labels: Sequence[str] = (), cluster: Cluster = Cluster.hand
) -> Run:
    """The runs as one; `Run.folder` is where their report goes unless it is told otherwise.

    labels: what the policies are to be called, one for each folder; none: as the runs call them.
    NotARun, in one line, for folders that cannot stand side by side.
    """
    runs = [load_run(folder, cluster) for folder in folders]
    check_fit(runs)
    names = _names(runs, labels)
    arms = _arms(names)
    by_arm = dict(zip(arms, runs, strict=True))
    experiments = dict.fromkeys(run.title.partition("/")[0] for run in runs)
    return Run(
        folder=_place([run.folder for run in runs], arms),
        config=_config(runs, names) | {"experiment": " + ".join(experiments)},
        environment=_environment([run.environment for run in runs]),
        evaluations=tuple(
            replace(each, arm=arm, train_seed=0, step=0)
            for arm, run in by_arm.items()
            for each in run.evaluations
        ),
        metrics={},
        spent={},
        episode_files=tuple((0, path) for run in runs for _, path in run.episode_files),
        is_done=all(run.is_done for run in runs),
        notes=tuple(
            f"{name}: {note}" for name, run in zip(names, runs, strict=True) for note in run.notes
        ),
        cluster=cluster,
        policies=dict(zip(arms, names, strict=True)),
        sources={arm: run.folder for arm, run in by_arm.items()},
    )


def unpaired(run: Run) -> list[str]:
    """What of several policies was not measured of all: a sentence for each cell and metric."""
    sentences = []
    for cell in run.cells:
        for metric in run.metric_names:
            sizes = {arm: _size(run, arm, cell, metric) for arm in run.arms}
            with_it = [arm for arm, size in sizes.items() if size]
            if not with_it or (len(with_it) == len(run.arms) and len(set(sizes.values())) == 1):
                continue
            place = f"{run.words(cell).title}, {run.game.metric(metric).lower()}"
            if len(with_it) < len(run.arms):
                names = ", ".join(run.arm_words(arm) for arm in with_it)
                sentences.append(f"Not paired: {place}, measured of {names} alone.")
            else:
                told = ", ".join(f"{run.arm_words(arm)} {sizes[arm]}" for arm in with_it)
                sentences.append(f"Episodes, {place}: {told}; differences are of those in common.")
    return sentences


def _size(run: Run, arm: str, cell: str, metric: str) -> int:
    tracks = run.select(arm, cell, metric)
    return sum(track[-1].n for track in tracks.values())


def _names(runs: Sequence[Run], labels: Sequence[str]) -> list[str]:
    """What the policies are called: as told, else as the user called them, else as the runs are."""
    if labels and len(labels) != len(runs):
        raise NotARun(f"--label must be given once for each run; got {len(labels)} of {len(runs)}")
    titles = [run.title for run in runs]
    called = [run.measured or run.title for run in runs]
    names = next(
        (found for found in (labels, called, titles) if len(set(found)) == len(runs)), None
    )
    if names is None or (labels and list(names) != list(labels)):
        wanted = labels or titles
        twice = next(name for name in wanted if list(wanted).count(name) > 1)
        which = [str(run.folder) for run, name in zip(runs, wanted, strict=True) if name == twice]
        raise NotARun(
            f"runs must have names of their own; got {' and '.join(which)}, all called {twice}: "
            "name them with --label, once for each run"
        )
    return list(names)


def _arms(names: Sequence[str]) -> list[str]:
    """The names as parts of file names; never those of the arms that a comparison trains."""
    arms: list[str] = []
    for name in names:
        arm = re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "policy"
        arm = f"{arm}-policy" if arm in ARM_ORDER else arm
        arms.append(f"{arm}-{len(arms) + 1}" if arm in arms else arm)
    return arms


def _place(folders: Sequence[Path], arms: Sequence[str]) -> Path:
    """Beside the run folders: runs/gp_l/reports/random+oracle."""
    above = Path(os.path.commonpath([folder.resolve().parent for folder in folders]))
    here = Path.cwd()
    above = above.relative_to(here) if above.is_relative_to(here) else above
    name = "+".join(arms)
    if len(name) > MAX_NAME_CHARS:
        name = f"{arms[0][:MAX_NAME_CHARS]}+{len(arms) - 1}_more"
    return above / FOLDER / name


def _config(runs: Sequence[Run], names: Sequence[str]) -> dict[str, Any]:
    """What all runs share, as configured, every cell of any of them, and the policies by name."""
    first = {k: v for k, v in runs[0].config.items() if k not in ("policy", "seed")}
    cells = {name: cell for run in reversed(runs) for name, cell in run.cell_configs.items()}
    order = dict.fromkeys(name for run in runs for name in run.cell_configs)
    suite = {**(first.get("suite") or {}), "cells": {name: cells[name] for name in order}}
    policies = {name: run.config.get("policy") for name, run in zip(names, runs, strict=True)}
    return {**first, "name": " + ".join(names), "suite": suite, "policies": policies}


def _environment(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Facts of all runs, those that differ side by side, and every command."""
    others = [again for record in records for again in (record, *(record.get("resumed") or []))]
    merged = _merged([{k: v for k, v in r.items() if k not in ("command", "resumed")}
                      for r in records])  # fmt: skip
    return {**merged, "resumed": [each for each in others if isinstance(each, Mapping)]}


def _merged(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in dict.fromkeys(key for record in records for key in record):
        values = [record.get(key) for record in records]
        parts = [value for value in values if isinstance(value, Mapping)]
        if len(parts) == len(values):
            found[key] = _merged(parts)
        else:
            found[key] = SHARED.join(dict.fromkeys(str(value) for value in values))
    return found
