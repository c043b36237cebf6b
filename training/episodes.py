"""Sample episodes on disk: one JSON line per episode, its pictures beside it as PNG files."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..agents.types import Episode, Turn
from .files import atomic_write_bytes, atomic_write_text


def write_episodes(folder: Path, name: str, episodes: Sequence[Episode]) -> Path:
    """Write `<folder>/<name>.jsonl` and the pictures that its turns show; returns the file's path.

    A picture is stored once, under the hash of its pixels, however many turns and episodes show it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_as_record(folder, episode), ensure_ascii=False) for episode in episodes]
    path = folder / f"{name}.jsonl"
    atomic_write_text(path, "".join(line + "\n" for line in lines))
    return path


def _as_record(folder: Path, episode: Episode) -> dict[str, Any]:
    return {
        "task_id": episode.task_id,
        "split": episode.split,
        "rule": episode.rule,
        "visual": episode.visual,
        "seed": episode.seed,
        "group": episode.group,
        "member": episode.member,
        "success": episode.success,
        "return": episode.episode_return,
        "status": episode.status.value,
        "turns": [_turn_record(folder, turn) for turn in episode.turns],
    }


def _turn_record(folder: Path, turn: Turn) -> dict[str, Any]:
    picture = turn.observation.image
    return {
        "observation": turn.observation.update,
        "image": None if picture is None else store_picture(folder, picture),
        "answer": turn.completion.text,
        "outcome": turn.outcome,
        "success": turn.success,
        "reward": turn.reward,
        "reward_terms": dict(turn.reward_terms),
        "feedback": turn.feedback,
    }


def store_picture(folder: Path, pixels: np.ndarray) -> str:
    """Save uint8 [H, W, 3] and return its path relative to the folder."""
    digest = hashlib.sha256(pixels.tobytes() + str(pixels.shape).encode()).hexdigest()[:16]
    name = f"images/{digest}.png"
    path = folder / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="PNG", optimize=False)
        atomic_write_bytes(path, buffer.getvalue())
    return name
