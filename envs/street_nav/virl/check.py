"""Looks at all of a data set: counts, every problem with file and key, a contact sheet."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .dataset import MAPPING, VIEWS, Dataset, find_root, panorama_files, read_dataset
from .mapping import read_mapping
from .pictures import picture_path, picture_problems, require_file
from .problems import Problem, Problems

SHEET_COLUMNS, THUMB_PX = 4, (320, 160)  # width, height
_GAP_PX, _CAPTION_PX, _TEXT_PX = 10, 24, 13
_INK = (60, 64, 72)
_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """counts: by what is counted, in the order in which they are told."""

    dataset: Dataset
    counts: Mapping[str, int | str]
    problems: tuple[Problem, ...]


def check(folder: Path, on_progress: Callable[[int, int], None] | None = None) -> Report:
    """Read everything, decode every picture.

    on_progress: told (pictures decoded, pictures in all). Raises ValueError for a folder without a
    data set. A route that passes a picture with a problem is not among the sound ones.
    """
    dataset = read_dataset(folder)
    views = dataset.folder / VIEWS
    problems = Problems()
    for problem in dataset.problems:
        problems.keep(problem)
    _check_mapped(dataset.folder, problems)
    files = list(panorama_files(views))
    broken = set()
    with ThreadPoolExecutor(_THREADS) as pool:
        for number, (path, message) in enumerate(
            zip(files, pool.map(_decoding_problem, files), strict=True), start=1
        ):
            if message is not None:
                problems.add(path, "", message)
                broken.add(path.stem)
            if on_progress is not None:
                on_progress(number, len(files))
    sound = tuple(
        route
        for route in dataset.routes
        if not broken.intersection(place.panorama for place in route.places)
    )
    dataset = replace(dataset, routes=sound)
    return Report(dataset=dataset, counts=_counts(dataset, files), problems=problems.found)


def contact_sheet(dataset: Dataset, most: int = 24) -> np.ndarray:
    """Thumbnails of panoramas spread over the data set with their names, uint8 [H, W, 3].

    Broken pictures are left out. Raises ValueError if none can be shown.
    """
    from PIL import Image, ImageDraw, ImageFont

    thumbs = []
    files = list(panorama_files(dataset.folder / VIEWS))
    for path in _spread([path for path in files if _decoding_problem(path) is None], most):
        with Image.open(path) as picture:
            thumbs.append((path.stem, picture.convert("RGB").resize(THUMB_PX)))
    if not thumbs:
        raise ValueError("a contact sheet must have a picture to show; got none that is whole")
    width, height = THUMB_PX[0] + _GAP_PX, THUMB_PX[1] + _CAPTION_PX
    rows = -(-len(thumbs) // SHEET_COLUMNS)
    size = min(len(thumbs), SHEET_COLUMNS) * width + _GAP_PX, rows * height + _GAP_PX
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT_PX)
    for index, (name, thumb) in enumerate(thumbs):
        row, column = divmod(index, SHEET_COLUMNS)
        left, top = _GAP_PX + column * width, _GAP_PX + row * height
        sheet.paste(thumb, (left, top))
        shown = name
        while draw.textlength(shown, font) > THUMB_PX[0]:
            shown = shown[:-4] + "\N{HORIZONTAL ELLIPSIS}"
        draw.text((left, top + THUMB_PX[1] + 3), shown, fill=_INK, font=font)
    return np.asarray(sheet)


def _check_mapped(folder: Path, problems: Problems) -> None:
    """Panoramas that the mapping names, whether a route passes them or not."""
    seen: set[str] = set()
    for geocode, name in sorted(read_mapping(find_root(folder) / MAPPING, Problems()).items()):
        if name in seen:
            continue
        seen.add(name)
        if not picture_path(folder / VIEWS, name).is_file():
            problems.add(folder / MAPPING, repr(geocode), f"names {name}, which has no picture")
            continue
        for path, message in picture_problems(folder / VIEWS, name):
            problems.add(path, "", message)


def _decoding_problem(path: Path) -> str | None:
    from PIL import Image

    try:
        require_file(path)
        with Image.open(path) as picture:
            picture.draft("RGB", (256, 128))  # all of the file is read, at an eighth of the work
            picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"must be a picture that can be decoded; {error}".replace(str(path), path.name)
    return None


def _counts(dataset: Dataset, files: Sequence[Path]) -> dict[str, int | str]:
    routes = dataset.routes
    turns = Counter(len(route.legs) - 1 for route in routes)
    return {
        "routes": dataset.num_routes,
        "sound routes": len(routes),
        "turns": ", ".join(f"{number} x {count}" for number, count in sorted(turns.items()))
        or "none, without a sound route",
        "landmarks": sum(leg.landmark is not None for route in routes for leg in route.legs),
        "mapped places": dataset.num_mapped,
        "panoramas on sound routes": len({p.panorama for r in routes for p in r.places}),
        "pictures": len(files),
    }


def _spread(items: list[Path], most: int) -> list[Path]:
    """At most `most` items, evenly spread."""
    if len(items) <= most:
        return items
    return [items[index * len(items) // most] for index in range(most)]
