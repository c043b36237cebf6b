"""Every model type that a family names is loaded by it, whichever of them it builds itself."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from cardinal_gym.agents.adapters import targets
from cardinal_gym.agents.blocks import known_blocks
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import Family, LoraConfig, PolicyConfig
from cardinal_gym.agents.families import FAMILIES, block_classes
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from tinies import tiny
from toy import observation, picture

# Types that no tiny policy is built of, with what their configurations call their parts.
OTHERS: dict[str, tuple[Family, dict[str, Any]]] = {
    "qwen2": (Family.text, {"architectures": ["Qwen2ForCausalLM"]}),
    "smolvlm": (
        Family.idefics3,
        {
            "architectures": ["SmolVLMForConditionalGeneration"],
            "vision_config": {"model_type": "smolvlm_vision"},
        },
    ),
}


def score(policy: Policy) -> torch.Tensor:
    image = None if policy.vision is None else picture(0)
    prompt = encode_first(policy, observation("target 24", image))
    ids, mask = [*prompt.ids, 20, 21], [0] * len(prompt.ids) + [1, 1]
    row = Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=prompt.images)
    return token_logprobs(policy, collate(policy, [row]))[0, -2:]


def test_all_types_are_known_here(policies: dict[Family, Policy]) -> None:
    built = {policy.model.config.model_type for policy in policies.values()}
    named = {name for spec in FAMILIES.values() for name in spec.model_types}
    assert named == built | set(OTHERS)


@pytest.mark.parametrize("kind", list(OTHERS))
def test_a_type_that_is_not_built_is_loaded_scored_and_can_be_adapted_and_split(
    kind: str, tmp_path: Path
) -> None:
    family, changes = OTHERS[kind]
    plain = tiny(family)
    plain.save(tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    for name, value in {"model_type": kind, **changes}.items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    file.write_text(json.dumps(config), encoding="utf-8")
    policy = load_policy(PolicyConfig(name="other", path=str(tmp_path), device="cpu"))
    assert policy.family is family
    assert policy.model.config.model_type == kind
    found = score(policy)
    assert torch.isfinite(found).all()
    if family is not Family.text:  # Qwen2 has biases, which Llama has not
        torch.testing.assert_close(found, score(plain))
    assert len(known_blocks(policy.model)) == 2
    assert len(targets(policy.model, LoraConfig(rank=2))) == 2 * 7
    names = FAMILIES[family].blocks
    assert all(block.__name__ in names for block in block_classes(policy.model))
