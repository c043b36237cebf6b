"""Continuous batching: rows join, decode, wait for their next turn and leave, and keep their cache.

`submit` asks for a conversation's next answer; `advance` decodes until somebody has ended and hands
out who did. A prompt is read once for all rows that have it (see `attention`), and a conversation
that goes on keeps its row, so that only what is new is read. New rows are seated once a quarter of
the batch has ended, all together: reading a few at a time would cost more than it wins.

A row draws from its own stream, at its own step: what it says depends neither on who is decoded
beside it, nor on when.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch

from .attention import sharing_prompts
from .cache import Layout, additive
from .chat import Prompt, decode_answer
from .compiled import uncompiled
from .config import SamplingConfig
from .decoding import DecodingLayers
from .fixed import FixedStep
from .policy import Policy
from .prefill import PromptStore, read_on
from .running import RunningRows
from .seating import Order, Plan, Seat, plan
from .types import Completion, FinishReason, StreamKey

Ticket = TypeVar("Ticket", bound=Hashable)  # the name of a conversation

IDLE_SHARE = 0.25  # of the batch: once more rows than that have ended, they leave it


class Engine(Generic[Ticket]):
    """Decodes conversations of one policy; valid while its weights stay the same.

    num_rows: conversations in the cache at once, decoded and waiting ones; others queue.
    on_tokens: told how many tokens each step drew.
    """

    def __init__(
        self,
        policy: Policy,
        sampling: SamplingConfig,
        *,
        num_rows: int = 512,
        on_tokens: Callable[[int], None] | None = None,
    ) -> None:
        if num_rows < 1:
            raise ValueError(f"num_rows must be at least 1; got {num_rows}")
        self.policy, self.sampling = policy, sampling
        self.num_rows, self.on_tokens = num_rows, on_tokens
        self._prompts = PromptStore(policy)
        self._seats: list[Seat[Ticket]] = []  # in order of the cache's rows
        self._queue: list[Order[Ticket]] = []
        self._batch: RunningRows | None = None
        self._num_batch = self._num_running = 0
        self._banned = torch.tensor(policy.banned_ids, dtype=torch.long, device=policy.device)
        self._ends = torch.tensor(policy.end_ids, device=policy.device)
        self._layers: DecodingLayers | None = None
        self._fixed: FixedStep | None = None  # where the policy's steps are of fixed shapes

    @property
    def is_hungry(self) -> bool:
        """Whether the next `advance` seats who has been submitted."""
        return self._num_running < (1 - IDLE_SHARE) * self._num_batch or self._num_running == 0

    @property
    def tickets(self) -> set[Ticket]:
        """The conversations that have a row."""
        return {seat.order.ticket for seat in self._seats if not seat.released}

    def submit(self, ticket: Ticket, prompt: Prompt, stream: StreamKey) -> None:
        """Ask for the next answer of conversation `ticket`, which must not be in the middle of one.

        Raises ValueError if the prompt leaves no room for `max_new_tokens`.
        """
        limit, longest = self.policy.max_context, len(prompt.ids)
        if longest + self.sampling.max_new_tokens > limit:
            raise ValueError(
                f"prompt plus max_new_tokens must be at most {limit} tokens; "
                f"got {longest} + {self.sampling.max_new_tokens}"
            )
        self._queue.append(Order(ticket, prompt, stream))

    def release(self, ticket: Ticket) -> None:
        """The conversation is over: its row may be taken."""
        for seat in self._seats:
            if seat.order.ticket == ticket and not seat.running:
                seat.released = True

    def advance(self) -> list[tuple[Ticket, Completion]]:
        """Decode until at least one row ends; nothing if there is nothing to do."""
        with _measuring(self.policy):
            if self.is_hungry:
                self._seat()
            return self._decode() if self._num_running else []

    def _seat(self) -> None:
        """Give rows to who waits for one, and read what they were asked."""
        self._note_progress()
        seats = [seat for seat in self._seats if not seat.released]
        next_up = plan(seats, self._queue, self.num_rows, self._prompts.takes_pictures_later)
        self._queue = next_up.queue
        self._prompts.want({seat.shared: seat.order.prompt for seat in next_up.seats})
        before = [seat.place for seat in next_up.running]
        self._arrange(next_up)
        going_on = self._read_on(next_up)
        self._batch = RunningRows.of(
            next_up,
            self._prompts,
            self.sampling.max_new_tokens,
            last=self._batch,
            before=before,
            going_on=going_on,
        )
        self._fixed = None
        self._num_batch = self._num_running = len(next_up.batch)
        for seat in next_up.batch:
            seat.running = True

    def _note_progress(self) -> None:
        """Tell the seats how far their rows have come."""
        if self._batch is None:
            return
        counts = (self._batch.own.tolist(), self._batch.position.tolist())
        for seat, own, position in zip(self._seats, *counts, strict=False):
            if seat.running:  # others were noted when they ended
                seat.num_own, seat.position = own, position

    def _arrange(self, next_up: Plan[Ticket]) -> None:
        """Move rows of the cache to their new places, with room for what will be added."""
        cache, limit = self._prompts.cache, self.sampling.max_new_tokens
        self._seats = next_up.seats
        widest = max((seat.num_own for seat in self._seats), default=0)
        needs = [seat.num_own for seat in next_up.running]
        new = [len(order.prompt.ids) - seat.num_read for seat, order in next_up.going_on]
        needs += [s.num_own + max(new) for s, _ in next_up.going_on]
        cache.make_room(len(self._seats), max(needs, default=0) + limit)
        moved = [(s.place, i) for i, s in enumerate(self._seats) if s.place not in (-1, i)]
        if moved:
            sources, targets = torch.tensor(moved, device=self.policy.device).unbind(1)
            cache.move(sources, targets, widest)
        for place, seat in enumerate(self._seats):
            seat.place = place

    def _read_on(self, next_up: Plan[Ticket]) -> torch.Tensor | None:
        """Let the rows of a later turn read what is new in it. Their states, [E, D]."""
        if not next_up.going_on:
            return None
        seats = [seat for seat, _ in next_up.going_on]
        asked = [order.prompt for _, order in next_up.going_on]
        known = [seat.num_read for seat in seats]
        num_new = [len(prompt.ids) - count for prompt, count in zip(asked, known, strict=True)]
        device, keys = self.policy.device, [seat.shared for seat in seats]
        own = torch.tensor([seat.num_own for seat in seats], device=device)
        width = max(seat.num_own for seat in seats) + max(num_new)
        steps = torch.arange(max(num_new), device=device)
        visible = torch.arange(width, device=device) <= (own[:, None] + steps)[..., None]
        self._prompts.cache.present.layout = Layout(
            sharing=self._prompts.sharing(keys),
            first=len(next_up.running),
            start=own,
            width=width,
            mask=additive(visible, self.policy.model.dtype)[:, None],  # [E, 1, n, L]
        )
        states, position = read_on(
            self.policy,
            asked,
            known,
            [len(seat.order.prompt.images) for seat in seats],
            torch.tensor([seat.position for seat in seats], device=device),
            self._prompts.cache,
            self._prompts.more_of(keys),
        )
        news = zip(next_up.going_on, num_new, position.tolist(), strict=True)
        for (seat, order), count, place in news:
            seat.order, seat.num_own, seat.position = order, seat.num_own + count, place
        return states

    def _decode(self) -> list[tuple[Ticket, Completion]]:
        """Step until a row ends."""
        batch = self._batch
        assert batch is not None
        head = self.policy.model.get_output_embeddings()
        limit = self.sampling.max_new_tokens
        with self._ready(batch, head) as read:
            while True:
                new_ids = batch.draw(head, self._banned, self.sampling)
                if self.on_tokens is not None:
                    self.on_tokens(self._num_running)
                ended = batch.running & (torch.isin(new_ids, self._ends) | (batch.drawn >= limit))
                answers = self._end(batch, ended.nonzero()[:, 0])
                batch.running &= ~ended
                if self._num_running > 0:
                    read(new_ids)
                if answers:
                    return answers

    @contextmanager
    def _ready(self, batch: RunningRows, head: Any) -> Iterator[Callable[[torch.Tensor], None]]:
        """Within it the model decodes; gives what reads one more token of every row."""
        model, cache, decoder = self.policy.model, self._prompts.cache, self.policy.decoder
        if decoder is not None and (self._fixed is None or not self._fixed.holds(cache)):
            self._fixed = decoder.begin(batch, self._prompts)
        fixed = self._fixed
        if fixed is not None:
            with sharing_prompts(model, fixed.cache.layers):
                yield lambda new_ids: batch.advance(fixed.read(batch, new_ids))
            return
        if self._layers is None:
            self._layers = DecodingLayers([model.get_decoder(), head])
        with self._layers.in_use(), sharing_prompts(model, cache.layers):
            yield lambda new_ids: batch.read(self.policy, self._prompts, new_ids)

    def _end(self, batch: RunningRows, places: torch.Tensor) -> list[tuple[Ticket, Completion]]:
        """Hand out what the rows at `places` have said; they keep their rows."""
        answers: list[tuple[Ticket, Completion]] = []
        columns = (batch.ids, batch.logprobs, batch.drawn, batch.own, batch.position)
        said = zip(places.tolist(), *(column[places].tolist() for column in columns), strict=True)
        for place, ids, logprobs, length, own, position in said:
            seat = self._seats[place]
            seat.running, seat.num_own, seat.position = False, own, position
            seat.answer = tuple(ids[:length])
            stopped = seat.answer[-1] in self.policy.end_ids
            completion = Completion(
                text=decode_answer(self.policy, seat.answer),
                token_ids=seat.answer,
                logprobs=tuple(logprobs[:length]),
                finish_reason=FinishReason.stop if stopped else FinishReason.length,
            )
            answers.append((seat.order.ticket, completion))
        self._num_running -= len(answers)
        return answers


@contextmanager
def _measuring(policy: Policy) -> Iterator[None]:
    """Without gradients and dropout; the model's mode is put back."""
    was_training = policy.model.training
    policy.model.eval()
    try:
        with torch.inference_mode(), uncompiled(policy.model):
            yield
    finally:
        policy.model.train(was_training)
