"""Reading prompts: from ids and pictures to the states that predict the next token.

A distinct prompt is read once; a later turn of a conversation reads only its new ids and pictures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache

from .attention import Sharing, sharing_prompts
from .cache import SharedCache, additive, stack
from .chat import Prompt
from .policy import Policy
from .rows import Batch, Row, collate
from .scoring import batch_states, hidden_states
from .seating import PromptKey
from .vision import Vision


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """A prompt in the cache. state: of its last token, [D]. position: of the next one."""

    num_ids: int
    state: torch.Tensor
    position: int


class PromptStore:
    """The prompts that rows continue, each in the cache once, in order of `known`.

    more: what the vision family wants beside every new token of a row, [U, 1, ...] by name.
    """

    def __init__(self, policy: Policy) -> None:
        text = policy.model.config.get_text_config()
        self.policy = policy
        self.cache = SharedCache(getattr(text, "cross_attention_layers", None) or ())
        self.known: dict[PromptKey, ReadPrompt] = {}
        self.more: Vision = {}

    @property
    def takes_pictures_later(self) -> bool:
        """Whether a row can be shown more pictures than its prompt: not by cross-attention."""
        return not self.cache.picture_layers

    def want(self, prompts: Mapping[PromptKey, Prompt]) -> None:
        """Read those that are new and drop those that are not wanted."""
        kept = [place for place, key in enumerate(self.known) if key in prompts]
        if len(kept) < len(self.known):
            index = torch.tensor(kept, dtype=torch.long, device=self.policy.device)
            self.known = {key: read for key, read in self.known.items() if key in prompts}
            longest = max((read.num_ids for read in self.known.values()), default=0)
            self.cache.keep_prompts(index, longest)
            self.more = {name: tensor[index] for name, tensor in self.more.items()}
        new = {key: prompt for key, prompt in prompts.items() if key not in self.known}
        if new:
            self._read(new)

    def sharing(self, keys: Sequence[PromptKey]) -> Sharing:
        """How rows that continue `keys` share the prompts."""
        lengths = [prompt.num_ids for prompt in self.known.values()]
        padding, device = None, self.policy.device
        if len(set(lengths)) > 1:
            longest = max(lengths)
            columns = torch.arange(longest, device=device)
            missing = longest - torch.tensor(lengths, device=device)
            padding = additive(columns >= missing[:, None], self.policy.model.dtype)
            padding = padding[:, None, None]
        return Sharing.of(self.places(keys), padding, device)

    def places(self, keys: Sequence[PromptKey]) -> list[int]:
        place = {key: i for i, key in enumerate(self.known)}
        return [place[key] for key in keys]

    def more_of(self, keys: Sequence[PromptKey]) -> Vision:
        """`more` for each of B rows, [B, 1, ...]."""
        if not self.more:
            return {}
        places = torch.tensor(self.places(keys), device=self.policy.device)
        return {name: tensor[places] for name, tensor in self.more.items()}

    def _read(self, prompts: Mapping[PromptKey, Prompt]) -> None:
        policy, count = self.policy, len(prompts)
        rows = [_row(prompt.ids, prompt) for prompt in prompts.values()]
        batch = collate(policy, rows, pad_side="left")
        cache = DynamicCache()
        states = batch_states(policy, batch, cache)[:, -1]
        lengths = batch.attention_mask.sum(1)
        position, more = lengths, {}
        if policy.vision is not None:
            position = policy.vision.next_positions(batch.vision, lengths)
            each = torch.arange(count, device=policy.device)
            more = policy.vision.next_inputs(batch.vision, each)
        self._add_more(more, count)
        self.cache.add_prompts(cache, count)
        read = zip(prompts, lengths.tolist(), states, position.tolist(), strict=True)
        self.known |= {key: ReadPrompt(*parts) for key, *parts in read}

    def _add_more(self, more: Vision, count: int) -> None:
        """Zeros stand for the pictures of prompts that have none."""
        for name in more.keys() | self.more.keys():
            both = []
            for have, num in ((self.more, len(self.known)), (more, count)):
                other = more if have is self.more else self.more
                like = have.get(name, other.get(name))
                assert like is not None
                both.append(have.get(name, like.new_zeros(num, *like.shape[1:])))
            self.more = {**self.more, name: stack(*both)}


def read_on(
    policy: Policy,
    prompts: Sequence[Prompt],
    known: Sequence[int],
    known_images: Sequence[int],
    position: torch.Tensor,
    cache: SharedCache,
    more: Vision,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read what follows the first `known` ids and `known_images` pictures of each prompt.

    position: of each row's first new id, [B]; the cache's layout says where the rows lie.
    Returns the states of the last ids [B, D], and the positions of the next ones [B].
    """
    new = [
        _row(prompt.ids[count:], prompt, num_seen)
        for prompt, count, num_seen in zip(prompts, known, known_images, strict=True)
    ]
    batch = collate(policy, new)
    lengths = batch.attention_mask.sum(1)
    steps = torch.arange(batch.input_ids.shape[1], device=policy.device)
    after = position + lengths
    inputs: dict[str, Any] = {"position_ids": position[:, None] + steps}
    if policy.vision is not None and batch.vision:
        inputs = policy.vision.inputs(policy.model, batch.vision)
        inputs["position_ids"], after = _positions(policy, prompts, known, batch)
    inputs |= {
        name: tensor.expand(-1, len(steps), *tensor.shape[2:]) for name, tensor in more.items()
    }
    with sharing_prompts(policy.model, cache.layers):
        states = hidden_states(policy.model, batch.input_ids, cache=cache, **inputs)
    return states[torch.arange(len(states)), lengths - 1], after


def _positions(
    policy: Policy, prompts: Sequence[Prompt], known: Sequence[int], new: Batch
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions of the new ids, [(3,) B, n], and of the ids after them, [B]."""
    assert policy.vision is not None
    whole = collate(policy, [_row(prompt.ids, prompt) for prompt in prompts])
    lengths = whole.attention_mask.sum(1)
    after = policy.vision.next_positions(whole.vision, lengths)
    count = new.input_ids.shape[1]
    every = whole.vision.get("position_ids")
    if every is None:
        every = (whole.attention_mask.cumsum(1) - 1).clamp(min=0)
    every = pad(every, (0, count))  # so that each row has `count` columns from its start on
    rows = [every[..., row, start : start + count] for row, start in enumerate(known)]
    return torch.stack(rows, dim=-2), after


def _row(ids: Sequence[int], prompt: Prompt, num_seen: int = 0) -> Row:
    nothing = [0] * len(ids)
    return Row(
        ids=list(ids), mask=nothing, logprobs=[0.0] * len(ids), images=prompt.images[num_seen:]
    )
