"""What a run folder holds and how to look at it, for `cardinal view RUN` without more."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from .report.results import ARM_ORDER, CELL_ORDER, METRIC_ORDER, Run, in_order
from .report.samples import Sample

KEPT = (  # a pattern below the run folder, and what such a file is
    ("report/index.html", "the report; slide, figures and tables beside it"),
    ("seed_*/evals.jsonl", "every measured rate"),
    ("seed_*/episodes/*.jsonl", "the stored episodes"),
    ("seed_*/*/policy", "a policy, as a Hugging Face folder"),
    ("seed_*/*/metrics.jsonl", "metrics of training"),
    ("config.yaml", "the resolved configuration"),
    ("environment.json", "versions, machine, command"),
)


def overview(run: Run, samples: Sequence[Sample]) -> list[str]:
    """Lines: what was run, the stored episodes by arm, cell and metric, files, what to type next.

    samples: numbered from 0 as `--episode` does.
    """
    state = "finished" if run.is_done else "not finished"
    evaluations = run.evaluations
    steps = {arm: sorted({e.step for e in evaluations if e.arm == arm}) for arm in run.arms}
    facts = {
        "arms": [f"{arm} (step {', '.join(map(str, steps[arm]))})" for arm in run.arms],
        "cells": run.cells,
        "metrics": run.metric_names,
        "training seeds": [str(seed) for seed in run.train_seeds],
    }
    return [
        f"{run.title}: {state}",
        *_columns([(f"  {name}", ", ".join(values) or "none") for name, values in facts.items()]),
        *_episodes(samples),
        *_files(run.folder),
        *_commands(run.folder, samples),
    ]


def _episodes(samples: Sequence[Sample]) -> list[str]:
    if not samples:
        return ["stored episodes: none"]
    lines = [f"stored episodes: {len(samples)}, numbered 0 to {len(samples) - 1}"]
    rows = []
    for arm in in_order({each.arm for each in samples}, ARM_ORDER):
        for cell in in_order({each.cell for each in samples}, CELL_ORDER):
            for metric in in_order({each.metric for each in samples}, METRIC_ORDER):
                wanted = (arm, cell, metric)
                found = [s for s in samples if (s.arm, s.cell, s.metric) == wanted]
                solved = sum(bool(sample.record.get("success")) for sample in found)
                if found:
                    rows.append((f"  {arm}", cell, metric, f"{len(found)}, {solved} solved"))
    return [*lines, *_columns(rows)]


def _files(folder: Path) -> list[str]:
    rows = []
    for pattern, about in KEPT:
        found = len(list(folder.glob(pattern)))
        if found:
            rows.append((f"  {pattern}", f"{about}{f' ({found})' if found > 1 else ''}"))
    return [f"files in {folder}:", *_columns(rows)]


def _commands(folder: Path, samples: Sequence[Sample]) -> list[str]:
    view = f"cardinal view {shlex.quote(str(folder))}"
    if not samples:
        return []
    some = samples[0]
    chosen = f"--arm {some.arm} --cell {some.cell} --metric {some.metric}"
    return [
        "to see more:",
        f"  {view} --list  # every stored episode in one line",
        f"  {view} --list {chosen}  # some of them; also --outcome, --seed",
        f"  {view} --episode 0  # one, turn by turn, with its pictures; --save DIR keeps these",
    ]


def _columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of equal length, aligned; the last column as long as it is."""
    listed = list(rows)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    return [
        "  ".join(part.ljust(width) for part, width in zip(row, widths, strict=True)).rstrip()
        for row in listed
    ]
