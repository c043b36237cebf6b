"""The cache of pretrained bases: whatever would give another base has another place in it."""

import pytest
import torch
from cardinal_gym.training.pretraining import _digest, _recipe
from toys import experiment

BASE = ("env=gp_text", "policy.device=cpu")


def place(*overrides: str) -> str:
    return _digest(_recipe(experiment(*BASE, *overrides), 0))


@pytest.mark.parametrize(
    "override",
    [
        "policy.dtype=bfloat16",
        "policy.attn_implementation=eager",
        "policy.build.num_layers=2",
        "pretrain.batch_size=8",
        "env.max_turns=2",
        "env.tools.calculator.budget=2",
        "threads=2",
    ],
)
def test_what_shapes_a_base_changes_its_place(override: str) -> None:
    assert place(override) != place()


def test_the_kind_of_device_changes_the_place_and_its_name_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_cpu = place()
    assert torch.cuda.is_available() or place("policy.device=auto") == on_cpu
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert place("policy.device=auto") == place("policy.device=cuda:0") != on_cpu


@pytest.mark.parametrize(
    "override",
    # the last: of a tool that is not there, so that bases of before there were tools keep theirs
    ["rules=faces_as_sevens", "grpo.group_size=4", "name=again", "env.tools.calculator.cost=0.5"],
)
def test_what_does_not_reach_a_base_leaves_its_place(override: str) -> None:
    assert place(override) == place()


def test_settings_that_came_later_leave_a_base_its_place() -> None:
    """`eps` and `share_prompts` came after many a base had been trained, and change none."""
    optim = _recipe(experiment(*BASE), 0)["pretrain"]["optim"]
    assert "eps" not in optim
    assert optim["share_prompts"] is False
    other = _recipe(experiment(*BASE, "pretrain.optim.eps=1e-6"), 0)["pretrain"]["optim"]
    assert other["eps"] == 1e-6
