"""`cardinal report RUN ...`: write a run's report again from its files; no training, no model.

Several runs of `cardinal eval` give one report of their policies side by side (`joint`).
"""

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from ..arguments import USAGE_STATUS, ArgumentParser
from ..statistics import Cluster
from .results import NotARun


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 2 with one line on stderr for a folder that is no run."""
    parser = ArgumentParser(
        prog="cardinal report",
        description="Write the report of a run folder, finished or still in progress: "
        "RUN/report/index.html, one file without network, with figures and tables beside it. "
        "Several evaluations give one report: paired differences on the same tasks, episodes side "
        "by side.",
    )
    parser.add_argument(
        "run", type=Path, nargs="+",
        help="a run folder, runs/<experiment>/<name>; several of `cardinal eval`, on the same "
        "suite and seeds, give one report of their policies side by side",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="where a report of several runs goes (default: reports/<policies> beside the runs)",
    )  # fmt: skip
    parser.add_argument(
        "--label", action="append", default=[], metavar="NAME",
        help="what a policy is called in a report of several; once for each run, in their order",
    )  # fmt: skip
    parser.add_argument(
        "--cluster", choices=[each.value for each in Cluster], default=Cluster.hand.value,
        help="what intervals take for one observation: a hand of cards whatever its target, or a "
        "hand with its target (default: %(default)s); of walks either is the route",
    )  # fmt: skip
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    options = parser.parse_args(argv)
    cluster = Cluster(options.cluster)
    is_single = len(options.run) == 1
    if is_single and (options.out is not None or options.label):
        parser.error("--out and --label are for several runs; got one")
    try:
        from .build import build_joint_report, build_report  # not earlier: --help needs no drawing

        if is_single:
            page = build_report(options.run[0], cluster)
        else:
            page = build_joint_report(options.run, options.out, options.label, cluster)
    except (NotARun, OSError) as error:
        print(f"cardinal report: {error}", file=sys.stderr)
        return USAGE_STATUS
    print(page)
    if options.open:
        webbrowser.open(page.resolve().as_uri())
    return 0
