"""FSDP2: weights, gradients and moments split over the processes (torch's `fully_shard`).

Each block of the model, language and vision, is gathered while it is computed and let go again
(stage 3 of ZeRO, arXiv 1910.02054), or stays from its forward to its backward pass (stage 2: fewer
exchanges, more memory). Embeddings, norms and the head are one more group. Three things differ from
a plain training loop:

* Rollouts and evaluations need all weights at every token, and processes decode different numbers
  of tokens, so that nothing may be exchanged meanwhile: `gathered` holds the whole policy.
* Whatever is computed with gradients is exchanged block by block: all processes must compute the
  same number of micro-batches of the same kind. `even` makes up for those that have fewer.
* The model is never called through its own forward (see `agents/scoring.py`): `computing` does
  what FSDP does around a forward.

A frozen vision tower is not split: each process calls it for the pictures that it has not seen.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from ..agents.compiled import is_compiled
from ..agents.families import block_classes
from ..agents.policy import Policy
from .batch import WeightedRow
from .deepspeed_zero import check_deepspeed, zero_of
from .distributed_config import STAGES, Sharding

if TYPE_CHECKING:
    from .distributed import Workers

T = TypeVar("T")

RUN = "run_sharded"  # the method of a model that runs any computation with its weights at hand
LETS_GO = "lets_go_of_blocks"  # whether a model's blocks are split again after their forward pass


def check_sharding(sharding: Sharding, workers: "Workers") -> None:
    """What a launch must be for a run to be split as it is asked for.

    Raises ValueError for a single process, where there is nothing to split over, and for a launch
    with accelerate's own FSDP or DeepSpeed, which would be ignored without a word.
    """
    for plugin in ("DEEPSPEED", "FSDP"):
        if os.environ.get(f"ACCELERATE_USE_{plugin}", "false").lower() in ("true", "1"):
            raise ValueError(
                f"accelerate must be launched without {plugin}; got ACCELERATE_USE_{plugin}: "
                "leave it out and set distributed.sharding=fsdp2 (or zero2, stage 2 of ZeRO; "
                "deepspeed_zero1, _zero2 and _zero3 are DeepSpeed's)"
            )
    check_deepspeed(sharding)
    if sharding is not Sharding.none and workers.size == 1:
        raise ValueError(
            f"distributed.sharding must be none for one process; got {sharding.value}: start "
            "several with accelerate launch --num_processes N"
        )


def shard(policy: Policy, workers: "Workers", sharding: Sharding = Sharding.fsdp2) -> None:
    """Split a policy's weights over the processes, in place. Optimizers are made afterwards.

    Raises ValueError for a compiled one: the two have not been tried together.
    """
    if is_compiled(policy.model):
        raise ValueError("policy.compile must be false with distributed.sharding; got true")
    if policy.decoder is not None:  # its graphs know where whole weights lie
        raise ValueError("policy.compile_decode must be false with distributed.sharding; got true")
    mesh = init_device_mesh(policy.device.type, (workers.size,))
    seeing = policy.vision_parameters()
    whole = set(seeing) if policy.vision is not None and policy.vision.frozen else set()
    model: nn.Module = policy.model
    classes = block_classes(model)
    blocks = {
        name: module
        for name, module in model.named_modules()
        if type(module) in classes and not whole.issuperset(module.parameters())
    }
    for module in blocks.values():
        _split(module, mesh, whole)
    _split(model, mesh, whole)
    _prefetch(model, blocks)
    setattr(model, LETS_GO, sharding is Sharding.fsdp2)
    _add_run(model)
    _let_go_of(model)


def shard_head(head: nn.Module | None, workers: "Workers") -> None:
    """Split what is trained beside the policy; parts that are split already stay as they are."""
    for part in head.children() if isinstance(head, nn.ModuleDict) else ():
        if not is_sharded(part):
            device = next(part.parameters()).device.type
            _split(part, init_device_mesh(device, (workers.size,)), set())


def spread(
    policy: Policy, workers: "Workers", sharding: Sharding, head: nn.Module | None = None
) -> Policy:
    """The policy, split with its stage's head if that is asked for.

    DeepSpeed splits what it trains itself (`Zero`), later; of what it does not train, what
    `for_reference` says is split.
    """
    if sharding is not Sharding.none and sharding not in STAGES:
        shard(policy, workers, sharding)
        shard_head(head, workers)
    return policy


def for_reference(sharding: Sharding) -> Sharding:
    """How a frozen policy is split: beside DeepSpeed's stage 3 by `fully_shard`."""
    if sharding is Sharding.deepspeed_zero3:
        return Sharding.fsdp2
    return Sharding.none if sharding in STAGES else sharding


