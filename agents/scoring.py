"""Log-probabilities of given tokens: the trainer's forward pass.

The head is applied only where the mask is 1, and logp = logit - logsumexp in fp32, in pieces when
the vocabulary is large, so that no [B, T, V] tensor ever exists.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, Literal, overload

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .first_layer import computed_once
from .last_layer import computed_at
from .policy import Policy
from .rows import Batch

MAX_LOGITS = 1 << 27  # held at once (512 MB in fp32); more are recomputed in the backward pass


class _Extra(Enum):
    """What is read off the logits beside a log-probability."""

    none = 0
    entropy = 1
    hit = 2  # whether no id was likelier


@overload
def token_logprobs(
    policy: Policy,
    batch: Batch,
    temperature: float = 1.0,
    with_entropy: Literal[False] = False,
    *,
    with_banned: bool = False,
) -> torch.Tensor: ...
@overload
def token_logprobs(
    policy: Policy,
    batch: Batch,
    temperature: float = 1.0,
    *,
    with_entropy: Literal[True],
    with_banned: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]: ...
def token_logprobs(
    policy: Policy,
    batch: Batch,
    temperature: float = 1.0,
    with_entropy: bool = False,
    *,
    with_banned: bool = False,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """fp32 [B, T]: at t the log-probability of input_ids[:, t] given the past; 0 where mask is 0.

    temperature: divides the logits. with_entropy: return (logprobs, entropy), both [B, T].
    with_banned: keep ids that are never sampled in the softmax, for imitation. Without them it is
        the distribution that answers are drawn from: were they in it, a gradient that lowers what
        was sampled could raise them, and nothing would ever answer for that.
    Differentiable; wrap in `torch.no_grad()` to only measure. A mask at t = 0 has no past: ignored.
    """
    banned = () if with_banned else policy.banned_ids
    states = batch_states(policy, batch)
    extra = _Extra.entropy if with_entropy else _Extra.none
    scores = _score(policy, batch, states, temperature, extra, banned)
    return (scores[0], scores[1]) if with_entropy else scores[0]


def imitation_logprobs(policy: Policy, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """`token_logprobs(with_banned=True)`, and 1 where no id was likelier than the one that stands
    there, without a gradient. fp32 [B, T] each, 0 where mask is 0.
    """
    scores = _score(policy, batch, batch_states(policy, batch), 1.0, _Extra.hit, ())
    return scores[0], scores[1]


def states_logprobs(
    policy: Policy, batch: Batch, states: torch.Tensor, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """`token_logprobs` with the entropy, from the `batch_states` that a value head reads as well.

    states: [B, T, D]. Returns log-probabilities and entropies, fp32 [B, T] each.
    """
    scores = _score(policy, batch, states, temperature, _Extra.entropy, policy.banned_ids)
    return scores[0], scores[1]


def batch_states(policy: Policy, batch: Batch, cache: Any = None) -> torch.Tensor:
    """The last layer's states of a batch, [B, T, D], right only where they are of use.

    That is ahead of every sampled token or, for a `cache` that is to be filled, at the last id.
    """
    if batch.packed is not None and cache is None:
        packed = batch.packed
        inputs = packed.inputs(policy)
        wanted = packed.pack(_ahead(batch.mask))
        with _lean(policy, packed.input_ids, wanted):
            return packed.unpack(hidden_states(policy.model, packed.input_ids, **inputs))
    inputs = {}
    if batch.padded_left:
        # Right padding lies in every token's future: the causal mask hides it already.
        inputs = {
            "attention_mask": batch.attention_mask,
            "position_ids": positions(batch.attention_mask),
        }
    if policy.vision is not None and batch.vision:
        inputs |= policy.vision.inputs(policy.model, batch.vision)
    wanted = _ahead(batch.mask) if cache is None else _last(batch.mask)
    with _lean(policy, batch.input_ids, wanted):
        return hidden_states(policy.model, batch.input_ids, cache=cache, **inputs)


def hidden_states(
    model: Any, input_ids: torch.Tensor, *, cache: Any = None, **inputs: Any
) -> torch.Tensor:
    """The last layer's states, [B, T, D]; `inputs` are the forward's own arguments."""
    return model.model(
        input_ids=input_ids,
        past_key_values=cache,
        use_cache=cache is not None,
        **inputs,
    ).last_hidden_state


def positions(attention_mask: torch.Tensor) -> torch.Tensor:
    """Position of each token within its row, not counting padding. [B, T]"""
    return (attention_mask.cumsum(1) - 1).clamp(min=0)


@contextmanager
def _lean(policy: Policy, ids: torch.Tensor, wanted: torch.Tensor) -> Iterator[None]:
    """Nothing twice in the first layer, nothing in vain in the last. ids, wanted: [B, T]."""
    if policy.vision is not None:  # what stands for a picture has states of its own at every place
        own = -1 - torch.arange(ids.numel(), device=ids.device).view_as(ids)
        ids = torch.where(ids == policy.vision.image_token_id, own, ids)
    with computed_once(policy.model, ids), computed_at(policy.model, wanted):
        yield


def _ahead(mask: torch.Tensor) -> torch.Tensor:
    """Where the next token was sampled. bool [B, T]"""
    return nn.functional.pad(mask[:, 1:] > 0, (0, 1))


def _last(mask: torch.Tensor) -> torch.Tensor:
    """The last column alone. bool [B, T]"""
    return torch.arange(mask.shape[1], device=mask.device).expand_as(mask) == mask.shape[1] - 1


def _score(
    policy: Policy,
    batch: Batch,
    states: torch.Tensor,
    temperature: float,
    extra: _Extra,
    banned: Sequence[int],
) -> list[torch.Tensor]:
    """Grids [B, T]: log-probabilities, and what else is asked for."""
    chosen = batch.mask[:, 1:] > 0  # [B, T - 1]
    flat = states[:, :-1][chosen]  # [n, D]
    targets = batch.input_ids[:, 1:][chosen]
    head = policy.model.get_output_embeddings()
    never = torch.tensor(banned, dtype=torch.long, device=flat.device)
    scores = _score_flat(head, flat, targets, never, temperature, extra)  # [n] each
    return [_scatter(chosen, score) for score in scores]


def _score_flat(
    head: Any,
    states: torch.Tensor,
    targets: torch.Tensor,
    banned: torch.Tensor,
    temperature: float,
    extra: _Extra,
) -> tuple[torch.Tensor, ...]:
    """Log-probability (and the extra) for each of n states [n, D]: one or two tensors [n]."""
    rows = max(1, MAX_LOGITS // head.out_features)
    if len(states) <= rows:
        return _piece(head, states, targets, banned, temperature, extra)
    pieces = [
        checkpoint(_piece, head, s, t, banned, temperature, extra, use_reentrant=False)
        for s, t in zip(states.split(rows), targets.split(rows), strict=True)
    ]
    return tuple(torch.cat(scores) for scores in zip(*pieces, strict=True))


def _piece(
    head: Any,
    states: torch.Tensor,
    targets: torch.Tensor,
    banned: torch.Tensor,
    temperature: float,
    extra: _Extra,
) -> tuple[torch.Tensor, ...]:
    logits = head(states).float() / temperature
    if len(banned):  # finite: 0 times infinity would spoil the entropy
        logits = logits.index_fill(-1, banned, torch.finfo(logits.dtype).min)
    total = logits.logsumexp(-1)
    chosen = logits.gather(-1, targets[:, None])[:, 0]
    logprobs = chosen - total
    if extra is _Extra.none:
        return (logprobs,)
    if extra is _Extra.hit:
        return logprobs, (chosen >= logits.detach().amax(-1)).float()
    probabilities = (logits - total[:, None]).exp()
    return logprobs, total - (probabilities * logits).sum(-1)


def _scatter(chosen: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Values [n] back to their places in [B, T], 0 elsewhere; the first column is always 0."""
    grid = torch.zeros(chosen.shape, dtype=values.dtype, device=values.device)
    return nn.functional.pad(grid.masked_scatter(chosen, values), (1, 0))
