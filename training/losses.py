"""Losses as pure functions of log-probabilities and values.

    L = Agg_m[ w * S(r, A) + beta * K ] - c_H * Agg_m[ H ] + c_V * value loss,   r = exp(l - o)

l = log pi_theta, o = log pi_old, f = log pi_ref; m = 1 exactly on sampled tokens. Sums are divided
by GLOBAL counts taken before micro-batching, so that gradients depend neither on the micro-batch
size, nor on accumulation, nor on the number of processes.

The surrogates S and the weights w stand in `surrogates.py`; `preference_loss` (DPO) is no policy
gradient: it reads whole answers. Sources: DAPO (arXiv 2503.14476, eq. 8:
token mean), Dr. GRPO (arXiv 2503.20783: constant normaliser), KL estimators:
http://joschu.net/blog/kl-approx.html, the clipped value loss: arXiv 1707.06347's published code.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .grpo_config import Aggregation, KLKind

MAX_LOG_RATIO = 20.0


@dataclass(frozen=True, slots=True)
class Totals:
    """Global denominators of one update, over all micro-batches and processes.

    tokens: sampled tokens; rows: weight of rows (an episode of several rows counts once);
    max_tokens: the length limit of a row's completion; targets: values that the critic fits.
    """

    tokens: float
    rows: float
    max_tokens: int
    targets: float = 0.0


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


def value_loss(
    values: Tensor, targets: Tensor, old_values: Tensor, mask: Tensor, clip: float | None
) -> Tensor:
    """Half the squared error where mask is 1, summed; inputs are [B, T].

    clip: with a number, the larger of the error and that of a value held within `clip` of the old
        one, so that a value that has moved far enough is left alone.
    """
    error = (values - targets).square()
    if clip is not None:
        held = old_values + (values - old_values).clamp(-clip, clip)
        error = torch.maximum(error, (held - targets).square())
    return 0.5 * torch.where(mask > 0, error, torch.zeros_like(error)).sum()


def preference_loss(margin: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """DPO: -(1 - e) log sigma(beta h) - e log sigma(-beta h) for each pair. [P]

    margin: h = (l_w - f_w) - (l_r - f_r), where l and f are the log-probabilities of the chosen (w)
        and of the rejected answer (r), summed over sampled tokens, under policy and reference. [P]
    label_smoothing: e, how often the labels are taken to be wrong, below .5.
    Sources: Rafailov et al. 2023 (arXiv 2305.18290, eq. 7); e: Mitchell 2023, *A note on DPO with
    noisy preferences* (https://ericmitchell.ai/cdpo.pdf). With z = beta h its gradient in z is
    sigma(z) - (1 - e): it vanishes where the policy gives the pair the odds that the labels have.
    """
    wanted = functional.logsigmoid(beta * margin)
    unwanted = functional.logsigmoid(-beta * margin)
    return -(1.0 - label_smoothing) * wanted - label_smoothing * unwanted


def log_ratio(logp: Tensor, old_logp: Tensor) -> Tensor:
    """l - o, clamped so that one bad token cannot overflow. [B, T]"""
    return (logp - old_logp).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
