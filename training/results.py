"""`cardinal results`: what the results database holds, as a table or as CSV.

    cardinal results                                   runs/results.sqlite
    cardinal results --policy grpo --cell 'ood_*'      some of it
    cardinal results --csv results.csv                 one line per policy, cell and metric
    cardinal results --csv episodes.csv --episodes     one line per episode

Every rate stands with its number of episodes, of distinct tasks (hands of cards, whatever their
target, or routes), and an interval clustered by these.
"""

import csv
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from .arguments import USAGE_STATUS, ArgumentParser
from .result_query import PlayResult, episodes, plays
from .result_schema import DATABASE_NAME, connect, told

DIGEST_SHOWN = 8


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 2 with one line on stderr for what a user got wrong."""
    options = _parser().parse_args(argv)
    try:
        with told(options.database), closing(connect(options.database, create=False)) as file:
            found = plays(file, policy=options.policy, cell=options.cell)
            if options.csv is None:
                sys.stdout.write("".join(f"{line}\n" for line in table(found)))
            else:
                rows = episodes(file, found) if options.episodes else map(summary_row, found)
                _write_csv(options.csv, rows)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (`| head`) has seen enough; nothing more to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError) as error:
        sys.stderr.write(f"cardinal results: {error}\n")
        return USAGE_STATUS
    return 0


def table(found: Sequence[PlayResult]) -> list[str]:
    """Lines of a table, policies apart."""
    lines: list[str] = []
    widest = max((len(each.metric) for each in found), default=0)
    last = None
    for each in found:
        if each.digest != last:
            where = f", {each.path}" if each.path else ""
            lines += ["", f"{each.policy} ({each.digest[:DIGEST_SHOWN]}{where})"]
            last = each.digest
        rate, cell = each.rate, ", ".join(each.cells) or each.env
        success = f"{100 * rate.estimate:5.1f}% [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"
        size = f"n = {rate.n}, {rate.num_tasks} tasks"
        about = f"{cell}  ({each.sampling}; {each.version})"
        lines.append(f"  {each.metric:<{widest}}  {success:<20} {size:<24} {about}")
    return lines[1:] or ["no results yet"]


def summary_row(each: PlayResult) -> dict[str, Any]:
    """A play as a line of CSV."""
    rate = each.rate
    return {
        "policy": each.policy,
        "policy_digest": each.digest,
        "path": each.path,
        "env": each.env,
        "cells": " ".join(each.cells),
        "axis": each.axis,
        "severity": each.severity,
        "metric": each.metric,
        "sampling": each.sampling,
        "version": each.version,
        "n": rate.n,
        "num_tasks": rate.num_tasks,
        "success": rate.estimate,
        "low": rate.low,
        "high": rate.high,
        "confidence": rate.confidence,
        "mean_turns": each.mean_turns,
        "mean_tokens": each.mean_tokens,
    }


def _write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a new file; ValueError where one stands, because it may be somebody's result."""
    if path.exists():
        raise ValueError(f"--csv must name a new file; got {path}, which exists")
    lines = iter(rows)
    first = next(lines, None)
    with path.open("x", encoding="utf-8", newline="") as file:
        if first is not None:
            writer = csv.DictWriter(file, fieldnames=list(first))
            writer.writeheader()
            writer.writerow(first)
            writer.writerows(lines)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="cardinal results",
        description="List what `cardinal eval` has kept: every policy in every cell, with "
        "intervals by task.",
    )
    parser.add_argument(
        "database", type=Path, nargs="?", default=Path("runs") / DATABASE_NAME,
        help="the results database (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--policy", help="part of a name or path, or the beginning of a digest")
    parser.add_argument("--cell", help="name of a cell, or suite/name; * stands for anything")
    parser.add_argument("--csv", type=Path, help="write a CSV file instead of a table")
    parser.add_argument("--episodes", action="store_true", help="with --csv: a line per episode")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
