"""Observations to chat messages, for agents that read words and pictures instead of ids.

What a policy is shown at each turn is decided here once: `chat.py` renders the same conversations
to ids, and `api.py` sends them. The first message is a self-contained observation, a later one what
its turn adds; a picture is shown where it differs from the last.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..envs.core import Observation
from .types import ContextMode, Turn


@dataclass(frozen=True, slots=True)
class Message:
    """role: user or assistant. image: uint8 [H, W, 3], shown before the text; None: no picture."""

    role: str
    text: str
    image: np.ndarray | None = None


def conversation(
    history: Sequence[Turn],
    observation: Observation,
    context: ContextMode = ContextMode.concat,
    context_turns: int = 3,
) -> list[Message]:
    """What is said up to the present observation; every answer as it was given.

    history: the finished turns, oldest first; of these as many are shown as `context` says.
    """
    if context is ContextMode.single_turn:
        history = ()
    elif context is ContextMode.last_k:
        history = history[max(0, len(history) + 1 - context_turns) :]
    seen = [*(turn.observation for turn in history), observation]
    messages = [Message("user", seen[0].text, seen[0].image)]
    for turn, after in zip(history, seen[1:], strict=True):
        messages.append(Message("assistant", turn.completion.text))
        messages.append(Message("user", after.update, new_image(turn.observation, after)))
    return messages


def new_image(before: Observation, after: Observation) -> np.ndarray | None:
    """The picture of `after`, unless `before` showed the same one."""
    if before.image is None or after.image is None:
        return after.image
    return None if np.array_equal(before.image, after.image) else after.image


def as_json(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as the chat-completions protocol has them, pictures as data URLs."""
    return [_as_json(message) for message in messages]


def data_url(pixels: np.ndarray) -> str:
    """A picture, uint8 [H, W, 3], as a PNG in a URL: no pixel is lost."""
    from PIL import Image  # text games need none

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _as_json(message: Message) -> dict[str, Any]:
    if message.image is None:
        return {"role": message.role, "content": message.text}
    picture = {"type": "image_url", "image_url": {"url": data_url(message.image)}}
    return {"role": message.role, "content": [picture, {"type": "text", "text": message.text}]}
