"""What an arm's evaluations leave in the folder of its seed.

evals/<arm>_<step>.json         results by cell and metric, with what had been spent by then
evals/<arm>_<step>.timing.json  CPU seconds: apart, because a resumed run ends the same but for
                                these
evals.jsonl                     all of them, one a line
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .cell_results import CellResult
from .files import atomic_write_json, atomic_write_text
from .metrics import Ledger

EVALS = "evals"


def results_path(folder: Path, label: str) -> Path:
    """Where one evaluation stands in a seed's folder. label: <arm>_<step>."""
    return folder / EVALS / f"{label}.json"


def write_results(
    path: Path, results: Sequence[CellResult], ledger: Ledger, about: Mapping[str, Any]
) -> None:
    """Write one evaluation, and its timing beside it. about: what every record begins with."""
    spent = {
        **about,
        "flops": ledger.flops(),
        "train_tokens": ledger.train_tokens,
        "sampled_tokens": ledger.sampled_tokens,
        "env_steps": ledger.env_steps,
    }
    atomic_write_json(path, [{**spent, **dataclasses.asdict(result)} for result in results])
    atomic_write_json(path.with_suffix(".timing.json"), {"cpu_s": ledger.cpu_s})


def collect_evals(folder: Path) -> Path:
    """Write `<folder>/evals.jsonl`: every finished result of this seed, with its CPU seconds."""
    lines = []
    for path in sorted((folder / EVALS).glob("*_[0-9]*.json")):
        records = json.loads(path.read_text(encoding="utf-8"))
        timing = path.with_suffix(".timing.json")
        if not isinstance(records, list) or not timing.exists():
            continue
        cpu_s = json.loads(timing.read_text(encoding="utf-8"))["cpu_s"]
        lines += [json.dumps({**record, "cpu_s": cpu_s}) + "\n" for record in records]
    target = folder / "evals.jsonl"
    atomic_write_text(target, "".join(lines))
    return target


def tracked(results: Sequence[CellResult]) -> dict[str, float]:
    """Rates under their metric names; recognition of the first metric, where cards are to be read.

    Cards told in words are read as well: text mode has a recognition too.
    """
    values: dict[str, float] = {}
    for result in results:
        values[f"eval/{result.cell}/{result.metric}"] = result.successes / result.n
        if result.answers and result.answers_right is not None:
            rate = result.answers_right / result.answers
            values[f"eval/{result.cell}/{result.metric}/per_step"] = rate
        for name, value in result.measures.items():
            values[f"eval/{result.cell}/{result.metric}/{name}"] = value
        if result.recognized is not None:
            values.setdefault(f"eval/{result.cell}/recognition", result.recognized / result.n)
    return values
