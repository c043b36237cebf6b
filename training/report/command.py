"""`cardinal report RUN`: write a run's report again from its files; no training, no model."""

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from ..arguments import USAGE_STATUS, ArgumentParser
from .results import NotARun


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 2 with one line on stderr for a folder that is no run."""
    parser = ArgumentParser(
        prog="cardinal report",
        description="Write the report of a run folder, finished or still in progress: "
        "RUN/report/index.html, one file without network, with figures and tables beside it.",
    )
    parser.add_argument("run", type=Path, help="a run folder, runs/<experiment>/<name>")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    options = parser.parse_args(argv)
    try:
        from .build import build_report  # not earlier: --help needs no drawing

        page = build_report(options.run)
    except (NotARun, OSError) as error:
        print(f"cardinal report: {error}", file=sys.stderr)
        return USAGE_STATUS
    print(page)
    if options.open:
        webbrowser.open(page.resolve().as_uri())
    return 0
