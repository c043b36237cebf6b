"""What decoding is timed with: the sheet's policies and prompts, and `transformers.generate`.

`TransformersAgent` answers as a program without an engine would: every turn it encodes the whole
conversation again, pictures included, one row per episode.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from cardinal_gym.agents.chat import Prompt, decode_answer, encode_first, encode_next
from cardinal_gym.agents.config import BuildConfig, Family, PolicyConfig
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.types import Completion, ContextMode, FinishReason, Reply, Request
from cardinal_gym.envs.core import Observation
from step_contenders import MEMBERS, PROMPT_TOKENS, PROMPTS, prompt_text

ROWS = PROMPTS * MEMBERS
SIZE = {"hidden_size": 192, "num_layers": 4, "num_heads": 4, "intermediate_size": 512}
PICTURE = (56, 112, 3)  # two tiles of the tiny vision towers


def sheet_policy(family: Family, context: ContextMode = ContextMode.concat) -> Policy:
    """1.8 M parameters of language model, that never ends an answer early."""
    torch.set_num_threads(1)
    build = BuildConfig(family=family, **SIZE)
    policy = load_policy(PolicyConfig(name="bench", build=build, device="cpu", context=context))
    policy.banned_ids = tuple(sorted({*policy.banned_ids, *policy.end_ids}))
    return policy


def sheet_prompts(policy: Policy) -> list[Prompt]:
    """8 prompts of 104 tokens, each 8 times; with a picture of its own where the policy sees."""
    spare = len(encode_first(policy, observation(policy, 0, "A")).ids) - 1
    prompts = []
    for seed in range(PROMPTS):
        text = prompt_text(seed, PROMPT_TOKENS - spare)
        prompts += [encode_first(policy, observation(policy, seed, text))] * MEMBERS
    return prompts


def observation(policy: Policy, seed: int, text: str) -> Observation:
    return Observation(text=text, update=text, image=picture(seed) if policy.vision else None)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, PICTURE, dtype=np.uint8)


class TransformersAgent:
    """Answers requests with `transformers.generate`, from nothing at every turn."""

    def __init__(self, policy: Policy, max_new_tokens: int) -> None:
        self.policy, self.max_new_tokens = policy, max_new_tokens
        self.context = policy.context

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        prompts = [encode_next(self.policy, r.history, r.observation) for r in requests]
        answers = transformers_generate(self.policy, prompts, self.max_new_tokens)
        return [
            Reply(
                completion=Completion(
                    text=decode_answer(self.policy, ids),
                    token_ids=tuple(ids),
                    finish_reason=FinishReason.length,
                ),
                prompt_ids=prompt.new_ids,
            )
            for prompt, ids in zip(prompts, answers, strict=True)
        ]


def transformers_generate(
    policy: Policy, prompts: Sequence[Prompt], max_new_tokens: int
) -> list[list[int]]:
    """The sampled ids of each prompt, all of the same number."""
    rows = [
        Row(ids=list(p.ids), mask=[0] * len(p.ids), logprobs=[0.0] * len(p.ids), images=p.images)
        for p in prompts
    ]
    batch = collate(policy, rows, pad_side="left")
    out = policy.model.generate(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=max_new_tokens,
        suppress_tokens=list(policy.banned_ids),
        **_pictures(policy, batch.input_ids, batch.vision),
    )
    new: list[list[int]] = out[:, batch.input_ids.shape[1] :].tolist()
    return new


def _pictures(policy: Policy, ids: torch.Tensor, vision: dict[str, torch.Tensor]) -> dict[str, Any]:
    """A batch's pictures as transformers takes them: again for every row that shows them."""
    if not vision:
        return {}
    if policy.family is Family.mllama:
        rows = vision["image_rows"]
        names = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")
        shown = {name: vision[name][rows] for name in names}
        return {**shown, "cross_attention_mask": vision["cross_attention_mask"]}
    order = vision["image_order"]
    parts = vision["pixel_values"].split(vision["entry_sizes"].tolist())
    assert policy.vision is not None
    return {
        "pixel_values": torch.cat([parts[u] for u in order.tolist()]),
        "image_grid_thw": vision["image_grid_thw"][order],
        "mm_token_type_ids": (ids == policy.vision.image_token_id).int(),
    }


def compare(
    ours: Callable[[], int], theirs: Callable[[], int], repeats: int = 5
) -> tuple[float, float, float]:
    """Median tokens per CPU-second of both, and the median of their ratios, side by side.

    The two take turns, so that whatever else the machine does slows both. Run each once before.
    """
    rates = [(_rate(ours), _rate(theirs)) for _ in range(repeats)]
    medians = [statistics.median(side) for side in zip(*rates, strict=True)]
    return medians[0], medians[1], statistics.median(a / b for a, b in rates)


def _rate(work: Callable[[], int]) -> float:
    start = time.process_time()
    count = work()
    return count / (time.process_time() - start)
