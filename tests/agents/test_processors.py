"""The named policies beside transformers' own processors and forwards, at full geometry.

Two turns with a picture of 640 x 480 in each (Mllama: one); LLaVA-OneVision's pictures are one tile
each, as transformers has them where there are several. What is rebuilt: see `narrow`.
"""

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from cardinal_gym.agents.chat import Prompt, encode_first, encode_next
from cardinal_gym.agents.rows import Row, collate
from cardinal_gym.agents.scoring import token_logprobs
from chat_templates import DIALECTS
from narrow import narrow
from test_chat_templates import CONVERSATIONS, answered, seen
from test_pretrained import IMAGE_IDS

ONE_PICTURE = "llama_3_2_11b_vision"
PROCESSORS = {
    "mllama": ("MllamaProcessor", None),
    "qwen2_5_vl": ("Qwen2_5_VLProcessor", "Qwen2VLVideoProcessor"),
    "qwen3_vl": ("Qwen3VLProcessor", "Qwen3VLVideoProcessor"),
    "idefics3": ("Idefics3Processor", None),
    "llava_onevision": ("LlavaOnevisionProcessor", "LlavaOnevisionVideoProcessor"),
}


def prompt_of(name: str) -> Prompt:
    policy = narrow(name)
    if name == ONE_PICTURE:
        return encode_first(policy, seen("Sum?", 0))
    return encode_next(policy, [answered(policy, seen("Sum?", 0), "12")], seen("Wrong.", 1))


def processed(name: str, images: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """The conversation through transformers' processor; it needs torchvision where videos are."""
    policy: Any = narrow(name)
    config = policy.model.config
    kind, video = PROCESSORS[config.model_type]
    parts: dict[str, Any] = {}
    if video is not None:
        pytest.importorskip("torchvision")
        parts["video_processor"] = getattr(transformers, video)()
    tower = config.vision_config
    if config.model_type == "idefics3":
        patches = (tower.image_size // tower.patch_size) ** 2
        parts["image_seq_len"] = patches // config.scale_factor**2
    if config.model_type == "llava_onevision":
        parts["num_image_tokens"] = (tower.image_size // tower.patch_size) ** 2
        parts["vision_feature_select_strategy"] = config.vision_feature_select_strategy
    processor = getattr(transformers, kind)(
        image_processor=policy.vision.processor, tokenizer=policy.tokenizer, **parts
    )
    image = DIALECTS[name].image
    assert image is not None
    text = CONVERSATIONS[name]
    if name == ONE_PICTURE:
        text = text.partition("12")[0]
    inputs = processor(
        text=[text.replace("[]", image)],
        images=[images],
        input_data_format="channels_last",
        add_special_tokens=False,
        return_tensors="pt",
    )
    return dict(inputs)


def by_hand(name: str, ids: torch.Tensor, images: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """What the model's own forward wants, without a processor."""
    policy: Any = narrow(name)
    inputs = policy.vision.processor(
        [images], input_data_format="channels_last", return_tensors="pt"
    )
    inputs.pop("num_crops", None)
    if policy.model.config.model_type.startswith("qwen"):
        inputs["mm_token_type_ids"] = (ids == policy.vision.image_token_id).long()
    return dict(inputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(IMAGE_IDS))
def test_transformers_processor_makes_the_same_prompt_and_pixels(name: str) -> None:
    policy: Any = narrow(name)
    prompt = prompt_of(name)
    inputs = processed(name, list(prompt.images))
    assert inputs["input_ids"][0].tolist() == list(prompt.ids)
    ids = torch.tensor([prompt.ids])
    mine = policy.vision.batch([prompt.images], ids, torch.ones_like(ids))["pixel_values"]
    theirs = inputs["pixel_values"]
    assert mine.numel() == theirs.numel()
    assert torch.equal(mine.flatten(), theirs.flatten())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(IMAGE_IDS))
def test_the_models_own_forward_gives_the_same_scores(name: str) -> None:
    policy: Any = narrow(name)
    prompt, answer = prompt_of(name), policy.tokenizer.encode("24.")
    ids = torch.tensor([[*prompt.ids, *answer]])
    mask = [0] * len(prompt.ids) + [1] * len(answer)
    row = Row(ids=ids[0].tolist(), mask=mask, logprobs=[0.0] * len(mask), images=prompt.images)
    images = list(prompt.images)
    if name == ONE_PICTURE:
        inputs = processed(name, images)
        seen_by = inputs["cross_attention_mask"]
        more = seen_by[:, -1:].expand(-1, len(answer), -1, -1)
        inputs["cross_attention_mask"] = torch.cat([seen_by, more], 1)
    else:
        inputs = by_hand(name, ids, images)
    inputs |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        found = token_logprobs(policy, collate(policy, [row]), with_banned=True)[0]
        logp = policy.model(**inputs).logits[0].log_softmax(-1)
    wanted = logp[-len(answer) - 1 : -1].gather(-1, torch.tensor(answer)[:, None])[:, 0]
    torch.testing.assert_close(found[-len(answer) :], wanted, rtol=1e-4, atol=1e-4)
