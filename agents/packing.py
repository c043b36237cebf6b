"""Training rows that begin alike, in one sequence: the prompt once, then every continuation.

    row 1:  P P P a a a          packed:  P P P a a a b b
    row 2:  P P P b b

A block mask lets a continuation see the prompt and itself alone, and positions go on from the
prompt's end in each, so that states and gradients are those of the rows apart. It is done where it
costs less: attention over the packed sequence grows with the square of its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .policy import Policy
from .vision import Images, Vision, fingerprint

if TYPE_CHECKING:
    from .rows import Row

MASKABLE = ("sdpa", "eager")  # kinds of attention that take a mask of any shape
LINEAR = 6  # times the hidden size: what an id costs outside attention, in pairs of ids
SharedKey = tuple[tuple[int, ...], tuple[bytes, ...]]  # ids, and fingerprints of the pictures
WORTHWHILE = 0.85  # of the cost of the rows apart: packing has costs of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """B rows of at most L ids as U sequences of at most T.

    input_ids: [U, T]. blocks: additive mask, [U, 1, T, T]. position_ids: [(3,) U, T].
    places: where in the U * T packed ids each row's ids stand, [B, L]; padding is anywhere.
    vision: the pictures of the prompts, as the family wants them.
    """

    input_ids: torch.Tensor
    blocks: torch.Tensor
    position_ids: torch.Tensor
    places: torch.Tensor
    vision: Vision

    def to(self, device: torch.device | str) -> "Packed":
        return Packed(
            input_ids=self.input_ids.to(device),
            blocks=self.blocks.to(device),
            position_ids=self.position_ids.to(device),
            places=self.places.to(device),
            vision={name: tensor.to(device) for name, tensor in self.vision.items()},
        )

    def inputs(self, policy: Policy) -> dict[str, Any]:
        """Keyword arguments of the model's forward; runs the vision tower."""
        inputs: dict[str, Any] = {}
        if policy.vision is not None and self.vision:
            inputs = policy.vision.inputs(policy.model, self.vision)
        return {**inputs, "attention_mask": self.blocks, "position_ids": self.position_ids}

    def pack(self, wanted: torch.Tensor) -> torch.Tensor:
        """Places of the rows, bool [B, L], as those of the packed sequences, [U, T]."""
        packed = torch.zeros_like(self.input_ids, dtype=torch.bool)
        packed.view(-1)[self.places[wanted]] = True
        return packed

    def unpack(self, states: torch.Tensor) -> torch.Tensor:
        """States of the packed sequences [U, T, D] as those of the rows, [B, L, D]."""
        rows = states.flatten(0, 1).index_select(0, self.places.flatten())
        return rows.view(*self.places.shape, -1)


def pack(policy: Policy, rows: Sequence["Row"], length: int) -> Packed | None:
    """The rows with shared prompts once each; None where that is not cheaper, or not possible.

    length: L, that the rows are padded to. A prompt is what stands before the first sampled id;
    rows share it if ids and pictures are equal and no picture comes later.
    """
    if not takes_masks(policy):
        return None
    groups: dict[SharedKey | None, list[int]] = {}
    keys = [shared_key(policy, row) for row in rows]
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    lengths = [len(row.ids) for row in rows]
    if not _is_worth_it(policy, lengths, keys, length):
        return None
    prompts = [len(key[0]) for key in groups if key is not None]
    width = max(_widths(lengths, keys))
    return _lay_out(policy, rows, list(groups.values()), prompts, width, length)


def takes_masks(policy: Policy) -> bool:
    """Whether its attention can be told which ids see which."""
    text = policy.model.config.get_text_config()
    return text._attn_implementation in MASKABLE and not getattr(text, "sliding_window", None)


def shared_key(policy: Policy, row: "Row") -> SharedKey | None:
    """Equal for rows that may share a prompt; None if the row has a picture after it."""
    count = _prompt_length(row.mask)
    if not 0 < count < len(row.ids):
        return None
    if policy.vision is not None and policy.vision.image_token_id in row.ids[count:]:
        return None
    return tuple(row.ids[:count]), tuple(map(fingerprint, row.images))


def cost(
    policy: Policy, lengths: Sequence[int], keys: Sequence[SharedKey | None] | None = None
) -> float:
    """What the model has to compute of a batch of rows, in pairs of ids of one layer.

    keys: of their prompts, which are shared where `pack` would; None: they are apart. Their
    ratio is near that of CPU times, forward and backward (`bench_sharing.py`).
    """
    apart = _cost_apart(policy, len(lengths), max(lengths))
    if keys is None or not _is_worth_it(policy, lengths, keys, max(lengths)):
        return apart
    return _cost_together(policy, _widths(lengths, keys))


