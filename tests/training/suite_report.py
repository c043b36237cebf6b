"""A made-up run on a suite of many cells, in which the truth of every cell is known; no result."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

METRIC = "success_within_turns"
RULES = {"": {}, "ranks": {"rule": "faces_as_ranks"}, "shifted": {"rule": "faces_shifted"}}
LOOKS = {"": {}, "red": {"visual": "red_suits"}, "neon": {"visual": "neon_night"}}
LADDER = {
    "id": {"axis": "rule", "severity": 0},
    "near": {"axis": "rule", "severity": 1, "shift": {"rule": "faces_as_11"}},
    "mid": {"axis": "rule", "severity": 3, "title": "Rule: three faces"},
    "far": {"axis": "rule", "severity": 8, "shift": {"rule": "faces_as_ranks"}},
}


def cross_cells() -> dict[str, dict[str, Any]]:
    """Three rules under three looks, as a suite writes them."""
    return {
        "_".join(filter(None, ["ood", rule, look])) if rule or look else "id": {
            "shift": {"require_face_card": True, **RULES[rule], **LOOKS[look]}
        }
        for rule in RULES
        for look in LOOKS
    }


def write_suite_run(
    root: Path,
    cells: Mapping[str, Mapping[str, Any]],
    rates: Mapping[str, Mapping[str, float]],
    *,
    seeds: int = 3,
    n: int = 200,
) -> Path:
    """rates: by arm and cell, the chance of success; the run folder is root/made_up/suite."""
    run = root / "made_up" / "suite"
    for seed in range(seeds):
        folder = run / f"seed_{seed}"
        (folder / "evals").mkdir(parents=True)
        rng = np.random.default_rng(seed)
        tasks = np.array([f"task-{k}" for k in range(n // 2)])[rng.integers(0, n // 2, size=n)]
        lines = []
        for arm, by_cell in rates.items():
            luck = rng.random(n)  # the same of an episode in all cells: what pairs share
            for cell, rate in by_cell.items():
                success = luck < rate
                outcome = np.where(success, "correct", "wrong_value")
                name = f"evals/{arm}_{cell}.npz"
                np.savez(
                    folder / name, task_id=tasks, seed=np.arange(n), success=success,
                    outcome=outcome,
                )  # fmt: skip
                lines.append({
                    "arm": arm, "step": 0 if arm == "base" else 10, "cell": cell,
                    "metric": METRIC, "n": n, "num_tasks": len(set(tasks)),
                    "successes": int(success.sum()), "outcomes": {}, "per_episode": name,
                })  # fmt: skip
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "evals.jsonl").write_text(text)
    config = {
        "command": "compare", "experiment": "made_up", "name": "suite", "seeds": seeds,
        "env": {"id": "cardinal/GeneralPoints-v0", "modality": "text"},
        "suite": {"name": "made_up", "cells": {k: dict(v) for k, v in cells.items()}},
    }  # fmt: skip
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (run / "done.json").write_text("{}")
    return run
