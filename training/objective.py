"""The loss of one micro-batch, term by term, and the sums that are logged about it.

    L = Agg_m[ w * S(r, A) + beta * K ] - c_H * Agg_m[ H ] + c_V * value loss / targets

The terms are the pure functions of `surrogates.py` and `losses.py`; here they are added up.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .grpo_config import GrpoConfig, KLPlace, SamplerCorrection
from .losses import Totals, aggregate, kl_penalty, value_loss
from .surrogates import policy_loss, sampler_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What the critic's part of the loss looks at. [B, T] each

    values: of the states before each token, with a gradient; old: the same at the rollout;
    targets: what they should be; mask: 1 where a value is fitted.
    """

    values: Tensor
    old: Tensor
    targets: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A micro-batch after its forward pass. [B, T] each, except row_weight [B]

    logp: l, with a gradient; old: o; sampler: s; reference: f; mask: m. entropy: H, with one if it
    is rewarded. Missing terms are None.
    """

    logp: Tensor
    old: Tensor
    sampler: Tensor
    advantages: Tensor
    mask: Tensor
    turns: Tensor
    row_weight: Tensor
    entropy: Tensor | None = None
    reference: Tensor | None = None
    fit: Fit | None = None


def objective(
    scored: Scored, config: GrpoConfig, totals: Totals
) -> tuple[Tensor, dict[str, float]]:
    """This micro-batch's share of the loss, and sums over its tokens (`*/max`: maxima)."""
    logp, mask = scored.logp, scored.mask
    surrogate, bounds = policy_loss(logp, scored.old, scored.advantages, mask, config, scored.turns)
    sums: dict[str, float] = {}
    if config.sampler_correction is not SamplerCorrection.none:
        weights = sampler_weights(
            scored.old, scored.sampler, config.sampler_correction, config.sampler_cap
        )
        surrogate = surrogate * weights
        sums["sampler_weight"] = float((weights * mask).sum())
    if scored.reference is not None and config.kl_in is KLPlace.loss:
        penalty = kl_penalty(logp, scored.reference, scored.old, config.kl_kind)
        surrogate = surrogate + config.kl_coef * penalty
        sums["kl"] = float((penalty * mask).sum().detach())
    loss = aggregate(surrogate, mask, scored.row_weight, config.aggregation, totals)
    if config.entropy_coef > 0 and scored.entropy is not None:
        bonus = aggregate(scored.entropy, mask, scored.row_weight, config.aggregation, totals)
        loss = loss - config.entropy_coef * bonus
    if scored.fit is not None:
        fit = scored.fit
        error = value_loss(fit.values, fit.targets, fit.old, fit.mask, config.critic.clip)
        loss = loss + config.critic.loss_coef * error / max(totals.targets, 1.0)
        sums["value_loss"] = float(error.detach())
        sums["targets"] = float(fit.mask.sum())
    sums |= _token_sums(scored, bounds)
    sums["loss"] = float(loss.detach())
    return loss, sums


def _token_sums(scored: Scored, bounds: dict[str, Tensor]) -> dict[str, float]:
    """Sums over sampled tokens, and the largest ratio and gap."""
    mask = scored.mask
    surprise = -scored.logp if scored.entropy is None else scored.entropy
    with torch.no_grad():
        gap = (scored.old - scored.sampler).abs() * mask
        found = {
            "clipped": bounds["clip_fraction"],
            "ratio": bounds["ratio/mean"],
            "ratio/max": bounds["ratio/max"],
            "entropy": (surprise * mask).sum(),
            "gap": gap.sum(),
            "sampler_gap/max": gap.max(),
            "trained": mask.sum(),
        }
        numbers = torch.stack([each.float() for each in found.values()]).tolist()  # one exchange
    return dict(zip(found, numbers, strict=True))
