"""Batched decoding with a cache, each distinct prompt read once.

A group asks the same question G times: its prompt (and picture) is prefilled once, left-padded
beside the other distinct prompts, and the keys and values are then laid out per row with room for
the whole completion, so that a step writes in place. Rows that have ended leave the batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from .chat import Prompt, decode_answer
from .config import SamplingConfig
from .policy import Policy
from .rows import Row, collate
from .sampling import draw, uniforms
from .scoring import hidden_states, positions
from .types import Completion, FinishReason, StreamKey
from .vision import fingerprint, mllama_inputs

__all__ = ["SamplingConfig", "generate"]

KEEP_FINISHED_SHARE = 0.25  # finished rows are dropped from the batch once there are more of them


def generate(
    policy: Policy,
    prompts: Sequence[Prompt],
    streams: Sequence[StreamKey],
    sampling: SamplingConfig,
    *,
    max_rows: int = 512,
    on_tokens: Callable[[int], None] | None = None,
) -> list[Completion]:
    """One completion per prompt, in order; row i draws from streams[i] alone.

    max_rows: rows decoded at once; more are done in turn.
    on_tokens: told how many tokens each step drew.
    The model's train/eval mode is put back. Raises ValueError if prompts and streams differ in
    number or a prompt leaves no room for `max_new_tokens`.
    """
    if len(prompts) != len(streams):
        raise ValueError(f"each prompt must have a stream; got {len(prompts)} and {len(streams)}")
    longest = max((len(prompt.ids) for prompt in prompts), default=0)
    if longest + sampling.max_new_tokens > policy.max_context:
        raise ValueError(
            f"prompt plus max_new_tokens must be at most {policy.max_context} tokens; "
            f"got {longest} + {sampling.max_new_tokens}"
        )
    was_training = policy.model.training
    policy.model.eval()
    completions: dict[int, Completion] = {}
    try:
        with torch.inference_mode():
            for rows in _portions(prompts, max_rows):
                decoding = _Decoding(policy, [prompts[i] for i in rows], sampling)
                drawn = decoding.run([streams[i] for i in rows], on_tokens)
                completions |= dict(zip(rows, drawn, strict=True))
    finally:
        policy.model.train(was_training)
    return [completions[i] for i in range(len(prompts))]


class _Decoding:
    """The rows decoded together: B rows over U distinct prompts.

    `rows` numbers the rows still in the batch; every other tensor of the batch follows its order.
    """

    def __init__(self, policy: Policy, prompts: Sequence[Prompt], sampling: SamplingConfig) -> None:
        self.policy, self.sampling, self.device = policy, sampling, policy.device
        distinct, owners = _distinct(prompts)
        self.owners = torch.tensor(owners, device=self.device)
        self.rows = torch.arange(len(prompts), device=self.device)
        self.states = self._prefill(distinct)[self.owners]  # [B, D]

    def run(
        self, streams: Sequence[StreamKey], on_tokens: Callable[[int], None] | None
    ) -> list[Completion]:
        limit, count = self.sampling.max_new_tokens, len(streams)
        head = self.policy.model.get_output_embeddings()
        banned = torch.tensor(self.policy.banned_ids, dtype=torch.long, device=self.device)
        ends = torch.tensor(self.policy.end_ids, device=self.device)
        random = uniforms(streams, limit).to(self.device)  # [B, limit]
        ids = torch.zeros(count, limit, dtype=torch.long, device=self.device)
        logprobs = torch.zeros(count, limit, device=self.device)
        lengths = torch.full((count,), limit, device=self.device)
        running = torch.ones(count, dtype=torch.bool, device=self.device)  # like self.rows
        for step in range(limit):
            new_ids, new_logprobs = draw(
                head(self.states), random[self.rows, step], banned, self.sampling
            )
            ids[self.rows, step], logprobs[self.rows, step] = new_ids, new_logprobs
            ended = running & torch.isin(new_ids, ends)
            lengths[self.rows[ended]] = step + 1
            if on_tokens is not None:
                on_tokens(int(running.sum()))
            running &= ~ended
            num_running = int(running.sum())
            if num_running == 0 or step + 1 == limit:
                break
            if num_running < (1 - KEEP_FINISHED_SHARE) * len(running):
                kept = running.nonzero()[:, 0]
                self._keep(kept)
                new_ids, running = new_ids[kept], running[kept]
            self._advance(new_ids, step)
        return self._completions(ids.tolist(), logprobs.tolist(), lengths.tolist())

    def _prefill(self, prompts: Sequence[Prompt]) -> torch.Tensor:
        """Read the U distinct prompts and lay the cache out per row; the last states, [U, D]."""
        batch = collate(self.policy, [_row(prompt) for prompt in prompts], pad_side="left")
        cache = DynamicCache()
        model, vision = self.policy.model, batch.vision
        states = hidden_states(
            model,
            batch.input_ids,
            attention_mask=batch.attention_mask if batch.padded_left else None,
            position_ids=positions(batch.attention_mask),
            cache=cache,
            **(mllama_inputs(model, vision) if vision else {}),
        )
        room = self.sampling.max_new_tokens
        self.cache = DynamicCache()
        self.cache.layers = [_lay_out(layer, self.owners, room) for layer in cache.layers]
        self.lengths = batch.attention_mask.sum(1)[self.owners]  # [B] prompt lengths
        self.mask = None  # additive, [B, 1, 1, P + room]
        if batch.padded_left:
            present = torch.nn.functional.pad(batch.attention_mask, (0, room), value=1)
            lowest = torch.finfo(states.dtype).min
            self.mask = (1 - present.to(states.dtype)).mul(lowest)[self.owners][:, None, None]
        self.seen = None  # which tiles new tokens see: what the prompt's last token sees
        if vision:
            self.seen = vision["cross_attention_mask"][self.owners, -1:]  # [B, 1, N, tiles]
        self.width = batch.input_ids.shape[1]
        return states[:, -1]

    def _advance(self, new_ids: torch.Tensor, step: int) -> None:
        """Feed the tokens drawn at `step`; the states then predict the next ones."""
        mask = None if self.mask is None else self.mask[..., : self.width + step + 1]
        seen = {} if self.seen is None else {"cross_attention_mask": self.seen}
        self.states = hidden_states(
            self.policy.model,
            new_ids[:, None],
            attention_mask=mask,
            position_ids=(self.lengths + step)[:, None],
            cache=self.cache,
            **seen,
        )[:, -1]

    def _keep(self, kept: torch.Tensor) -> None:
        """Drop every other row from the batch."""
        self.rows, self.lengths = self.rows[kept], self.lengths[kept]
        self.mask = None if self.mask is None else self.mask[kept]
        self.seen = None if self.seen is None else self.seen[kept]
        for layer in self.cache.layers:
            if layer.is_initialized:
                layer.batch_select_indices(kept)

    def _completions(
        self, ids: list[list[int]], logprobs: list[list[float]], lengths: list[int]
    ) -> list[Completion]:
        completions = []
        for row_ids, row_logprobs, length in zip(ids, logprobs, lengths, strict=True):
            sampled = tuple(row_ids[:length])
            stopped = sampled[-1] in self.policy.end_ids
            completions.append(
                Completion(
                    text=decode_answer(self.policy, sampled),
                    token_ids=sampled,
                    logprobs=tuple(row_logprobs[:length]),
                    finish_reason=FinishReason.stop if stopped else FinishReason.length,
                )
            )
        return completions


class _RoomyLayer(DynamicLayer):
    """A cache layer with room for the whole completion, written in place."""

    def __init__(self, layer: Any, owners: torch.Tensor, room: int) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, True
        self.length = layer.keys.shape[2]
        self.all_keys = _spread(layer.keys, owners, room)
        self.all_values = _spread(layer.values, owners, room)
        self._show()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        start, self.length = self.length, self.length + key_states.shape[2]
        self.all_keys[:, :, start : self.length] = key_states
        self.all_values[:, :, start : self.length] = value_states
        self._show()
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        self.all_keys = self.all_keys[indices]
        self.all_values = self.all_values[indices]
        self._show()

    def _show(self) -> None:
        self.keys = self.all_keys[:, :, : self.length]
        self.values = self.all_values[:, :, : self.length]


def _lay_out(layer: Any, owners: torch.Tensor, room: int) -> Any:
    """A prefilled layer, one row per completion. A layer that was skipped stays empty."""
    return _RoomyLayer(layer, owners, room) if layer.is_initialized else layer


def _spread(states: torch.Tensor, owners: torch.Tensor, room: int) -> torch.Tensor:
    """[U, heads, P, d] -> [B, heads, P + room, d]"""
    _, heads, length, width = states.shape
    spread = states.new_empty(len(owners), heads, length + room, width)
    spread[:, :, :length] = states[owners]
    return spread


def _row(prompt: Prompt) -> Row:
    count = len(prompt.ids)
    return Row(ids=list(prompt.ids), mask=[0] * count, logprobs=[0.0] * count, images=prompt.images)


def _portions(prompts: Sequence[Prompt], max_rows: int) -> list[list[int]]:
    """Row numbers in portions of at most `max_rows`; equal prompts and lengths side by side."""
    if max_rows < 1:
        raise ValueError(f"max_rows must be at least 1; got {max_rows}")
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i].ids), prompts[i].ids))
    return [order[i : i + max_rows] for i in range(0, len(order), max_rows)]


def _distinct(prompts: Sequence[Prompt]) -> tuple[list[Prompt], list[int]]:
    """The distinct prompts and, for each row, which of them it has."""
    index: dict[Any, int] = {}
    distinct: list[Prompt] = []
    owners = []
    for prompt in prompts:
        key = (prompt.ids, tuple(map(fingerprint, prompt.images)))
        if key not in index:
            index[key] = len(distinct)
            distinct.append(prompt)
        owners.append(index[key])
    return distinct, owners
