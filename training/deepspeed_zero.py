"""ZeRO by DeepSpeed's engine, in the place of torch's `fully_shard` (see `sharding`).

`distributed.sharding=deepspeed_zero1`, `_zero2` and `_zero3` split the moments, the gradients too,
the weights too (arXiv 1910.02054); `distributed.offload` keeps what is split in the memory of the
host. Losses, micro-batches and schedules stay this package's: DeepSpeed exchanges, clips and steps.
Four things differ from its own recipe:

* The engine wraps policy and head together, and its forward runs whatever computation it is given,
  because the policy is never called through its own forward (see `agents/scoring.py`).
* It averages gradients. Losses here are divided by counts of all processes, and are multiplied by
  the number of processes before their backward pass.
* What is not finite is skipped where `TrainState` says so, without a loss scale.
* Checkpoints are those of an unsharded run, whole tensors under one manifest, resumed with any
  sharding by any number of processes. DeepSpeed's own are as many files as there are processes.
"""

import importlib.util
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from ..agents.compiled import is_compiled
from ..agents.policy import Policy
from .distributed_config import STAGES, DistributedConfig, Offload, Sharding

if TYPE_CHECKING:
    from .distributed import Workers
    from .optim_config import OptimConfig

T = TypeVar("T")

ENGINE = "deepspeed_zero"  # the attribute of a model by which its `Zero` is found
MOMENTS = ("exp_avg", "exp_avg_sq")
MAX_KEPT = 100_000  # numbers of a weight that stage 3 keeps whole between two updates
MISSING = "distributed.sharding={} needs DeepSpeed: pip install 'cardinal-gym[deepspeed]'"


def check_deepspeed(sharding: Sharding) -> None:
    """ValueError where DeepSpeed is asked for and not installed."""
    if sharding in STAGES and importlib.util.find_spec("deepspeed") is None:
        raise ValueError(MISSING.format(sharding.value))


def check_policy(policy: Policy, sharding: Sharding, head: nn.Module | None = None) -> None:
    """ValueError for what has not been tried or cannot work."""
    if is_compiled(policy.model):
        raise ValueError("policy.compile must be false with distributed.sharding; got true")
    if policy.decoder is not None and sharding is Sharding.deepspeed_zero3:
        raise ValueError("policy.compile_decode must be false with deepspeed_zero3; got true")
    parts = [policy.model, *([head] if head is not None else [])]
    dtypes = {str(each.dtype).removeprefix("torch.") for m in parts for each in m.parameters()}
    if len(dtypes) > 1:
        raise ValueError(
            f"with {sharding.value} all weights must be of one dtype; got "
            f"{' and '.join(sorted(dtypes))} (critics and adapters are float32): set "
            "policy.dtype=float32, or distributed.sharding=fsdp2 or zero2"
        )
    sees = policy.vision is not None and policy.vision.frozen
    if sees and sharding is Sharding.deepspeed_zero3:
        raise ValueError(
            "distributed.sharding must not be deepspeed_zero3 with a frozen vision tower, which "
            "every process calls for the pictures that it has not seen; set fsdp2 or "
            "deepspeed_zero2, or policy.freeze_vision=false"
        )


