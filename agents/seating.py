"""Who sits where: which rows of the cache are decoded, which wait for a turn, which are free."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from .chat import Prompt
from .types import StreamKey
from .vision import fingerprint

Ticket = TypeVar("Ticket", bound=Hashable)
PromptKey = tuple[tuple[int, ...], tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Order(Generic[Ticket]):
    """A conversation that wants its next answer. ticket: its name."""

    ticket: Ticket
    prompt: Prompt
    stream: StreamKey


@dataclass(slots=True)
class Seat(Generic[Ticket]):
    """One row of the cache.

    order: what it was last asked. shared: the prompt that its own ids follow. num_own: own ids in
    the cache. position: of the next id. answer: what it said, once it has ended. place: its row.
    """

    order: Order[Ticket]
    shared: PromptKey
    place: int = -1
    num_own: int = 0
    position: int = 0
    running: bool = True
    answer: tuple[int, ...] = ()
    released: bool = False

    @property
    def num_read(self) -> int:
        """Ids in the cache: the prompt's and the answer's but for the last, which was not fed."""
        return len(self.order.prompt.ids) + max(len(self.answer) - 1, 0)

    def leads_to(self, prompt: Prompt, new_pictures: bool) -> bool:
        """Whether `prompt` only adds to what this row has read, pictures if they are allowed."""
        before, num_seen = self.order.prompt, len(self.order.prompt.images)
        read = (*before.ids, *self.answer[:-1])
        if len(prompt.ids) <= len(read) or prompt.ids[: len(read)] != read:
            return False
        num_new = len(prompt.images) - num_seen
        if num_new < 0 or (num_new > 0 and not new_pictures):
            return False
        seen = zip(before.images, prompt.images[:num_seen], strict=True)
        return all(old is new or np.array_equal(old, new) for old, new in seen)


@dataclass(frozen=True, slots=True)
class Plan(Generic[Ticket]):
    """The next seating, in the order of the rows.

    running: are in the middle of an answer. going_on: begin a later turn, with what was asked.
    fresh: begin with a whole prompt. waiting: keep their rows. queue: found none.
    """

    running: list[Seat[Ticket]]
    going_on: list[tuple[Seat[Ticket], Order[Ticket]]]
    fresh: list[Seat[Ticket]]
    waiting: list[Seat[Ticket]]
    queue: list[Order[Ticket]]

    @property
    def batch(self) -> list[Seat[Ticket]]:
        """Who is decoded."""
        return [*self.running, *(seat for seat, _ in self.going_on), *self.fresh]

    @property
    def seats(self) -> list[Seat[Ticket]]:
        return [*self.batch, *self.waiting]


def plan(
    seats: Sequence[Seat[Ticket]], queue: Sequence[Order[Ticket]], num_rows: int, new_pictures: bool
) -> Plan[Ticket]:
    """Seat who can be seated; conversations that go on come before new ones."""
    running = [seat for seat in seats if seat.running]
    waiting = {seat.order.ticket: seat for seat in seats if not seat.running}
    going_on: list[tuple[Seat[Ticket], Order[Ticket]]] = []
    new: list[Order[Ticket]] = []
    for order in queue:
        seat = waiting.pop(order.ticket, None)
        if seat is not None and seat.leads_to(order.prompt, new_pictures):
            going_on.append((seat, order))
        else:
            new.append(order)
    free = num_rows - len(running) - len(going_on) - len(waiting)
    kept = list(waiting.values())
    if free <= 0 and not running and not going_on:  # what they have read must be read again
        kept, free = kept[len(new) :], min(len(new), num_rows)
    fresh = [Seat(order, prompt_key(order.prompt)) for order in new[: max(free, 0)]]
    return Plan(running, going_on, fresh, kept, new[max(free, 0) :])


def prompt_key(prompt: Prompt) -> PromptKey:
    """Equal for prompts that are read alike."""
    return prompt.ids, tuple(map(fingerprint, prompt.images))
