"""The named policies at their true shapes: counts, adapters, wrapping and pictures, no weights."""

import numpy as np
import pytest
import torch
from cardinal_gym.agents.adapters import targets
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import LANGUAGE_LINEARS, LoraConfig
from cardinal_gym.agents.families import block_classes
from cardinal_gym.agents.families.pretrained import (
    parameters,
    pretrained,
    pretrained_names,
    without_weights,
)
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from narrow import narrow
from toy import observation

# What a picture of 640 x 480 takes, by hand: Qwen2.5-VL 17 x 23 squares of 28 px, Qwen3-VL 15 x 20
# of 32 px; SmolVLM 3 x 4 tiles and the whole of 64 ids each, with their marks and line ends;
# LLaVA-OneVision 27 x 27 and a newline; Mllama one.
IMAGE_IDS = {
    "llama_3_2_11b_vision": 1, "qwen2_5_vl_3b": 391, "qwen2_5_vl_7b": 391, "qwen3_vl_4b": 300,
    "qwen3_vl_8b": 300, "smolvlm_256m": 13 * 64, "llava_onevision_0_5b": 730,
}  # fmt: skip


@pytest.mark.parametrize("name", pretrained_names())
def test_a_named_policy_has_the_parameters_that_the_hub_tells_and_parts_to_train_and_wrap(
    name: str,
) -> None:
    told = pretrained(name)
    assert parameters(told.config).total == told.num_parameters
    model = without_weights(told.config)
    text = told.config.get_text_config()
    found = targets(model, LoraConfig(rank=8))
    assert len(found) == text.num_hidden_layers * len(LANGUAGE_LINEARS)
    blocks = block_classes(model)
    assert len(blocks) >= (2 if told.processor else 1)
    inside = sum(
        p.numel() for module in model.modules() if type(module) in blocks
        for p in module.parameters()
    )  # fmt: skip
    assert inside > 0.5 * told.num_parameters


def test_parts_add_up_and_tied_heads_count_once() -> None:
    tied, untied = (parameters(pretrained(f"qwen2_5_vl_{size}").config) for size in ("3b", "7b"))
    assert (tied.head, untied.head) == (0, untied.embedding)
    assert 0.6e9 < tied.vision < 0.7e9
    assert parameters(pretrained("qwen3_0_6b").config).vision == 0


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"one of llama_3_2_11b_vision, .*; got 'gpt'"):
        pretrained("gpt")


@pytest.mark.parametrize("name", sorted(IMAGE_IDS))
def test_a_full_size_picture_goes_through_prompt_tower_and_scores(name: str) -> None:
    policy = narrow(name)
    images = [np.random.default_rng(i).integers(0, 256, (480, 640, 3), np.uint8) for i in (0, 1)]
    rows = []
    for image in images:
        prompt = encode_first(policy, observation("Name it.", image))
        assert prompt.ids.count(policy.vision.image_token_id) == IMAGE_IDS[name]
        ids = [*prompt.ids, *policy.tokenizer.encode("24")]
        mask = [0] * len(prompt.ids) + [1, 1]
        rows.append(Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=prompt.images))
    with torch.no_grad():
        logp = token_logprobs(policy, collate(policy, rows))[:, -2:]
    assert torch.isfinite(logp).all()
    assert not torch.equal(logp[0], logp[1])
