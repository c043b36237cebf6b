"""Large shapes on a GPU: `make bench BENCH=tests/benchmarks/bench_gpu.py` where there is one.

Random weights of the 3 B and 11 B policies in bfloat16, built in place, so nothing is downloaded.
Decoding is held against the time in which the memory can deliver the weights and the cache, and
training against the peak rate of matrix products (MFU: 6 operations per parameter and token), both
from `training.plan_config`; memory against what `cardinal plan` says.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from cardinal_gym.agents.adapters import recompute_activations
from cardinal_gym.agents.chat import Prompt
from cardinal_gym.agents.config import Dtype, PolicyConfig, SamplingConfig
from cardinal_gym.agents.families.pretrained import pretrained, without_weights
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from cardinal_gym.agents.tokenizer import build_tokenizer
from cardinal_gym.agents.types import StreamKey
from cardinal_gym.training.plan_config import DEVICES, Device
from cardinal_gym.training.planning.memory import activations
from cardinal_gym.training.planning.shape import shape_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]

NAMES = ("qwen2_5_vl_3b", "llama_3_2_11b_vision")
ROWS, PROMPT, NEW = 64, 256, 64
TRAIN_ROWS, TRAIN_TOKENS = 8, 1024


@pytest.fixture(scope="module", params=NAMES)
def policy(request: pytest.FixtureRequest) -> Iterator[Policy]:
    made = random_policy(request.param, torch.device("cuda"), torch.bfloat16)
    yield made
    made.model.to("meta")
    torch.cuda.empty_cache()


def test_decoding_against_the_bandwidth(policy: Policy) -> None:
    seconds = timed(lambda: decode(policy))
    floor = NEW * decoded_bytes(policy) / (machine().bandwidth_gb_s * 1e9)
    print(
        f"\n{policy.family.value}: {ROWS * NEW / seconds:,.0f} tokens/s, {floor / seconds:.0%} of "
        f"what the memory's bandwidth allows"
    )
    assert 0.02 < floor / seconds <= 1.0  # more than all is a mistake in the count


def test_training_against_the_peak(policy: Policy) -> None:
    recompute_activations(policy.model)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    seconds = timed(lambda: train(policy))
    used = torch.cuda.max_memory_allocated() - before
    tokens = TRAIN_ROWS * TRAIN_TOKENS
    mfu = 6 * read_parameters(policy) * tokens / seconds / (machine().tflops_16 * 1e12)
    print(
        f"\n{policy.family.value}: {tokens / seconds:,.0f} trained tokens/s, MFU {mfu:.0%}; "
        f"{used / 2**30:.1f} GiB beside the weights"
    )
    assert 0.05 < mfu <= 1.0


def test_memory_is_what_the_plan_says(policy: Policy) -> None:
    name = next(n for n in NAMES if pretrained(n).config.model_type == model_type(policy))
    config = PolicyConfig(name=name, path=pretrained(name).hub, dtype=Dtype.bfloat16)
    shape, tokens = shape_of(config), TRAIN_ROWS * TRAIN_TOKENS
    assert sum(p.nbytes for p in policy.model.parameters()) == shape.parameters.total * 2
    recompute_activations(policy.model)
    policy.model.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    token_logprobs(policy, collate(policy, rows()))
    torch.cuda.reset_peak_memory_stats()
    logp = token_logprobs(policy, collate(policy, rows()))
    kept = torch.cuda.memory_allocated() - before
    expected = activations(shape, tokens, checkpointing=True)
    print(f"\n{name}: {kept / 2**30:.2f} GiB kept, {expected / 2**30:.2f} GiB planned at most")
    assert logp.requires_grad
    assert 0.2 * expected < kept < 1.2 * expected


def random_policy(name: str, device: torch.device, dtype: torch.dtype) -> Policy:
    """A named policy with weights from a normal distribution and a small tokenizer."""
    told = pretrained(name)
    model = without_weights(told.config).to(dtype).to_empty(device=device)
    model.tie_weights()  # a copy to another device parts them
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.02)
        for buffer in model.buffers():  # rotary frequencies, with angles that stay small
            buffer.uniform_(0.0, 0.5) if buffer.is_floating_point() else buffer.zero_()
    tokenizer = build_tokenizer(4096)
    policy = Policy(model.eval(), tokenizer, max_context=4096)
    policy.banned_ids = tuple(sorted({*policy.banned_ids, *policy.end_ids}))
    return policy


def decode(policy: Policy) -> None:
    """ROWS answers to prompts that no two rows share."""
    prompts = []
    for row in range(ROWS):
        ids = tuple(10 + (row + i) % 100 for i in range(PROMPT))
        prompts.append(Prompt(ids=ids, images=(), new_ids=ids))
    streams = [StreamKey(seed=0, step=0, group=row, member=0) for row in range(ROWS)]
    done = generate(policy, prompts, streams, SamplingConfig(max_new_tokens=NEW))
    assert all(len(completion.token_ids) == NEW for completion in done)


def rows() -> list[Row]:
    ids = [10 + i % 100 for i in range(TRAIN_TOKENS)]
    mask = [0] * (TRAIN_TOKENS - NEW) + [1] * NEW
    return [Row(ids=ids, mask=mask, logprobs=[0.0] * TRAIN_TOKENS)] * TRAIN_ROWS


def train(policy: Policy) -> None:
    token_logprobs(policy, collate(policy, rows())).sum().backward()
    policy.model.zero_grad(set_to_none=True)


def read_parameters(policy: Policy) -> int:
    """Of the layers that text passes: Mllama leaves cross-attention out without a picture."""
    layers = [
        layer for layer in policy.model.get_decoder().layers if not hasattr(layer, "cross_attn")
    ]
    return sum(p.numel() for layer in layers for p in layer.parameters())


def decoded_bytes(policy: Policy) -> int:
    """Least bytes of one decoding step: weights, head and the keys and values of the prompts."""
    text = policy.model.config.get_text_config()
    head = policy.model.get_output_embeddings().weight.numel()
    heads = text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)
    cross = len(getattr(text, "cross_attention_layers", None) or ())
    cache = ROWS * (PROMPT + NEW // 2) * 2 * heads * (text.num_hidden_layers - cross)
    return policy.model.dtype.itemsize * (read_parameters(policy) + head + cache)


def timed(work: Callable[[], Any]) -> float:
    """Seconds, after one warm-up."""
    work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def machine() -> Device:
    """The figures of the GPU at hand."""
    name = torch.cuda.get_device_name().lower().replace(" ", "_")
    found = [device for key, device in DEVICES.items() if key in name]
    if not found:
        pytest.skip(f"no figures for {name} in DEVICES")
    return found[0]


def model_type(policy: Policy) -> str:
    return str(policy.model.config.model_type)