def is_spread(model: nn.Module) -> bool:
    """Whether processes must come to this model's backward passes together."""
    return is_sharded(model) or zero_of(model) is not None


def is_sharded(module: nn.Module) -> bool:
    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


def computing(policy: Policy, compute: Callable[[], T]) -> T:
    """What `compute` returns, tensors of the policy's forward passes, sharded or not."""
    zero, run = zero_of(policy.model), getattr(policy.model, RUN, None)
    if zero is not None:
        return zero.compute(compute)
    if run is None:
        return compute()
    found: T = run(compute)
    if not torch.is_grad_enabled():  # a backward pass would do it
        _let_go_of(policy.model)
    return found


@contextmanager
def gathered(policy: Policy) -> Iterator[None]:
    """Hold the whole policy on every process: inside, nothing is exchanged for its sake.

    To be entered and left by all processes together.
    """
    zero = zero_of(policy.model)
    if zero is not None:
        with zero.gathered():
            yield
        return
    for part in _parts(policy.model):
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        _let_go_of(policy.model)


def even(
    parts: Sequence[list[WeightedRow]], workers: "Workers", model: nn.Module
) -> list[tuple[list[WeightedRow], bool]]:
    """Micro-batches, and whether each counts: as many of each kind as the process with most has.

    Pictures make a kind of their own, because they call the tower's blocks. What is made up is a
    row of any process; its gradient is to be multiplied by 0. Without sharding nothing is added.
    """
    if not is_spread(model):
        return [(part, True) for part in parts]
    kinds: tuple[list[list[WeightedRow]], ...] = ([], [])
    for part in parts:
        kinds[any(row.row.images for row in part)].append(part)
    counts = workers.gather([[len(kind) for kind in kinds]])
    most = [max(each[place] for each in counts) for place in range(len(kinds))]
    spares: list[list[list[WeightedRow]]] = []
    if any(each != most for each in counts):
        mine = [min(kind, key=_num_tokens)[:1] if kind else [] for kind in kinds]
        spares = workers.gather([mine])
    batches: list[tuple[list[WeightedRow], bool]] = []
    for place, kind in enumerate(kinds):
        batches += [(part, True) for part in kind]
        if most[place] > len(kind):
            row = next(each[place] for each in spares if each[place])
            batches += [(row, False)] * (most[place] - len(kind))
    return batches


def _split(module: nn.Module, mesh: DeviceMesh, whole: set[nn.Parameter]) -> None:
    """Gradients are summed, not averaged: losses are divided by counts of all processes."""
    part: Any = fully_shard(module, mesh=mesh, ignored_params=whole)
    part.set_gradient_divide_factor(1.0)
    part.set_force_sum_reduction_for_comms(True)  # gloo cannot scale within an exchange


def _prefetch(model: Any, blocks: Mapping[str, Any]) -> None:
    """In the backward pass, gather the block before while one is computed.

    Left alone, FSDP takes the order of all forward passes since the last backward pass. Rollouts
    are among those, and of processes with unequal rollouts one would wait for what no other sends.
    """
    before: dict[str, Any] = {}
    for name, block in blocks.items():  # in the order of their numbers
        tower = name.rpartition(".")[0]
        block.set_modules_to_backward_prefetch([before.get(tower, model)])
        before[tower] = block
    if before:  # the last block of the language model comes first; the vision tower is in no hurry
        model.set_modules_to_backward_prefetch([list(before.values())[-1]])


def _add_run(model: Any) -> None:
    """Give a model the method `RUN`, around which FSDP does as around a forward."""
    setattr(model, RUN, lambda compute: compute())
    register_fsdp_forward_method(model, RUN)
    getattr(model, RUN)(lambda: None)  # the first call tells FSDP which module is the root


def _parts(model: nn.Module) -> list[FSDPModule]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]


def _let_go_of(model: Any) -> None:
    """Keep this process's part of the weights alone, and do so after every block if asked to."""
    lets_go = getattr(model, LETS_GO, False)
    for part in _parts(model):
        part.reshard()
        part.set_reshard_after_forward(lets_go and part is not model, recurse=False)


def _num_tokens(part: Sequence[WeightedRow]) -> int:
    return sum(row.num_tokens for row in part)
