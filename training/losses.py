"""Losses as pure functions of log-probabilities: `(tensors) -> (loss, metrics)`.

    L = Agg_m[ S(r, A) + beta * K ],   r = exp(l - o)

l = log pi_theta, o = log pi_old, f = log pi_ref; m = 1 exactly on sampled tokens. Sums are divided
by GLOBAL counts taken before micro-batching, so that gradients depend neither on the micro-batch
size, nor on accumulation, nor on the number of processes.

Sources: PPO (arXiv 1707.06347, eq. 7), DAPO (arXiv 2503.14476, eq. 8: token mean, asymmetric clip),
Dr. GRPO (arXiv 2503.20783: constant normaliser), KL estimators: http://joschu.net/blog/kl-approx.html.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .config import Aggregation, KLKind

MAX_LOG_RATIO = 20.0


@dataclass(frozen=True, slots=True)
class Totals:
    """Global denominators of one update, over all micro-batches and processes.

    tokens: sampled tokens; rows: weight of rows (an episode of several rows counts once);
    max_tokens: the length limit of a row's completion.
    """

    tokens: float
    rows: float
    max_tokens: int


def aggregate(
    values: Tensor, mask: Tensor, row_weight: Tensor, kind: Aggregation, totals: Totals
) -> Tensor:
    """Sum token values [B, T] where mask [B, T] is 1 into this micro-batch's share of the loss.

    row_weight: [B]; 1 for a row that is an episode, 1 / rows-of-the-episode otherwise.
    An all-masked micro-batch gives a finite zero.
    """
    kept = torch.where(mask > 0, values, torch.zeros_like(values))  # [B, T]
    if kind is Aggregation.token_mean:
        return kept.sum() / max(totals.tokens, 1.0)
    if kind is Aggregation.const:
        return kept.sum() / (max(totals.rows, 1.0) * totals.max_tokens)
    lengths = mask.sum(dim=1).clamp(min=1.0)  # [B]
    return (row_weight * kept.sum(dim=1) / lengths).sum() / max(totals.rows, 1.0)


def policy_loss(
    logp: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_low: float,
    clip_high: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The clipped surrogate per token, -min(r A, clip(r) A).  All inputs and the result are [B, T].

    Metrics are sums over sampled tokens (`clip_fraction`) or maxima (`ratio/max`).
    """
    ratio = log_ratio(logp, old_logp).exp()  # [B, T]
    clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)
    loss = -torch.minimum(ratio * advantages, clipped * advantages)
    with torch.no_grad():
        bound = (ratio * advantages > clipped * advantages) & (mask > 0)
        metrics = {
            "clip_fraction": bound.float().sum(),
            "ratio/max": torch.where(mask > 0, ratio, torch.ones_like(ratio)).max(),
        }
    return loss, metrics


def kl_penalty(logp: Tensor, ref_logp: Tensor, old_logp: Tensor, kind: KLKind) -> Tensor:
    """An estimate of the KL to the reference per token. [B, T]"""
    gap = (logp - ref_logp).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    if kind is KLKind.k1:
        return gap
    if kind is KLKind.k2:
        return gap.square() / 2
    k3 = torch.exp(-gap) + gap - 1
    if kind is KLKind.k3:
        return k3
    return log_ratio(logp, old_logp).exp() * k3


def log_ratio(logp: Tensor, old_logp: Tensor) -> Tensor:
    """l - o, clamped so that one bad token cannot overflow. [B, T]"""
    return (logp - old_logp).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