def _is_worth_it(
    policy: Policy, lengths: Sequence[int], keys: Sequence[SharedKey | None], length: int
) -> bool:
    """length: that rows are padded to where they are apart."""
    if None in keys or len(set(keys)) == len(keys):
        return False
    together = _cost_together(policy, _widths(lengths, keys))
    return together <= WORTHWHILE * _cost_apart(policy, len(lengths), length)


def _widths(lengths: Sequence[int], keys: Sequence[SharedKey | None]) -> list[int]:
    """Ids of each packed sequence: a prompt, and what every row has behind it."""
    found: dict[SharedKey, int] = {}
    for length, key in zip(lengths, keys, strict=True):
        if key is not None:
            prompt = len(key[0])
            found[key] = found.get(key, prompt) + length - prompt
    return list(found.values())


def _cost_apart(policy: Policy, num_rows: int, length: int) -> float:
    return num_rows * length * (_linear(policy) + length / 2)  # a causal half of all pairs


def _cost_together(policy: Policy, widths: Sequence[int]) -> float:
    return len(widths) * max(widths) * (_linear(policy) + max(widths))  # masked pairs cost as much


def _linear(policy: Policy) -> int:
    return LINEAR * int(policy.model.config.get_text_config().hidden_size)


def _prompt_length(mask: Sequence[int]) -> int:
    """Ids before the first that was sampled."""
    return mask.index(1) if 1 in mask else len(mask)


def _lay_out(
    policy: Policy,
    rows: Sequence["Row"],
    groups: Sequence[Sequence[int]],
    prompts: Sequence[int],
    width: int,
    length: int,
) -> Packed:
    """groups: numbers of the rows that share a prompt of `prompts[u]` ids."""
    shape = (len(groups), width)
    ids = torch.full(shape, policy.pad_id, dtype=torch.long)
    segment = torch.full(shape, -1)  # 0: the prompt; 1, 2, ...: continuations; -1: padding
    offset = torch.zeros(shape, dtype=torch.long)  # from the row's beginning
    places = torch.zeros(len(rows), length, dtype=torch.long)
    for u, (members, prompt) in enumerate(zip(groups, prompts, strict=True)):
        ids[u, :prompt] = torch.tensor(rows[members[0]].ids[:prompt])
        segment[u, :prompt], offset[u, :prompt] = 0, torch.arange(prompt)
        start = prompt
        for number, i in enumerate(members, start=1):
            span = slice(start, start + len(rows[i].ids) - prompt)
            ids[u, span] = torch.tensor(rows[i].ids[prompt:])
            segment[u, span] = number
            offset[u, span] = torch.arange(prompt, len(rows[i].ids))
            places[i, :prompt] = u * width + torch.arange(prompt)
            places[i, prompt : len(rows[i].ids)] = u * width + torch.arange(span.start, span.stop)
            start = span.stop
    device = policy.device
    images: list[Images] = [rows[members[0]].images for members in groups]
    ids, segment, offset = ids.to(device), segment.to(device), offset.to(device)
    vision: Vision = {}
    if policy.vision is not None:
        vision = policy.vision.batch(images, ids, (segment >= 0).long())
    return Packed(
        input_ids=ids,
        blocks=_blocks(segment, policy.model.dtype),
        position_ids=_positions(vision, offset, torch.tensor(prompts, device=device)),
        places=places.to(device),
        vision=vision,
    )


def _blocks(segment: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Additive [U, 1, T, T]: an id sees those before it in the prompt and in its own segment."""
    asking, asked = segment[:, :, None], segment[:, None, :]
    visible = ((asked == 0) | (asked == asking)).tril()
    mask = torch.zeros(visible.shape, dtype=dtype, device=segment.device)
    return mask.masked_fill(~visible, torch.finfo(dtype).min)[:, None]


def _positions(vision: Vision, offset: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
    """Positions as each row alone has them: a picture may take fewer positions than ids."""
    positions = vision.get("position_ids")
    if positions is None:
        return offset
    later = offset - prompts[:, None]  # from the prompt's end on: one position per id
    first = prompts.clamp(max=offset.shape[1] - 1).expand(*positions.shape[:-1])[..., None]
    return torch.where(later >= 0, positions.gather(-1, first) + later, positions)