class Zero:
    """DeepSpeed's engine around what is trained.

    parameters: all that are trained, in the order of an unsharded run's optimizer.
    optimizer: what DeepSpeed steps with on this process's part.
    """

    def __init__(
        self,
        policy: Policy,
        head: nn.Module | None,
        parameters: Sequence[nn.Parameter],
        optim: "OptimConfig",
        workers: "Workers",
        config: DistributedConfig,
    ) -> None:
        check_policy(policy, config.sharding, head)
        if workers.device.type == "cpu":
            os.environ.setdefault("DS_ACCELERATOR", "cpu")
        import deepspeed  # takes seconds, and is an extra

        model: nn.Module = policy.model

        deepspeed.utils.logging.logger.setLevel(logging.ERROR)  # it warns of any AdamW but its own
        warnings.filterwarnings("ignore", "`torch.distributed", FutureWarning)  # once an exchange
        self.stage, self.parameters = STAGES[config.sharding], list(parameters)
        self._num_processes, self._num_backward = workers.size, 0
        self.optimizer = _Guarded(
            self.parameters,
            lr=optim.lr,
            betas=(optim.betas[0], optim.betas[1]),
            eps=optim.eps,
            weight_decay=optim.weight_decay,
            fused=True,
        )
        self._engine, *_ = deepspeed.initialize(
            model=_Whole(model, head),
            optimizer=self.optimizer,
            config=_settings(model, self.stage, config.offload, optim.max_grad_norm),
            dist_init_required=False,
        )
        setattr(model, ENGINE, self)

    def compute(self, compute: Callable[[], T]) -> T:
        """What `compute` returns, with the weights at hand."""
        found: T = self._engine(compute)
        return found

    def backward(self, loss: torch.Tensor) -> None:
        self._num_backward += 1
        (loss * self._num_processes).backward()

    def step(self, learning_rate: float, *, refused: bool) -> float:
        """One update, unless it is refused or its gradient is not finite; the gradient's norm."""
        if self._num_backward == 0:  # of all processes alike: there is nothing to exchange
            return 0.0
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.refused, self._num_backward = refused, 0
        self._engine.step()
        norm = self._engine.get_global_grad_norm()
        return math.inf if norm is None else float(norm)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Hold all weights on every process, and compute without exchanges."""
        if self.stage < 3:
            yield
            return
        import deepspeed

        offload = self._engine.optimizer.parameter_offload
        with deepspeed.zero.GatheredParameters(list(self._engine.module.parameters())):
            offload._remove_module_hooks()
            try:
                yield
            finally:
                offload.setup_zero_stage3_hooks()

    def whole(
        self, parameter: nn.Parameter, *, keep: bool, exact: bool = False
    ) -> torch.Tensor | None:
        """A parameter on the CPU; all processes must ask, and those that keep it get it.

        exact: in fp32 if it is trained, as it is stepped; else as it is computed with.
        """
        import deepspeed

        if exact and parameter.requires_grad:
            full = deepspeed.utils.safe_get_full_fp32_param(parameter)
            shape = getattr(parameter, "ds_shape", parameter.shape)
            return full.cpu().view(shape) if keep else None
        split = [parameter] if self.stage == 3 else []
        with deepspeed.zero.GatheredParameters(split, enabled=bool(split)):
            return parameter.detach().cpu().clone() if keep else None

    def moments(self, *, keep: bool) -> dict[str, Any]:
        """The state of an unsharded run's AdamW; all processes must ask."""
        from deepspeed.utils import safe_get_full_optimizer_state

        group = dict(self.optimizer.param_groups[0])
        group["params"] = list(range(len(self.parameters)))
        state: dict[int, dict[str, torch.Tensor]] = {}
        steps = [each["step"] for each in self.optimizer.state.values() if "step" in each]
        for place, parameter in enumerate(self.parameters if steps else ()):
            found = {name: safe_get_full_optimizer_state(parameter, name) for name in MOMENTS}
            if keep:
                shape = getattr(parameter, "ds_shape", parameter.shape)
                state[place] = {name: each.cpu().view(shape) for name, each in found.items()}
                state[place]["step"] = steps[0].detach().cpu().clone()
        return {"state": state, "param_groups": [group]}

    def load(
        self, put: Callable[[], None], weights: Sequence[torch.Tensor], saved: Mapping[str, Any]
    ) -> None:
        """Go on from a checkpoint.

        put: loads the weights that are computed with into policy and head. weights: of
        `parameters`, whole. saved: what `moments` gave, or an unsharded AdamW.
        """
        import deepspeed

        split = list(self._engine.module.parameters()) if self.stage == 3 else []
        with deepspeed.zero.GatheredParameters(split, modifier_rank=0, enabled=bool(split)):
            put()
        self._engine.optimizer.refresh_fp32_params()
        state = saved["state"]
        if state:
            self._make_moments(max(float(each["step"]) for each in state.values()))
        for place, (parameter, weight) in enumerate(zip(self.parameters, weights, strict=True)):
            self._set(parameter, weight)
            for name in MOMENTS if state else ():
                value = state[place][name] if place in state else torch.zeros_like(weight)
                self._set(parameter, value, name)

    def _set(self, parameter: Any, value: torch.Tensor, moment: str | None = None) -> None:
        """This process's part of a whole tensor: of a moment, or of the weight in fp32."""
        from deepspeed import utils

        if self.stage < 3:
            value = value.to(parameter.device, torch.float32)
            if moment is None:
                utils.safe_set_full_fp32_param(parameter, value)
            else:
                utils.safe_set_full_optimizer_state(parameter, value, moment)
            return
        part = torch.zeros(parameter.ds_tensor.numel())  # the last one ends with padding
        start = part.numel() * torch.distributed.get_rank()
        mine = value.flatten()[start : start + part.numel()].float()
        part[: mine.numel()] = mine
        if moment is None:
            utils.safe_set_local_fp32_param(parameter, part)
        else:
            utils.safe_set_local_optimizer_state(parameter, part, moment)

    def _make_moments(self, steps: float) -> None:
        """What AdamW makes at its first step, to be written to."""
        optimizer = self._engine.optimizer
        held = (
            optimizer.fp32_partitioned_groups_flat
            if self.stage == 3
            else optimizer.single_partition_of_fp32_groups
        )
        for flat in held:
            moments = {name: torch.zeros_like(flat) for name in MOMENTS}
            self.optimizer.state[flat] = {"step": torch.tensor(steps), **moments}
        if self.stage < 3:
            optimizer._lazy_init_hp_params_optimizer_state()


class _Guarded(torch.optim.AdamW):
    """Steps on what this process holds, when DeepSpeed says so; not while it is `refused`."""

    refused = False

    def step(self, closure: Any = None) -> Any:
        return None if self.refused else super().step(closure)


class _Whole(nn.Module):
    """Policy and head as one module, whose forward is any computation with them."""

    def __init__(self, model: nn.Module, head: nn.Module | None) -> None:
        super().__init__()
        self.model, self.head = model, head

    def forward(self, compute: Callable[[], T]) -> T:
        return compute()


def zero_of(model: nn.Module) -> Zero | None:
    """What holds a model's weights, if DeepSpeed does."""
    found: Zero | None = getattr(model, ENGINE, None)
    return found


def _settings(
    model: nn.Module, stage: int, offload: Offload, max_grad_norm: float
) -> dict[str, Any]:
    """DeepSpeed's configuration."""
    zero: dict[str, Any] = {
        "stage": stage,
        "overlap_comm": False,
        "stage3_param_persistence_threshold": MAX_KEPT,
    }
    if offload is not Offload.none:
        zero["offload_optimizer"] = {"device": "cpu"}
    if offload is Offload.weights:
        zero["offload_param"] = {"device": "cpu"}
    return {
        "train_micro_batch_size_per_gpu": 1,  # of no effect: batches are made here
        "managed_gradient_accumulation": False,  # a step is when `step` is called
        "gradient_clipping": max_grad_norm,
        "bf16": {
            "enabled": next(model.parameters()).dtype is torch.bfloat16,
            "check_grad_overflow": True,
        },
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # it would have to be compiled
    }
