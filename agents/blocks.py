"""Which blocks `first_layer` and `last_layer` know well enough to leave something out of them.

A norm, attention, a norm and a gated feed-forward part, the two parts added to what they were
given: Llama, Qwen2, Qwen3 and the vision families' language models. Other blocks may read a state
where these do not: Gemma 3 adds what its second norm made of the attention, and a mixture of
experts takes rows and columns. They are computed whole.
"""

from typing import Any

from torch import nn

ATTENTIONS = ("self_attn", "cross_attn")
OTHERS = {"input_layernorm", "post_attention_layernorm", "mlp"}
PROJECTIONS = {"q_proj", "k_proj", "v_proj", "o_proj"}
FEED_FORWARD = {"gate_proj", "up_proj", "down_proj"}


def known_blocks(model: Any) -> list[nn.Module]:
    """The language model's blocks in order; none if the first, the last or the end is unknown."""
    decoder = model.get_decoder()
    blocks = list(getattr(decoder, "layers", ()))
    ends_in_norm = isinstance(getattr(decoder, "norm", None), nn.Module)
    return blocks if blocks and ends_in_norm and all(map(is_known, (blocks[0], blocks[-1]))) else []


def is_known(block: nn.Module) -> bool:
    """Whether it has the parts named above, and no others."""
    parts = _parts(block)
    attentions = [name for name in ATTENTIONS if name in parts]
    if len(attentions) != 1 or parts != OTHERS | {attentions[0]}:
        return False
    attention, mlp = block.get_submodule(attentions[0]), block.get_submodule("mlp")
    return _parts(attention) >= PROJECTIONS and _parts(mlp) >= FEED_FORWARD


def _parts(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_children()}
