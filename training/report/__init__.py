"""The report of a run: `report(run_folder)` writes `<run>/report/index.html` and more beside it.

`cardinal report RUN` is `main`. Drawing is imported only when a report is written.
"""

from pathlib import Path

from .command import main
from .load import load_run
from .results import NotARun
from .summary import summary

__all__ = ["NotARun", "load_run", "main", "report", "summary"]


def report(run_folder: Path | str) -> Path:
    """Write (or write again) the report of a run, finished or not; returns the page's path.

    Nothing but files of earlier reports is replaced. Raises `NotARun`, a ValueError in one line,
    for a folder without results.
    """
    from .build import build_report

    return build_report(Path(run_folder))
