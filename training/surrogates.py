"""The surrogates S(r, A) and the sampler's weights w, as pure functions of tensors [B, T].

    r = exp(l - o) of a token, a turn or a row; all surrogates give the REINFORCE gradient at r = 1

Sources: PPO (arXiv 1707.06347, eq. 7) with DAPO's asymmetric clip (arXiv 2503.14476, eq. 8) and the
dual clip (arXiv 1912.09729, eq. 4); GSPO (arXiv 2507.18071, eq. 5); CISPO (arXiv 2506.13585, eq. 4,
without a lower bound); SAPO (arXiv 2511.20347); turns as actions: the released trainer of *SFT
Memorizes, RL Generalizes* (arXiv 2501.17161); truncated importance sampling between two engines:
https://fengyao.notion.site/off-policy-rl. Departure: a turn's or row's term is spread over its
tokens so that every aggregation keeps the REINFORCE gradient.
"""

import torch
from torch import Tensor

from .grpo_config import GrpoConfig, RatioUnit, SamplerCorrection, Surrogate
from .losses import log_ratio


def policy_loss(
    logp: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    config: GrpoConfig,
    turns: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The surrogate per token, to be minimised.  All inputs and the result are [B, T].

    turns: the turn that each token belongs to, from 0; needed by `ratio_unit=turn`.
    Metrics are sums over sampled tokens (`clip_fraction`, `ratio/mean`) or maxima (`ratio/max`).
    """
    if config.surrogate is Surrogate.cispo:
        return cispo(logp, old_logp, advantages, mask, config.ratio_cap)
    clip = (config.clip_low, config.clip_high, config.dual_clip)
    if config.ratio_unit is RatioUnit.token:
        ratio = log_ratio(logp, old_logp).exp()
        if config.surrogate is Surrogate.sapo:
            return sapo(ratio, advantages, mask, *config.gate_temperatures)
        return ppo(ratio, advantages, mask, *clip)
    is_mean = config.surrogate is Surrogate.gspo
    units = torch.zeros_like(mask) if config.ratio_unit is RatioUnit.row else turns
    if units is None:
        raise ValueError("ratio_unit=turn needs turns; got None")
    ratio, lengths = unit_ratio(logp, old_logp, mask, units, is_mean=is_mean)
    loss, metrics = ppo(ratio, advantages, mask, *clip)
    return (loss if is_mean else loss / lengths), metrics


def ppo(
    ratio: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """-min(r A, clip(r, 1 - low, 1 + high) A); a negative A counts at most `dual_clip` times."""
    clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)
    plain = ratio * advantages
    kept = torch.minimum(plain, clipped * advantages)
    if dual_clip is not None:
        kept = torch.where(advantages < 0, torch.maximum(kept, dual_clip * advantages), kept)
    return -kept, _metrics(ratio, plain != kept, mask)


def cispo(
    logp: Tensor, old_logp: Tensor, advantages: Tensor, mask: Tensor, cap: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """-sg[min(r, cap)] A l: the weight is clipped, the gradient of no token is lost."""
    ratio = log_ratio(logp, old_logp).exp().detach()
    loss = -ratio.clamp(max=cap) * advantages * logp
    return loss, _metrics(ratio, ratio > cap, mask)


def sapo(
    ratio: Tensor, advantages: Tensor, mask: Tensor, tau_above: float, tau_below: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """-(4 / tau) sigmoid(tau (r - 1)) A, with one tau for A > 0 and one for the rest."""
    tau = torch.where(advantages > 0, tau_above, tau_below)
    loss = -(4.0 / tau) * torch.sigmoid(tau * (ratio - 1.0)) * advantages
    return loss, _metrics(ratio, torch.zeros_like(mask, dtype=torch.bool), mask)


def unit_ratio(
    logp: Tensor, old_logp: Tensor, mask: Tensor, units: Tensor, *, is_mean: bool
) -> tuple[Tensor, Tensor]:
    """One ratio for all sampled tokens of a unit, and how many these are. [B, T] each

    units: which unit of its row a token belongs to, from 0. is_mean: the geometric mean of the
        tokens' ratios (GSPO) instead of their product. Tokens not sampled take no part.
    """
    index = units.long()
    shape = (len(logp), int(index.max()) + 1)
    kept = torch.where(mask > 0, logp - old_logp, torch.zeros_like(logp))
    total = torch.zeros(shape, dtype=logp.dtype, device=logp.device).scatter_add(1, index, kept)
    count = torch.zeros_like(total).scatter_add(1, index, (mask > 0).to(total.dtype))
    lengths = count.clamp(min=1.0)
    joint = total / lengths if is_mean else total
    ratio = log_ratio(joint, torch.zeros_like(joint)).exp()
    return ratio.gather(1, index), lengths.gather(1, index)


def sampler_weights(
    old_logp: Tensor, sampler_logp: Tensor, kind: SamplerCorrection, cap: float
) -> Tensor:
    """w for tokens drawn with other probabilities than the trainer's, without a gradient. [B, T]"""
    if kind is SamplerCorrection.none:
        return torch.ones_like(old_logp)
    weight = log_ratio(old_logp, sampler_logp).exp().detach()
    if kind is SamplerCorrection.truncate:
        return weight.clamp(max=cap)
    inside = (weight <= cap) & (weight >= 1.0 / cap)
    return torch.where(inside, weight, torch.zeros_like(weight))


def _metrics(ratio: Tensor, bound: Tensor, mask: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return {
            "clip_fraction": (bound & (mask > 0)).float().sum(),
            "ratio/mean": torch.where(mask > 0, ratio, torch.zeros_like(ratio)).sum(),
            "ratio/max": torch.where(mask > 0, ratio, torch.ones_like(ratio)).max(),
        }
