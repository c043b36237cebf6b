"""Blocks compiled for training: torch.compile writes one kernel for what lies between products.

All blocks of a model are alike, so that one compilation serves them, forwards and backwards (up to
half a minute on a CPU, once: the code is kept on disk). Sampling and reading prompts run
uncompiled, since their shapes change with every token. The last block is left as it is: what it
computes depends on where tokens are scored (see `last_layer`).
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

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
    for block in model.get_decoder().layers[:-1]:
        block.compile(dynamic=True)  # rows of any length


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
