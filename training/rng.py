"""Random number states as tensors and plain values, for checkpoints."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def seed_rng(*key: int) -> None:
    """Seed python's, numpy's and torch's global random numbers from integers, not negative."""
    words = np.random.SeedSequence(key).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))  # noqa: NPY002
    torch.manual_seed(int(words[2]))


def capture_rng(generators: Mapping[str, np.random.Generator] | None = None) -> dict[str, Any]:
    """States of python's, numpy's and torch's global random numbers, and of named generators.

    All as tensors and plain values; `restore_rng` puts them back.
    """
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    state: dict[str, Any] = {
        "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
        "numpy": {
            "name": str(name),
            "keys": torch.tensor([int(key) for key in keys]),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
        "torch": torch.get_rng_state(),
        "generators": {
            key: _pack_arrays(generator.bit_generator.state)
            for key, generator in (generators or {}).items()
        },
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_rng(
    state: Mapping[str, Any], generators: Mapping[str, np.random.Generator] | None = None
) -> None:
    """Undo of `capture_rng`; `generators` are set in place and must be the ones captured."""
    generators = generators or {}
    if set(generators) != set(state["generators"]):
        raise ValueError(
            f"generators must be {sorted(state['generators'])}; got {sorted(generators)}"
        )
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    keys = np.array(numpy["keys"].tolist(), dtype=np.uint32)
    np.random.set_state(  # noqa: NPY002
        (numpy["name"], keys, numpy["position"], numpy["has_gauss"], numpy["cached"])
    )
    torch.set_rng_state(state["torch"].cpu())
    for key, generator in generators.items():
        generator.bit_generator.state = _unpack_arrays(state["generators"][key])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([each.cpu() for each in state["cuda"]])


def _pack_arrays(value: Any) -> Any:
    """A bit generator's state with its arrays as {"dtype", "values"}."""
    if isinstance(value, Mapping):
        return {key: _pack_arrays(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "values": value.tolist()}
    return value.item() if isinstance(value, np.generic) else value


def _unpack_arrays(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"dtype", "values"}:
            return np.array(value["values"], dtype=value["dtype"])
        return {key: _unpack_arrays(item) for key, item in value.items()}
    return value
