"""Two real processes (gloo) do what one does: the same episodes, gradients and weights."""

import os
import socket
from pathlib import Path

import gymnasium as gym
import pytest
import torch
from cardinal_gym.agents.rows import Row, row_from_answer
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.training.config import Aggregation, BudgetConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.loop import TrainState
from cardinal_gym.training.supervised import SupervisedStage
from toys import (
    BANDIT,
    GUESS,
    gradients,
    grpo_config,
    grpo_stage,
    optim,
    run_steps,
    tiny_policy,
    weights,
)

BATCH = 5  # shares of 2 and 3: unequal on purpose


class Sentences:
    """Demonstrations of unequal lengths."""

    def __init__(self, policy: object) -> None:
        self.policy = policy

    def rows(self, indices: list[int]) -> list[Row]:
        return [
            row_from_answer(self.policy, [2, 4, *range(10, 12 + i)], "5 * 3 " * (1 + i % 4))  # type: ignore[arg-type]
            for i in indices
        ]


def sft(aggregation: Aggregation) -> tuple[SupervisedStage, TrainState]:
    policy = tiny_policy(spread=3.0)
    stage = SupervisedStage(
        "sft", Sentences(policy), batch_size=BATCH, budget=BudgetConfig(steps=2), optim=optim(),
        aggregation=aggregation,
    )  # fmt: skip
    return stage, TrainState.create(policy, stage.optim, stage.budget, Workers("cpu"))


def everything() -> dict[str, torch.Tensor]:
    """Gradients and, after a few updates, weights, of this number of processes."""
    found = {f"sft {kind.value}": gradients(*sft(kind)) for kind in Aggregation}
    for context, kind in zip(ContextMode, Aggregation, strict=True):
        policy = tiny_policy(context=context)
        # 3 groups: one process plays 1 of them and the other 2; some have no signal at all
        config = grpo_config(groups_per_step=3, group_size=6, aggregation=kind)
        stage = grpo_stage(policy, lambda: gym.make(BANDIT), config)
        found[f"grpo {context.value} {kind.value}"] = gradients(*stage)
    policy = tiny_policy()
    config = grpo_config(
        groups_per_step=3, group_size=6, epochs=2, minibatches=3, kl_coef=0.1, optim=optim(1e-3)
    )
    stage, state = grpo_stage(policy, lambda: gym.make(BANDIT), config, reference=tiny_policy())
    metrics = run_steps(stage, state, 3)
    found["weights"] = weights(policy)
    names = ("reward/mean", "groups/zero_variance", "loss", "kl", "sampler_gap/mean", "grad_norm")
    found["metrics"] = torch.tensor([[each[name] for name in names] for each in metrics])
    found["ledger"] = torch.tensor(list(state.ledger.asdict().values()))
    # One group: nothing to do for the first process, which must take part all the same.
    config = grpo_config(groups_per_step=1)
    stage, state = grpo_stage(tiny_policy(), lambda: gym.make(BANDIT), config)
    found["one group"] = gradients(stage, state)
    stage, state = grpo_stage(tiny_policy(), lambda: gym.make(GUESS), grpo_config())
    run_steps(stage, state, 1)  # no success anywhere: no process may wait for another's gradient
    return found


def in_process(rank: int, size: int, port: int, folder: str) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port), ACCELERATE_USE_CPU="true",
    )  # fmt: skip
    torch.set_num_threads(1)
    workers = Workers("cpu")
    assert (workers.rank, workers.size) == (rank, size)
    assert workers.sum({"a": 1.0, f"b{rank}": 2.0}) == {"a": 2.0, "b0": 2.0, "b1": 2.0}
    assert workers.broadcast(rank) == 0
    torch.save(everything(), Path(folder) / f"rank{rank}.pt")
    workers.wait()
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, torch.Tensor]]:
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(in_process, args=(2, port, str(folder)), nprocs=2)
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


def test_two_processes_train_as_one(by_two: list[dict[str, torch.Tensor]]) -> None:
    alone = everything()
    for name, wanted in alone.items():
        assert torch.equal(by_two[0][name], by_two[1][name]), name
        assert wanted.abs().max() > 1e-4, name
        torch.testing.assert_close(
            by_two[0][name], wanted, rtol=1e-4, atol=5e-6, msg=lambda text, name=name: name + text
        )
