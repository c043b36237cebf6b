"""The named policies at the true geometry of their pictures, ids and prompts, but very thin.

Real: configuration, picture processor and the ids of special tokens. Rebuilt: the tokenizer, which
knows single characters, and the chat template (see `chat_templates`). Random: two narrow layers.
"""

from functools import cache
from typing import Any

import torch
from cardinal_gym.agents.families import family_of
from cardinal_gym.agents.families.pretrained import pretrained
from cardinal_gym.agents.policy import Policy
from chat_templates import DIALECTS, Dialect
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
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
CHARACTERS = "".join(map(chr, range(32, 127))) + "\n"
FIRST = 3  # ids of characters start where no dialect has a special token


@cache
def narrow(name: str) -> Policy:
    """A named policy; shared by the tests, to be left as it is."""
    told = pretrained(name)
    settings = told.config.to_dict()
    text = settings.get("text_config", settings)
    text.update({**NARROW, "num_hidden_layers": 2})
    text.pop("layer_types", None)  # as many as there were layers
    if "cross_attention_layers" in text:
        text["cross_attention_layers"] = [1]
    if "mrope_section" in (text.get("rope_parameters") or {}):
        text["rope_parameters"]["mrope_section"] = [4, 2, 2]
    if told.processor is not None:
        settings["vision_config"].update(NARROW_TOWER[told.config.model_type])
    config = AutoConfig.for_model(**settings)
    family = family_of(config.model_type)
    torch.manual_seed(0)
    model = family.auto_class.from_config(config).eval()
    family.initialize(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)
    processor = None if told.processor is None else family.processor_class(**told.processor)
    return Policy(model, local_tokenizer(DIALECTS[name]), processor=processor)


def local_tokenizer(dialect: Dialect) -> PreTrainedTokenizerFast:
    """Characters, and the dialect's special tokens at their true ids."""
    characters = {letter: i for i, letter in enumerate(CHARACTERS, start=FIRST)}
    core = Tokenizer(models.WordLevel({**characters, **dialect.special}, unk_token=dialect.pad))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=dialect.bos,
        eos_token=dialect.end,
        pad_token=dialect.pad,
        additional_special_tokens=[t for t in dialect.special if t not in dialect.plain],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens([AddedToken(word, special=False) for word in dialect.plain])
    tokenizer.chat_template = dialect.template
    return tokenizer
