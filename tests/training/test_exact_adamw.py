"""16-bit weights learn at the learning rates of RL, as 32-bit ones do, and resume bit for bit."""

import copy
from typing import Any

import pytest
import torch
from cardinal_gym.training.config import BudgetConfig, OptimConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.exact_adamw import COPY, ExactAdamW
from cardinal_gym.training.loop import TrainState, adamw
from toys import tiny_policy

SIZE = 512
UPDATES = 20


def optim(lr: float) -> OptimConfig:
    return OptimConfig(lr=lr, weight_decay=0.1)


def weights(dtype: torch.dtype) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(SIZE, generator=generator).bfloat16() * 0.02 for _ in range(2)]
    return [torch.nn.Parameter(each.to(dtype)) for each in drawn]


def slope(step: int, place: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(100 * step + place)
    return torch.randn(SIZE, generator=generator).bfloat16().to(dtype)


def stepped(parameters: list[torch.nn.Parameter], optimizer: Any, first: int, last: int) -> None:
    for step in range(first, last):
        for place, parameter in enumerate(parameters):
            parameter.grad = slope(step, place, parameter.dtype)
        optimizer.step()


@pytest.mark.parametrize("lr", [1e-6, 1e-3])
def test_copies_are_what_weights_in_fp32_would_be(lr: float) -> None:
    coarse, fine = weights(torch.bfloat16), weights(torch.float32)
    exact = adamw(coarse, optim(lr))
    assert isinstance(exact, ExactAdamW)
    stepped(coarse, exact, 0, UPDATES)
    stepped(fine, adamw(fine, optim(lr)), 0, UPDATES)
    kept = exact.state_dict()["state"]
    for place, (low, high) in enumerate(zip(coarse, fine, strict=True)):
        assert torch.equal(kept[place][COPY], high.detach())
        assert torch.equal(low.detach(), high.detach().bfloat16())
        assert kept[place]["exp_avg_sq"].dtype is torch.float32


def test_small_steps_add_up_to_what_16_bits_can_show() -> None:
    (moved, _), (plain, _) = weights(torch.bfloat16), weights(torch.bfloat16)
    before = moved.detach().clone()
    settings = {"lr": 1e-6, "betas": (0.9, 0.95), "weight_decay": 0.0, "fused": True}
    exact, rounding = ExactAdamW([moved], **settings), torch.optim.AdamW([plain], **settings)
    for _ in range(200):  # always the same way
        moved.grad, plain.grad = torch.ones_like(moved), torch.ones_like(plain)
        exact.step()
        rounding.step()
    travelled = (before - moved.detach()).float().mean()
    assert float(travelled) == pytest.approx(200e-6, rel=0.1)  # but for the last bit
    assert float((before - plain.detach()).float().mean()) < 60e-6  # what it is there for


def test_resuming_is_bit_for_bit() -> None:
    whole, parts = weights(torch.bfloat16), weights(torch.bfloat16)
    straight = adamw(whole, optim(1e-4))
    stepped(whole, straight, 0, 6)
    first = adamw(parts, optim(1e-4))
    stepped(parts, first, 0, 3)
    saved = copy.deepcopy(first.state_dict())
    again = [torch.nn.Parameter(each.detach().clone()) for each in parts]
    second = adamw(again, optim(1e-4))
    second.load_state_dict(saved)
    stepped(again, second, 3, 6)
    for one, other in zip(whole, again, strict=True):
        assert torch.equal(one, other)
    for place, values in straight.state_dict()["state"].items():
        for name, value in values.items():
            assert torch.equal(value, second.state_dict()["state"][place][name]), name


def test_a_checkpoint_without_copies_goes_on_from_the_weights() -> None:
    parameters = weights(torch.bfloat16)
    older = torch.optim.AdamW(parameters, lr=1e-4)
    for place, parameter in enumerate(parameters):
        parameter.grad = slope(0, place, parameter.dtype)
    older.step()
    newer = adamw(parameters, optim(1e-4))
    newer.load_state_dict(older.state_dict())
    for place, values in newer.state_dict()["state"].items():
        assert torch.equal(values[COPY], parameters[place].detach().float())


def test_weights_in_fp32_are_stepped_as_they_are_beside_others() -> None:
    low, high = weights(torch.bfloat16)[0], weights(torch.float32)[1]
    optimizer = adamw([low, high], optim(1e-3))
    low.grad, high.grad = slope(0, 0, low.dtype), slope(0, 1, high.dtype)
    before = high.detach().clone()
    optimizer.step()
    assert COPY in optimizer.state_dict()["state"][0]
    assert COPY not in optimizer.state_dict()["state"][1]
    assert not torch.equal(high, before)


def test_a_policy_of_16_bits_trains_with_copies() -> None:
    policy = tiny_policy()
    budget = BudgetConfig(steps=1)
    fine = TrainState.create(policy, OptimConfig(), budget, Workers("cpu"))
    assert isinstance(fine.optimizer, torch.optim.AdamW)
    policy.model.to(torch.bfloat16)
    coarse = TrainState.create(policy, OptimConfig(), budget, Workers("cpu"))
    assert isinstance(coarse.optimizer, ExactAdamW)
    for parameter in coarse.parameters:
        parameter.grad = torch.full_like(parameter, 1e-3)
    before = [parameter.detach().clone() for parameter in coarse.parameters]
    assert coarse.apply_gradients()["updates/skipped"] == 0.0
    assert any(not torch.equal(p, b) for p, b in zip(coarse.parameters, before, strict=True))
    assert all(parameter.grad is None for parameter in coarse.parameters)
