"""What a GPU is timed with, and against: the least bytes of a decoding step, the most products.

Everything here runs on a CPU as well, where `test_gpu_workloads.py` tries it with tiny shapes: the
first run on a GPU should not be the first run.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from cardinal_gym.agents.chat import Prompt
from cardinal_gym.agents.config import SamplingConfig
from cardinal_gym.agents.families.pretrained import without_weights
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from cardinal_gym.agents.tokenizer import build_tokenizer
from cardinal_gym.agents.types import StreamKey
from cardinal_gym.training.plan_config import Device
from cardinal_gym.training.planning.memory import activations
from cardinal_gym.training.planning.shape import Shape

FLOPS = 6  # of an update for each parameter and token: 2 forwards, 4 backwards


@dataclass(frozen=True, slots=True)
class Sizes:
    """rows of `prompt` ids are decoded for `new` ids; train_rows of train_tokens are trained."""

    rows: int = 64
    prompt: int = 256
    new: int = 64
    train_rows: int = 8
    train_tokens: int = 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """tokens_s: a rate. share: of what the machine allows. used: bytes, where they were asked."""

    tokens_s: float
    share: float
    used: int = 0


def random_policy(config: Any, device: torch.device, dtype: torch.dtype) -> Policy:
    """A policy of a configuration, with weights from a normal distribution, a small tokenizer."""
    model = without_weights(config).to(dtype).to_empty(device=device)
    model.tie_weights()  # a copy to another device parts them
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.02)
        for buffer in model.buffers():  # rotary frequencies, with angles that stay small
            buffer.uniform_(0.0, 0.5) if buffer.is_floating_point() else buffer.zero_()
    policy = Policy(model.eval(), build_tokenizer(4096), max_context=4096)
    policy.banned_ids = tuple(sorted({*policy.banned_ids, *policy.end_ids}))
    return policy


def decoding(policy: Policy, sizes: Sizes, machine: Device) -> Measured:
    """How fast answers are drawn, against the time in which the memory can be read."""
    seconds = timed(lambda: decode(policy, sizes), policy.device)
    floor_s = sizes.new * decoded_bytes(policy, sizes) / (machine.bandwidth_gb_s * 1e9)
    return Measured(sizes.rows * sizes.new / seconds, floor_s / seconds)


def training(policy: Policy, sizes: Sizes, machine: Device) -> Measured:
    """How fast rows are trained, against the peak rate of products (MFU)."""
    memory = Meter(policy.device)
    seconds = timed(lambda: train(policy, sizes), policy.device)
    tokens = sizes.train_rows * sizes.train_tokens
    flops = FLOPS * read_parameters(policy) * tokens
    return Measured(tokens / seconds, flops / seconds / (machine.tflops_16 * 1e12), memory.peak())


def kept_and_planned(policy: Policy, sizes: Sizes, shape: Shape) -> tuple[int, int]:
    """Bytes that a forward pass keeps for the backward pass, and what `cardinal plan` counts."""
    policy.model.zero_grad(set_to_none=True)
    batch = collate(policy, train_rows(sizes))
    token_logprobs(policy, batch)
    memory = Meter(policy.device)
    logp = token_logprobs(policy, batch)
    kept = memory.now()
    assert logp.requires_grad
    tokens = sizes.train_rows * sizes.train_tokens
    return kept, activations(shape, tokens, checkpointing=True)


def decode(policy: Policy, sizes: Sizes) -> None:
    """Answers to prompts that no two rows share."""
    prompts = []
    for row in range(sizes.rows):
        ids = tuple(10 + (row + i) % 100 for i in range(sizes.prompt))
        prompts.append(Prompt(ids=ids, images=(), new_ids=ids))
    streams = [StreamKey(seed=0, step=0, group=row, member=0) for row in range(sizes.rows)]
    done = generate(policy, prompts, streams, SamplingConfig(max_new_tokens=sizes.new))
    assert all(len(completion.token_ids) == sizes.new for completion in done)


def train_rows(sizes: Sizes) -> list[Row]:
    ids = [10 + i % 100 for i in range(sizes.train_tokens)]
    mask = [0] * (sizes.train_tokens - sizes.new) + [1] * sizes.new
    return [Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids))] * sizes.train_rows


def train(policy: Policy, sizes: Sizes) -> None:
    token_logprobs(policy, collate(policy, train_rows(sizes))).sum().backward()
    policy.model.zero_grad(set_to_none=True)


def read_parameters(policy: Policy) -> int:
    """Of the layers that text passes: Mllama leaves cross-attention out without a picture."""
    layers = [
        layer for layer in policy.model.get_decoder().layers if not hasattr(layer, "cross_attn")
    ]
    return sum(p.numel() for layer in layers for p in layer.parameters())


def decoded_bytes(policy: Policy, sizes: Sizes) -> int:
    """Least bytes of one decoding step: weights, head, and keys and values half-way through."""
    text = policy.model.config.get_text_config()
    head = policy.model.get_output_embeddings().weight.numel()
    heads = text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)
    cross = len(getattr(text, "cross_attention_layers", None) or ())
    columns = sizes.rows * (sizes.prompt + sizes.new // 2)
    cache = columns * 2 * heads * (text.num_hidden_layers - cross)
    return int(policy.model.dtype.itemsize * (read_parameters(policy) + head + cache))


def timed(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds, after one warm-up."""
    work()
    wait(device)
    start = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - start


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Meter:
    """Bytes that a device has given out since this was made; of a CPU, the process's peak alone."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._on_gpu = device, device.type == "cuda"
        if self._on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        self._before = self._allocated()

    def now(self) -> int:
        return self._allocated() - self._before

    def peak(self) -> int:
        if self._on_gpu:
            return torch.cuda.max_memory_allocated(self._device) - self._before
        return self.now()

    def _allocated(self) -> int:
        if self._on_gpu:
            return torch.cuda.memory_allocated(self._device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
