"""Which of transformers' attentions a policy may be loaded with, told before it is loaded."""

import importlib.util

import torch

from .config import Dtype, PolicyConfig

PACKAGES = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
EVERYWHERE = ("eager", "sdpa", "flex_attention")


def check_attention(config: PolicyConfig, device: torch.device) -> None:
    """ValueError for an attention that does not exist, or that this machine or dtype has not.

    Names with a slash are kernels of the hub, which transformers checks itself.
    """
    name = config.attn_implementation
    if name in EVERYWHERE or "/" in name:
        return
    if name not in PACKAGES:
        raise ValueError(
            f"policy.attn_implementation must be one of {', '.join((*EVERYWHERE, *PACKAGES))}; "
            f"got {name}"
        )
    if device.type != "cuda":
        raise ValueError(
            f"policy.attn_implementation must be sdpa or eager on {device.type}; got {name}"
        )
    if config.dtype is Dtype.float32:
        raise ValueError(f"policy.dtype must be bfloat16 with {name}; got float32")
    if importlib.util.find_spec(PACKAGES[name]) is None:
        raise ValueError(
            "policy.attn_implementation must be sdpa or eager without the package "
            f"{PACKAGES[name]}; got {name}: install it (pip install flash-attn "
            "--no-build-isolation for flash_attention_2), or leave sdpa, which on CUDA uses "
            "flash attention where it can"
        )
