"""How many tokens one step of GRPO handles: from the environment's own text, pictures and turns.

Answers are taken as long as they may get and episodes to use all their turns, unless
`plan.answer_tokens` and `plan.turns` say otherwise: a plan should err on the safe side.
"""

import re
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from ...agents.families import family_of
from ...agents.tokenizer import build_tokenizer
from ...agents.types import ContextMode
from ..config import ExperimentConfig
from .shape import Shape, Tower

CHARS_PER_TOKEN = 4  # of English, with the tokenizers of the named policies
TEMPLATE_TOKENS = 12  # that a chat template puts around a message
IMAGE_MARK = "<image>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One step, over all devices.

    groups x members episodes of `turns` turns. prompt: tokens of the first prompt, pictures
    included. update: that each later turn adds. answer: sampled per turn. row_per_turn: every turn
    is a training row of its own; otherwise the episode is one. images: distinct pictures of an
    episode. limit: of a row. max_rows: conversations in one device's cache at once.
    """

    groups: int
    members: int
    turns: int
    prompt: int
    update: int
    answer: int
    row_per_turn: bool
    images: int
    limit: int
    max_rows: int = 512

    @property
    def episodes(self) -> int:
        return self.groups * self.members

    @property
    def rows(self) -> int:
        return self.episodes * (self.turns if self.row_per_turn else 1)

    @property
    def row_tokens(self) -> int:
        """Of the longest row: prompts and answers."""
        if self.row_per_turn:
            return min(self.limit, self.prompt + self.answer)
        later = (self.turns - 1) * (self.update + self.answer)
        return min(self.limit, self.prompt + self.answer + later)

    @property
    def own_tokens(self) -> int:
        """Of a row, behind its first prompt."""
        return self.row_tokens - min(self.prompt, self.row_tokens)

    @property
    def sampled_tokens(self) -> int:
        return self.episodes * self.turns * self.answer

    @property
    def trained_tokens(self) -> int:
        """Of all rows, prompts read again for each."""
        return self.rows * self.row_tokens

    @property
    def read_tokens(self) -> int:
        """That the engine reads: each distinct prompt once, then only what a turn adds."""
        if self.row_per_turn:  # later prompts show what was answered: no two are alike
            return self.groups * self.prompt + (self.rows - self.episodes) * self.prompt
        return self.groups * self.prompt + self.episodes * (self.turns - 1) * self.update


def workload(config: ExperimentConfig, shape: Shape) -> tuple[Workload, Tower | None]:
    """What one step handles, and the vision tower as the environment's pictures use it."""
    plan, grpo = config.plan, config.grpo
    first, second, max_turns = _observe(config.env)
    pictures = [seen["image"] for seen in (first, second) if "image" in seen]
    image_ids, tower = (0, None) if not pictures else picture(config, shape, pictures[0])
    changes = len(pictures) == 2 and not np.array_equal(*pictures)
    turns = min(plan.turns or max_turns, max_turns)
    context = config.policy.context
    text = _count_tokens(config, first["text"])
    work = Workload(
        groups=grpo.groups_per_step,
        members=grpo.group_size,
        turns=turns,
        prompt=plan.prompt_tokens or text + image_ids,
        update=_count_tokens(config, second["update"]) + image_ids * changes,
        answer=plan.answer_tokens or grpo.max_new_tokens,
        row_per_turn=context is not ContextMode.concat,
        images=(turns if changes else 1) if pictures else 0,
        limit=config.policy.max_context or shape.config.get_text_config().max_position_embeddings,
        max_rows=config.policy.max_rows,
    )
    if work.prompt + work.answer > work.limit:
        raise ValueError(
            f"policy.max_context must hold a prompt and an answer, {work.prompt} + {work.answer} "
            f"tokens; got {work.limit}"
        )
    return work, tower


def picture(config: ExperimentConfig, shape: Shape, image: np.ndarray) -> tuple[int, Tower]:
    """Ids that a picture takes in a prompt, and the tower that reads it.

    Raises ValueError if the policy cannot see.
    """
    spec = family_of(shape.model_type)
    if spec.vision is None:
        raise ValueError(
            f"env.modality must be text for {config.policy.name}, which cannot see; got image"
        )
    processor = spec.processor_class(**(shape.processor or {}))
    if config.policy.max_image_tokens is not None and spec.limit is not None:
        spec.limit(processor, shape.config, config.policy.max_image_tokens)
    vision = spec.vision(processor, shape.config, _Marks())
    ids = vision.num_placeholders((image,))
    told = shape.config.vision_config
    merged = _merged(shape.config)
    patches = ids * merged**2
    if spec.family.value == "mllama":  # every slot of tiles is read, empty or not
        patches = told.max_num_tiles * ((told.image_size // told.patch_size) ** 2 + 1)
    return len(vision.expand((vision.image_token_id,), (image,))), Tower(
        layers=_first(told, "depth", "num_hidden_layers") + getattr(told, "num_global_layers", 0),
        width=told.hidden_size,
        mlp=told.intermediate_size,
        patches=patches,
    )


class _Marks:
    """In the place of a tokenizer: tells the marks around pictures apart, one id each."""

    def convert_ids_to_tokens(self, token: int) -> str:
        self._image = token
        return IMAGE_MARK

    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]:
        return [-1 for _ in tokens]

    def get_added_vocab(self) -> dict[str, int]:
        return {}

    def encode(self, text: str, **options: Any) -> list[int]:
        marks = re.findall(r"<[^>]+>|\n", text)
        return [self._image if mark == IMAGE_MARK else -1 for mark in marks]


def _observe(env_config: Any) -> tuple[dict[str, Any], dict[str, Any], int]:
    """The first observation of an episode, that after a wrong answer, and the turn limit."""
    env = gym.make(env_config.id, config=env_config)
    try:
        first, _ = env.reset(seed=0)
        second, *_ = env.step("?")
        return first, second, int(env.unwrapped.max_turns)  # type: ignore[attr-defined]
    finally:
        env.close()


def _count_tokens(config: ExperimentConfig, text: str) -> int:
    build = config.policy.build
    if config.policy.path is None and build is not None:
        tokenizer = build_tokenizer(build.max_position, build.vocabulary, ())
        return len(tokenizer.encode(text, add_special_tokens=False)) + 3
    return len(text) // CHARS_PER_TOKEN + TEMPLATE_TOKENS


def _merged(config: Any) -> int:
    """Patches along each side of what one id stands for."""
    told = getattr(config, "scale_factor", None) or getattr(
        config.vision_config, "spatial_merge_size", None
    )
    return int(told or 1)


def _first(config: Any, *names: str) -> int:
    return int(next(getattr(config, name) for name in names if hasattr(config, name)))
