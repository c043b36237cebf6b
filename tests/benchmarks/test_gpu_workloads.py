"""What a GPU is timed with, tried with tiny shapes on a CPU; its formulas against sums by hand."""

import copy
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import bench_gpu
import pytest
import torch
from cardinal_gym.agents.config import BuildConfig, PolicyConfig
from cardinal_gym.agents.families.pretrained import pretrained
from cardinal_gym.agents.fixed import FixedDecoder
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.training.plan_config import DEVICES
from cardinal_gym.training.planning.memory import activations
from cardinal_gym.training.planning.shape import shape_of
from gpu_workloads import (
    Sizes,
    decoded_bytes,
    decoding,
    random_policy,
    read_parameters,
    train,
    training,
)

TINY = Sizes(rows=3, prompt=9, new=6, train_rows=2, train_tokens=12)
CPU = torch.device("cpu")
BUILD = BuildConfig(hidden_size=32, num_layers=2, num_heads=2)


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> Policy:
    made = load_policy(PolicyConfig(name="tiny", build=BUILD, device="cpu"))
    made.banned_ids = tuple(sorted({*made.banned_ids, *made.end_ids}))
    monkeypatch.setattr(bench_gpu, "SIZES", TINY)
    return made


def small(name: str) -> Any:
    """A named policy's configuration with few and narrow layers."""
    config = copy.deepcopy(pretrained(name).config)
    text, seeing = config.get_text_config(), config.vision_config
    text.hidden_size, text.intermediate_size, text.num_hidden_layers = 256, 32, 2
    text.num_attention_heads, text.num_key_value_heads = 2, 1
    if hasattr(text, "layer_types"):
        text.layer_types = ["full_attention"] * 2
    if hasattr(text, "cross_attention_layers"):
        text.cross_attention_layers = [1]
    for field, size in (("depth", 1), ("num_hidden_layers", 1), ("num_global_layers", 1)):
        if hasattr(seeing, field):
            setattr(seeing, field, size)
    for field in ("out_hidden_size", "vision_output_dim"):
        if hasattr(seeing, field):
            setattr(seeing, field, 256 if field == "out_hidden_size" else seeing.hidden_size)
    return config


def test_bytes_of_a_decoding_step_and_trained_parameters(policy: Policy) -> None:
    blocks = sum(p.numel() for p in policy.model.model.layers.parameters())
    vocabulary = policy.model.config.vocab_size
    assert read_parameters(policy) == blocks
    columns = 3 * (9 + 6 // 2)  # rows, each with its prompt and half of its answer
    cache = columns * 2 * 32 * 2  # keys and values, of width 32, in two layers
    assert decoded_bytes(policy, TINY) == 4 * (blocks + vocabulary * 32 + cache)


def test_shares_are_of_what_the_machine_allows(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpu_workloads.timed", lambda work, device: work() or 0.5)
    machine = replace(DEVICES["h100"], bandwidth_gb_s=2e-3, tflops_16=1e-5)
    found = decoding(policy, TINY, machine)
    assert found.tokens_s == 3 * 6 / 0.5
    assert found.share == pytest.approx(6 * decoded_bytes(policy, TINY) / 2e6 / 0.5)
    found = training(policy, TINY, machine)
    assert found.tokens_s == 2 * 12 / 0.5
    assert found.share == pytest.approx(6 * read_parameters(policy) * 24 / 0.5 / 1e7)


@pytest.mark.parametrize("share", [0.5, 1.5])
def test_the_benchmarks_run_as_they_stand(
    policy: Policy,
    share: float,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Their assertions too: a share of half is fine, one above all is a mistake in the count."""
    seconds = 0.1
    monkeypatch.setattr("gpu_workloads.timed", lambda work, device: work() or seconds)
    monkeypatch.setattr(
        bench_gpu, "compiled_decoder", lambda model: FixedDecoder(model, backend="eager")
    )
    read = TINY.new * decoded_bytes(policy, TINY) / seconds / 1e9
    products = 6 * read_parameters(policy) * TINY.train_rows * TINY.train_tokens / seconds / 1e12
    machine = replace(DEVICES["h100"], bandwidth_gb_s=read / share, tflops_16=products / share)
    monkeypatch.setattr(bench_gpu, "machine", lambda: machine)
    runs = [
        bench_gpu.test_decoding_against_the_bandwidth,
        bench_gpu.test_compiled_decoding_is_no_slower,
        bench_gpu.test_training_against_the_peak,
    ]
    for run in runs:
        with pytest.raises(AssertionError) if share > 1 else nullcontext():
            run(policy)
    assert policy.decoder is None
    told = capsys.readouterr().out
    assert told.count("tokens/s") == 3
    assert "compiled: 180 tokens/s, 1.00 times" in told


@pytest.mark.parametrize("times", [0.5, 2.0])
def test_memory_is_held_against_the_plan(
    policy: Policy, times: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = shape_of(PolicyConfig(name="tiny", build=BUILD, device="cpu"))
    kept = activations(shape, TINY.train_rows * TINY.train_tokens, checkpointing=True) * times
    monkeypatch.setattr(bench_gpu, "planned", lambda policy: shape)
    monkeypatch.setattr("gpu_workloads.Meter.now", lambda self: kept)
    with pytest.raises(AssertionError) if times > 1 else nullcontext():
        bench_gpu.test_memory_is_what_the_plan_says(policy)


def test_the_gpu_at_hand_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100 80GB HBM3")
    assert bench_gpu.machine() == DEVICES["h100"]
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA RTX 9000")
    with pytest.raises(pytest.skip.Exception, match="no figures for nvidia_rtx_9000"):
        bench_gpu.machine()


@pytest.mark.slow
@pytest.mark.parametrize("name", bench_gpu.NAMES)
def test_named_policies_with_random_weights_decode_and_train(name: str) -> None:
    policy = random_policy(small(name), CPU, torch.float32)
    assert policy.model.config.model_type == pretrained(name).config.model_type
    machine = DEVICES["cpu"]
    assert decoding(policy, TINY, machine).tokens_s > 0
    assert training(policy, TINY, machine).tokens_s > 0
    train(policy, TINY)
    assert bench_gpu.planned(policy).parameters.total > 3e9
