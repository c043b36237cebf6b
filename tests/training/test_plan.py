"""`cardinal plan`: its numbers are those of models that are really built, trained and decoded."""

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import BuildConfig, Family, LoraConfig, PolicyConfig, SamplingConfig
from cardinal_gym.agents.engine import Engine
from cardinal_gym.agents.families.pretrained import pretrained
from cardinal_gym.agents.fixed import FixedDecoder
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.scoring import hidden_states
from cardinal_gym.agents.types import StreamKey
from cardinal_gym.envs.core import Observation
from cardinal_gym.training.config import BudgetConfig, ExperimentConfig, OptimConfig
from cardinal_gym.training.distributed import Workers
from cardinal_gym.training.distributed_config import DistributedConfig, Offload, Sharding
from cardinal_gym.training.launch import compose_experiment
from cardinal_gym.training.loop import TrainState
from cardinal_gym.training.plan_config import DEVICES, PlanConfig
from cardinal_gym.training.planning.estimate import estimate, suggestions
from cardinal_gym.training.planning.memory import (
    activations,
    block_bytes,
    kv_cache,
    memory,
    static_cache,
)
from cardinal_gym.training.planning.roofline import Rates, decode_s, step_time
from cardinal_gym.training.planning.shape import shape_of
from cardinal_gym.training.planning.table import as_text
from cardinal_gym.training.planning.workload import Workload, picture
from cardinal_gym.training.schema import register

SMALL = BuildConfig(hidden_size=64, num_layers=3, num_heads=4, vision_hidden_size=16, tile_size=28)
WORK = Workload(
    groups=2, members=4, turns=1, prompt=20, update=0, answer=8, row_per_turn=False, images=0,
    limit=1024,
)  # fmt: skip

register()


@cache  # composing takes a quarter of a second; nobody changes what it gives
def planned(*overrides: str) -> ExperimentConfig:
    """The configuration of `cardinal plan` with these overrides."""
    config = compose_experiment("plan", list(overrides))
    assert isinstance(config, ExperimentConfig)
    return config


def tiny(family: Family, **settings: Any) -> PolicyConfig:
    build = replace(SMALL, family=family)
    return PolicyConfig(name="tiny", build=build, device="cpu", **settings)


def experiment(policy: PolicyConfig, **plan: Any) -> ExperimentConfig:
    return ExperimentConfig(policy=policy, plan=PlanConfig(**plan))


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("frozen", [False, True], ids=["all trained", "vision frozen"])
def test_parameters_are_those_of_the_model(family: Family, frozen: bool) -> None:
    config = tiny(family, freeze_vision=frozen)
    shape, policy = shape_of(config), load_policy(config)
    assert shape.parameters.total == policy.num_parameters
    assert shape.trained == policy.num_trained
    assert shape.parameters.vision == sum(p.numel() for p in policy.vision_parameters())


def test_adapters_are_counted_as_peft_makes_them(tmp_path) -> None:
    pytest.importorskip("peft")
    load_policy(tiny(Family.qwen3)).save(tmp_path)
    config = PolicyConfig(
        name="tiny", path=str(tmp_path), device="cpu", lora=LoraConfig(rank=4)
    )  # fmt: skip
    shape, policy = shape_of(config), load_policy(config)
    assert shape.trained == shape.adapters == policy.num_trained


def test_weights_gradients_and_moments_take_what_torch_allocates() -> None:
    config = tiny(Family.qwen_vl)
    policy = load_policy(config)
    optim = OptimConfig()
    state = TrainState.create(policy, optim, BudgetConfig(steps=1), Workers("cpu"))
    for parameter in policy.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    gradients = sum(p.grad.nbytes for p in policy.model.parameters() if p.grad is not None)
    state.apply_gradients()
    kept = [t for group in state.optimizer.state.values() for t in group.values()]

    found = memory(experiment(config), shape_of(config), WORK, None)
    assert found.weights == sum(p.nbytes for p in policy.model.parameters())
    assert found.gradients == gradients
    assert found.optimizer == sum(tensor.nbytes for tensor in kept)


@pytest.mark.parametrize("family", [Family.text, Family.qwen3])
@pytest.mark.parametrize("again", [False, True], ids=["all kept", "computed again"])
def test_activations_are_near_what_autograd_keeps(family: Family, again: bool) -> None:
    config = tiny(family, gradient_checkpointing=again)
    policy = load_policy(config)
    ids = torch.arange(256).view(4, 64) % len(policy.tokenizer)
    kept = saved_bytes(policy, ids)
    shape = shape_of(config)
    expected = activations(shape, ids.numel(), checkpointing=again)
    if again:  # one block's own are there only while it is computed again
        expected -= ids.numel() * block_bytes(shape)
    assert kept == pytest.approx(expected, rel=0.05)


