"""The messages of one conversation in a file, in either form that `chat_records` describes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PLACEHOLDER = "<image>"
ROLES = {
    "system": "system", "user": "user", "assistant": "assistant",
    "human": "user", "gpt": "assistant",
}  # fmt: skip
KINDS = {"messages": ("role", "content"), "conversations": ("from", "value")}


@dataclass(frozen=True, slots=True)
class Message:
    """pictures: as named in the message; None: the next of the record's list."""

    role: str
    text: str
    pictures: list[str | None]
    weight: Any


def read_messages(record: Mapping[str, Any]) -> list[Message]:
    """In order; ValueError for the first that is wrong, with its number."""
    found = [name for name in KINDS if record.get(name) is not None]
    if len(found) != 1:
        got = " and ".join(found) if found else f"the keys {', '.join(map(str, record)) or 'none'}"
        raise ValueError(f"a conversation must have either messages or conversations; got {got}")
    listed = record[found[0]]
    if not isinstance(listed, list):
        raise ValueError(f"{found[0]} must be a list; got {kind_of(listed)}")
    messages = []
    for number, entry in enumerate(listed, start=1):
        try:
            messages.append(_message(entry, *KINDS[found[0]]))
        except ValueError as error:
            raise ValueError(f"message {number}: {error}") from error
    return messages


def check_alternation(messages: list[Message], skipped: int) -> None:
    """User and assistant in turn, the assistant last; skipped: messages before these."""
    for number, message in enumerate(messages):
        wanted = ("user", "assistant")[number % 2]
        if message.role != wanted:
            raise ValueError(
                f"message {number + 1 + skipped}: must be from {wanted} (user and assistant take "
                f"turns, a system message comes first); got {message.role}"
            )
    if len(messages) % 2:
        raise ValueError("a conversation must end with an answer; got a user message last")


def kind_of(value: Any) -> str:
    """What JSON calls a value, for error messages."""
    names = {dict: "an object", list: "an array", str: "a string", type(None): "null"}
    return names.get(type(value), shown(value))


def shown(value: Any) -> str:
    """A value as JSON, cut where it is long, for error messages."""
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else text[:57] + "..."


def _message(entry: Any, role_key: str, content_key: str) -> Message:
    if not isinstance(entry, Mapping):
        raise ValueError(f"a message must be a JSON object; got {kind_of(entry)}")
    name = entry.get(role_key)
    if name is None:
        got = ", ".join(entry) or "no keys"
        raise ValueError(f"a message must have the key {role_key}; got {got}")
    role = ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise ValueError(f"{role_key} must be one of {', '.join(ROLES)}; got {name!r}")
    if entry.get("tool_calls"):
        raise ValueError("a message must be text; got tool_calls")
    text, pictures = _content(entry.get(content_key), content_key, role)
    return Message(role, text, pictures, entry.get("weight"))


def _content(content: Any, key: str, role: str) -> tuple[str, list[str | None]]:
    """Text, and the pictures in order."""
    if isinstance(content, str):
        count = content.count(PLACEHOLDER) if role == "user" else 0
        for mark in (f"{PLACEHOLDER}\n", f"\n{PLACEHOLDER}", PLACEHOLDER) if count else ():
            content = content.replace(mark, "")
        return content, [None] * count
    if not isinstance(content, list):
        raise ValueError(f"{key} must be a string or a list of parts; got {kind_of(content)}")
    texts: list[str] = []
    pictures: list[str | None] = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in ("image", "image_url") and role == "user":
            pictures.append(_named_picture(part))
        else:
            allowed = "text or image" if role == "user" else "text"
            raise ValueError(f"a part of a {role} message must be {allowed}; got {shown(part)}")
    return "".join(texts), pictures


def _named_picture(part: Mapping[str, Any]) -> str | None:
    """The path or URL in a part; None where the part is only a placeholder."""
    keys = ("image", "image_url", "url", "path")
    named = next((part[key] for key in keys if part.get(key)), None)
    if isinstance(named, Mapping):
        named = named.get("url")
    if named is None and part["type"] == "image":
        return None
    if not isinstance(named, str):
        raise ValueError(f"a picture must be named by a path; got {shown(part)}")
    return named
