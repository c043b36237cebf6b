"""Writes everything that tells of a recipe's results; reads files alone.

    recipe.json, recipe.md       all numbers, and the tables that show them
    report/index.html            figures and tables, one file without network
    report/figures/*.svg *.png   the figures

`cardinal run` does so at its end, `cardinal report FOLDER` again at any time.
"""

from pathlib import Path

from ..files import atomic_write_bytes, atomic_write_text
from ..report.results import NotARun
from ..statistics import Cluster
from .figures import all_figures
from .outline import Outline, read_outline
from .page import render
from .summary import summary, write_files
from .tables import as_text

FIGURES = "report/figures"
INDEX = "report/index.html"


def write_report(outline: Outline, root: Path, cluster: Cluster = Cluster.hand) -> str:
    """Write all of it below `root`; returns the text of `recipe.md`, without its figures.

    cluster: what intervals take for one observation.
    Raises ValueError in one line where no seed has been measured to its end.
    """
    found = summary(outline, root, cluster)
    figures = all_figures(found)
    folder = root / FIGURES
    folder.mkdir(parents=True, exist_ok=True)
    for each in figures:
        atomic_write_text(folder / f"{each.name}.svg", each.svg)
        atomic_write_bytes(folder / f"{each.name}.png", each.png)
    atomic_write_text(root / INDEX, render(found, figures))
    write_files(found, root, [f"{FIGURES}/{each.name}.svg" for each in figures])
    return as_text(found)


def report_again(root: Path, cluster: Cluster = Cluster.hand) -> Path:
    """The report of a recipe's folder, finished or not; returns the page's path.

    Raises NotARun, a ValueError in one line, for any other folder, and where no seed has been
    measured to its end.
    """
    try:
        write_report(read_outline(root), root, cluster)
    except ValueError as error:
        raise NotARun(str(error)) from error
    return root / INDEX
