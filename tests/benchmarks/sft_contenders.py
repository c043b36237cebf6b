"""One SFT step of one contender in a process of its own: tokens per CPU-second, memory, as JSON.

    python sft_contenders.py <cardinal | trl> <folder of the policy> <steps> [setting ...]

The workload: 64 rows of 160 tokens, the last 56 of them imitated, float32, one thread. A setting is
cardinal's alone, as sdpa-2560-compiled: attention (sdpa or eager), tokens per micro-batch, and
whether blocks are compiled. Several are timed step by step in turns.
"""

import json
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

ROWS, TOKENS, IMITATED = 64, 160, 56
FIRST_ID, NUM_IDS = 10, 120  # ordinary ids of the tiny policy


def ids_of(index: int) -> list[int]:
    generator = torch.Generator().manual_seed(index)
    drawn = torch.randint(FIRST_ID, FIRST_ID + NUM_IDS, (TOKENS,), generator=generator)
    ids: list[int] = drawn.tolist()
    return ids


class Demonstrations:
    """Row k is `ids_of(k)`; all are drawn before the clock runs, as TRL's data set is."""

    def __init__(self, count: int) -> None:
        from cardinal_gym.agents.rows import Row

        mask = [0] * (TOKENS - IMITATED) + [1] * IMITATED
        self._rows = [Row(ids=ids_of(i), mask=mask, logprobs=[0.0] * TOKENS) for i in range(count)]

    def rows(self, indices: Sequence[int]) -> list[Any]:
        return [self._rows[i] for i in indices]


def cardinal(folder: str, steps: int, settings: Sequence[str]) -> list[list[float]]:
    """CPU-seconds of every step but the first, for each setting."""
    from cardinal_gym.agents.config import PolicyConfig
    from cardinal_gym.agents.policy import load_policy
    from cardinal_gym.training.config import BudgetConfig, OptimConfig
    from cardinal_gym.training.distributed import Workers
    from cardinal_gym.training.loop import TrainState
    from cardinal_gym.training.supervised import SupervisedStage

    demonstrations = Demonstrations(ROWS * (steps + 1))
    contenders = []
    for setting in settings:
        attention, micro, *compiled = setting.split("-")
        policy = load_policy(
            PolicyConfig(
                name="bench", path=folder, device="cpu", attn_implementation=attention,
                compile=compiled == ["compiled"],
            )
        )  # fmt: skip
        optim = OptimConfig(lr=1e-5, micro_batch_tokens=int(micro))
        budget = BudgetConfig(steps=1_000)
        stage = SupervisedStage("sft", demonstrations, batch_size=ROWS, budget=budget, optim=optim)
        contenders.append((stage, TrainState.create(policy, optim, budget, Workers("cpu"))))
    seconds: list[list[float]] = [[] for _ in settings]
    for _ in range(steps + 1):
        for (stage, state), found in zip(contenders, seconds, strict=True):
            start = time.process_time()
            stage.update(state)
            found.append(time.process_time() - start)
            state.step += 1
    return [found[1:] for found in seconds]


def trl(folder: str, steps: int) -> list[float]:
    """CPU-seconds of every step but the first."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    marks = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            marks.append(time.process_time())

    count = ROWS * (steps + 1)
    mask = [0] * (TOKENS - IMITATED) + [1] * IMITATED
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(folder),
        train_dataset=Dataset.from_dict(
            {"input_ids": [ids_of(i) for i in range(count)], "completion_mask": [mask] * count}
        ),
        callbacks=[Clock()],
        args=SFTConfig(
            output_dir=f"{folder}/trl", max_steps=steps + 1, learning_rate=1e-5,
            per_device_train_batch_size=ROWS, gradient_checkpointing=False, use_cpu=True,
            bf16=False, report_to=[], save_strategy="no", disable_tqdm=True, max_length=None,
        ),
    )  # fmt: skip
    trainer.train()
    return [after - before for before, after in pairwise(marks)]


def main(name: str, folder: str, steps: str, *settings: str) -> None:
    torch.set_num_threads(1)
    if name == "trl":
        seconds = [trl(folder, int(steps))]
    else:
        seconds = cardinal(folder, int(steps), settings)
    rates = [ROWS * TOKENS / statistics.median(found) for found in seconds]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"tokens_per_cpu_s": rates, "peak_mib": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
