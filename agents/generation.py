"""Batched decoding with a cache.

A group asks the same question G times: its prompt (and picture) is read once and its keys and
values are laid out per row with room for the whole completion, so that a step writes in place. Rows
that have ended leave the batch. With a `Memory`, a later turn of a conversation reads only its new
ids.
"""

from collections.abc import Callable, Sequence

import torch

from .cache import Memory
from .chat import Prompt, decode_answer
from .config import SamplingConfig
from .policy import Policy
from .prefill import Reading, read, read_on
from .sampling import draw, uniforms
from .types import Completion, FinishReason, StreamKey

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
    memory: Memory | None = None,
) -> list[Completion]:
    """One completion per prompt, in order; row i draws from streams[i] alone.

    max_rows: rows decoded at once; more are done in turn.
    on_tokens: told how many tokens each step drew.
    memory: of the conversations' earlier turns; used and brought up to date (text family only).
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
    memory = memory if policy.vision is None else None
    was_training = policy.model.training
    policy.model.eval()
    completions: dict[int, Completion] = {}
    try:
        with torch.inference_mode():
            for rows, is_known in _portions(prompts, streams, max_rows, memory):
                asked, keys = [prompts[i] for i in rows], [streams[i] for i in rows]
                room = sampling.max_new_tokens
                if memory is not None and is_known:
                    reading = read_on(policy, asked, keys, memory, room)
                else:
                    reading = read(policy, asked, room)
                decoding = _Decoding(policy, asked, keys, sampling, memory)
                decoding.run(reading, on_tokens)
                completions |= dict(zip(rows, decoding.completions(), strict=True))
    finally:
        policy.model.train(was_training)
    return [completions[i] for i in range(len(prompts))]


class _Decoding:
    """B rows decoded together: what each has sampled so far."""

    def __init__(
        self,
        policy: Policy,
        prompts: Sequence[Prompt],
        streams: Sequence[StreamKey],
        sampling: SamplingConfig,
        memory: Memory | None,
    ) -> None:
        self.policy, self.prompts, self.streams = policy, prompts, streams
        self.sampling, self.memory = sampling, memory
        shape, device = (len(prompts), sampling.max_new_tokens), policy.device
        self.ids = torch.zeros(shape, dtype=torch.long, device=device)
        self.logprobs = torch.zeros(shape, device=device)
        self.lengths = torch.full(shape[:1], shape[1], device=device)

    def run(self, reading: Reading, on_tokens: Callable[[int], None] | None) -> None:
        """Decode every row to its end; `rows` and `running` follow the order of the batch."""
        count, limit = self.ids.shape
        device = self.ids.device
        head = self.policy.model.get_output_embeddings()
        banned = torch.tensor(self.policy.banned_ids, dtype=torch.long, device=device)
        ends = torch.tensor(self.policy.end_ids, device=device)
        random = uniforms(self.streams, limit).to(device)  # [B, limit]
        rows = torch.arange(count, device=device)
        running = torch.ones(count, dtype=torch.bool, device=device)
        num_running = count
        for step in range(limit):
            new_ids, logprobs = draw(
                head(reading.states), random[rows, step], banned, self.sampling
            )
            self.ids[rows, step], self.logprobs[rows, step] = new_ids, logprobs
            ended = running & torch.isin(new_ids, ends)
            self.lengths[rows[ended]] = step + 1
            if on_tokens is not None:
                on_tokens(num_running)
            running &= ~ended
            num_running = int(running.sum())
            if num_running == 0 or step + 1 == limit:
                break
            if num_running < (1 - KEEP_FINISHED_SHARE) * len(running):
                self._remember(reading, rows, ~running)
                kept = running.nonzero()[:, 0]
                reading.keep(kept)
                rows, new_ids, running = rows[kept], new_ids[kept], running[kept]
            reading.advance(new_ids, step)
        self._remember(reading, rows, torch.ones_like(running))

    def completions(self) -> list[Completion]:
        """What was sampled, row by row."""
        done = []
        columns = (self.ids.tolist(), self.logprobs.tolist(), self.lengths.tolist())
        for ids, logprobs, length in zip(*columns, strict=True):
            sampled = tuple(ids[:length])
            stopped = sampled[-1] in self.policy.end_ids
            done.append(
                Completion(
                    text=decode_answer(self.policy, sampled),
                    token_ids=sampled,
                    logprobs=tuple(logprobs[:length]),
                    finish_reason=FinishReason.stop if stopped else FinishReason.length,
                )
            )
        return done

    def _remember(self, reading: Reading, rows: torch.Tensor, leaving: torch.Tensor) -> None:
        """Keep what the leaving rows have read: all but their last token, which was not fed."""
        if self.memory is None:
            return
        for place in leaving.nonzero()[:, 0].tolist():
            row = int(rows[place])
            prompt = self.prompts[row].ids
            sampled = self.ids[row, : int(self.lengths[row]) - 1].tolist()
            start = reading.width - len(prompt)
            self.memory.store(self.streams[row], (*prompt, *sampled), reading.cache, place, start)


def _portions(
    prompts: Sequence[Prompt],
    streams: Sequence[StreamKey],
    max_rows: int,
    memory: Memory | None,
) -> list[tuple[list[int], bool]]:
    """Row numbers, at most `max_rows` together, and whether their conversations are in memory.

    Equal prompts and equal lengths are put side by side.
    """
    if max_rows < 1:
        raise ValueError(f"max_rows must be at least 1; got {max_rows}")
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i].ids), prompts[i].ids))
    known = [memory is not None and memory.num_known(streams[i], prompts[i].ids) > 0 for i in order]
    portions = []
    for wanted in (False, True):
        rows = [i for i, is_known in zip(order, known, strict=True) if is_known is wanted]
        for start in range(0, len(rows), max_rows):
            portions.append((rows[start : start + max_rows], wanted))
    return portions
