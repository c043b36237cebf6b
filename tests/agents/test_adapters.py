"""Adapters, frozen towers and recomputed activations: what is trained changes, and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cardinal_gym.agents.adapters import add_lora, recompute_activations, targets
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import (
    BuildConfig,
    Dtype,
    Family,
    LoraConfig,
    PolicyConfig,
    SamplingConfig,
)
from cardinal_gym.agents.generation import generate
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from tinies import SEEING, adapted, tiny
from toy import observation, picture, streams

LORA = LoraConfig(rank=2, alpha=4)


def score(policy: Policy, seeds: tuple[int, ...] = (0,)) -> torch.Tensor:
    """Log-probabilities of two given tokens after a prompt, with a picture each if it can see."""
    rows = []
    for seed in seeds:
        image = None if policy.vision is None else picture(seed)
        prompt = encode_first(policy, observation("target 24 cards 5 J", image))
        ids = [*prompt.ids, 20, 21]
        mask = [0] * len(prompt.ids) + [1, 1]
        rows.append(Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=prompt.images))
    return token_logprobs(policy, collate(policy, rows))


def train(policy: Policy, steps: int = 2) -> None:
    parameters = [p for p in policy.model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.5)
    for _ in range(steps):
        (-score(policy).sum()).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.fixture(params=[Family.qwen3, Family.mllama, Family.qwen3_vl])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Policy, Path]:
    """A policy and the folder where it is saved."""
    policy = tiny(request.param)
    policy.save(tmp_path / "base")
    return policy, tmp_path / "base"


def test_an_adapter_starts_as_its_base_and_is_saved_loaded_and_trained_alone(
    base: tuple[Policy, Path], tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    whole, folder = base
    policy = load_policy(PolicyConfig(name="l", path=str(folder), lora=LORA, device="cpu"))
    with torch.no_grad():
        assert torch.equal(score(policy), score(whole))
    frozen = {n: p.clone() for n, p in policy.model.named_parameters() if not p.requires_grad}
    train(policy)
    assert all(torch.equal(p, frozen[n]) for n, p in policy.model.named_parameters() if n in frozen)
    assert set(policy.state_dict()) == {
        n for n, _ in policy.model.named_parameters() if "lora" in n
    }
    policy.save(tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    again = load_policy(
        PolicyConfig(name="l", path=str(tmp_path / "adapter"), lora=LORA, device="cpu")
    )
    assert torch.equal(score(again), score(policy))
    assert not torch.equal(score(again), score(whole))
    assert again.num_trained == policy.num_trained == sum(p.numel() for p in again_trained(again))


def again_trained(policy: Policy) -> list[torch.nn.Parameter]:
    return [p for n, p in policy.model.named_parameters() if "lora" in n]


def test_adapters_on_a_base_of_16_bits_are_loaded_with_all_their_32(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    tiny(Family.text).save(tmp_path / "base")
    coarse = PolicyConfig(name="l", path=str(tmp_path / "base"), device="cpu", dtype=Dtype.bfloat16)
    policy = adapted(load_policy(coarse))
    policy.save(tmp_path / "adapter")
    again = load_policy(replace(coarse, path=str(tmp_path / "adapter")))
    assert again.model.dtype is torch.bfloat16
    for one, other in zip(again_trained(again), again_trained(policy), strict=True):
        assert one.dtype is torch.float32
        assert torch.equal(one, other)
    assert any(not torch.equal(p, p.bfloat16().float()) for p in again_trained(again))


def test_a_checkpoint_of_adapters_is_put_back_and_another_policys_is_refused(
    tmp_path: Path,
) -> None:
    pytest.importorskip("peft")
    tiny(Family.text).save(tmp_path)
    config = PolicyConfig(name="l", path=str(tmp_path), lora=LORA, device="cpu")
    trained, fresh = load_policy(config), load_policy(config)
    train(trained)
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(score(fresh), score(trained))
    with pytest.raises(ValueError, match=r"must hold the weights that this policy trains"):
        fresh.load_state_dict(tiny(Family.text).state_dict())


def test_a_missing_base_and_another_rank_are_one_line_each(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    tiny(Family.text).save(base)
    load_policy(PolicyConfig(name="l", path=str(base), lora=LORA, device="cpu")).save(adapter)
    other = PolicyConfig(name="l", path=str(adapter), lora=LoraConfig(rank=4, alpha=4))
    with pytest.raises(ValueError, match=r"must be those of the adapter in .*, 2 and 4; got 4"):
        load_policy(other)
    base.rename(tmp_path / "moved")
    with pytest.raises(ValueError, match=r"needs its base model: policy folder must exist"):
        load_policy(PolicyConfig(name="l", path=str(adapter)))


def test_lora_without_peft_or_on_a_new_policy_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(ValueError, match=r"pip install 'cardinal-gym\[lora\]'"):
        add_lora(tiny(Family.text).model, LORA)
    with pytest.raises(ValueError, match="must have a pretrained policy to adapt"):
        load_policy(PolicyConfig(name="new", build=BuildConfig(), lora=LORA))


def test_targets_are_language_layers_and_a_name_that_hits_none_is_told(policy: Policy) -> None:
    names = targets(policy.model, LORA)
    assert len(names) == 2 * 7  # two layers of seven linear maps
    assert not any("vis" in name for name in names)
    with pytest.raises(ValueError, match="got 'qproj', which names none"):
        targets(policy.model, LoraConfig(rank=2, targets=["qproj"]))


def test_recomputed_activations_give_the_same_gradient(policy: Policy) -> None:
    copy = tiny(policy.family)
    gradients = []
    for _ in range(2):
        score(copy, (0, 1)).sum().backward()
        gradients.append({n: p.grad for n, p in copy.model.named_parameters()})
        copy.model.zero_grad()
        recompute_activations(copy.model)
    assert copy.model.training
    for name, gradient in gradients[0].items():
        if gradient is not None:
            torch.testing.assert_close(gradients[1][name], gradient, msg=name)


@pytest.mark.parametrize("family", SEEING)
def test_a_frozen_tower_sees_each_picture_once_and_changes_nothing_else(family: Family) -> None:
    policy, thawed = tiny(family), tiny(family)
    policy.freeze_vision()
    calls: list[int] = []
    policy.vision.modules(policy.model)[0].register_forward_hook(lambda *_: calls.append(1))
    prompts = [encode_first(policy, observation("target 24", picture(i))) for i in (0, 1)]
    generate(policy, prompts, streams(2), SamplingConfig(max_new_tokens=2))
    scores = score(policy, (0, 1, 0))
    scores.sum().backward()  # of a rollout's features: they were not made in inference mode
    assert len(calls) == 2
    assert all(p.grad is None for p in policy.vision_parameters())
    assert policy.model.get_input_embeddings().weight.grad is not None
    torch.testing.assert_close(scores, score(thawed, (0, 1, 0)))
    torch.testing.assert_close(score(policy, (2, 0)), score(thawed, (2, 0)))
    assert len(calls) == 3
    assert policy.num_trained == policy.num_parameters - sum(
        p.numel() for p in policy.vision_parameters()
    )


def test_a_picture_can_be_limited_to_so_many_ids(tmp_path: Path) -> None:
    large = np.zeros((112, 112, 3), dtype=np.uint8)
    lengths = {}
    for family, most in ((Family.qwen_vl, 1), (Family.qwen3_vl, 1), (Family.idefics3, 4)):
        tiny(family).save(tmp_path / family.value)
        config = PolicyConfig(name="s", path=str(tmp_path / family.value), max_image_tokens=most)
        small = load_policy(config)
        lengths[family] = len(small.vision.expand((small.vision.image_token_id,), (large,)))
        assert lengths[family] <= most
    tiny(Family.llava_onevision).save(tmp_path / "fixed")
    with pytest.raises(ValueError, match="must be null for a policy of family llava_onevision"):
        load_policy(PolicyConfig(name="s", path=str(tmp_path / "fixed"), max_image_tokens=9))
