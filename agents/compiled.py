"""Blocks compiled for training: torch.compile writes one kernel for what lies between products.

All blocks of a model are alike, so that one compilation serves them, forwards and backwards (up to
half a minute on a CPU, once: the code is kept on disk). Sampling and reading prompts run
uncompiled, since their shapes change with every token. The first and the last block have code of
their own: what they compute depends on which ids there are and on where tokens are scored (see
`first_layer`, `last_layer`).
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .first_layer import follow_occurrences
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
    first, *blocks = model.get_decoder().layers
    last = blocks.pop() if blocks else first
    for block in blocks:
        block.compile(dynamic=True)  # rows of any length

    occurrences, places = follow_occurrences(model), follow_places(model)

    # Functions of their own: torch keeps code by function, and takes no notice of hooks. What hooks
    # look up is handed in: torch takes the sizes of what it finds in a module to be fixed.
    def first_block(place: Any, number: Any, *args: Any, **kwargs: Any) -> Any:
        occurrences.place, occurrences.number = place, number
        return first._call_impl(*args, **kwargs)

    def last_block(wanted: Any, flat: Any, *args: Any, **kwargs: Any) -> Any:
        places.wanted, places.flat = wanted, flat
        return last._call_impl(*args, **kwargs)

    first_compiled = torch.compile(first_block, dynamic=True)
    last_compiled = torch.compile(last_block, dynamic=True)
    first._compiled_call_impl = lambda *args, **kwargs: first_compiled(
        occurrences.place, occurrences.number, *args, **kwargs
    )
    last._compiled_call_impl = lambda *args, **kwargs: last_compiled(
        places.wanted, places.flat, *args, **kwargs
    )


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
