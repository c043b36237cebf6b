"""Tiny policies for the agents' tests: quick, and with every part that the real ones have."""

import torch
from cardinal_gym.agents.adapters import add_lora
from cardinal_gym.agents.config import BuildConfig, Family, LoraConfig, PolicyConfig
from cardinal_gym.agents.families import FAMILIES
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.types import ContextMode

SEEING = [family for family in Family if FAMILIES[family].sees]


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


def adapted(policy: Policy) -> Policy:
    """The policy with adapters that do something already, and nothing else that is trained."""
    add_lora(policy.model, LoraConfig(rank=2, alpha=4))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return policy
