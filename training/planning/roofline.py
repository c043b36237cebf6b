"""Time of one step, from what a device can do at best and the shares of it that are reached.

Decoding reads every weight and every cached key and value once per token of all rows, so a step of
it takes bytes / bandwidth, or operations / rate if that is more, or the time in which Python starts
its kernels (Williams et al. 2009, *Roofline*). Training and reading prompts are matrix products:
operations / (rate x MFU). Departure from the usual MFU (arXiv 2204.02311, appendix B): activations
that are computed again count as operations, so that one number serves with and without them.
"""

from dataclasses import dataclass

from ..config import ExperimentConfig
from .memory import rows_decoded
from .shape import Shape
from .sharing import packing
from .workload import Tower, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What one device does: operations and bytes a second, seconds that a layer takes at least."""

    flops: float
    bandwidth: float
    layer_s: float

    @classmethod
    def of(cls, config: ExperimentConfig, shape: Shape) -> "Rates":
        machine, plan = config.plan.machine, config.plan
        peak = machine.tflops_32 if shape.weight_bytes == 4 else machine.tflops_16
        return cls(
            flops=peak * 1e12 * plan.mfu,
            bandwidth=machine.bandwidth_gb_s * 1e9 * plan.bandwidth_share,
            layer_s=machine.layer_ms / 1e3,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """Seconds of one step of GRPO, on each of the devices at the same time.

    decode_tokens_s: sampled tokens a second, of one device, while it decodes. decode_floor_s: what
        the bandwidth alone would take at its peak, per token of all rows. train_tokens_s: trained
        tokens a second of one device. tflop: by the study's formula, as budgets count it.
    """

    read_s: float
    decode_s: float
    train_s: float
    decode_tokens_s: float
    decode_floor_s: float
    train_tokens_s: float
    tflop: float

    @property
    def step_s(self) -> float:
        return self.read_s + self.decode_s + self.train_s


def step_time(
    config: ExperimentConfig, shape: Shape, work: Workload, tower: Tower | None
) -> StepTime:
    """Environments are left out: they step while other rows decode."""
    rates, devices = Rates.of(config, shape), config.plan.num_devices
    rows = rows_decoded(work, devices)
    waves = -(-work.episodes // (rows * devices))  # of rows, one after the other
    per_token = decode_s(rates, shape, rows, cached_tokens(work, rows))
    decode = waves * work.turns * work.answer * per_token
    images = work.groups * work.images * (1 if tower is None else tower.patches)
    seen = 2 * shape.parameters.vision * images * (0 if tower is None else 1)
    read = (forward_flops(shape, work.read_tokens, work.prompt) + seen) / devices / rates.flops
    train = train_flops(config, shape, work) + _tower_flops(config, shape, seen)
    train_s = train / devices / rates.flops
    floor = decode_bytes(shape, rows, cached_tokens(work, rows)) / (
        config.plan.machine.bandwidth_gb_s * 1e9
    )
    total = shape.parameters.total + shape.adapters
    trained = work.trained_tokens * config.grpo.epochs
    return StepTime(
        read_s=max(read, work.turns * (shape.layers + shape.cross_layers) * rates.layer_s),
        decode_s=decode,
        train_s=train_s,
        decode_tokens_s=rows / per_token,
        decode_floor_s=floor,
        train_tokens_s=work.trained_tokens / devices / train_s,
        tflop=total * (6 * trained + 2 * work.sampled_tokens) / 1e12,
    )


def decode_s(rates: Rates, shape: Shape, rows: int, cached: int) -> float:
    """Seconds of one decoding step: one more token for each of `rows` rows.

    cached: ids in the cache, of prompts (once each) and of rows together.
    """
    moved = decode_bytes(shape, rows, cached) / rates.bandwidth
    computed = 2 * shape.decoded * rows / rates.flops
    return max(moved, computed, (shape.layers + shape.cross_layers) * rates.layer_s)


def decode_bytes(shape: Shape, rows: int, cached: int) -> float:
    """What one decoding step reads from memory: the weights, the cache, the logits it writes."""
    weights = (shape.decoded + shape.adapters) * shape.weight_bytes
    cache = cached * shape.layers * shape.key_value * shape.weight_bytes
    return float(weights + cache + rows * shape.vocab * 4)


def cached_tokens(work: Workload, rows: int) -> int:
    """Ids in the cache of one device, in the middle of an average episode."""
    prompts = -(-rows // work.members)
    own = work.answer if work.row_per_turn else work.own_tokens
    return prompts * work.prompt + rows * own // 2


def forward_flops(shape: Shape, tokens: int, length: int) -> float:
    """Of the language model over `tokens` tokens in rows of `length`: products and attention.

    The head is left out: it runs at sampled tokens alone.
    """
    weights = 2 * shape.parameters.language
    attention = 2 * length * shape.query * shape.layers  # 4 x T x width, half of it masked
    return float(tokens * (weights + attention))


def train_flops(config: ExperimentConfig, shape: Shape, work: Workload) -> float:
    """Of one step's updates: forward, backward, and what is computed again or beside them."""
    grpo, policy = config.grpo, config.policy
    passes = 2.0 if shape.adapters else 3.0  # frozen weights need no gradient of their own
    if policy.gradient_checkpointing:
        passes += 1
    passes *= grpo.epochs
    if grpo.epochs * grpo.minibatches > 1:
        passes += 1  # the old log-probabilities
    if grpo.kl_coef > 0:
        passes += grpo.epochs
    packed = packing(config, shape, work)
    tokens = int(work.rows * packed.tokens)
    length = work.row_tokens if packed.rows == 1 else 2 * packed.width  # a mask saves no work
    scored = 2 * shape.vocab * shape.hidden * work.sampled_tokens
    return passes * (forward_flops(shape, tokens, length) + scored)


def _tower_flops(config: ExperimentConfig, shape: Shape, seen: float) -> float:
    """Of the tower in training; a frozen one has seen every picture in the rollout."""
    frozen = config.policy.freeze_vision or shape.adapters > 0
    return 0.0 if frozen else 3.0 * seen * config.grpo.epochs
