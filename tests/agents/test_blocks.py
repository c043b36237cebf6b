"""Layers of a shape that is not known are computed whole, place by place."""

from typing import Any

import pytest
import torch
from cardinal_gym.agents import first_layer, last_layer
from cardinal_gym.agents.blocks import is_known, known_blocks
from cardinal_gym.agents.first_layer import computed_once, follow_occurrences
from cardinal_gym.agents.last_layer import computed_at, follow_places
from cardinal_gym.agents.policy import Policy
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

SHAPE: dict[str, Any] = {
    "vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
OTHERS = {
    "gemma3_text": {},  # norms behind attention and feed-forward part too
    "qwen3_moe": {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16},
    "cohere": {},  # attention and feed-forward part side by side
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2},  # nothing is called as elsewhere
}


def model_of(kind: str) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **(SHAPE if kind != "gpt2" else {}), **OTHERS[kind])
    return AutoModelForCausalLM.from_config(config).eval()


def states_and_slopes(model: Any, ids: torch.Tensor, wanted: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad()
    with computed_once(model, ids), computed_at(model, wanted):
        found = model.get_decoder()(ids).last_hidden_state[wanted]
    found.square().sum().backward()
    return [found.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("kind", list(OTHERS))
def test_other_models_are_left_as_they_are(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(kind)
    ids = torch.tensor([[5, 6, 7, 5, 6, 7, 5, 6], [6, 6, 6, 7, 7, 7, 5, 5]])
    wanted = torch.zeros_like(ids, dtype=torch.bool)
    wanted[:, -2:] = True
    with monkeypatch.context() as everywhere:
        everywhere.setattr(first_layer, "WORTHWHILE", 0.0)
        everywhere.setattr(last_layer, "WORTHWHILE", 0.0)
        plain = states_and_slopes(model, ids, wanted)
    follow_occurrences(model)
    follow_places(model)
    assert not known_blocks(model)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    for one, other in zip(states_and_slopes(model, ids, wanted), plain, strict=True):
        assert torch.equal(one, other)


def test_the_blocks_of_every_family_are_known(policy: Policy) -> None:
    blocks = known_blocks(policy.model)
    assert len(blocks) == 2
    assert all(map(is_known, blocks))


@pytest.mark.parametrize(
    "part", ["input_layernorm", "post_attention_layernorm", "mlp", "self_attn", "mlp.up_proj"]
)
def test_a_block_without_one_of_its_parts_is_unknown(part: str) -> None:
    block: Any = model_of("gemma3_text").model.layers[0]
    del block.pre_feedforward_layernorm, block.post_feedforward_layernorm
    assert is_known(block)
    parent, _, name = part.rpartition(".")
    delattr(block.get_submodule(parent), name)
    assert not is_known(block)


def test_a_decoder_that_does_not_end_in_a_norm_is_unknown(text_policy: Policy) -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = text_policy.model.get_decoder().layers

        def get_decoder(self) -> "Bare":
            return self

    assert not known_blocks(Bare())
