"""An experiment's plan: shape, workload, memory and time in one value, and what to turn down.

Every suggestion is planned in turn, so that it says what it would save.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...agents.config import Dtype, LoraConfig
from ..config import ExperimentConfig
from ..distributed_config import DistributedConfig, Sharding
from .memory import GIB, RESERVED, Memory, memory, rows_decoded, splits
from .roofline import StepTime, step_time
from .shape import Shape, shape_of
from .workload import Tower, Workload, workload

LORA_RANK = 16  # of the suggestion
FEWEST_ROWS = 16  # to suggest
WORTH_IT = 0.99  # of the peak: what saves less is not suggested


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one step of `config` takes on its machine."""

    config: ExperimentConfig
    shape: Shape
    work: Workload
    tower: Tower | None
    memory: Memory
    time: StepTime

    @classmethod
    def of(
        cls, config: ExperimentConfig, shape: Shape, work: Workload, tower: Tower | None
    ) -> "Estimate":
        """Of a shape and a workload that are known."""
        return cls(
            config=config,
            shape=shape,
            work=work,
            tower=tower,
            memory=memory(config, shape, work, tower),
            time=step_time(config, shape, work, tower),
        )

    def under(self, config: ExperimentConfig) -> "Estimate":
        """The same tasks under settings that leave prompts and answers as they are."""
        same = replace(config.policy, max_rows=self.work.max_rows) == self.config.policy
        shape = self.shape if same else shape_of(config.policy)
        work = replace(self.work, max_rows=config.policy.max_rows)
        return Estimate.of(config, shape, work, self.tower)

    @property
    def limit(self) -> int:
        """Bytes of one device that the plan may fill."""
        return int(self.config.plan.device_gib * GIB * (1 - RESERVED))

    @property
    def fits(self) -> bool:
        return self.memory.peak <= self.limit

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for `plan.json=true`: bytes, seconds, counts."""
        plan, parts = self.config.plan, self.shape.parameters
        memory = {**asdict(self.memory), "update": self.memory.update, "peak": self.memory.peak}
        return {
            "policy": self.config.policy.name,
            "device": plan.device,
            "num_devices": plan.num_devices,
            "parameters": {
                **asdict(parts),
                "total": parts.total,
                "trained": self.shape.trained,
                "adapters": self.shape.adapters,
            },
            "memory_bytes": {**memory, "rollout": self.memory.rollout, "limit": self.limit},
            "fits": self.fits,
            "workload": {
                **asdict(self.work),
                "sampled_tokens": self.work.sampled_tokens,
                "trained_tokens": self.work.trained_tokens,
            },
            "time": {**asdict(self.time), "step_s": self.time.step_s},
            "suggestions": [{"settings": s.settings, "peak": s.peak} for s in suggestions(self)],
        }


@dataclass(frozen=True, slots=True)
class Suggestion:
    """settings: overrides to add, together with all before. peak: bytes with them."""

    settings: str
    peak: int


def estimate(config: ExperimentConfig) -> Estimate:
    """Plan one step of `config.grpo` on `config.plan`; loads no weights and downloads nothing.

    Raises ValueError for a policy whose shape is not known here, or that cannot see the
    environment's pictures.
    """
    shape = shape_of(config.policy)
    work, tower = workload(config, shape)
    return Estimate.of(config, shape, work, tower)


def suggestions(found: Estimate) -> list[Suggestion]:
    """Settings that one after the other make it fit, as far as they do; none if it fits."""
    made: list[tuple[str, Change]] = []
    now = _with_fewer_rows(found)
    for settings, change in _changes(found):
        if now.fits:
            break
        changed = now.under(change(now.config))
        if changed.memory.peak < WORTH_IT * now.memory.peak:
            now = _with_fewer_rows(changed)
            made.append((settings, change))
    last = now.under(_policy(now.config, max_rows=found.work.max_rows))
    rows = _with_fewer_rows(last).work.max_rows  # what was made later may leave room for more
    if rows != found.work.max_rows:
        place = 0 if found.memory.rollout > found.memory.update else len(made)
        made.insert(place, (f"policy.max_rows={rows}", lambda c: _policy(c, max_rows=rows)))
    return [Suggestion(settings, each.memory.peak) for settings, each in _in_turn(found, made)]


def _with_fewer_rows(found: Estimate) -> Estimate:
    """Half as many conversations at once, and half again, until a rollout is not what is too much.

    It costs time alone; fewer than `FEWEST_ROWS` are no use, as a step then only reads weights.
    """
    fewer, enough = found, max(found.limit, found.memory.update)
    rows = rows_decoded(found.work, found.config.plan.num_devices)
    while fewer.memory.rollout > enough and rows >= 2 * FEWEST_ROWS:
        rows //= 2
        fewer = found.under(_policy(found.config, max_rows=rows))
    return fewer if fewer.memory.peak < WORTH_IT * found.memory.peak else found


def _in_turn(
    found: Estimate, made: Iterable[tuple[str, "Change"]]
) -> Iterator[tuple[str, Estimate]]:
    """Each change, and the estimate with it and all before."""
    for settings, change in made:
        found = found.under(change(found.config))
        yield settings, found


Change = Callable[[ExperimentConfig], ExperimentConfig]


def _changes(found: Estimate) -> Iterator[tuple[str, Change]]:
    """What can be turned down, the cheapest in time and quality first."""
    policy, plan, optim = found.config.policy, found.config.plan, found.config.grpo.optim
    if policy.dtype is Dtype.float32 and plan.device != "cpu":
        yield "policy.dtype=bfloat16", lambda c: _policy(c, dtype=Dtype.bfloat16)
    if plan.num_devices > 1 and not splits(found.config):
        split = DistributedConfig(sharding=Sharding.fsdp2)
        yield "distributed.sharding=fsdp2", lambda c: replace(c, distributed=split)
    if found.tower is not None and not policy.freeze_vision and not policy.lora.rank:
        yield "policy.freeze_vision=true", lambda c: _policy(c, freeze_vision=True)
    if not policy.gradient_checkpointing and not policy.compile:
        yield (
            "policy.gradient_checkpointing=true",
            lambda c: _policy(c, gradient_checkpointing=True),
        )
    smaller = max(found.work.row_tokens, optim.micro_batch_tokens // 4)
    if smaller < optim.micro_batch_tokens:
        yield (
            f"grpo.optim.micro_batch_tokens={smaller}",
            lambda c: _grpo(c, optim=replace(c.grpo.optim, micro_batch_tokens=smaller)),
        )
    if found.config.grpo.kl_coef > 0:
        yield "grpo.kl_coef=0", lambda c: _grpo(c, kl_coef=0.0, reference_every=None)
    if not policy.lora.rank and policy.path is not None:
        rank = f"policy.lora.rank={LORA_RANK}"
        yield rank, lambda c: _policy(c, lora=LoraConfig(rank=LORA_RANK))


def _policy(config: ExperimentConfig, **changes: Any) -> ExperimentConfig:
    return replace(config, policy=replace(config.policy, **changes))


def _grpo(config: ExperimentConfig, **changes: Any) -> ExperimentConfig:
    return replace(config, grpo=replace(config.grpo, **changes))
