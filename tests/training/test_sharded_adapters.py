"""LoRA under FSDP2: adapters of a split base train, resume and are saved as of a whole one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from cardinal_gym.agents.config import Dtype, LoraConfig, PolicyConfig
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.training.config import BudgetConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import Stage, TrainState, train
from cardinal_gym.training.whole_tensors import save_policy
from torch.distributed.tensor import DTensor
from toys import bandit, gradients, grpo_config, grpo_stage, optim, tiny_policy, weights
from two_processes import in_processes

pytestmark = pytest.mark.slow  # processes are started
STEPS = 3


def adapted(base: str, dtype: Dtype) -> Policy:
    """A policy whose adapters do something already; they are of 32 bits on any base."""
    lora = LoraConfig(rank=2, alpha=4)
    policy = load_policy(PolicyConfig(name="lora", path=base, lora=lora, device="cpu", dtype=dtype))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return policy


def stage_of(base: str, dtype: Dtype, sharded: bool) -> tuple[Stage, TrainState]:
    config = grpo_config(STEPS, groups_per_step=3, group_size=4, optim=optim(1e-3))
    return grpo_stage(adapted(base, dtype), bandit, config, sharded=sharded)


def trained(
    base: str, dtype: Dtype, folder: Path, sharded: bool, stop_after: int = STEPS
) -> TrainState:
    """Train, resuming what is there."""
    stage, state = stage_of(base, dtype, sharded)
    state.budget = BudgetConfig(steps=stop_after)
    return train(stage, state, folder, checkpoint_every=1, keep_checkpoints=2)


def everything(
    workers: Workers, base: str, dtype: Dtype, name: str, sharded: bool
) -> dict[str, Any]:
    folder = Path(name)
    found: dict[str, Any] = {"gradient": gradients(*stage_of(base, dtype, sharded))}
    state = trained(base, dtype, folder / "whole", sharded)
    found["whole run"] = weights(state.policy)
    found["split"] = all(isinstance(p, DTensor) for p in state.policy.model.parameters())
    found["names"] = sorted(state.policy.state_dict())
    save_policy(state.policy, folder / "adapter", workers)
    trained(base, dtype, folder / "half", sharded, stop_after=1)
    found["second half"] = weights(trained(base, dtype, folder / "half", sharded).policy)
    return found


@pytest.mark.parametrize("dtype", [Dtype.float32, Dtype.bfloat16])
def test_adapters_of_a_split_base_are_those_of_a_whole_one(dtype: Dtype, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    base = str(tmp_path / "base")
    tiny_policy(spread=2.0).save(base)
    (tmp_path / "one").mkdir()
    alone = everything(Workers("cpu"), base, dtype, str(tmp_path / "one"), False)
    (tmp_path / "two").mkdir()
    two = tmp_path / "two"
    first, second = in_processes(everything, two, base, dtype, str(two), True)
    assert first["split"]
    assert not alone["split"]
    assert first["names"] == alone["names"]
    assert all("lora" in name for name in first["names"])
    assert alone["gradient"].abs().max() > 1e-3
    torch.testing.assert_close(first["gradient"], alone["gradient"], rtol=1e-4, atol=5e-6)
    assert not torch.equal(alone["whole run"], weights(adapted(base, dtype)))
    # Adam makes steps of 1e-3 of gradients that are all rounding: a few weights differ by more.
    atol = 5e-5 if dtype is Dtype.float32 else 3e-4
    torch.testing.assert_close(first["whole run"], alone["whole run"], rtol=0, atol=atol)
    for found in (alone, first, second):
        assert torch.equal(found["second half"], found["whole run"])
    saved = tmp_path / "two" / "adapter"
    assert not (saved / "model.safetensors").exists()
    loaded = load_policy(PolicyConfig(name="saved", path=str(saved), device="cpu", dtype=dtype))
    assert torch.equal(weights(loaded), first["whole run"])
