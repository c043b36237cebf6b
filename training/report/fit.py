"""Whether evaluations can stand side by side: the same tasks, drawn alike, by one version.

Whatever would make a paired difference mean something else is refused in one line that names both
folders and what differs.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from .results import NotARun, Run

DRAWN = ("seed", "samples", "temperature", "top_p", "max_new_tokens")  # of `evaluate`
UNKNOWN = "unknown"


def check_fit(runs: Sequence[Run]) -> None:
    """NotARun for the first thing in which two of the runs do not fit."""
    if len(runs) < 2:
        raise NotARun(f"runs must be at least two to stand side by side; got {len(runs)}")
    for run in runs:
        _check_kind(run)
    for first, second in combinations(runs, 2):
        _check_distinct(first, second)
    for other in runs[1:]:
        _check_versions(runs[0], other)
        _check_suite(runs[0], other)
        _check_drawn(runs[0], other)


def _check_kind(run: Run) -> None:
    command = run.config.get("command")
    if command != "eval":
        raise NotARun(
            "runs side by side must be of `cardinal eval`; "
            f"got {run.folder} of `cardinal {command or '?'}`: measure its policies first, as in "
            f"`cardinal eval policy.path={run.folder}/seed_0/grpo/policy`"
        )
    if not run.evaluations:
        raise NotARun(f"runs side by side must hold evaluations; got {run.folder} without")


def _check_distinct(first: Run, second: Run) -> None:
    if first.folder.resolve() == second.folder.resolve():
        raise NotARun(f"runs must be different folders; got {first.folder} twice")
    digests = [_policy(run).get("digest") for run in (first, second)]
    if digests[0] is not None and digests[0] == digests[1]:
        raise NotARun(
            f"runs must be of different policies; got {first.folder} and {second.folder}, both of "
            f"{first.measured}"
        )


def _check_versions(first: Run, second: Run) -> None:
    """Results of two versions may be of other tasks under the same names."""
    _check_same("results", "version", first, second, _version(first), _version(second))


def _check_suite(first: Run, second: Run) -> None:
    """The same suite, and cells of one name are one place: whatever is played, field by field."""
    suites = [run.config.get("suite") or {} for run in (first, second)]
    _check_same("suite", "name", first, second, *(suite.get("name") for suite in suites))
    measured = [{each.cell for each in run.evaluations} for run in (first, second)]
    common = sorted(measured[0] & measured[1])
    if not common:
        raise NotARun(
            f"runs must have cells in common; got {first.folder} with {', '.join(measured[0])} "
            f"and {second.folder} with {', '.join(measured[1])}"
        )
    for cell in common:
        before, after = _played(first, cell), _played(second, cell)
        for key in dict.fromkeys([*before, *after]):
            _check_same(f"cell {cell}", key, first, second, before.get(key), after.get(key))


def _check_drawn(first: Run, second: Run) -> None:
    """The same deals and the same random numbers."""
    sides = [run.config.get("evaluate") or {} for run in (first, second)]
    for key in DRAWN:
        values = [side.get(key, UNKNOWN) for side in sides]
        _check_same("evaluate", key, first, second, *values)


def _check_same(what: str, key: str, first: Run, second: Run, before: Any, after: Any) -> None:
    if before != after:
        raise NotARun(
            f"runs side by side must agree in {what}.{key}; got {_short(before)} in "
            f"{first.folder} and {_short(after)} in {second.folder}"
        )


def _played(run: Run, cell: str) -> dict[str, Any]:
    """Every field of what a cell plays, as the run's configuration tells it."""
    config = run.cell_configs.get(cell, {})
    suite = run.config.get("suite") or {}
    shift = dict(config.get("shift") or {})
    if config.get("env") is not None:
        return {"env": config["env"], **shift}
    env, common = run.config.get("env"), suite.get("common")
    return {**(env or {}), **(common or {}), **shift}


def _policy(run: Run) -> Mapping[str, Any]:
    """Whose results these are, as `kept_results` noted it; empty in folders of older versions."""
    for path in sorted(run.folder.glob("seed_*/evals/policy.json")):
        return _read(path)
    return {}


def _version(run: Run) -> str:
    """Of the results; of folders that do not say it, of the package that wrote them."""
    packages = run.environment.get("packages")
    package = packages.get("cardinal-gym", UNKNOWN) if isinstance(packages, Mapping) else UNKNOWN
    return str(_policy(run).get("version", f"{package}/1"))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
