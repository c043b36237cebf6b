"""Weights of 16 bits under FSDP2: copies of 32 bits are split, saved and resumed with them."""

import copy
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import Dtype, PolicyConfig
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.rows import Row, row_from_answer
from cardinal_gym.envs.core import Observation
from cardinal_gym.training.checkpoint import latest_checkpoint
from cardinal_gym.training.config import BudgetConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.exact_adamw import COPY, ExactAdamW
from cardinal_gym.training.loop import TrainState, adamw, train, trained_parameters
from cardinal_gym.training.sharding import shard
from cardinal_gym.training.supervised import SupervisedStage
from cardinal_gym.training.whole_tensors import save_policy, split_moments, whole
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from toys import bandit, grpo_config, grpo_stage, optim, tiny_policy, weights
from two_processes import in_processes

pytestmark = pytest.mark.slow  # processes are started
STEPS = 4
ODD = 7, 5, 3  # widths of a net that two processes cannot split evenly
LR = 1e-4  # for weights of 0.02: steps that 16 bits show late, and not one by one


class Sums:
    """Answers to imitate, two of unequal lengths."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def rows(self, indices: Sequence[int]) -> list[Row]:
        return [self._row(index) for index in indices]

    def _row(self, index: int) -> Row:
        text = " ".join(["target", "7", *["cards"] * (index % 5)])
        prompt = encode_first(self.policy, Observation(text=text, update=text))
        return row_from_answer(self.policy, prompt.ids, "7 + 2" if index % 2 else "7")


def loaded(base: str) -> Policy:
    return load_policy(PolicyConfig(name="b", path=base, device="cpu", dtype=Dtype.bfloat16))


def imitated(
    workers: Workers, base: str, folder: str, sharded: bool, stop_after: int = STEPS
) -> dict[str, Any]:
    """Train by imitation, resuming what is there: the weights, their copies, the optimizer."""
    policy = loaded(base)
    if sharded:
        shard(policy, workers)
    stage = SupervisedStage(
        "sft", Sums(policy), batch_size=6, budget=BudgetConfig(steps=STEPS), optim=optim(LR)
    )
    parameters = trained_parameters(policy, stage)
    budget = BudgetConfig(steps=stop_after)
    state = TrainState.create(policy, stage.optim, budget, workers, parameters)
    train(stage, state, Path(folder), checkpoint_every=1, keep_checkpoints=2)
    save_policy(policy, Path(folder) / "policy", workers)
    kept = state.optimizer.state_dict()["state"].values()
    split = all(isinstance(each[COPY], DTensor) == sharded for each in kept)
    copies = whole([each[COPY] for each in kept], keep=True)
    return {
        "weights": weights(policy), "copies": torch.cat([each.flatten() for each in copies]),
        "exact": isinstance(state.optimizer, ExactAdamW), "split": split,
        "types": {str(each.dtype) for each in copies},
    }  # fmt: skip


def reinforced(base: str, folder: Path, stop_after: int = STEPS) -> torch.Tensor:
    config = grpo_config(STEPS, groups_per_step=3, group_size=4, epochs=2, optim=optim(1e-3))
    stage, state = grpo_stage(loaded(base), bandit, config, sharded=True)
    state.budget = BudgetConfig(steps=stop_after)
    train(stage, state, folder, checkpoint_every=1, keep_checkpoints=2)
    return weights(state.policy)


def net(workers: Workers | None = None) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(width, after) for width, after in pairwise(ODD)]
    model = nn.Sequential(*layers).bfloat16()
    if workers is not None:
        fully_shard(model, mesh=init_device_mesh("cpu", (workers.size,)))
    return model


def stepped(model: nn.Module, optimizer: Any, count: int) -> None:
    """All processes read the same batch: the mean of their gradients is that of one."""
    batch = torch.randn(4, ODD[0], generator=torch.Generator().manual_seed(1)).bfloat16()
    for _ in range(count):
        model(batch).float().pow(2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def by_hand(workers: Workers) -> dict[str, Any]:
    """The optimizer alone: beside one of a net that is whole, and put back into a new one."""
    alone, split, again = net(), net(workers), net(workers)
    whole_steps, split_steps, later = (
        adamw(list(each.parameters()), optim(1e-3)) for each in (alone, split, again)
    )
    stepped(alone, whole_steps, 3)
    stepped(split, split_steps, 3)
    saved = copy.deepcopy(whole(split_steps.state_dict(), keep=True))
    found = {"one": whole_steps.state_dict()["state"], "two": copy.deepcopy(saved["state"])}
    with torch.no_grad():
        for mine, other in zip(again.parameters(), split.parameters(), strict=True):
            mine.copy_(other)
    later.load_state_dict(split_moments(saved, list(again.parameters())))
    stepped(split, split_steps, 2)
    stepped(again, later, 2)
    ends = [
        [parameter.full_tensor() for parameter in each.parameters()]  # type: ignore[attr-defined]
        for each in (split, again)
    ]
    return {**found, "straight": ends[0], "resumed": ends[1]}


def all_at_once(workers: Workers, base: str, folder: str) -> dict[str, Any]:
    root = Path(folder)
    sft = imitated(workers, base, str(root / "whole"), True)
    imitated(workers, base, str(root / "half"), True, stop_after=2)
    second = imitated(workers, base, str(root / "half"), True)
    imitated(workers, base, str(root / "for_one"), True, stop_after=2)
    rl = reinforced(base, root / "rl")
    reinforced(base, root / "rl_half", stop_after=2)
    return {
        "by hand": by_hand(workers), "sft": sft,
        "sft resumed": [second["weights"], second["copies"]],
        "rl": rl, "rl resumed": reinforced(base, root / "rl_half"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("base")
    tiny_policy().save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def by_two(base: str, folder: Path) -> list[dict[str, Any]]:
    return in_processes(all_at_once, folder, base, str(folder))


def test_the_optimizer_alone_steps_parts_as_it_steps_the_whole(
    by_two: list[dict[str, Any]],
) -> None:
    for found in (each["by hand"] for each in by_two):
        assert found["two"].keys() == found["one"].keys()
        for place, values in found["one"].items():
            for name, value in values.items():
                other = found["two"][place][name]
                assert other.dtype is torch.float32
                torch.testing.assert_close(other, value, rtol=1e-6, atol=1e-9)
        for one, other in zip(found["straight"], found["resumed"], strict=True):
            assert one.dtype is torch.bfloat16
            assert torch.equal(one, other)


def test_copies_are_split_as_the_weights_are_and_rounded_into_them(
    by_two: list[dict[str, Any]], base: str, folder: Path
) -> None:
    for found in (each["sft"] for each in by_two):
        assert found["exact"]
        assert found["split"]
        assert found["types"] == {"torch.float32"}
        assert torch.equal(found["weights"], found["copies"].bfloat16())
        assert not torch.equal(found["copies"].bfloat16().float(), found["copies"])
        assert not torch.equal(found["weights"], weights(loaded(base)))
    saved = weights(loaded(str(folder / "whole" / "policy")))
    assert torch.equal(saved, by_two[0]["sft"]["weights"])


def test_a_sharded_run_resumes_bit_for_bit(by_two: list[dict[str, Any]], base: str) -> None:
    for found in by_two:
        for name, other in zip(("weights", "copies"), found["sft resumed"], strict=True):
            assert torch.equal(found["sft"][name], other)
        assert not torch.equal(found["rl"], weights(loaded(base)))
        assert torch.equal(found["rl"], found["rl resumed"])


def test_one_process_ends_where_two_do_and_goes_on_where_they_stopped(
    by_two: list[dict[str, Any]], base: str, folder: Path, tmp_path: Path
) -> None:
    """Gradients of 16 bits are added up in another order: the way is the same but for rounding."""
    alone = imitated(Workers("cpu"), base, str(tmp_path / "alone"), False)
    stopped = latest_checkpoint(folder / "for_one" / "checkpoints")
    assert stopped is not None
    assert stopped.step == 2
    further = imitated(Workers("cpu"), base, str(folder / "for_one"), False)
    before = weights(loaded(base)).float()
    way = by_two[0]["sft"]["copies"] - before
    for found in (alone, further):
        assert found["exact"]
        assert (found["copies"] - before - way).norm() < 0.1 * way.norm()


def test_two_processes_go_on_where_one_stopped(
    by_two: list[dict[str, Any]], base: str, tmp_path: Path
) -> None:
    imitated(Workers("cpu"), base, str(tmp_path / "one"), False, stop_after=2)
    ranks = tmp_path / "ranks"
    ranks.mkdir()
    first, second = in_processes(imitated, ranks, base, str(tmp_path / "one"), True)
    assert torch.equal(first["copies"], second["copies"])
    before = weights(loaded(base)).float()
    way = by_two[0]["sft"]["copies"] - before
    assert (first["copies"] - before - way).norm() < 0.1 * way.norm()
