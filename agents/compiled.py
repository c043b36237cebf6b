"""Blocks compiled for training: torch.compile writes one kernel for what lies between products.

All blocks of a model are alike, so that one compilation serves them, forwards and backwards (up to
half a minute on a CPU, once: the code is kept on disk). Sampling and reading prompts run
uncompiled, since their shapes change with every token. The last block has code of its own: what it
computes depends on where tokens are scored (see `last_layer`).
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .last_layer import follow_places

COMPILERS = ("g++", "clang++", "c++")


def compile_blocks(model: Any) -> None:
    """Compile the language model's blocks in place, when they are first trained.

    Raises ValueError on a CPU without a C++ compiler.
    """
    on_cpu = next(model.parameters()).device.type == "cpu"
    if on_cpu and not any(shutil.which(name) for name in COMPILERS):
        raise ValueError(
            "policy.compile must be false without a C++ compiler "
            f"({', '.join(COMPILERS)}); got true"
        )
    *blocks, last = model.get_decoder().layers
    for block in blocks:
        block.compile(dynamic=True)  # rows of any length
    follow_places(model)

    def last_block(*args: Any, **kwargs: Any) -> Any:
        return last._call_impl(*args, **kwargs)

    # A function of its own: torch keeps code by function, and takes no notice of hooks.
    last._compiled_call_impl = torch.compile(last_block, dynamic=True)


def is_compiled(model: Any) -> bool:
    """Whether `compile_blocks` has been called."""
    blocks = model.get_decoder().layers
    return any(getattr(block, "_compiled_call_impl", None) is not None for block in blocks)


@contextmanager
def uncompiled(model: Any) -> Iterator[None]:
    """Within it compiled blocks run as they were written."""
    if not is_compiled(model):  # torch's compiler takes seconds to import
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
