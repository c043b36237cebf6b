"""Which task comes when: seeds from names, so that order, batching and rank do not matter."""

import numpy as np

_STREAMS = {
    "pretrain": 1, "warmup": 2, "sft": 3, "grpo": 4, "evaluate": 5, "vision": 6, "file": 7,
    "text": 8, "passes": 9, "requests": 10,
}  # fmt: skip


def task_seed(run_seed: int, stream: str, index: int) -> int:
    """The reset seed of task `index` of a stream: 32 bits, the same in any process."""
    words = np.random.SeedSequence([run_seed, _STREAMS[stream], index]).generate_state(1)
    return int(words[0])


def task_rng(run_seed: int, stream: str, index: int) -> np.random.Generator:
    """A generator for everything random about one task of a stream."""
    return np.random.default_rng([run_seed, _STREAMS[stream], index])


class Passes:
    """Passes over `count` things, each in an order of its own, without end.

    stream: names the orders; equal names and run seeds give equal orders in any process.
    """

    def __init__(self, count: int, run_seed: int, stream: str) -> None:
        self._count = count
        self._run_seed = run_seed
        self._stream = stream
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=int))  # pass, permutation

    def position(self, index: int) -> int:
        """Which of the things comes at place `index` of all passes together."""
        number, place = divmod(index, self._count)
        if self._order[0] != number:
            rng = task_rng(self._run_seed, self._stream, number)
            self._order = number, rng.permutation(self._count)
        return int(self._order[1][place])
