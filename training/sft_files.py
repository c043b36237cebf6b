"""Demonstrations in files: SFT on a file of conversations, and oracle episodes written as one.

`FileDemonstrations` reads chat `messages` or the study's `conversations` (see `chat_records`), from
this environment, another tool or people. `export_demonstrations` writes oracle episodes so that
other trainers read them:

    <folder>/train.jsonl     one conversation a line: messages, images, standalone, task_id
    <folder>/images/*.png    each picture once, under the hash of its pixels
    <folder>/dataset.json    the environment, the settings, versions, and how many distinct tasks

Importing an export gives back, in file order, the ids and masks that `OracleDemonstrations` gives.
Trainers that do not know `weight` would imitate the wrong attempts too: export for them with
`revision_fraction=0`.
"""

import base64
import binascii
import functools
import io
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..agents.policy import Policy
from ..agents.rows import Row
from ..envs.core import Observation
from .chat_records import DATA_NAME, ChatRecord, read_records, records_file
from .demonstrations import Conversation, OracleEpisodes, encode_rows
from .environment import describe_environment
from .episodes import store_picture
from .files import TEMPORARY_PREFIX, atomic_write_json, disk_full_error, fsync_folder, plain
from .progress import progress
from .sampler import Passes

ABOUT_NAME = "dataset.json"
CACHED_PICTURES = 64  # decoded; of 1200 px each has 4 MB


class FileDemonstrations:
    """The rows of a file, in another order at each pass over it, without end.

    path: a JSONL or JSON file, or the folder of an export. Every record is read, encoded and its
    pictures are decoded once at the start, so that nothing in the file can stop a training later;
    kept are only the texts. In context `concat` a conversation is one row; in `single_turn` each
    imitated answer is a row of its own, after its own user message (see `chat_records`) and the
    picture then in view.

    Raises ValueError naming the file and the line or record.
    """

    def __init__(self, policy: Policy, path: Path, *, seed: int) -> None:
        path = records_file(path)
        self._policy = policy
        self._picture = functools.lru_cache(CACHED_PICTURES)(
            functools.partial(read_picture, folder=path.parent)
        )
        self._records = read_records(path)
        self._places: list[tuple[int, int]] = []  # of each row: record, which of its rows
        for number, record in enumerate(progress(self._records, f"reading {path.name}", "record")):
            count = len(self._checked(record))
            self._places += [(number, k) for k in range(count)]
        self._passes = Passes(len(self), seed, "file")

    def __len__(self) -> int:
        """Rows in one pass."""
        return len(self._places)

    def __getitem__(self, position: int) -> Row:
        """A row by its position in the file."""
        number, k = self._places[position]
        return encode_rows(self._policy, self._conversation(self._records[number]))[k]

    def rows(self, indices: Sequence[int]) -> list[Row]:
        return [self[self._passes.position(index)] for index in indices]

    def _checked(self, record: ChatRecord) -> list[Row]:
        try:
            rows = encode_rows(self._policy, self._conversation(record))
            for row in rows:
                self._check(row)
        except ValueError as error:
            raise ValueError(f"{record.place}: {error}") from error
        return rows

    def _check(self, row: Row) -> None:
        limit, vision = self._policy.max_context, self._policy.vision
        if len(row.ids) > limit:
            raise ValueError(
                f"a conversation must fit into the policy's {limit} tokens; got {len(row.ids)}"
            )
        if vision is None:
            return
        shown, wanted = row.ids.count(vision.image_token_id), vision.num_placeholders(row.images)
        if shown != wanted:
            raise ValueError(
                "texts must not hold the policy's own image token; "
                f"got {shown} of them for {len(row.images)} pictures"
            )

    def _conversation(self, record: ChatRecord) -> Conversation:
        observations: list[Observation] = []
        picture: np.ndarray | None = None
        alone = self._policy.context.row_per_turn
        for turn in record.turns:
            picture = picture if turn.picture is None else self._picture(turn.picture)
            text = turn.standalone if alone else turn.text
            observations.append(Observation(text=text, update=turn.text, image=picture))
        return Conversation(
            observations=tuple(observations),
            answers=tuple(turn.answer for turn in record.turns),
            imitated=tuple(turn.imitated for turn in record.turns),
            task_id=record.task_id,
        )


def read_picture(name: str, *, folder: Path) -> np.ndarray:
    """uint8 [H, W, 3], from a path relative to `folder` or a `data:` URL; else ValueError."""
    shown = name if len(name) <= 80 else name[:77] + "..."
    try:
        with Image.open(_opened(name, folder)) as picture:
            pixels = np.array(picture.convert("RGB"))
    except FileNotFoundError as error:
        raise ValueError(f"a picture must be a file; got {shown}, which does not exist") from error
    # Pillow's decoders raise more than OSError for damaged files.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"a picture must be an image; got {shown}: {error}") from error
    pixels.flags.writeable = False  # shared by rows
    return pixels


