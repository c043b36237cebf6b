"""Sample episodes for the report's browser and for `cardinal view`, with their pictures.

A record may name its arm, step, cell and metric itself; where it does not, its file's name does:
`<arm>_<step>_<cell>[_<metric>].jsonl`. Pictures are PNG files named relative to the file's folder.
"""

import base64
import hashlib
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..metrics import read_jsonl
from .payload import pack, within
from .results import CELL_ORDER, METRIC_ORDER, Run

FILE_NAME = re.compile(
    r"(?P<arm>[^_]+)_(?:step_?)?(?P<step>\d+)_(?P<cell>.+?)(?:_(?P<metric>"
    + "|".join(METRIC_ORDER)
    + r"))?"
)
MAX_EPISODES = 10_000
MAX_TEXT_CHARS = 40_000_000  # of all different texts together: what a browser keeps in memory
MAX_PACKED_CHARS = 13_000_000  # of all episodes in the page
MAX_PICTURE_BYTES = 8_000_000  # a page stays below 30 MB
LARGE_PICTURE_BYTES = 20_000  # of a PNG file; from here on it is kept as WebP
MAX_ANSWER_CHARS = 4_000  # of one text; the whole is in the run folder
WEBP_QUALITY = 75  # a sixth of the PNG's size; signs stay legible
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One stored episode. `record` is its JSON line; its pictures are relative to `folder`."""

    train_seed: int
    arm: str
    step: int
    cell: str
    metric: str
    record: dict[str, Any]
    folder: Path

    @property
    def turns(self) -> list[dict[str, Any]]:
        return [turn for turn in self.record.get("turns") or [] if isinstance(turn, dict)]

    @property
    def outcome(self) -> str:
        """Of the last answer; how the episode ended if there was none."""
        last = self.turns[-1].get("outcome") if self.turns else None
        return str(last or self.record.get("status") or "unfinished")


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """What the page's script reads. packed: the episodes; notes: what did not fit."""

    episodes: list[dict[str, Any]]
    pictures: list[str]
    packed: str
    notes: tuple[str, ...]


def read_samples(run: Run) -> list[Sample]:
    """Every stored episode, final policies first, cells in the report's order, then by task."""
    samples = [
        sample for seed, path in run.episode_files for sample in _read(seed, path, _arm(run, path))
    ]
    last: dict[tuple[int, str], int] = {}
    for sample in samples:
        key = sample.train_seed, sample.arm
        last[key] = max(last.get(key, 0), sample.step)

    def order(sample: Sample) -> tuple[Any, ...]:
        known = sample.cell in CELL_ORDER
        return (
            sample.step < last[sample.train_seed, sample.arm],
            sample.train_seed,
            CELL_ORDER.index(sample.cell) if known else len(CELL_ORDER),
            sample.cell,
            METRIC_ORDER.index(sample.metric) if sample.metric in METRIC_ORDER else 9,
            str(sample.record.get("seed")).rjust(20),
            sample.step,
            sample.arm,
        )

    return sorted(samples, key=order)


def browser(samples: list[Sample], *, compress: bool = False, root: Path | None = None) -> Browser:
    """As many samples as the page can carry, pictures stored once each.

    compress: as WebP also where they are small, for the many street views of walks; the run folder
    keeps the originals.
    root: the run folder, from which `..serve` gives pictures that did not fit; None: nobody does.
    """
    pictures = _Pictures(compress, root)
    episodes = [_as_payload(sample, pictures) for sample in samples[:MAX_EPISODES]]
    del episodes[within(episodes, MAX_TEXT_CHARS) :]
    packed = pack(episodes)
    while len(packed) > MAX_PACKED_CHARS:
        del episodes[int(0.95 * len(episodes) * MAX_PACKED_CHARS / len(packed)) :]
        packed = pack(episodes)
    notes = []
    if len(episodes) < len(samples):
        notes.append(
            f"{len(episodes)} of {len(samples)} stored episodes are shown; "
            "`cardinal view` shows all."
        )
    if pictures.left_out:
        notes.append(
            f"{pictures.left_out} pictures did not fit into this file; "
            "`cardinal view RUN --serve` shows all."
        )
    return Browser(episodes=episodes, pictures=pictures.uris, packed=packed, notes=tuple(notes))


def picture_path(sample: Sample, name: Any) -> Path | None:
    """The PNG file a turn names; None if there is none, or if the name leads out of its folder."""
    if not isinstance(name, str):
        return None
    path = (sample.folder / name).resolve()
    inside = path.is_relative_to(sample.folder.resolve()) or path.is_relative_to(
        sample.folder.parent.resolve()
    )
    return path if inside and path.is_file() else None


