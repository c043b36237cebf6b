"""What a large policy is trained with, all at once: 16 bits, FSDP2, pictures, adapters or not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from cardinal_gym.agents.config import Dtype, Family, LoraConfig, PolicyConfig
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.training.config import BudgetConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import TrainState, train, trained_parameters
from cardinal_gym.training.sharding import shard
from cardinal_gym.training.supervised import SupervisedStage
from test_families import Answers
from toys import gradients, optim, tiny_policy, weights
from two_processes import in_processes

pytestmark = pytest.mark.slow  # processes are started
FAMILIES = (Family.mllama, Family.qwen3_vl, Family.idefics3)
STEPS = 2


def loaded(base: str, family: Family, lean: bool) -> Policy:
    """lean: adapters, a frozen tower and recomputed activations."""
    config = PolicyConfig(
        name="large", path=f"{base}/{family.value}", device="cpu", dtype=Dtype.bfloat16,
        lora=LoraConfig(rank=2 if lean else 0), freeze_vision=lean, gradient_checkpointing=lean,
    )  # fmt: skip
    policy = load_policy(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # adapters that do something already
        for name, parameter in policy.model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return policy


def stage_of(workers: Workers, policy: Policy, sharded: bool) -> tuple[SupervisedStage, TrainState]:
    """Imitation of rows with a picture and rows without."""
    if sharded:
        shard(policy, workers)
    stage = SupervisedStage(
        "sft", Answers(policy), batch_size=6, budget=BudgetConfig(steps=STEPS), optim=optim(1e-3)
    )
    parameters = trained_parameters(policy, stage)
    return stage, TrainState.create(policy, stage.optim, stage.budget, workers, parameters)


def everything(workers: Workers, base: str, folder: str, sharded: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for family in FAMILIES:
        for lean in (False, True):
            stage, state = stage_of(workers, loaded(base, family, lean), sharded)
            found[f"{family.value} {lean}"] = gradients(stage, state)
    for part in ("whole", "half"):
        root = Path(folder) / part
        if part == "half":
            stage, state = stage_of(workers, loaded(base, Family.mllama, True), sharded)
            state.budget = BudgetConfig(steps=1)
            train(stage, state, root, checkpoint_every=1, keep_checkpoints=1)
        policy = loaded(base, Family.mllama, True)
        train(*stage_of(workers, policy, sharded), root, checkpoint_every=1, keep_checkpoints=1)
        found[part] = weights(policy)
    return found


def test_gradients_are_those_of_one_process_and_a_run_resumes(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    for family in FAMILIES:
        tiny_policy(family, spread=2.0).save(tmp_path / family.value)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    base, two = str(tmp_path), tmp_path / "two"
    alone = everything(Workers("cpu"), base, str(tmp_path / "one"), False)
    first, second = in_processes(everything, two, base, str(two), True)
    for family in FAMILIES:
        for lean in (False, True):
            wanted = alone[f"{family.value} {lean}"].float()
            assert wanted.norm() > 0.1
            for found in (first, second):
                difference = found[f"{family.value} {lean}"].float() - wanted
                assert difference.norm() < 0.02 * wanted.norm(), (family, lean)
    for found in (alone, first, second):
        assert torch.equal(found["half"], found["whole"])
    assert torch.equal(first["whole"], second["whole"])