def saved_bytes(policy: Policy, ids: torch.Tensor) -> int:
    """Bytes that autograd keeps of a forward pass beside the parameters."""
    own = {p.untyped_storage().data_ptr() for p in policy.model.parameters()}
    found: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        states = hidden_states(policy.model, ids)
    assert states.requires_grad
    return sum(found.values())


@pytest.mark.parametrize("in_fixed_shapes", [False, True])
def test_the_cache_takes_what_the_engine_allocates(in_fixed_shapes: bool) -> None:
    config = tiny(Family.qwen3)
    policy = load_policy(config)
    policy.end_ids = ()  # every answer runs to its limit
    if in_fixed_shapes:
        policy.decoder = FixedDecoder(policy.model, compiled=False)
    engine: Engine[int] = Engine(policy, SamplingConfig(max_new_tokens=WORK.answer))
    for i in range(WORK.episodes):
        text = " ".join(["rule", *"2345678"[i // WORK.members :][:5]])
        prompt = encode_first(policy, Observation(text=text, update=text))
        engine.submit(i, prompt, StreamKey(seed=0, step=0, group=i // 4, member=i % 4))
    while not engine.advance():
        pass
    work, shape = replace(WORK, prompt=len(prompt.ids)), shape_of(config)
    layers = engine._prompts.cache.layers
    held = sum(each.prompt_keys.nbytes + each.prompt_values.nbytes for each in layers)
    own = sum(each.own_keys.nbytes + each.own_values.nbytes for each in layers)
    assert kv_cache(shape, work, 1, None, own=not in_fixed_shapes) == held + (
        0 if in_fixed_shapes else own
    )
    if policy.decoder is not None:
        store = policy.decoder._store
        assert store is not None
        kept = sum(each.nbytes for pair in store.own + store.shared for each in pair)
        assert static_cache(shape, work, 1) == kept > held + own


@pytest.mark.parametrize(
    ("name", "ids"),
    [("qwen2_5_vl_3b", 391), ("smolvlm_256m", 13 * 68 - 12 + 4), ("llama_3_2_11b_vision", 1)],
)
def test_a_picture_takes_the_ids_that_the_processor_gives_it(name: str, ids: int) -> None:
    config = planned(f"policy={name}", "policy.max_image_tokens=null")
    found, _ = picture(config, shape_of(config.policy), np.zeros((480, 640, 3), np.uint8))
    assert found == pytest.approx(ids, abs=16)  # with the marks around its tiles


def test_decoding_is_slower_with_more_rows_and_ids_and_less_bandwidth() -> None:
    config = planned("policy=qwen2_5_vl_3b", "hardware=1xh100")
    shape = shape_of(config.policy)
    rates = replace(Rates.of(config, shape), layer_s=0.0)
    by_rows = [decode_s(rates, shape, rows, 1000 * rows) for rows in (1, 8, 64, 512, 4096)]
    by_ids = [decode_s(rates, shape, 8, ids) for ids in (0, 10_000, 1_000_000)]
    by_bandwidth = [
        decode_s(replace(rates, bandwidth=rates.bandwidth / f), shape, 8, 100) for f in (1, 2, 4)
    ]
    for times in (by_rows, by_ids, by_bandwidth):
        assert all(before < after for before, after in pairwise(times))
    weights = shape.decoded * 2 / (3350e9 * config.plan.bandwidth_share)
    assert by_ids[0] == pytest.approx(weights, rel=0.01)  # one row: little but the weights


def test_more_devices_take_less_time_and_split_weights_less_memory() -> None:
    config = planned("policy=qwen2_5_vl_3b", "hardware=8xh100")
    first = estimate(replace(config, distributed=DistributedConfig()))
    found = [
        first.under(replace(first.config, plan=replace(config.plan, num_devices=n)))
        for n in (2, 4, 8)
    ]
    assert all(a.time.step_s > b.time.step_s for a, b in pairwise(found))
    whole, zero2, fsdp2, one, two, three = (
        first.under(replace(first.config, distributed=DistributedConfig(sharding=sharding))).memory
        for sharding in Sharding
    )
    assert fsdp2.always == zero2.always < 0.13 * whole.always
    assert fsdp2.update < zero2.update < whole.update
    assert fsdp2.gathered_rollout == whole.weights  # every process decodes with all weights
    assert one.weights == two.weights == whole.weights > three.weights == fsdp2.weights
    assert 2 * one.gradients == whole.gradients > zero2.gradients  # ours are stepped in fp32
    assert 2 * two.gradients == 2 * three.gradients == zero2.gradients == fsdp2.gradients
    in_fp32 = 3 * 4 * first.shape.trained // 8  # AdamW's moments, and the weights that it moves
    assert one.optimizer - in_fp32 == three.optimizer - in_fp32 < 1e5
    on_host = DistributedConfig(sharding=Sharding.deepspeed_zero2, offload=Offload.optimizer)
    assert first.under(replace(first.config, distributed=on_host)).memory.optimizer < 1e5


def test_compute_is_what_a_run_logs() -> None:
    config = experiment(tiny(Family.text))
    shape = shape_of(config.policy)
    time = step_time(config, shape, WORK, None)
    trained, sampled = 8 * 28, 8 * 8
    flops = shape.parameters.total * (6 * trained + 2 * sampled)
    assert time.tflop == pytest.approx(flops / 1e12)


def test_a_row_is_an_episode_or_a_turn() -> None:
    turns = replace(WORK, turns=3, update=5)
    assert (turns.rows, turns.row_tokens) == (8, 20 + 8 + 2 * (5 + 8))
    alone = replace(turns, row_per_turn=True)
    assert (alone.rows, alone.row_tokens) == (24, 28)
    assert replace(turns, limit=40).row_tokens == 40


def test_the_studys_model_fits_a_node_once_what_is_suggested_is_turned_down() -> None:
    turned_up = ("distributed.sharding=none", "policy.gradient_checkpointing=false")
    found = estimate(planned("policy=llama_3_2_11b_vision", "hardware=8xh100", *turned_up))
    assert found.shape.parameters.total == pretrained("llama_3_2_11b_vision").num_parameters
    assert not found.fits
    made = suggestions(found)
    assert made[0].settings == "distributed.sharding=fsdp2"
    peaks = [found.memory.peak, *(s.peak for s in made)]
    assert all(before > after for before, after in pairwise(peaks))
    assert peaks[-1] <= found.limit
    settings = (*turned_up, *(s.settings for s in made))
    again = estimate(planned("policy=llama_3_2_11b_vision", "hardware=8xh100", *settings))
    assert again.fits
    assert again.memory.peak == peaks[-1]
    assert "It does not fit" in as_text(found)
    assert "It fits" in as_text(again)


@pytest.mark.parametrize("adapters", [0, 16])
def test_a_rollout_that_is_too_large_decodes_fewer_conversations_at_once(adapters: int) -> None:
    long = (
        "policy=qwen3_vl_8b",
        "hardware=one_80gb",
        "env.modality=image",
        "policy.max_context=16384",
        "grpo.max_new_tokens=2048",
        f"policy.lora.rank={adapters}",
    )
    found = estimate(planned(*long))
    assert found.memory.rollout > found.memory.update
    settings = [each.settings for each in suggestions(found)]
    assert settings[0].startswith("policy.max_rows=")
    assert "policy.gradient_checkpointing=true" in settings
    again = estimate(planned(*long, *settings))
    assert again.fits
    assert again.time.decode_s > found.time.decode_s  # what it costs
    twice = estimate(planned(*long, *settings, f"policy.max_rows={2 * again.work.max_rows}"))
    assert not twice.fits


def test_pictures_cost_memory_and_time() -> None:
    text, image = (
        estimate(planned("policy=qwen2_5_vl_3b", "hardware=1xh100", f"env={env}"))
        for env in ("gp_text", "gp_image")
    )
    assert image.memory.vision > text.memory.vision == 0
    assert image.work.images == 1
    frozen = replace(image.config.policy, freeze_vision=True)
    assert image.under(replace(image.config, policy=frozen)).memory.vision < image.memory.vision


def test_the_plan_as_json_is_complete() -> None:
    found = estimate(planned("hardware=cpu"))
    told = json.loads(json.dumps(found.as_dict()))
    assert told["parameters"]["total"] == found.shape.parameters.total
    assert told["memory_bytes"]["peak"] == found.memory.peak
    assert told["fits"] is True
    assert told["time"]["step_s"] > 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["plan.device=h10"], r"plan.device must be one of .*; got h10 \(did you mean h100\?\)"),
        (["policy=oracle"], "policy must have weights to plan for; 'oracle' has none"),
        (["policy=tiny_text", "policy.path=no/where"], "policy.path must be a policy whose shape"),
        (["policy=qwen3_0_6b", "env=gp_image"], "env.modality must be text for qwen3_0_6b"),
        (["policy=qwen3_0_6b", "policy.max_context=50"], "policy.max_context must hold a prompt"),
    ],
)
def test_a_mistake_is_told_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        estimate(planned(*overrides))
    assert "\n" not in str(caught.value)


def test_every_device_is_described_and_every_machine_has_one() -> None:
    for device in DEVICES.values():
        assert min(device.memory_gib, device.bandwidth_gb_s, device.tflops_16) > 0
    machines = {name: planned(f"hardware={name}").plan for name in ("one_24gb", "node_8x80gb")}
    assert {n: (p.device, p.num_devices) for n, p in machines.items()} == {
        "one_24gb": ("rtx_4090", 1),
        "node_8x80gb": ("h100", 8),
    }