class _Pictures:
    """Data URIs of pictures, each once, up to a total size."""

    def __init__(self, compress: bool, root: Path | None) -> None:
        self._root = None if root is None else root.resolve()
        self.uris: list[str] = []
        self.left_out = 0
        self._compress = compress
        self._numbers: dict[Path, int | None] = {}
        self._known: dict[bytes, int | None] = {}  # by content: seeds walk the same routes
        self._bytes = 0

    def number(self, path: Path) -> int | None:
        if path not in self._numbers:
            data = path.read_bytes()
            digest = hashlib.sha256(data).digest()
            if digest not in self._known:
                self._known[digest] = self._add(data)
            self._numbers[path] = self._known[digest]
        return self._numbers[path]

    def place(self, path: Path) -> str:
        """Where a picture is in the run folder; empty if it is elsewhere."""
        is_inside = self._root is not None and path.is_relative_to(self._root)
        return path.relative_to(self._root or "").as_posix() if is_inside else ""

    def _add(self, data: bytes) -> int | None:
        is_smaller = self._compress or len(data) > LARGE_PICTURE_BYTES
        kind, smaller = ("webp", _as_webp(data)) if is_smaller else ("png", data)
        fits = self._bytes + len(smaller) <= MAX_PICTURE_BYTES
        if not fits or not data.startswith(PNG_MAGIC) or not smaller:
            self.left_out += 1
            return None
        self._bytes += len(smaller)
        text = base64.b64encode(smaller).decode("ascii")
        self.uris.append(f"data:image/{kind};base64,{text}")
        return len(self.uris) - 1


def _as_webp(data: bytes) -> bytes:
    """A PNG file as a smaller WebP file; empty if it cannot be read."""
    buffer = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            picture.convert("RGB").save(buffer, "WEBP", quality=WEBP_QUALITY)
    except (OSError, ValueError, SyntaxError):
        return b""
    return buffer.getvalue()


def _arm(run: Run, path: Path) -> str | None:
    """Whose episodes a file holds, where several run folders stand side by side."""
    return next((arm for arm, root in run.sources.items() if path.is_relative_to(root)), None)


def _read(seed: int, path: Path, arm: str | None) -> Iterator[Sample]:
    named = FILE_NAME.fullmatch(path.stem)
    parts = named.groupdict() if named else {}
    try:
        lines = read_jsonl(path)
    except (OSError, ValueError):
        return  # `load_run` reads the same run's tables; a damaged sample file loses only samples
    for line in lines:
        if not isinstance(line, dict):
            continue
        yield Sample(
            train_seed=seed,
            arm=str(arm or line.get("arm") or parts.get("arm") or "policy"),
            step=int(line.get("step") or parts.get("step") or 0),
            cell=str(line.get("cell") or parts.get("cell") or path.stem),
            metric=str(line.get("metric") or parts.get("metric") or METRIC_ORDER[0]),
            record=line,
            folder=path.parent,
        )


def _as_payload(sample: Sample, pictures: _Pictures) -> dict[str, Any]:
    record = sample.record
    return {
        "seed": sample.train_seed,
        "arm": sample.arm,
        "step": sample.step,
        "cell": sample.cell,
        "metric": sample.metric,
        "task": str(record.get("task_id", "")),
        "deal": str(record.get("seed", "")),
        "rule": str(record.get("rule", "")),
        "look": str(record.get("visual", "")),
        "success": bool(record.get("success")),
        "ret": _finite(record.get("return")),
        "status": str(record.get("status", "")),
        "outcome": sample.outcome,
        "turns": [_turn_payload(sample, turn, pictures) for turn in sample.turns],
    }


def _turn_payload(sample: Sample, turn: dict[str, Any], pictures: _Pictures) -> dict[str, Any]:
    path = picture_path(sample, turn.get("image"))
    terms = turn.get("reward_terms")
    number = None if path is None else pictures.number(path)
    return {
        "obs": _short(turn.get("observation")),
        "img": number,
        "src": "" if path is None or number is not None else pictures.place(path),
        "answer": _short(turn.get("answer")),
        "outcome": str(turn.get("outcome", "")),
        "success": turn.get("success"),
        "reward": _finite(turn.get("reward")),
        "terms": {k: _finite(v) for k, v in terms.items()} if isinstance(terms, dict) else {},
        "feedback": _short(turn.get("feedback")),
    }


def _finite(value: Any) -> float | None:
    """A number that JSON can hold; browsers know no NaN."""
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None


def _short(text: Any) -> str:
    text = "" if text is None else str(text)
    if len(text) <= MAX_ANSWER_CHARS:
        return text
    return f"{text[:MAX_ANSWER_CHARS]} … ({len(text) - MAX_ANSWER_CHARS} more characters)"
