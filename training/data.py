"""`cardinal data check DIR`: what a V-IRL data set holds, and everything that is wrong with it.

How to get the study's data stands in envs/street_nav/README.md; nothing is downloaded here.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from .arguments import USAGE_STATUS, ArgumentParser

PROBLEMS_STATUS = 1


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 without problems, 1 with some, 2 for a folder that is no data set."""
    parser = ArgumentParser(
        prog="cardinal data", description="Look at data sets that were downloaded."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser(
        "check",
        help="read all of a V-IRL data set",
        description="Read all of a V-IRL data set: counts, every problem with file and key, and a "
        "contact sheet of its panoramas. Routes without a problem can be used all the same.",
    )
    check.add_argument("folder", type=Path, help="with route_infos.json, as unpacked")
    check.add_argument(
        "--sheet", type=Path, help="where to write the contact sheet (default: here, by its name)"
    )
    options = parser.parse_args(argv)
    try:
        return _check(options.folder.expanduser(), options.sheet)
    except (OSError, ValueError) as error:
        print(f"cardinal data check: {error}", file=sys.stderr)
        return USAGE_STATUS


def _check(folder: Path, sheet: Path | None) -> int:
    from PIL import Image

    from ..envs.street_nav.virl.check import check, contact_sheet

    report = check(folder, _tell_progress if sys.stderr.isatty() else None)
    for name, count in report.counts.items():
        print(f"{name}: {count}")
    for problem in report.problems:
        print(problem)
    print(f"problems: {len(report.problems)}")
    try:
        picture = contact_sheet(report.dataset)
    except ValueError:
        print("contact sheet: none, there is no whole picture to show")
    else:
        path = sheet or Path(f"{folder.resolve().name}_contact_sheet.png")
        Image.fromarray(picture).save(path)
        print(f"contact sheet: {path}")
    return PROBLEMS_STATUS if report.problems else 0


def _tell_progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    if end or done % 50 == 0:
        print(f"\r{done} of {total} pictures", end=end, file=sys.stderr, flush=True)
