"""Small files of conversations, and policies to read them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from cardinal_gym.agents.config import BuildConfig, Family, PolicyConfig
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.rows import Row
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.training.sft_files import FileDemonstrations
from PIL import Image

TEXT, VISION = Family.text, Family.mllama
CONCAT, SINGLE = ContextMode.concat, ContextMode.single_turn
ASKED = {"role": "user", "content": "target 24"}
ANSWERED = {"role": "assistant", "content": "5 * 5"}


def tiny_policy(family: Family, context: ContextMode) -> Policy:
    build = BuildConfig(
        family=family, hidden_size=16, num_layers=2, num_heads=2, vision_hidden_size=16
    )
    return load_policy(PolicyConfig(name="tiny", build=build, context=context, device="cpu"))


def rows_of(policy: Policy, folder: Path, record: Any) -> list[Row]:
    write_lines(folder / "data.jsonl", record)
    return list(FileDemonstrations(policy, folder / "data.jsonl", seed=0))


def same(row: Row, other: Row) -> bool:
    return (row.ids, row.mask, row.logprobs) == (other.ids, other.mask, other.logprobs) and [
        pixels.tolist() for pixels in row.images
    ] == [pixels.tolist() for pixels in other.images]


def write_lines(path: Path, *records: Any) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def with_parts(part: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [part, {"type": "text", "text": "target 24"}]}


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (56, 112, 3), dtype=np.uint8)


def save_picture(path: Path, seed: int) -> np.ndarray:
    pixels = picture(seed)
    Image.fromarray(pixels).save(path)
    return pixels
