"""The report of a run: `report(run_folder)` writes `<run>/report/index.html` and more beside it."""

from .build import report
from .load import NotARun, load_run

__all__ = ["NotARun", "load_run", "report"]
