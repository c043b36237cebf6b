"""Training rows: what was read and what was sampled, as ids, masks and log-probabilities.

A row is assembled from lengths. Nothing here looks at text, padding ids or end ids to find out what
was sampled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from .chat import encode_answer, images_of_turn, shown_images
from .packing import Packed, pack
from .policy import Policy
from .types import Episode, Turn
from .vision import Images, Vision


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One sequence to score or train on; the three lists have equal lengths.

    ids: prompt and completions in the order the policy saw them. [T]
    mask: 1 exactly where an id was sampled (SFT: is to be imitated), end token included. [T]
    logprobs: the sampler's log-probability where mask is 1, else 0. [T]
    images: the pictures shown, one per image placeholder.
    """

    ids: list[int]
    mask: list[int]
    logprobs: list[float]
    images: Images = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Padded rows on the policy's device.

    input_ids, attention_mask: long [B, T]; mask, logprobs: float32 [B, T]; vision: the family's
    tensors (see `MllamaVision`), empty without pictures. padded_left: whether any row starts with
    padding. packed: the rows once more, with shared prompts once; it brings its own pictures.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    mask: torch.Tensor
    logprobs: torch.Tensor
    vision: Vision = field(default_factory=dict)
    padded_left: bool = False
    packed: Packed | None = None

    def to(self, device: torch.device | str) -> "Batch":
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            attention_mask=self.attention_mask.to(device),
            mask=self.mask.to(device),
            logprobs=self.logprobs.to(device),
            vision={name: tensor.to(device) for name, tensor in self.vision.items()},
            packed=None if self.packed is None else self.packed.to(device),
        )


def rows_from_episode(episode: Episode, policy: Policy) -> list[Row]:
    """`concat`: one row for the whole episode; otherwise one row per turn, in order."""
    turns = episode.turns
    if episode.context.row_per_turn:
        return [
            _row(turns[i : i + 1], images_of_turn(policy, turns[: i + 1]))
            for i in range(len(turns))
        ]
    if not episode.turns:
        return []
    seen = [turn.observation for turn in episode.turns]
    return [_row(episode.turns, shown_images(policy, seen))]


def row_from_answer(
    policy: Policy, prompt_ids: Sequence[int], answer: str, images: Images = ()
) -> Row:
    """An SFT row: a prompt and the answer to imitate."""
    answer_ids = encode_answer(policy, answer)
    return Row(
        ids=[*prompt_ids, *answer_ids],
        mask=[0] * len(prompt_ids) + [1] * len(answer_ids),
        logprobs=[0.0] * (len(prompt_ids) + len(answer_ids)),
        images=images,
    )


def collate(
    policy: Policy,
    rows: Sequence[Row],
    pad_side: str = "right",
    extra_padding: int = 0,
    *,
    share_prompts: bool = False,
) -> Batch:
    """Pad rows to one length (the longest plus `extra_padding`).

    pad_side: "right" or "left"; log-probabilities do not depend on it, right is faster.
    share_prompts: let the model read what rows begin with only once, where that costs less (see
        `packing`); log-probabilities and gradients do not depend on it either.
    """
    if pad_side not in ("left", "right"):
        raise ValueError(f"pad_side must be left or right; got {pad_side!r}")
    if not rows:
        raise ValueError("a batch must have at least one row; got none")
    length = max(len(row.ids) for row in rows) + extra_padding
    ids = np.full((len(rows), length), policy.pad_id, dtype=np.int64)
    present = np.zeros((len(rows), length), dtype=np.int64)
    mask = np.zeros((len(rows), length), dtype=np.float32)
    logprobs = np.zeros((len(rows), length), dtype=np.float32)
    for i, row in enumerate(rows):
        start = 0 if pad_side == "right" else length - len(row.ids)
        span = slice(start, start + len(row.ids))
        ids[i, span], present[i, span] = row.ids, 1
        mask[i, span], logprobs[i, span] = row.mask, row.logprobs
    input_ids = torch.from_numpy(ids).to(policy.device)
    attention_mask = torch.from_numpy(present).to(policy.device)
    vision: Vision = {}
    packed = pack(policy, rows, length) if share_prompts and pad_side == "right" else None
    if policy.vision is not None and packed is None:
        vision = policy.vision.batch([row.images for row in rows], input_ids, attention_mask)
    return Batch(
        input_ids=input_ids,
        attention_mask=attention_mask,
        mask=torch.from_numpy(mask).to(policy.device),
        logprobs=torch.from_numpy(logprobs).to(policy.device),
        vision=vision,
        padded_left=bool((present[:, 0] == 0).any()),
        packed=packed,
    )


def _row(turns: Sequence[Turn], images: Images) -> Row:
    ids: list[int] = []
    mask: list[int] = []
    logprobs: list[float] = []
    for turn in turns:
        sampled = turn.completion.token_ids
        ids += [*turn.prompt_ids, *sampled]
        mask += [0] * len(turn.prompt_ids) + [1] * len(sampled)
        logprobs += [0.0] * len(turn.prompt_ids)
        logprobs += turn.completion.logprobs or [0.0] * len(sampled)
    return Row(ids=ids, mask=mask, logprobs=logprobs, images=images)
