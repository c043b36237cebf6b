"""What a setting means, beside it in `cardinal <command> --help`.

The words are those of the dataclasses: `name: meaning` in a class docstring, the comment behind a
field, the members of an enumeration. Nothing is written twice.
"""

import dataclasses
import enum
import functools
import inspect
import re
import shutil
import textwrap
import types
import typing
from collections.abc import Iterator, Sequence

from ..envs.general_points.config import GeneralPointsConfig
from ..envs.street_nav.config import StreetNavConfig

BEGIN, END = "== Settings ==", "== Flags =="
NOTE_COLUMN, WIDTH = 38, 118
SHORTEST_NOTE = 24  # characters; behind a longer value there is no room worth having
LINE = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z_][\w.]*):(?P<value>.*)")
MARGIN = "\x00"
ENVS = {"num_cards": GeneralPointsConfig, "wording": StreetNavConfig}  # by a key of its own


def with_notes(text: str, roots: Sequence[type]) -> str:
    """The help text with a note behind each setting that one of the dataclasses explains.

    roots: what the whole configuration may be; the one that has most of its keys is.
    """
    before, begin, rest = text.partition(BEGIN)
    settings, end, after = rest.partition(END)
    if not begin or not end:
        return text
    lines = list(_folded(settings.splitlines()))
    top = {
        found["key"] for line in lines if (found := LINE.fullmatch(line)) and not found["indent"]
    }
    root = max(roots, key=lambda kind: len(top & _names(kind)))
    before = re.sub(r"^schema: .*\n", "", before, flags=re.MULTILINE)  # nothing to choose from
    return before + begin + "\n".join(_annotated(lines, root)) + "\n" + end + after


@functools.cache
def notes_of(kind: type) -> dict[str, str]:
    """What each field of a dataclass means, in one sentence, with the choices it has."""
    told: dict[str, str] = {}
    for each in reversed([base for base in kind.__mro__ if dataclasses.is_dataclass(base)]):
        told |= _comments(each) | _documented(each)
    hints = typing.get_type_hints(kind)
    notes = {}
    for name in _names(kind):
        choices = _choices(hints[name])
        parts = [" | ".join(choices), told.get(name, "")]
        notes[name] = "; ".join(part for part in parts if part)
    return notes


def _folded(lines: Sequence[str]) -> Iterator[str]:
    """Lists of plain values in one line, `key: [a, b]`, instead of a line for each."""
    at = 0
    while at < len(lines):
        line, items = lines[at], []
        at += 1
        found = LINE.fullmatch(line)
        if found is not None and not found["value"]:
            start = f"{found['indent']}- "
            for item in lines[at:]:
                if not item.startswith(start) or ":" in item:
                    break
                items.append(item.removeprefix(start))
            mixed = lines[at + len(items) : at + len(items) + 1]
            if mixed and mixed[0].startswith(start):
                items = []
        yield f"{line} [{', '.join(items)}]" if items else line
        at += len(items)


def _annotated(lines: Sequence[str], root: type) -> Iterator[str]:
    """Lines of YAML, with notes; `stack` holds the dataclass of every open section."""
    width = max(min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH), 80)
    stack: list[tuple[int, type | None]] = [(-1, root)]
    for at, line in enumerate(lines):
        found = LINE.fullmatch(line)
        if found is None:
            yield line
            continue
        indent, key = len(found["indent"]), found["key"]
        while stack[-1][0] >= indent:
            stack.pop()
        owner = stack[-1][1]
        inner = None
        if not found["value"]:
            inner = _env(lines[at + 1 :]) if key == "env" else _section(owner, key)
        stack.append((indent, inner))
        note = notes_of(owner).get(key, "") if owner is not None and key in _names(owner) else ""
        yield _beside(line, note, width)


def _beside(line: str, note: str, width: int) -> str:
    room = width - max(NOTE_COLUMN, len(line) + 2) - 2
    if not note or room < SHORTEST_NOTE:
        return line
    return f"{line:<{NOTE_COLUMN - 2}}  # {textwrap.shorten(note, room, placeholder=' ...')}"


def _env(lines: Sequence[str]) -> type | None:
    """Which game a section `env` is of."""
    keys = {line.strip().partition(":")[0] for line in lines}
    return next((kind for key, kind in ENVS.items() if key in keys), None)


def _section(owner: type | None, key: str) -> type | None:
    """The dataclass that a field holds, by itself or as what may also be null."""
    if owner is None or key not in _names(owner):
        return None
    hint = typing.get_type_hints(owner)[key]
    kinds = (kind for kind in _members(hint) if isinstance(kind, type))
    return next((kind for kind in kinds if dataclasses.is_dataclass(kind)), None)


def _choices(hint: typing.Any) -> list[str]:
    for kind in _members(hint):
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return [str(member.value) for member in kind]
    return []


def _members(hint: typing.Any) -> tuple[typing.Any, ...]:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def _names(kind: type) -> set[str]:
    return {each.name for each in dataclasses.fields(kind)}


def _documented(kind: type) -> dict[str, str]:
    """`name: meaning` and `first, second: meaning` of a class docstring."""
    lines = (inspect.getdoc(kind) or "").splitlines()
    # An entry begins at the margin or behind another's full stop; elsewhere a colon is only one.
    text = " ".join(" ".join(("" if line[:1] == " " else MARGIN) + line for line in lines).split())
    names = _names(kind)
    starts = [
        found
        for found in re.finditer(rf"(?:{MARGIN}|(?<=\. ))(\w+(?:, \w+)*): ", text)
        if all(name in names for name in found[1].split(", "))
    ]
    ends = (*(found.start() for found in starts[1:]), len(text))
    meanings = {}
    for found, end in zip(starts, ends, strict=False):
        sentence = re.split(r"(?<=[\w)\]'`])(?<!e\.g)\. ", text[found.end() : end], maxsplit=1)[0]
        sentence = sentence.partition(MARGIN)[0]
        sentence = sentence.strip().removesuffix(";")
        if not sentence.endswith("..."):
            sentence = sentence.removesuffix(".")
        meanings.update(dict.fromkeys(found[1].split(", "), sentence))
    return meanings


def _comments(kind: type) -> dict[str, str]:
    """The comments behind fields."""
    try:
        source = inspect.getsource(kind)
    except OSError:  # an installation without sources
        return {}
    found = re.findall(r"^    (\w+): [^#\n]*  # (.+)$", source, flags=re.MULTILINE)
    return {name: note for name, note in found if not note.startswith(("type:", "noqa"))}
