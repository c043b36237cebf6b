"""Conversations in files: chat `messages`, and the study's `conversations`, as typed records.

A file is JSONL (one record a line) or one JSON array of records. A record is

    {"messages": [{"role": "system"|"user"|"assistant", "content": ..., "weight"?: 0|1}, ...],
     "images"?: [path, ...], "standalone"?: [text, ...]}
    {"conversations": [{"from": "human"|"gpt", "value": ...}, ...], "image"?: path}

and both read alike. After an optional system message, user and assistant alternate; the last
message is an answer.

- `content` is a string or a list of parts: {"type": "text", "text"}, {"type": "image"} (the next of
  `images`), {"type": "image", "image": path}, {"type": "image_url", "image_url": {"url": path}}. In
  a string, `<image>` stands for the next of `images`; a single picture without any placeholder
  belongs to the first user message. A user message shows at most one picture, which stays in view
  until the next. Paths are relative to the file; `data:` URLs hold the picture itself.
- `weight` 0: the answer is read, not imitated (as in OpenAI's fine-tuning files).
- `standalone` says every user message again for a reader who sees nothing else; it is what a policy
  without history (context `single_turn`) reads. Without it such a policy reads the bare message.
- A system message is put before the text of the first user message (and of every standalone one),
  because no environment sends system messages: a policy would never meet that role in a rollout.
- Keys with the value null count as absent (tables of several trainers fill them in).

Whatever is wrong is a ValueError that names the file, the line or record, and what was expected.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .chat_messages import Message, check_alternation, kind_of, read_messages, shown

DATA_NAME = "train.jsonl"  # in the folder of an export


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTurn:
    """A user message and its answer.

    text: what the message adds to a running conversation; standalone: for a reader who sees only
        it. picture: as the file names it; None if the message shows none.
    """

    text: str
    standalone: str
    picture: str | None
    answer: str
    imitated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRecord:
    """One conversation; `place` is where it stands, for messages: `data.jsonl, line 7`."""

    place: str
    turns: tuple[ChatTurn, ...]
    task_id: str


def read_records(path: Path) -> list[ChatRecord]:
    """All conversations of a file, or of an export's folder, in order.

    Raises ValueError for the first thing that is wrong.
    """
    path = records_file(path)
    records = []
    for place, value in _values(path):
        try:
            task_id = str(value.get("task_id") or "") if isinstance(value, Mapping) else ""
            records.append(ChatRecord(place=place, turns=_turns(value), task_id=task_id))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    if not records:
        raise ValueError(f"{path} must hold at least one conversation; got none")
    return records


def records_file(path: Path) -> Path:
    """The file that a setting names: itself, or the one in the folder of an export."""
    path = Path(path).expanduser()
    return path / DATA_NAME if path.is_dir() else path


def _values(path: Path) -> Iterator[tuple[str, Any]]:
    """The JSON values of a file, each with its place."""
    try:
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise ValueError(
            f"demonstrations must be a file that can be read; got {path}: {error.strerror}"
        ) from error
    if data.lstrip()[:1] == b"[":
        values = _parsed(data, str(path), "a JSON array of conversations")
        for number, value in enumerate(values, start=1):
            yield f"{path}, record {number}", value
        return
    lines = data.split(b"\n")  # not splitlines: a string may hold other line separators
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place, wanted = f"{path}, line {number}", "one JSON object"
        if number == len(lines):
            wanted += ", whole (nothing ends this last line: is the file cut short?)"
        yield place, _parsed(line, place, wanted)


def _parsed(data: bytes, place: str, wanted: str) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except json.JSONDecodeError as error:
        found = f"{error.msg} at line {error.lineno}, column {error.colno}"
        if "\n" not in error.doc:
            found = f"{error.msg} at column {error.colno}"
    except UnicodeDecodeError as error:
        found = f"bytes that are not UTF-8 at byte {error.start}"
    except (RecursionError, ValueError) as error:  # nested too deep, a number of too many digits
        found = str(error)
    raise ValueError(f"{place}: must be {wanted}; got {found}")


def _turns(record: Any) -> tuple[ChatTurn, ...]:
    if not isinstance(record, Mapping):
        raise ValueError(f"a conversation must be a JSON object; got {kind_of(record)}")
    messages = read_messages(record)
    system = ""
    if messages and messages[0].role == "system":
        first = messages.pop(0)
        if first.pictures:
            raise ValueError("message 1: a system message must show no picture")
        system = first.text + "\n\n"
    if not messages:
        raise ValueError("a conversation must have a user message and an answer; got none")
    check_alternation(messages, skipped=1 if system else 0)
    asked, given = messages[0::2], messages[1::2]
    pictures = _pictures(record, asked)
    alone = _standalone(record, [message.text for message in asked])
    imitated = [_is_imitated(message) for message in given]
    if not any(imitated):
        raise ValueError("a conversation must have an answer to imitate; got weight 0 everywhere")
    return tuple(
        ChatTurn(
            text=system + asked[k].text if k == 0 else asked[k].text,
            standalone=system + alone[k],
            picture=pictures[k],
            answer=given[k].text,
            imitated=imitated[k],
        )
        for k in range(len(asked))
    )


def _pictures(record: Mapping[str, Any], asked: list[Message]) -> list[str | None]:
    """The picture that each user message shows."""
    listed = record.get("images") if record.get("images") is not None else record.get("image")
    listed = [] if listed is None else listed if isinstance(listed, list) else [listed]
    if not all(isinstance(name, str) for name in listed):
        raise ValueError(f"images must be paths; got {shown(listed)}")
    named = [message.pictures for message in asked]
    open_places = sum(picture is None for pictures in named for picture in pictures)
    if len(listed) == 1 and not any(named):
        named[0] = [None]
    elif open_places != len(listed):
        raise ValueError(
            "images must have one path per placeholder; "
            f"got {len(listed)} for {open_places} placeholders"
        )
    if any(len(pictures) > 1 for pictures in named):
        raise ValueError("a user message must show at most one picture; got several")
    rest = iter(listed)
    return [
        None if not pictures else next(rest) if pictures[0] is None else pictures[0]
        for pictures in named
    ]


def _standalone(record: Mapping[str, Any], texts: list[str]) -> list[str]:
    alone = record.get("standalone")
    if alone is None:
        return texts
    if not isinstance(alone, list) or not all(isinstance(text, str) for text in alone):
        raise ValueError(f"standalone must be a list of strings; got {shown(alone)}")
    if len(alone) != len(texts):
        raise ValueError(
            f"standalone must have one text per user message; got {len(alone)} for {len(texts)}"
        )
    return alone


def _is_imitated(message: Message) -> bool:
    weight = 1 if message.weight is None else message.weight
    if weight not in (0, 1):
        raise ValueError(f"weight must be 0 or 1; got {shown(weight)}")
    if weight and not message.text:
        raise ValueError("an answer to imitate must not be empty; got an empty one")
    return bool(weight)
