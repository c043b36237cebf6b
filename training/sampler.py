"""Which task comes when: seeds from names, so that order, batching and rank do not matter."""

import numpy as np

_STREAMS = {
    "pretrain": 1, "warmup": 2, "sft": 3, "grpo": 4, "evaluate": 5, "vision": 6, "file": 7,
    "text": 8,
}  # fmt: skip


def task_seed(run_seed: int, stream: str, index: int) -> int:
    """The reset seed of task `index` of a stream: 32 bits, the same in any process."""
    words = np.random.SeedSequence([run_seed, _STREAMS[stream], index]).generate_state(1)
    return int(words[0])


def task_rng(run_seed: int, stream: str, index: int) -> np.random.Generator:
    """A generator for everything random about one task of a stream."""
    return np.random.default_rng([run_seed, _STREAMS[stream], index])
