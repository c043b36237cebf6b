"""Draws tokens from logits with randomness that belongs to a row, not to a batch.

Every answer has its own stream of uniforms, a counter-based generator keyed by `StreamKey`, and a
token is found by inverse CDF. So a row's sample does not depend on which rows are decoded beside
it, on the order of finishing, or on how many processes share the work.
"""

from collections.abc import Sequence

import numpy as np
import torch

from .config import SamplingConfig
from .types import StreamKey


def uniforms(streams: Sequence[StreamKey], length: int) -> torch.Tensor:
    """Uniform numbers in [0, 1), float64 [B, length]; row i is a function of streams[i] alone."""
    rows = np.empty((len(streams), length))
    for row, stream in zip(rows, streams, strict=True):
        # Two 32-bit words per field, so that no two keys share a seed.
        words = np.array(stream.as_ints(), dtype=np.uint64).view(np.uint32)
        np.random.Generator(np.random.Philox(np.random.SeedSequence(words))).random(out=row)
    return torch.from_numpy(rows)


def draw(
    logits: torch.Tensor, uniform: torch.Tensor, banned: torch.Tensor, sampling: SamplingConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token per row and its log-probability.

    logits: [B, V]; uniform: [B]; banned: ids never drawn. Returns ids [B] and fp32 [B], their
    log-probabilities in the softmax of logits / temperature over all other ids: before top-p and
    top-k.
    """
    allowed = logits.float().index_fill(-1, banned, -torch.inf)
    logprobs = torch.log_softmax(allowed / sampling.temperature, -1)
    if sampling.greedy:
        ids = logprobs.argmax(-1)
    else:
        cumulative = _truncate(logprobs, sampling).double().exp().cumsum(-1)  # [B, V]
        goal = uniform[:, None].to(cumulative) * cumulative[:, -1:]
        ids = torch.searchsorted(cumulative, goal, right=True)[:, 0]
        # Rounding can put the goal on the last step of the CDF: take the last token with a chance.
        ids = torch.minimum(ids, (cumulative < cumulative[:, -1:]).sum(-1))
    return ids, logprobs.gather(-1, ids[:, None])[:, 0]


def _truncate(logprobs: torch.Tensor, sampling: SamplingConfig) -> torch.Tensor:
    """-inf outside the top k and the smallest set of tokens holding top_p of the probability."""
    if sampling.top_k:
        k = min(sampling.top_k, logprobs.shape[-1])
        smallest = logprobs.topk(k, -1).values[:, -1:]
        logprobs = logprobs.masked_fill(logprobs < smallest, -torch.inf)
    if sampling.top_p < 1:
        ordered, order = torch.log_softmax(logprobs, -1).sort(-1, descending=True)
        before = ordered.exp().cumsum(-1) - ordered.exp()  # probability of the likelier tokens
        outside = torch.zeros_like(before, dtype=torch.bool)
        outside.scatter_(-1, order, before >= sampling.top_p)
        logprobs = logprobs.masked_fill(outside, -torch.inf)
    return logprobs
