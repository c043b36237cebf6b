"""FSDP2 over two real processes: what is split, what is saved, and who can go on with it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from cardinal_gym.agents.adapters import recompute_activations
from cardinal_gym.agents.config import Family, PolicyConfig
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.training.advantages import AdvantageKind, Credit
from cardinal_gym.training.checkpoint import latest_checkpoint
from cardinal_gym.training.config import BudgetConfig, GrpoConfig
from cardinal_gym.training.demonstrations import OracleDemonstrations
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.distributed_config import Sharding
from cardinal_gym.training.loop import Stage, TrainState, train
from cardinal_gym.training.sharding import check_sharding, computing, gathered, shard
from cardinal_gym.training.supervised import SupervisedStage
from cardinal_gym.training.whole_tensors import save_policy
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from toys import (
    bandit,
    experiment,
    gradients,
    grpo_config,
    grpo_stage,
    optim,
    run_steps,
    tiny_policy,
    weights,
)
from two_processes import in_processes

CRITIC: dict[str, Any] = {"advantage": AdvantageKind.gae, "credit": Credit.turn_return}


def config(steps: int) -> GrpoConfig:
    """Two updates a step, with a critic: the optimizer has moments, the stage a head."""
    return grpo_config(
        steps, **CRITIC, groups_per_step=3, group_size=4, epochs=2, optim=optim(1e-3)
    )


def stage_of(sharded: bool, steps: int = 4) -> tuple[Stage, TrainState]:
    return grpo_stage(tiny_policy(), bandit, config(steps), sharded=sharded)


def trained(
    workers: Workers, folder: str, sharded: bool, stop_after: int | None = None
) -> torch.Tensor:
    """Train, resuming what is there; the weights in the end, or where it was stopped."""
    stage, state = stage_of(sharded)
    if stop_after is not None:
        state.budget = BudgetConfig(steps=stop_after)
    train(stage, state, Path(folder), checkpoint_every=1, keep_checkpoints=2)
    return weights(state.policy)


def what_is_split(workers: Workers, folder: str) -> dict[str, Any]:
    policy = tiny_policy()
    before = weights(policy)
    shard(policy, workers)
    parts = [type(m).__name__ for m in policy.model.modules() if isinstance(m, FSDPModule)]
    split = all(isinstance(p, DTensor) for p in policy.model.parameters())
    with gathered(policy):
        whole = all(not isinstance(p, DTensor) for p in policy.model.parameters())
        inside = torch.cat([p.detach().flatten() for p in policy.model.parameters()])
    local = sum(p.to_local().numel() for p in policy.model.parameters())  # type: ignore[attr-defined]
    with torch.no_grad():
        computing(policy, lambda: None)
    again = all(isinstance(p, DTensor) for p in policy.model.parameters())
    save_policy(policy, Path(folder) / "policy", workers)
    return {
        "parts": parts, "split": split, "whole": whole, "local": local, "again": again,
        "equal": torch.equal(before, inside), "weights": before,
    }  # fmt: skip


def all_at_once(workers: Workers, folder: str) -> dict[str, Any]:
    """One start of the processes for all tests: starting them is what costs."""
    root = Path(folder)
    return {
        "split": what_is_split(workers, folder),
        "whole run": trained(workers, str(root / "whole"), True),
        "first half": trained(workers, str(root / "half"), True, stop_after=2),
        "second half": trained(workers, str(root / "half"), True),
        "for one": trained(workers, str(root / "for_one"), True, stop_after=2),
        "pictures": pictures(True),
        "recomputed": recomputed(True),
        "zero2": by_zero2(workers),
    }


def pictures(sharded: bool) -> dict[str, torch.Tensor]:
    """Gradients of SFT on pictures, with unequal shares."""
    return {
        family.value: gradients(*with_pictures(family, sharded))
        for family in (Family.mllama, Family.qwen_vl)
    }


def with_pictures(family: Family, sharded: bool) -> tuple[Stage, TrainState]:
    policy = tiny_policy(family, spread=2.0)
    if sharded:
        shard(policy, Workers("cpu"))
    env = experiment("env=gp_image", "env.visual.width=56", "env.visual.height=56").env
    shown = OracleDemonstrations(
        policy, env, stream="warmup", seed=0, revision_fraction=0.0, max_wrong_attempts=1
    )
    small = optim(micro_batch_tokens=200)
    stage = SupervisedStage("sft", shown, batch_size=3, budget=BudgetConfig(steps=1), optim=small)
    return stage, TrainState.create(policy, small, stage.budget, Workers("cpu"))


def by_zero2(workers: Workers) -> torch.Tensor:
    """Weights after two steps; alone, of a policy that is whole."""
    policy = tiny_policy()
    if workers.size > 1:
        shard(policy, workers, Sharding.zero2)
    few = grpo_config(2, groups_per_step=3, group_size=4, epochs=2, optim=optim(1e-3))
    run_steps(*grpo_stage(policy, bandit, few), 2)
    return weights(policy)


def recomputed(sharded: bool) -> torch.Tensor:
    """Gradients of GRPO whose activations are computed again in the backward pass."""
    policy = tiny_policy()
    recompute_activations(policy.model)
    once = grpo_config(1, **CRITIC, groups_per_step=3, group_size=4)
    return gradients(*grpo_stage(policy, bandit, once, sharded=sharded))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharded")


@pytest.fixture(scope="module")
def by_two(folder: Path) -> list[dict[str, Any]]:
    return in_processes(all_at_once, folder, str(folder))


slow = pytest.mark.slow  # they start processes


@slow
def test_every_block_is_split_and_gathered_on_demand(
    by_two: list[dict[str, Any]], folder: Path
) -> None:
    for found in (each["split"] for each in by_two):
        assert found["parts"] == ["FSDPLlamaForCausalLM", *["FSDPLlamaDecoderLayer"] * 2]
        assert found["split"]
        assert found["whole"]
        assert found["equal"]
        assert found["again"]
    total = by_two[0]["split"]["weights"].numel()
    assert sum(each["split"]["local"] for each in by_two) == total
    assert abs(by_two[0]["split"]["local"] - total / 2) < 0.05 * total
    loaded = load_policy(PolicyConfig(name="saved", path=str(folder / "policy"), device="cpu"))
    assert type(loaded.model).__name__ == "LlamaForCausalLM"
    assert torch.equal(weights(loaded), by_two[0]["split"]["weights"])


@slow
def test_a_sharded_run_resumes_bit_for_bit(by_two: list[dict[str, Any]]) -> None:
    for found in by_two:
        assert not torch.equal(found["first half"], found["whole run"])
        assert torch.equal(found["second half"], found["whole run"])


@slow
def test_one_process_goes_on_where_two_stopped(
    by_two: list[dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    stopped = latest_checkpoint(folder / "for_one" / "checkpoints")
    assert stopped is not None
    assert stopped.step == 2
    found = trained(Workers("cpu"), str(folder / "for_one"), sharded=False)
    torch.testing.assert_close(found, by_two[0]["whole run"], rtol=1e-4, atol=2e-6)
    alone = trained(Workers("cpu"), str(tmp_path / "alone"), sharded=False)
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=2e-6)


@slow
def test_two_processes_go_on_where_one_stopped(
    by_two: list[dict[str, Any]], tmp_path: Path
) -> None:
    trained(Workers("cpu"), str(tmp_path / "one"), sharded=False, stop_after=2)
    ranks = tmp_path / "ranks"
    ranks.mkdir()
    found = in_processes(trained, ranks, str(tmp_path / "one"), True)
    torch.testing.assert_close(found[0], by_two[0]["whole run"], rtol=1e-4, atol=2e-6)
    assert torch.equal(found[0], found[1])


@slow
def test_a_sharded_checkpoint_has_the_entries_of_a_whole_one(
    by_two: list[dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    trained(Workers("cpu"), str(tmp_path), sharded=False)
    whole, split = (
        latest_checkpoint(root / "checkpoints").load()  # type: ignore[union-attr]
        for root in (tmp_path, folder / "whole")
    )
    for part in ("model", "head"):
        assert list(split[part]) == list(whole[part])
        for name, tensor in whole[part].items():
            assert split[part][name].shape == tensor.shape
    moments = split["optimizer"]["state"]
    assert {place: set(each) for place, each in moments.items()} == {
        place: set(each) for place, each in whole["optimizer"]["state"].items()
    }


@slow
@pytest.mark.parametrize("kind", ["pictures", "recomputed"])
def test_sharded_gradients_equal_whole_ones(kind: str, by_two: list[dict[str, Any]]) -> None:
    wanted = pictures(False) if kind == "pictures" else {"": recomputed(False)}
    found = by_two[0][kind] if kind == "pictures" else {"": by_two[0][kind]}
    for name, gradient in wanted.items():
        assert gradient.abs().max() > 1e-4
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=5e-6)


@slow
def test_stage_2_of_zero_ends_with_the_same_weights(by_two: list[dict[str, Any]]) -> None:
    wanted = by_zero2(Workers("cpu"))
    assert not torch.equal(wanted, weights(tiny_policy()))
    # Adam makes steps of 1e-3 of gradients that are all rounding: a few weights differ by 1e-5.
    torch.testing.assert_close(by_two[0]["zero2"], wanted, rtol=0, atol=5e-5)


def test_one_process_cannot_shard() -> None:
    check_sharding(Sharding.none, Workers("cpu"))
    with pytest.raises(ValueError, match=r"sharding must be none for one process; got fsdp2"):
        check_sharding(Sharding.fsdp2, Workers("cpu"))


@pytest.mark.parametrize("plugin", ["DEEPSPEED", "FSDP"])
def test_accelerates_own_sharding_is_refused(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ACCELERATE_USE_{plugin}", "true")
    with pytest.raises(ValueError, match=rf"without {plugin}; .*distributed.sharding=fsdp2"):
        check_sharding(Sharding.none, Workers("cpu"))


def test_whole_policies_are_left_alone() -> None:
    policy: Policy = tiny_policy()
    before = weights(policy)
    with gathered(policy):
        assert computing(policy, lambda: 3) == 3
    assert torch.equal(weights(policy), before)
