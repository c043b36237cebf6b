"""One GRPO step of one contender in a process of its own: CPU-seconds and peak memory, as JSON.

    python step_contenders.py <cardinal | trl> <folder of the policy> <steps>

The workload: 8 prompts of 104 tokens, 8 completions of 48 tokens for each, fp32, one thread.
"""

import json
import resource
import statistics
import sys
import time
from itertools import pairwise
from typing import Any

import torch

PROMPTS, MEMBERS, PROMPT_TOKENS, NEW_TOKENS = 8, 8, 104, 48
WORDS = ("target", "cards", "rule", "A", "J", "Q", "K", "5", "7", "24")


def prompt_text(seed: int, num_words: int) -> str:
    generator = torch.Generator().manual_seed(seed)
    places = torch.randint(len(WORDS), (num_words,), generator=generator)
    return " ".join(WORDS[i] for i in places)


def share_of_digits(text: str) -> float:
    """A reward that differs among random answers."""
    return sum(character.isdigit() for character in text) / max(len(text), 1)


def cardinal(folder: str, steps: int) -> list[float]:
    from cardinal_gym.agents.chat import encode_first
    from cardinal_gym.agents.config import PolicyConfig
    from cardinal_gym.agents.policy import load_policy
    from cardinal_gym.envs.core import Observation
    from cardinal_gym.training.config import BudgetConfig, GrpoConfig, OptimConfig
    from cardinal_gym.training.distributed import Workers
    from cardinal_gym.training.loop import TrainState, trained_parameters
    from cardinal_gym.training.policy_gradient import GrpoStage
    from digits_env import DigitsEnv

    policy = load_policy(PolicyConfig(name="bench", path=folder, device="cpu"))
    policy.banned_ids = tuple(sorted({*policy.banned_ids, *policy.end_ids}))
    empty = encode_first(policy, Observation(text="A", update="A"))
    words = PROMPT_TOKENS - len(empty.ids) + 1
    optim = OptimConfig(lr=1e-5, micro_batch_tokens=1024, share_prompts=None)
    config = GrpoConfig(
        budget=BudgetConfig(steps=1_000), optim=optim, groups_per_step=PROMPTS,
        group_size=MEMBERS, max_new_tokens=NEW_TOKENS,
    )  # fmt: skip
    stage = GrpoStage(
        config, lambda: DigitsEnv(lambda s: prompt_text(s, words)), policy, run_seed=0
    )
    state = TrainState.create(
        policy, optim, config.budget, Workers("cpu"), trained_parameters(policy, stage)
    )
    seconds = []
    for _ in range(steps + 1):
        start = time.process_time()
        metrics = stage.update(state)
        seconds.append(time.process_time() - start)
        state.step += 1
        assert metrics["episodes/mean_tokens"] == NEW_TOKENS
    print(
        {k: round(v, 4) for k, v in metrics.items() if "time" in k or "second" in k},
        file=sys.stderr,
    )
    return seconds[1:]


def trl(folder: str, steps: int) -> list[float]:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    marks = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            marks.append(time.process_time())

    texts = [prompt_text(seed, PROMPT_TOKENS) for seed in range(PROMPTS * (steps + 2))]
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(folder),
        reward_funcs=lambda completions, **_: [share_of_digits(text) for text in completions],
        train_dataset=Dataset.from_dict({"prompt": texts}),
        callbacks=[Clock()],
        args=GRPOConfig(
            output_dir=f"{folder}/trl", max_steps=steps + 1, learning_rate=1e-5, beta=0.0,
            per_device_train_batch_size=PROMPTS * MEMBERS, num_generations=MEMBERS,
            max_completion_length=NEW_TOKENS, generation_kwargs={"min_new_tokens": NEW_TOKENS},
            gradient_checkpointing=False, use_cpu=True, bf16=False, report_to=[],
            save_strategy="no", disable_tqdm=True,
        ),
    )  # fmt: skip
    trainer.train()
    return [after - before for before, after in pairwise(marks)]


def main(name: str, folder: str, steps: str) -> None:
    torch.set_num_threads(1)
    seconds = {"cardinal": cardinal, "trl": trl}[name](folder, int(steps))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu_s": statistics.median(seconds), "peak_mib": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
