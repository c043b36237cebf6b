"""Made-up folders of `cardinal eval`, with the shape of real ones; nothing in them is a result."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

METRIC = "success_within_turns"
NUM_TASKS = 100
CELLS = {"id": {}, "ood_ranks": {"rule": "faces_as_ranks"}, "ood_red": {"visual": "red_suits"}}
EVALUATE = {"seed": 1_000_000, "samples": 1, "temperature": 0.6, "top_p": 0.9, "max_new_tokens": 64}


def write_eval(
    folder: Path,
    policy: str,
    rate: float,
    *,
    cells: tuple[str, ...] = ("id", "ood_ranks"),
    n: int = 400,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """One policy with the same rate in every cell. changes: of the configuration, section by
    section."""
    part = folder / "seed_0"
    (part / "evals" / "cells").mkdir(parents=True)
    (part / "episodes").mkdir()
    lines = [_cell(part, cell, rate, n) for cell in cells]
    (part / "evals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config: dict[str, Any] = {
        "command": "eval", "experiment": folder.parent.name, "name": folder.name, "seed": 0,
        "env": {"id": "cardinal/GeneralPoints-v0", "modality": "text", "target": 24},
        "suite": {"name": "made_up", "cells": {cell: {"shift": CELLS[cell]} for cell in cells}},
        "evaluate": EVALUATE, "policy": {"name": policy, "path": None},
    }  # fmt: skip
    for section, values in (changes or {}).items():
        config[section] = {**config[section], **values} if isinstance(values, dict) else values
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    record = {"digest": f"digest of {policy}", "name": policy, "path": None, "version": "0.1.0/1"}
    (part / "evals" / "policy.json").write_text(json.dumps(record))
    environment = {
        "command": f"cardinal eval name={folder.name} policy={policy}", "python": "3.11.9",
        "packages": {"cardinal-gym": "0.1.0"}, "git_commit": f"commit of {policy}",
    }  # fmt: skip
    (folder / "environment.json").write_text(json.dumps(environment))
    (folder / "done.json").write_text("{}")
    return folder


def _cell(part: Path, cell: str, rate: float, n: int) -> dict[str, Any]:
    """A hundred tasks again and again, of which a policy solves the first so many."""
    number = np.arange(n)
    task = number % NUM_TASKS
    success = (task + 0.5) / NUM_TASKS < rate
    name = f"evals/cells/base_000000_{cell}_{METRIC}.npz"
    np.savez(
        part / name, task_id=[f"{k:03d}|24" for k in task], seed=number + 7, success=success,
        outcome=np.where(success, "correct", "wrong_value"), recognized=np.full(n, -1),
        num_turns=np.ones(n, dtype=int), num_tokens=np.full(n, 30),
    )  # fmt: skip
    episodes = part / "episodes" / f"base_000000_{cell}_{METRIC}.jsonl"
    episodes.write_text("".join(_episode(k, bool(success[k])) + "\n" for k in range(4)))
    return {
        "arm": "base", "step": 0, "final": True, "cell": cell, "metric": METRIC, "n": n,
        "num_tasks": NUM_TASKS, "successes": int(success.sum()), "recognized": None,
        "outcomes": {"correct": int(success.sum()), "wrong_value": int(n - success.sum())},
        "per_episode": name, "flops": 0.0,
    }  # fmt: skip


def _episode(number: int, success: bool) -> str:
    turn = {
        "observation": f"hand {number}", "answer": f"answer {number}", "reward": float(success),
        "outcome": "correct" if success else "wrong_value", "success": success, "image": None,
        "feedback": "", "reward_terms": {},
    }  # fmt: skip
    return json.dumps(
        {
            "task_id": f"{number:03d}|24", "seed": number + 7, "success": success, "return": 1.0,
            "status": "terminated", "rule": "faces_as_ten", "visual": "", "turns": [turn],
        }
    )  # fmt: skip
