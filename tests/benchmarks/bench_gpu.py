"""Large shapes on a GPU: `make bench BENCH=tests/benchmarks/bench_gpu.py` where there is one.

Random weights of the 3 B and 11 B policies in bfloat16, built in place, so nothing is downloaded.
Decoding is held against the time in which the memory can deliver the weights and the cache, and
training against the peak rate of matrix products (MFU: 6 operations per parameter and token), both
from `training.plan_config`; memory against what `cardinal plan` says. `test_gpu_workloads.py` runs
all of it on a CPU with tiny shapes.
"""

from collections.abc import Iterator

import pytest
import torch
from cardinal_gym.agents.adapters import recompute_activations
from cardinal_gym.agents.config import Dtype, PolicyConfig
from cardinal_gym.agents.families.pretrained import pretrained
from cardinal_gym.agents.fixed import compiled_decoder
from cardinal_gym.agents.policy import Policy
from cardinal_gym.training.plan_config import DEVICES, Device
from cardinal_gym.training.planning.shape import Shape, shape_of
from gpu_workloads import Sizes, decoding, kept_and_planned, random_policy, training

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]

NAMES = ("qwen2_5_vl_3b", "llama_3_2_11b_vision")
SIZES = Sizes()


@pytest.fixture(scope="module", params=NAMES)
def policy(request: pytest.FixtureRequest) -> Iterator[Policy]:
    config = pretrained(request.param).config
    made = random_policy(config, torch.device("cuda"), torch.bfloat16)
    yield made
    made.model.to("meta")
    torch.cuda.empty_cache()


def test_decoding_against_the_bandwidth(policy: Policy) -> None:
    found = decoding(policy, SIZES, machine())
    tell(f"{policy.family.value}: {found.tokens_s:,.0f} tokens/s, {found.share:.0%} of bandwidth")
    assert 0.02 < found.share <= 1.0  # more than all is a mistake in the count


def test_compiled_decoding_is_no_slower(policy: Policy) -> None:
    plain = decoding(policy, SIZES, machine())
    if policy.family.value == "mllama":
        pytest.skip("its decoding is not compiled")
    policy.decoder = compiled_decoder(policy.model)
    try:
        found = decoding(policy, SIZES, machine())
    finally:
        policy.decoder = None
    faster = found.tokens_s / plain.tokens_s
    tell(f"{policy.family.value}, compiled: {found.tokens_s:,.0f} tokens/s, {faster:.2f} times")
    assert faster > 0.9
    assert found.share <= 1.0


def test_training_against_the_peak(policy: Policy) -> None:
    recompute_activations(policy.model)
    found = training(policy, SIZES, machine())
    tell(
        f"{policy.family.value}: {found.tokens_s:,.0f} trained tokens/s, MFU {found.share:.0%}; "
        f"{found.used / 2**30:.1f} GiB beside the weights"
    )
    assert 0.05 < found.share <= 1.0


def test_memory_is_what_the_plan_says(policy: Policy) -> None:
    shape = planned(policy)
    size = sum(parameter.nbytes for parameter in policy.model.parameters())
    assert size == shape.parameters.total * shape.weight_bytes
    recompute_activations(policy.model)
    kept, expected = kept_and_planned(policy, SIZES, shape)
    tell(f"{policy.family.value}: {kept / 2**30:.2f} GiB kept, {expected / 2**30:.2f} planned")
    assert 0.2 * expected < kept < 1.2 * expected


def planned(policy: Policy) -> Shape:
    """What `cardinal plan` counts with."""
    kind = policy.model.config.model_type
    name = next(n for n in NAMES if pretrained(n).config.model_type == kind)
    return shape_of(PolicyConfig(name=name, path=pretrained(name).hub, dtype=Dtype.bfloat16))


def machine() -> Device:
    """The figures of the GPU at hand."""
    name = torch.cuda.get_device_name().lower().replace(" ", "_")
    found = [device for key, device in DEVICES.items() if key in name]
    if not found:
        pytest.skip(f"no figures for {name} in DEVICES")
    return found[0]


def tell(line: str) -> None:
    print(f"\n{line}")
