"""Tiny policies shared by the agents' tests; built once, used read-only."""

import pytest
import torch
from cardinal_gym.agents.config import BuildConfig, Family, PolicyConfig
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.types import ContextMode


def tiny(family: Family, context: ContextMode = ContextMode.concat, seed: int = 0) -> Policy:
    """Two layers of width 32: quick, and with every part that the real ones have."""
    torch.set_num_threads(1)
    build = BuildConfig(
        family=family, hidden_size=32, num_layers=2, num_heads=2, vision_hidden_size=16,
        vision_layers=1, tile_size=28, seed=seed,
    )  # fmt: skip
    policy = load_policy(PolicyConfig(name="tiny", build=build, device="cpu", context=context))
    with torch.no_grad():  # far from uniform, so that a mistake shows in the log-probabilities
        for parameter in policy.model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)
    return policy


@pytest.fixture(scope="session")
def text_policy() -> Policy:
    return tiny(Family.text)


@pytest.fixture(scope="session")
def vision_policy() -> Policy:
    return tiny(Family.mllama)


@pytest.fixture(scope="session")
def qwen_policy() -> Policy:
    return tiny(Family.qwen_vl)


@pytest.fixture(params=["text_policy", "vision_policy", "qwen_policy"])
def policy(request: pytest.FixtureRequest) -> Policy:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["vision_policy", "qwen_policy"])
def seeing_policy(request: pytest.FixtureRequest) -> Policy:
    return request.getfixturevalue(request.param)
