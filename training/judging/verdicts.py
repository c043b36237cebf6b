"""A policy's answers with the rule's verdict on each: what reward models and DPO learn from.

    <folder>/verdicts.jsonl   one answer a line: task, answer, success, outcome, reason, held_out
    <folder>/verdicts.json    the environment's identity, and counts
    <folder>/images/*.png     pictures, where tasks have any

`success` is the rule's and nobody else's. A task is held out with all its answers, so that a reward
model is measured on tasks that it never saw.
"""

import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...envs.core import Observation
from ..demonstrations import Conversation
from ..episodes import store_picture
from ..files import atomic_write_json, atomic_write_text
from ..metrics import read_jsonl
from ..sft_files import read_picture
from .identity import identity

VERDICTS_NAME = "verdicts.jsonl"
ABOUT_NAME = "verdicts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAnswer:
    """One answer, judged by the rule.

    observation: what was asked, self-contained. reason: the verdict reasoned aloud, ending with yes
    or no; None for games without such. held_out: it measures reward models and trains none.
    """

    observation: Observation
    answer: str
    success: bool
    outcome: str
    task_id: str
    reason: str | None = None
    held_out: bool = False


def is_held_out(task_id: str, fraction: float) -> bool:
    """Whether a task measures reward models: by a hash, the same for every seed and policy."""
    return zlib.crc32(f"verdicts {task_id}".encode()) < fraction * 2**32


def write_verdicts(folder: Path, verdicts: Sequence[JudgedAnswer], env: Any) -> dict[str, int]:
    """Write both files; returns the counts of verdicts by kind."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_as_record(folder, each), ensure_ascii=False) + "\n" for each in verdicts]
    counts = Counter(f"outcome/{each.outcome}" for each in verdicts)
    told = {
        "verdicts": len(verdicts),
        "right": sum(each.success for each in verdicts),
        "held_out": sum(each.held_out for each in verdicts),
        **dict(sorted(counts.items())),
    }
    atomic_write_text(folder / VERDICTS_NAME, "".join(lines))
    atomic_write_json(folder / ABOUT_NAME, {"identity": identity(env), **told})
    return told


def read_verdicts(folder: Path) -> tuple[list[JudgedAnswer], dict[str, Any]]:
    """The verdicts of a folder in order, and the identity of their environment.

    Raises ValueError in one line for a folder without any.
    """
    try:
        about = json.loads((folder / ABOUT_NAME).read_text(encoding="utf-8"))
        records = read_jsonl(folder / VERDICTS_NAME)
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"verdicts must be a folder with {ABOUT_NAME}; got {folder}") from error
    if not records:
        raise ValueError(f"{folder / VERDICTS_NAME} must hold a verdict; got none")
    return [_of_record(folder, record) for record in records], dict(about["identity"])


def balanced(verdicts: Sequence[JudgedAnswer], *, held_out: bool) -> list[JudgedAnswer]:
    """As many right answers as wrong ones, the first of each, in order.

    held_out: which part. Raises ValueError where one kind is missing.
    """
    mine = [each for each in verdicts if each.held_out is held_out]
    right = [each for each in mine if each.success]
    wrong = [each for each in mine if not each.success]
    count = min(len(right), len(wrong))
    if not count:
        raise ValueError(
            f"verdicts must hold right and wrong answers{' held out' * held_out}; got {len(right)} "
            f"right and {len(wrong)} wrong: sample more tasks, or from a policy that is sometimes "
            "right"
        )
    kept = {id(each) for each in (*right[:count], *wrong[:count])}
    return [each for each in mine if id(each) in kept]


def preference_pairs(
    verdicts: Sequence[JudgedAnswer], per_prompt: int
) -> list[tuple[JudgedAnswer, JudgedAnswer]]:
    """(right, wrong) answers to one prompt, `per_prompt` at most; held-out tasks give none."""
    right: dict[tuple[str, bytes], list[JudgedAnswer]] = defaultdict(list)
    wrong: dict[tuple[str, bytes], list[JudgedAnswer]] = defaultdict(list)
    for each in verdicts:
        picture = each.observation.image
        prompt = each.observation.text, b"" if picture is None else picture.tobytes()
        if not each.held_out:
            (right if each.success else wrong)[prompt].append(each)
    return [
        pair
        for prompt, answers in right.items()
        for pair in list(zip(answers, wrong.get(prompt, ()), strict=False))[:per_prompt]
    ]


def as_answer(verdict: JudgedAnswer) -> Conversation:
    """The answer as something to imitate."""
    return _conversation(verdict.observation, verdict.answer, verdict.task_id)


def as_judgement(verdict: JudgedAnswer, request: str) -> Conversation:
    """The reasoned verdict as something to imitate; ValueError for a game that has none."""
    if verdict.reason is None:
        raise ValueError("a judge must learn reasoned verdicts, which General Points has; got none")
    asked = judging_prompt(request, verdict.observation, verdict.answer)
    return _conversation(asked, verdict.reason, verdict.task_id)


def judging_prompt(request: str, observation: Observation, answer: str) -> Observation:
    """What a judge reads; a picture stays in view."""
    parts = {"{task}": observation.text, "{answer}": answer}
    text = re.sub(r"\{task\}|\{answer\}", lambda found: parts[found[0]], request)
    return Observation(text=text, update=text, image=observation.image)


def _conversation(observation: Observation, answer: str, task_id: str) -> Conversation:
    return Conversation(
        observations=(observation,), answers=(answer,), imitated=(True,), task_id=task_id
    )


def _as_record(folder: Path, verdict: JudgedAnswer) -> dict[str, Any]:
    picture = verdict.observation.image
    return {
        "task": verdict.observation.text,
        "image": None if picture is None else store_picture(folder, picture),
        "answer": verdict.answer,
        "success": verdict.success,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "task_id": verdict.task_id,
        "held_out": verdict.held_out,
    }


def _of_record(folder: Path, record: dict[str, Any]) -> JudgedAnswer:
    name = record["image"]
    picture = None if name is None else read_picture(name, folder=folder)
    observation = Observation(text=record["task"], update=record["task"], image=picture)
    names = ("answer", "success", "outcome", "reason", "task_id", "held_out")
    return JudgedAnswer(observation=observation, **{name: record[name] for name in names})
