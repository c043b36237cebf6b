"""The named policies at their true shapes: counts, adapters, wrapping and pictures, no weights."""

from typing import Any

import numpy as np
import pytest
import torch
from cardinal_gym.agents.adapters import targets
from cardinal_gym.agents.chat import encode_first
from cardinal_gym.agents.config import LANGUAGE_LINEARS, LoraConfig
from cardinal_gym.agents.families import block_classes, family_of
from cardinal_gym.agents.families.pretrained import (
    parameters,
    pretrained,
    pretrained_names,
    without_weights,
)
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from toy import observation
from transformers import AutoConfig, PreTrainedTokenizerFast

NARROW: dict[str, Any] = {  # widths and depths; everything that shapes a picture stays true
    "hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "head_dim": 16,
    "num_key_value_heads": 1,
}  # fmt: skip
NARROW_TOWER: dict[str, dict[str, Any]] = {
    "mllama": {"hidden_size": 16, "num_hidden_layers": 1, "num_global_layers": 1,
               "attention_heads": 2, "intermediate_size": 16, "intermediate_layers_indices": [0],
               "vision_output_dim": 32},
    "qwen2_5_vl": {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
                   "fullatt_block_indexes": [0], "out_hidden_size": 32},
    "qwen3_vl": {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
                 "deepstack_visual_indexes": [0], "out_hidden_size": 32},
    "idefics3": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                 "intermediate_size": 16},
    "llava_onevision": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                        "intermediate_size": 16},
}  # fmt: skip
# What a picture of 640 x 480 takes, by hand: Qwen2.5-VL 17 x 23 squares of 28 px, Qwen3-VL 15 x 20
# of 32 px; SmolVLM 3 x 4 tiles and the whole of 64 ids each, with their marks and line ends;
# LLaVA-OneVision 27 x 27 and a newline; Mllama one.
IMAGE_IDS = {
    "llama_3_2_11b_vision": 1, "qwen2_5_vl_3b": 391, "qwen2_5_vl_7b": 391, "qwen3_vl_4b": 300,
    "qwen3_vl_8b": 300, "smolvlm_256m": 13 * 64, "llava_onevision_0_5b": 730,
}  # fmt: skip
SPECIAL = ("<unk>", "<eos>", "<user>", "<assistant>")
ROWS = tuple(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5))
MARKS = ("<fake_token_around_image>", "<global-img>", *ROWS)
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>"
    "{% for part in message['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}"
    "{% if message['role'] == 'assistant' %}<eos>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


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
        prompt = encode_first(policy, observation("a b c", image))
        assert prompt.ids.count(policy.vision.image_token_id) == IMAGE_IDS[name]
        ids = [*prompt.ids, *policy.tokenizer.encode("d e")]
        mask = [0] * len(prompt.ids) + [1, 1]
        rows.append(Row(ids=ids, mask=mask, logprobs=[0.0] * len(ids), images=prompt.images))
    with torch.no_grad():
        logp = token_logprobs(policy, collate(policy, rows))[:, -2:]
    assert torch.isfinite(logp).all()
    assert not torch.equal(logp[0], logp[1])


def narrow(name: str) -> Policy:
    """A named policy with a true geometry of pictures and true ids, but two thin layers."""
    told = pretrained(name)
    settings = told.config.to_dict()
    text, tower = settings["text_config"], settings["vision_config"]
    text.update({**NARROW, "num_hidden_layers": 2})
    text.pop("layer_types", None)  # as many as there were layers
    if "cross_attention_layers" in text:
        text["cross_attention_layers"] = [1]
    if "mrope_section" in (text.get("rope_parameters") or {}):
        text["rope_parameters"]["mrope_section"] = [4, 2, 2]
    tower.update(NARROW_TOWER[told.config.model_type])
    config = AutoConfig.for_model(**settings)
    family = family_of(config.model_type)
    torch.manual_seed(0)
    model = family.auto_class.from_config(config).eval()
    family.initialize(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)
    processor = family.processor_class(**(told.processor or {}))
    image_id = getattr(config, "image_token_id", None) or config.image_token_index
    return Policy(model, local_tokenizer(int(image_id)), processor=processor)


def local_tokenizer(image_id: int) -> PreTrainedTokenizerFast:
    """Words a to z, with the picture's placeholder at the id that the model expects."""
    words = [*SPECIAL, *MARKS, *"abcdefghijklmnopqrstuvwxyz\n"]
    ids = {**{word: i for i, word in enumerate(words)}, "<image>": image_id}
    core = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"\S|\n"), "removed", invert=True)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="<unk>",
        eos_token="<eos>",
        pad_token="<unk>",
        additional_special_tokens=[*SPECIAL[2:], *MARKS, "<image>"],
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer
