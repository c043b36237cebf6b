"""Every choice of the policy-gradient arm, with its source; no torch here.

One loss covers the literature (`README.md` in this folder walks through it):

    L = Agg_m[ w * S(r, A) + beta * K ] - c_H * Agg_m[ H ] + c_V * value loss

`advantage` and `credit` say what A is, `surrogate` and `ratio_unit` S and r, `aggregation` Agg,
`kl_*` K, `sampler_correction` w. `conf/algorithm/` holds combinations by their published names. A
combination that makes no sense is refused, in one line that names the key.
"""

from dataclasses import dataclass, field
from enum import Enum

from .advantages import AdvantageKind, Credit
from .field_checks import require_at_least_zero, require_fraction, require_positive
from .judging.config import ModelRewardConfig, RewardSource
from .optim_config import BudgetConfig, OptimConfig

COMPARING = (AdvantageKind.grpo, AdvantageKind.dr_grpo, AdvantageKind.rloo)
WITH_DEVIATION = (AdvantageKind.grpo, AdvantageKind.batch_std)
WITHOUT_GROUPS = (AdvantageKind.reinforce_plus_plus, AdvantageKind.gae)


class Aggregation(str, Enum):
    """How token losses become one number."""

    token_mean = "token_mean"  # sum / tokens (DAPO)
    seq_mean = "seq_mean"  # mean over rows of the row's token mean (the original GRPO)
    const = "const"  # sum / (rows * length limit) (Dr. GRPO)


class KLKind(str, Enum):
    """Estimators of KL(pi_theta || pi_ref) used in the loss."""

    k1 = "k1"  # l - f: zero expected gradient, for monitoring only
    k2 = "k2"  # (l - f)^2 / 2: the right gradient on-policy
    k3 = "k3"  # e^(f-l) - (f-l) - 1: the forward KL's gradient
    k3_is = "k3_is"  # r * k3 with r differentiable: exact on- and off-policy


class KLPlace(str, Enum):
    """Where the penalty towards the reference stands."""

    loss = "loss"  # an estimator of `kl_kind` per token
    reward = "reward"  # R -= beta * sum of k1: counts a token's effect on later KL as well


class Surrogate(str, Enum):
    """What takes the place of r A away from r = 1."""

    ppo = "ppo"  # min(r A, clip(r) A) (arXiv 1707.06347)
    gspo = "gspo"  # the same with the geometric mean of the ratios (arXiv 2507.18071)
    cispo = "cispo"  # sg[min(r, cap)] A l: no token loses its gradient (arXiv 2506.13585)
    sapo = "sapo"  # (4 / tau) sigmoid(tau (r - 1)) A: a soft gate (arXiv 2511.20347)


class RatioUnit(str, Enum):
    """What one probability ratio belongs to."""

    token = "token"
    turn = "turn"  # one answer
    row = "row"  # a whole training row: with the context `concat`, an episode


class SamplerCorrection(str, Enum):
    """What w does about a sampler whose probabilities s are not the trainer's o."""

    none = "none"  # w = 1: right when both use the same weights and kernels
    truncate = "truncate"  # min(exp(o - s), cap): truncated importance sampling
    mask = "mask"  # exp(o - s) inside [1 / cap, cap], 0 outside


class LengthReward(str, Enum):
    """A reward for the number of sampled tokens."""

    none = "none"
    kimi = "kimi"  # within the group: short and right is best (arXiv 2501.12599, section 2.3.3)
    l1_exact = "l1_exact"  # R - alpha |asked - used| (arXiv 2503.04697, eq. 1)
    l1_max = "l1_max"  # R * clip(alpha (asked - used) + delta, 0, 1) (the same, eq. 2)


@dataclass(kw_only=True, slots=True)
class LengthConfig:
    """Rewards for length, added to what the environment pays.

    overlong_fraction: an answer that uses more than (1 - this) of `max_new_tokens` is fined, up to
        -1 at the limit (DAPO, arXiv 2503.14476, eq. 13, whose buffer is a fifth). 0: off.
    kind: a further reward for the episode's length, added to its last turn. weight: of `kimi`.
    after_steps: no reward of `kind` before that step (`kimi` was warmed up without it).
    alpha, delta: of `l1_*`. asked_tokens: [low, high], drawn for each task and told in the prompt.
    request: how it is told; `{tokens}` stands for the number.
    """

    overlong_fraction: float = 0.0
    kind: LengthReward = LengthReward.none
    weight: float = 1.0
    after_steps: int = 0
    alpha: float = 3e-4
    delta: float = 0.5
    asked_tokens: list[int] = field(default_factory=lambda: [16, 64])
    request: str = "Think for {tokens} tokens."

    def __post_init__(self) -> None:
        require_fraction(self, "overlong_fraction", "delta")
        require_positive(self, "weight", "alpha")
        require_at_least_zero(self, "after_steps")
        asked = self.asked_tokens
        if len(asked) != 2 or not 1 <= asked[0] <= asked[1]:
            raise ValueError(f"asked_tokens must be [low, high], from 1 on; got {asked}")
        if self.asks and "{tokens}" not in self.request:
            raise ValueError(f"request must contain {{tokens}}; got {self.request!r}")

    @property
    def is_on(self) -> bool:
        """Whether any reward is added."""
        return self.overlong_fraction > 0 or self.kind is not LengthReward.none

    @property
    def asks(self) -> bool:
        """Whether the prompt asks for a number of tokens."""
        return self.kind in (LengthReward.l1_exact, LengthReward.l1_max)


@dataclass(kw_only=True, slots=True)
class CriticConfig:
    """The value head of `advantage=gae`: a perceptron on the policy's last hidden state.

    hidden_sizes: of its layers; the study has [1024, 512], none is a linear map.
    loss_coef: of the value loss, half a squared error. clip: how far a value may move from that of
        the rollout before its loss is held; null: no limit.
    detach: true keeps the value loss from changing the policy.
    """

    hidden_sizes: list[int] = field(default_factory=list)
    loss_coef: float = 0.5
    clip: float | None = None
    detach: bool = False

    def __post_init__(self) -> None:
        require_positive(self, "loss_coef")
        if any(size < 1 for size in self.hidden_sizes):
            raise ValueError(f"hidden_sizes must be positive; got {self.hidden_sizes}")
        if self.clip is not None:
            require_positive(self, "clip")


@dataclass(kw_only=True, slots=True)
class GrpoConfig:
    """Multi-turn GRPO and its relatives. One step = one rollout and all its updates.

    What A is:
    reward: who pays: the environment's rule, or a model of its verdicts.
    credit: `trajectory` pays what the environment says the episode is worth; where that is the last
        reward, a wrong answer before a right one costs nothing, and first answers are not learnt.
    discount: per turn, of every other `credit`. gae_lambda: of `advantage=gae`.
    anchor_weight: of the advantage among equal observations (`credit=gigpo`).
    outcome_gate: groups without a single success are not learnt from. min_std: the least divisor.
    dynamic_sampling: at most so many further rollouts a step to replace groups without variance.

    What the loss is:
    dual_clip: a negative advantage counts at most this many times (arXiv 1912.09729); null: no cap.
    ratio_cap: of `cispo`. gate_temperatures: of `sapo`, for advantages above and below zero.
    kl_coef: beta; reference_every: steps after which the reference becomes the policy; null: never.
    sampler_cap: of `sampler_correction`. entropy_coef: c_H.
    """

    budget: BudgetConfig = field(default_factory=lambda: BudgetConfig(steps=300))
    groups_per_step: int = 32
    group_size: int = 8
    temperature: float = 1.0
    max_new_tokens: int = 64
    reward: ModelRewardConfig = field(default_factory=ModelRewardConfig)
    advantage: AdvantageKind = AdvantageKind.dr_grpo
    credit: Credit = Credit.trajectory
    discount: float = 0.9
    gae_lambda: float = 0.95
    anchor_weight: float = 1.0
    outcome_gate: bool = False
    min_std: float = 0.0
    dynamic_sampling: int = 0
    length: LengthConfig = field(default_factory=LengthConfig)
    surrogate: Surrogate = Surrogate.ppo
    ratio_unit: RatioUnit = RatioUnit.token
    aggregation: Aggregation = Aggregation.token_mean
    clip_low: float = 0.2
    clip_high: float = 0.28
    dual_clip: float | None = None
    ratio_cap: float = 5.0
    gate_temperatures: list[float] = field(default_factory=lambda: [1.0, 1.05])
    entropy_coef: float = 0.0
    sampler_correction: SamplerCorrection = SamplerCorrection.none
    sampler_cap: float = 2.0
    epochs: int = 1  # passes over one rollout
    minibatches: int = 1  # updates per pass
    kl_coef: float = 0.0
    kl_kind: KLKind = KLKind.k3_is
    kl_in: KLPlace = KLPlace.loss
    reference_every: int | None = None
    critic: CriticConfig = field(default_factory=CriticConfig)
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(share_prompts=None))

    def __post_init__(self) -> None:
        require_positive(self, "groups_per_step", "group_size", "temperature", "max_new_tokens")
        require_positive(self, "clip_low", "clip_high", "epochs", "minibatches", "ratio_cap")
        require_at_least_zero(self, "kl_coef", "min_std", "entropy_coef", "dynamic_sampling")
        require_at_least_zero(self, "anchor_weight")
        require_fraction(self, "discount", "gae_lambda")
        taus = self.gate_temperatures
        if len(taus) != 2 or not all(tau > 0 for tau in taus):
            raise ValueError(f"gate_temperatures must be two positive numbers; got {taus}")
        if not self.sampler_cap > 1:
            raise ValueError(f"sampler_cap must be greater than 1; got {self.sampler_cap}")
        self._check_advantage()
        self._check_loss()

    def _check_advantage(self) -> None:
        """Refuse combinations of `advantage` and `credit` with what they have no use for."""
        kind, credit = self.advantage, self.credit
        chosen = f"advantage={kind.value}"
        if kind not in WITHOUT_GROUPS and self.group_size < 2:  # they compare a group's episodes
            raise ValueError(f"group_size must be at least 2; got {self.group_size}")
        if kind is AdvantageKind.gae and credit not in (Credit.turn_return, Credit.bilevel):
            _refuse("credit", "turn_return or bilevel", chosen, credit.value)
        if credit is Credit.bilevel and kind is not AdvantageKind.gae:
            _refuse("advantage", "gae", "credit=bilevel", kind.value)
        if credit is Credit.gigpo and kind not in COMPARING:
            _refuse("advantage", "grpo, dr_grpo or rloo", "credit=gigpo", kind.value)
        if kind in WITHOUT_GROUPS:
            if self.outcome_gate:
                _refuse("outcome_gate", "false", chosen, "true")
            if self.dynamic_sampling:
                _refuse("dynamic_sampling", "0", chosen, self.dynamic_sampling)
        if self.min_std > 0 and kind not in WITH_DEVIATION:
            _refuse("min_std", "0", chosen, self.min_std)
        if self.reward.source is not RewardSource.rule:  # these two ask the rule behind its back
            paid = f"reward.source={self.reward.source.value}"
            if self.outcome_gate:
                _refuse("outcome_gate", "false", paid, "true")
            if self.length.kind is LengthReward.kimi:
                _refuse("length.kind", "another", paid, "kimi")
        if self.length.kind is LengthReward.kimi and self.group_size < 2:
            _refuse("group_size", "at least 2", "length.kind=kimi", self.group_size)

    def _check_loss(self) -> None:
        """Refuse combinations of `surrogate` and the penalty with what they have no use for."""
        surrogate, unit = self.surrogate, self.ratio_unit
        chosen = f"surrogate={surrogate.value}"
        if surrogate is Surrogate.gspo and unit is RatioUnit.token:
            _refuse("ratio_unit", "turn or row", chosen, unit.value)
        if surrogate in (Surrogate.cispo, Surrogate.sapo) and unit is not RatioUnit.token:
            _refuse("ratio_unit", "token", chosen, unit.value)
        if self.dual_clip is not None:
            if surrogate not in (Surrogate.ppo, Surrogate.gspo):
                _refuse("dual_clip", "null", chosen, self.dual_clip)
            if not self.dual_clip > 1:
                raise ValueError(f"dual_clip must be greater than 1; got {self.dual_clip}")
        if self.kl_coef == 0:
            if self.kl_in is KLPlace.reward:
                _refuse("kl_coef", "positive", "kl_in=reward", 0)
            if self.reference_every is not None:
                _refuse("kl_coef", "positive", "reference_every", 0)
        if self.reference_every is not None:
            require_positive(self, "reference_every")


def _refuse(name: str, allowed: str, given: str, got: object) -> None:
    raise ValueError(f"{name} must be {allowed} with {given}; got {got}")