def export_demonstrations(
    env: Any,
    folder: Path,
    count: int,
    *,
    seed: int,
    revision_fraction: float,
    max_wrong_attempts: int,
    stream: str = "sft",
    resume: bool = False,
) -> dict[str, Any]:
    """Write `count` oracle episodes, the first of `OracleEpisodes`; returns what dataset.json says.

    env: the configuration dataclass of an environment of the train split. The folder appears when
    all is written: an interruption leaves none. resume: a finished export with the same settings is
    left as it is. Raises ValueError if the folder exists otherwise, or if the split is another one
    (evaluation tasks must not become training data).
    """
    settings: dict[str, Any] = {
        "stream": stream,
        "seed": seed,
        "revision_fraction": revision_fraction,
        "max_wrong_attempts": max_wrong_attempts,
    }
    if plain(env.split) != "train":
        raise ValueError(f"env.split must be train to be exported; got {plain(env.split)}")
    if count < 1:
        raise ValueError(f"count must be at least 1; got {count}")
    folder = Path(folder)
    wanted = {"count": count, **settings, "env": plain(env)}
    if resume and (folder / ABOUT_NAME).exists():
        about = json.loads((folder / ABOUT_NAME).read_text(encoding="utf-8"))
        if {name: about.get(name) for name in wanted} == wanted:
            return about
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"export folder must be new or empty; got {folder}: choose another name")
    unfinished = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}-{os.getpid()}")
    try:
        unfinished.mkdir(parents=True)
        tasks = _write_episodes(unfinished, OracleEpisodes(env, **settings), count)
        about = {
            "format": f"{DATA_NAME}: one JSON object a line with chat messages; image paths are "
            "relative to it; answers of weight 0 are read, not imitated",
            "distinct_tasks": len(tasks),
            **wanted,
            "versions": _versions(),
        }
        atomic_write_json(unfinished / ABOUT_NAME, about)
        os.replace(unfinished, folder)  # an empty folder may stand there
        fsync_folder(folder.parent)
    except OSError as error:
        full = disk_full_error(error, folder)
        if full is not None:
            raise full from error
        raise ValueError(f"export folder must be writable; got {folder}: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return about


def _write_episodes(folder: Path, episodes: OracleEpisodes, count: int) -> set[str]:
    """Write the JSONL and its pictures; returns the ids of the tasks."""
    tasks: set[str] = set()
    with (folder / DATA_NAME).open("w", encoding="utf-8", newline="\n") as file:
        for index in progress(count, "export", "episode", lambda: f"{len(tasks)} distinct tasks"):
            conversation = episodes.conversation(index)
            tasks.add(conversation.task_id)
            file.write(json.dumps(as_record(folder, conversation), ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return tasks


def as_record(folder: Path, conversation: Conversation) -> dict[str, Any]:
    """The record of a conversation; all records of an export have the same keys and types."""
    messages: list[dict[str, Any]] = []
    images: list[str] = []
    with_parts = conversation.observations[0].image is not None
    before: np.ndarray | None = None
    for k, observation in enumerate(conversation.observations):
        picture = observation.image
        parts: list[dict[str, Any]] = [{"type": "text", "text": observation.update}]
        if picture is not None and (before is None or not np.array_equal(before, picture)):
            images.append(store_picture(folder, picture))
            parts.insert(0, {"type": "image"})
        before = picture
        asked = parts if with_parts else observation.update
        answer = conversation.answers[k]
        said = [{"type": "text", "text": answer}] if with_parts else answer
        messages.append({"role": "user", "content": asked})
        weight = int(conversation.imitated[k])
        messages.append({"role": "assistant", "content": said, "weight": weight})
    record: dict[str, Any] = {"messages": messages}
    if with_parts:
        record["images"] = images
    record["standalone"] = [observation.text for observation in conversation.observations]
    return {**record, "task_id": conversation.task_id}


def _versions() -> dict[str, Any]:
    """Without the time and the machine: the same export is the same bytes."""
    environment = describe_environment()
    return {name: environment[name] for name in ("python", "packages", "git_commit")}


def _opened(name: str, folder: Path) -> Any:
    """What Pillow opens: a path, or the bytes of a `data:` URL."""
    if name.startswith("data:"):
        try:
            return io.BytesIO(base64.b64decode(name.partition(",")[2], validate=True))
        except binascii.Error as error:
            raise ValueError(f"its base64 is damaged ({error})") from error
    scheme, separator, rest = name.partition("://")
    if separator and scheme != "file":
        raise ValueError("pictures are not downloaded; name a file")
    return folder / (rest if separator else name)
