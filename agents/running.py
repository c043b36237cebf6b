"""The rows that are being decoded: what they draw from, what they have said, where they stand."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from .attention import Sharing
from .cache import Layout, additive
from .config import SamplingConfig
from .policy import Policy
from .prefill import PromptStore
from .sampling import draw, uniforms
from .scoring import hidden_states
from .seating import Plan
from .vision import Vision

Ticket = TypeVar("Ticket", bound=Hashable)


@dataclass(slots=True)
class RunningRows:
    """The B rows being decoded, the first of the cache.

    states: of the last token read, [B, D]. position: of the next, [B]. own: ids in the cache beside
    the prompt, [B]. columns: the least and the most of `own`, known without asking the device.
    drawn: tokens of the present answer, [B]. running: [B] bool. random, ids, logprobs:
    [B, max_new_tokens]. more: the vision family's inputs, [B, 1, ...] by name.
    """

    states: torch.Tensor
    position: torch.Tensor
    own: torch.Tensor
    columns: tuple[int, int]
    drawn: torch.Tensor
    running: torch.Tensor
    random: torch.Tensor
    ids: torch.Tensor
    logprobs: torch.Tensor
    sharing: Sharing
    more: Vision

    @classmethod
    def of(
        cls,
        next_up: Plan[Ticket],
        prompts: PromptStore,
        limit: int,
        *,
        last: "RunningRows | None",
        before: Sequence[int],
        going_on: torch.Tensor | None,
    ) -> "RunningRows | None":
        """The rows of a new seating; None if it is empty.

        limit: `max_new_tokens`. before: where those that stay stood in `last`. going_on: states of
        the rows that begin a later turn, [E, D].
        """
        seats, device = next_up.batch, prompts.policy.device
        if not seats:
            return None
        for seat in next_up.fresh:
            seat.position = prompts.known[seat.shared].position
        states = [] if going_on is None else [going_on]
        if next_up.fresh:
            states.append(torch.stack([prompts.known[seat.shared].state for seat in next_up.fresh]))
        num_new = len(seats) - len(before)
        streams = [seat.order.stream for seat in seats[len(before) :]]
        news = {
            "drawn": torch.zeros(num_new, dtype=torch.long, device=device),
            "random": uniforms(streams, limit).to(device),
            "ids": torch.zeros(num_new, limit, dtype=torch.long, device=device),
            "logprobs": torch.zeros(num_new, limit, device=device),
        }
        if before:
            assert last is not None
            stay = torch.tensor(before, device=device)
            states.insert(0, last.states[stay])
            for name, tensor in news.items():
                news[name] = torch.cat((getattr(last, name)[stay], tensor))
        keys, own = [seat.shared for seat in seats], [seat.num_own for seat in seats]
        return cls(
            states=torch.cat(states),
            position=torch.tensor([seat.position for seat in seats], device=device),
            own=torch.tensor(own, device=device),
            columns=(min(own), max(own)),
            running=torch.ones(len(seats), dtype=torch.bool, device=device),
            sharing=prompts.sharing(keys),
            more=prompts.more_of(keys),
            **news,
        )

    def draw(self, head: Any, banned: torch.Tensor, sampling: SamplingConfig) -> torch.Tensor:
        """One more token of every row, noted with its log-probability. Ids, [B]."""
        rows = torch.arange(len(self.drawn), device=self.drawn.device)
        step = self.drawn.clamp(max=self.ids.shape[1] - 1)  # ended rows may run on: nobody looks
        new_ids, logprobs = draw(head(self.states), self.random[rows, step], banned, sampling)
        self.ids[rows, step], self.logprobs[rows, step] = new_ids, logprobs
        self.drawn += 1
        return new_ids

    def read(self, policy: Policy, prompts: PromptStore, new_ids: torch.Tensor) -> None:
        """Read one more token per row. new_ids: [B]"""
        self.advance(self._read(policy, prompts, new_ids))

    def advance(self, states: torch.Tensor) -> None:
        """Note that one more token per row has been read. states: [B, D]"""
        low, high = self.columns
        self.states = states
        self.own += 1
        self.position += 1
        self.columns = (low + 1, high + 1)

    def _read(self, policy: Policy, prompts: PromptStore, new_ids: torch.Tensor) -> torch.Tensor:
        low, high = self.columns
        mask = None
        if low < high:
            visible = torch.arange(high + 1, device=new_ids.device) <= self.own[:, None]
            mask = additive(visible, policy.model.dtype)[:, None, None]  # [B, 1, 1, L]
        prompts.cache.present.layout = Layout(
            sharing=self.sharing,
            first=0,
            start=high if mask is None else self.own,
            width=high + 1,
            mask=mask,
        )
        return hidden_states(
            policy.model,
            new_ids[:, None],
            position_ids=self.position[:, None],
            cache=prompts.cache,
            **self.more,
        )[:, -1]
