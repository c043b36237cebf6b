"""How the named policies write a conversation: templates rebuilt with the traps of the real ones.

The real templates belong to their models and are not kept here. These were written anew, for users
and assistants alone: no tools, no system messages of one's own, and of Llama's system message the
date only. On conversations of one and two turns, with pictures and thoughts or without, they gave
what the published ones give (compared once, by hand). The special tokens have their true ids.

What each does that a plain template does not:

* Qwen3 drops the thoughts of every answer but the last, and gives the last empty ones if it had
  none: no prompt of a later turn begins with the one before. It lets one choose an answer without
  thoughts, which then begins behind empty ones.
* Qwen2.5-VL begins with a system message that nobody wrote.
* Llama 3.2 begins with today's date, but not if any picture is shown, in whatever turn.
* SmolVLM opens a conversation and not each turn, loses a content that is a plain string, and puts a
  space before an answer that it leaves out where one is to be given.
* LLaVA-OneVision writes a blank behind the role of an answer but not where one is to be given.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """special: tokens and their ids; plain: those among them that answers may have."""

    template: str
    special: dict[str, int]
    image: str | None
    end: str
    pad: str
    bos: str | None = None
    plain: tuple[str, ...] = ()


QWEN_ENDS = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}
QWEN_VISION = {"<|vision_start|>": 151652, "<|vision_end|>": 151653, "<|image_pad|>": 151655}
THOUGHTS = {"<think>": 151667, "</think>": 151668}

_QWEN_PARTS = (
    "<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' if part.type == 'image' else part.text }}"
    "{% endfor %}{% endif %}<|im_end|>\n"
)
_QWEN_ANSWER = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

QWEN3 = Dialect(
    template=(
        "{% set asked = namespace(last=-1) %}"
        "{% for m in messages %}{% if m.role == 'user' %}{% set asked.last = loop.index0 %}"
        "{% endif %}{% endfor %}"
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.role == 'assistant' %}"
        "{% set pieces = m.content.split('</think>') %}"
        "{% if loop.last and loop.index0 > asked.last %}<think>\n"
        "{{ pieces[0].split('<think>')[-1].strip('\n') if pieces | length > 1 else '' }}"
        "\n</think>\n\n{% endif %}"
        "{{ pieces[-1].lstrip('\n') }}"
        "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
        + _QWEN_ANSWER
        + "{% if add_generation_prompt and enable_thinking is defined and not enable_thinking %}"
        "<think>\n\n</think>\n\n{% endif %}"
    ),
    special={**QWEN_ENDS, **THOUGHTS},
    image=None,
    end="<|im_end|>",
    pad="<|endoftext|>",
    plain=tuple(THOUGHTS),
)
QWEN2_5_VL = Dialect(
    template=(
        "{% for m in messages %}{% if loop.first and m.role != 'system' %}"
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
        f"{_QWEN_PARTS}{{% endfor %}}{_QWEN_ANSWER}"
    ),
    special={**QWEN_ENDS, **QWEN_VISION},
    image="<|image_pad|>",
    end="<|im_end|>",
    pad="<|endoftext|>",
)
QWEN3_VL = Dialect(
    template="{% for m in messages %}" + _QWEN_PARTS + "{% endfor %}" + _QWEN_ANSWER,
    special={**QWEN_ENDS, **QWEN_VISION, **THOUGHTS},
    image="<|image_pad|>",
    end="<|im_end|>",
    pad="<|endoftext|>",
    plain=tuple(THOUGHTS),
)
_HEADER = "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
LLAMA_3_2_VISION = Dialect(
    template=(
        "{{ bos_token }}{% set shown = namespace(any=false) %}"
        "{% for m in messages %}{% for part in m.content %}{% if part.type == 'image' %}"
        "{% set shown.any = true %}{% endif %}{% endfor %}{% endfor %}"
        "{% if not shown.any %}<|start_header_id|>system<|end_header_id|>\n\n"
        "Today Date: {{ date_string if date_string is defined else strftime_now('%d %b %Y') }}"
        "\n\n<|eot_id|>{% endif %}"
        "{% for m in messages %}" + _HEADER + "{% if m.content is string %}{{ m.content }}"
        "{% else %}{% for part in m.content %}"
        "{{ '<|image|>' if part.type == 'image' else part.text }}"
        "{% endfor %}{% endif %}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{{ '\n\n' }}"
        "{% endif %}"
    ),
    special={
        "<|begin_of_text|>": 128000, "<|finetune_right_pad_id|>": 128004,
        "<|start_header_id|>": 128006, "<|end_header_id|>": 128007, "<|eot_id|>": 128009,
        "<|image|>": 128256,
    },
    image="<|image|>",
    end="<|eot_id|>",
    pad="<|finetune_right_pad_id|>",
    bos="<|begin_of_text|>",
)  # fmt: skip
SMOLVLM = Dialect(
    template=(
        "<|im_start|>{% for m in messages %}{{ m.role | capitalize }}:"
        "{{ '' if m.content[0].type == 'image' else ' ' }}{% for part in m.content %}"
        "{{ '<image>' if part.type == 'image' else part.text }}{% endfor %}"
        "<end_of_utterance>\n{% endfor %}{{ 'Assistant:' if add_generation_prompt else '' }}"
    ),
    special={
        "<|endoftext|>": 0, "<|im_start|>": 1, "<global-img>": 49152,
        **{f"<row_{row + 1}_col_{column + 1}>": 49153 + 6 * row + column
           for row in range(6) for column in range(6)},
        "<fake_token_around_image>": 49189, "<image>": 49190, "<end_of_utterance>": 49279,
    },
    image="<image>",
    end="<end_of_utterance>",
    pad="<|endoftext|>",
    bos="<|im_start|>",
)  # fmt: skip
LLAVA_ONEVISION = Dialect(
    template=(
        "{% for m in messages %}<|im_start|>{{ m.role }} "
        "{% for part in m.content if part.type == 'image' %}<image>{% endfor %}"
        "{% for part in m.content if part.type == 'text' %}{% if m.role == 'assistant' %}"
        "{% generation %}{{ '\n' + part.text }}{% endgeneration %}"
        "{% else %}{{ '\n' + part.text }}{% endif %}{% endfor %}<|im_end|>{% endfor %}"
        + _QWEN_ANSWER
    ),
    special={**QWEN_ENDS, "<image>": 151646},
    image="<image>",
    end="<|im_end|>",
    pad="<|endoftext|>",
)
DIALECTS = {
    "llama_3_2_11b_vision": LLAMA_3_2_VISION, "llava_onevision_0_5b": LLAVA_ONEVISION,
    "qwen2_5_vl_3b": QWEN2_5_VL, "qwen2_5_vl_7b": QWEN2_5_VL, "qwen3_0_6b": QWEN3,
    "qwen3_vl_4b": QWEN3_VL, "qwen3_vl_8b": QWEN3_VL, "smolvlm_256m": SMOLVLM,
}  # fmt: skip
