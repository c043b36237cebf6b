"""Whole tensors out of split ones, and split ones out of whole: what checkpoints hold.

Checkpoints hold whole tensors, gathered one at a time and kept by the main process alone: one
folder with one manifest, in the form that an unsharded run writes, and resumed by any number of
processes. Sharded files (torch.distributed.checkpoint) would be faster to write where
weights and moments exceed one machine's memory, which the policies here, up to 11 B, do not.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from ..agents.policy import Policy
from .deepspeed_zero import Zero, zero_of
from .sharding import is_spread

if TYPE_CHECKING:
    from .distributed import Workers


def whole(value: Any, *, keep: bool) -> Any:
    """A nested state with whole tensors on the CPU in the place of split ones.

    keep: false on the processes that only help; they get no tensors.
    """
    if isinstance(value, DTensor):
        full = value.full_tensor()  # an exchange, which all must take part in
        return full.cpu() if keep else None
    if isinstance(value, Mapping):
        return {key: whole(item, keep=keep) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(whole(item, keep=keep) for item in value)
    return value


def whole_weights(policy: Policy, *, all_of_them: bool, keep: bool) -> dict[str, Any]:
    """A policy's weights by name, as whole tensors; tied ones stay one tensor.

    all_of_them: false leaves out what is not trained, as `Policy.state_dict` does.
    keep: as in `whole`.
    """
    wanted = policy.model.state_dict() if all_of_them else policy.state_dict()
    present, zero = policy.model.state_dict(keep_vars=True), zero_of(policy.model)
    tied = {name: id(p) for name, p in policy.model.named_parameters(remove_duplicate=False)}
    found: dict[str, Any] = {}
    known: dict[int | str, Any] = {}
    for name in wanted:
        key, tensor = tied.get(name, name), present[name]
        if key not in known:
            known[key] = _whole_tensor(tensor, zero, keep=keep, exact=not all_of_them)
        found[name] = known[key]
    return found


def whole_head(head: nn.Module | None, zero: Zero | None, *, keep: bool) -> dict[str, Any]:
    """The weights of what is trained beside the policy, by name, as whole tensors."""
    present = {} if head is None else head.state_dict(keep_vars=True)
    return {
        name: _whole_tensor(tensor, zero, keep=keep, exact=True) for name, tensor in present.items()
    }


def split_like(
    saved: Mapping[str, torch.Tensor], present: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Whole tensors by name, cut as the present ones of the same names are."""
    return {name: _cut(tensor, present.get(name)) for name, tensor in saved.items()}


def split_moments(
    saved: Mapping[str, Any], parameters: Sequence[torch.nn.Parameter]
) -> dict[str, Any]:
    """An optimizer's state with whole tensors, cut as its parameters are."""
    state = {
        place: {
            name: _cut(value, parameters[place]) if _is_moment(value, parameters[place]) else value
            for name, value in values.items()
        }
        for place, values in saved["state"].items()
    }
    return {**saved, "state": state}


def save_policy(policy: Policy, folder: Any, workers: "Workers") -> None:
    """`Policy.save` by the main process; all must call it."""
    state = None
    if is_spread(policy.model):
        state = whole_weights(policy, all_of_them=True, keep=workers.is_main)
    if workers.is_main:
        policy.save(folder, state)
    workers.wait()


def _whole_tensor(tensor: torch.Tensor, zero: Zero | None, *, keep: bool, exact: bool) -> Any:
    """exact: weights that DeepSpeed steps in fp32 are given in it."""
    if zero is not None and isinstance(tensor, nn.Parameter):
        return zero.whole(tensor, keep=keep, exact=exact)
    return whole(tensor.detach(), keep=keep)


def _is_moment(value: Any, parameter: torch.Tensor) -> bool:
    return isinstance(value, torch.Tensor) and value.shape == parameter.shape


def _cut(tensor: torch.Tensor, like: torch.Tensor | None) -> torch.Tensor:
    """Each process takes its part of its own copy: nothing is sent."""
    if not isinstance(like, DTensor):
        return tensor
    there = tensor.to(like.device)
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)
