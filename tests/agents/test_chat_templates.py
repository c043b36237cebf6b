"""Conversations in the named policies' own manner: prompts grow by appending, whatever it is.

Real are the ids of special tokens, the picture processors and what stands for a picture; the
templates are rebuilt with what is special about the real ones (see `chat_templates`), and ordinary
text is single characters.
"""

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.agents.chat import encode_answer, encode_first, encode_next
from cardinal_gym.agents.config import BuildConfig, PolicyConfig
from cardinal_gym.agents.policy import Policy, load_policy
from cardinal_gym.agents.tokens import text_content
from cardinal_gym.agents.types import Completion, Turn
from cardinal_gym.envs.core import Observation
from chat_templates import DIALECTS
from narrow import narrow
from test_pretrained import IMAGE_IDS

# Two turns with a picture each, the first answered with "12", as text; [] is a whole picture.
QWEN = (
    "<|im_start|>user\n<|vision_start|>[]<|vision_end|>Sum?<|im_end|>\n"
    "<|im_start|>assistant\n12<|im_end|>\n"
    "<|im_start|>user\n<|vision_start|>[]<|vision_end|>Wrong.<|im_end|>\n"
    "<|im_start|>assistant\n"
)
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
CONVERSATIONS = {
    "llama_3_2_11b_vision": (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n[]Sum?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n12<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n[]Wrong.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "qwen2_5_vl_3b": SYSTEM + QWEN,
    "qwen2_5_vl_7b": SYSTEM + QWEN,
    "qwen3_vl_4b": QWEN,
    "qwen3_vl_8b": QWEN,
    "smolvlm_256m": (
        "<|im_start|>User:[]Sum?<end_of_utterance>\nAssistant:12<end_of_utterance>\n"
        "User:[]Wrong.<end_of_utterance>\nAssistant:"
    ),
    "llava_onevision_0_5b": (
        "<|im_start|>user []\nSum?<|im_end|><|im_start|>assistant\n12<|im_end|>"
        "<|im_start|>user []\nWrong.<|im_end|><|im_start|>assistant\n"
    ),
    "qwen3_0_6b": (
        "<|im_start|>user\nSum?<|im_end|>\n<|im_start|>assistant\n12<|im_end|>\n"
        "<|im_start|>user\nWrong.<|im_end|>\n<|im_start|>assistant\n"
    ),
}
TILES = re.compile(  # what SmolVLM writes for a picture: marked tiles, then the whole
    r"(<fake_token_around_image><row_\d_col_\d>\[\]\n?)*\n<fake_token_around_image><global-img>"
    r"\[\]<fake_token_around_image>"
)


def seen(text: str, seed: int | None = None) -> Observation:
    image = None
    if seed is not None:
        image = np.random.default_rng(seed).integers(0, 256, (480, 640, 3), np.uint8)
    return Observation(text=text, update=text, image=image)


def answered(policy: Policy, observation: Observation, answer: str) -> Turn:
    """A first turn and its answer, as sampled."""
    return Turn(
        observation=observation,
        prompt_ids=encode_first(policy, observation).new_ids,
        completion=Completion(text=answer, token_ids=encode_answer(policy, answer)),
        reward=0.0, reward_terms={}, outcome="wrong_value", success=False, feedback="",
    )  # fmt: skip


def text_of(name: str, ids: tuple[int, ...]) -> str:
    """The text of a prompt with [] in the place of every picture."""
    text = narrow(name).tokenizer.decode(list(ids), skip_special_tokens=False)
    image = DIALECTS[name].image
    if image is not None:
        text = re.sub(f"({re.escape(image)})+", "[]", text)
    return TILES.sub("[]", text)


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_second_prompt_is_the_first_the_answer_and_what_the_template_puts_between(
    name: str,
) -> None:
    policy, sees = narrow(name), name in IMAGE_IDS
    first = answered(policy, seen("Sum?", 0 if sees else None), "12")
    prompt = encode_next(policy, [first], seen("Wrong.", 1 if sees else None))
    assert text_of(name, prompt.ids) == CONVERSATIONS[name]
    so_far = (*first.prompt_ids, *first.completion.token_ids)
    assert prompt.ids == (*so_far, *prompt.new_ids)
    assert len(prompt.images) == 2 * sees
    if sees:
        assert policy.vision is not None
        assert prompt.ids.count(policy.vision.image_token_id) == 2 * IMAGE_IDS[name]
    start = policy.tokenizer.bos_token_id
    assert start is None or prompt.ids.count(start) == 1


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_an_answer_ends_as_its_turn_does_and_holds_no_mark_of_a_turn(name: str) -> None:
    policy, dialect = narrow(name), DIALECTS[name]
    assert policy.end_ids[0] == dialect.special[dialect.end]
    marks = {i for token, i in dialect.special.items() if token not in (dialect.end, dialect.image)}
    never = marks - {dialect.special[token] for token in dialect.plain} - set(policy.end_ids)
    assert never <= set(policy.banned_ids)


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_an_answer_that_was_cut_is_ended_before_the_next_turn(name: str) -> None:
    policy = narrow(name)
    turn = answered(policy, seen("Sum?"), "12")
    ended = encode_next(policy, [turn], seen("Wrong."))
    sampled = turn.completion.token_ids
    cut = Turn(
        observation=turn.observation, prompt_ids=turn.prompt_ids,
        completion=Completion(text="12", token_ids=sampled[:-1]), reward=0.0, reward_terms={},
        outcome="wrong_value", success=False, feedback="",
    )  # fmt: skip
    assert encode_next(policy, [cut], seen("Wrong.")).ids == ended.ids


def test_thoughts_that_the_template_would_drop_stay() -> None:
    """What was sampled is trained on, so what was read later must have it too: one row, not two."""
    policy, thought = narrow("qwen3_0_6b"), "<think>\nSix and six.\n</think>\n\n12"
    turn = answered(policy, seen("Sum?"), thought)
    prompt = encode_next(policy, [turn], seen("Wrong."))
    assert prompt.ids == (*turn.prompt_ids, *turn.completion.token_ids, *prompt.new_ids)
    text = text_of("qwen3_0_6b", prompt.ids)
    assert text == CONVERSATIONS["qwen3_0_6b"].replace("12", thought)
    messages = [
        {"role": "user", "content": "Sum?"},
        {"role": "assistant", "content": thought},
        {"role": "user", "content": "Wrong."},
    ]
    fresh = policy.tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=False
    )
    assert fresh == CONVERSATIONS["qwen3_0_6b"]  # without them


def test_answers_are_asked_for_without_thoughts_where_the_template_has_the_choice(
    tmp_path: Path,
) -> None:
    narrow("qwen3_0_6b").save(tmp_path)
    plain = PolicyConfig(name="tiny", path=str(tmp_path), device="cpu")
    prompts = {}
    for thinking in (None, True, False):
        policy = load_policy(replace(plain, thinking=thinking))
        first = answered(policy, seen("Sum?"), "12")
        second = encode_next(policy, [first], seen("Wrong."))
        assert second.ids[: len(first.prompt_ids)] == first.prompt_ids
        prompts[thinking] = [text_of("qwen3_0_6b", ids) for ids in (first.prompt_ids, second.ids)]
    assert prompts[None] == prompts[True]
    assert prompts[False][0] == prompts[None][0] + "<think>\n\n</think>\n\n"
    assert prompts[False][1].count("<think>\n\n</think>\n\n") == 2
    policy.save(tmp_path / "silent")  # the choice goes with the policy, and can be taken back
    silent = replace(plain, path=str(tmp_path / "silent"))
    for chosen, wanted in ((None, False), (False, False), (True, True)):
        loaded = load_policy(replace(silent, thinking=chosen))
        ids = encode_first(loaded, seen("Sum?")).ids
        assert text_of("qwen3_0_6b", ids) == prompts[wanted][0]


def test_a_choice_of_thinking_that_a_template_does_not_have_is_refused() -> None:
    tiny = PolicyConfig(name="tiny", build=BuildConfig(), device="cpu", thinking=False)
    with pytest.raises(ValueError, match=r"policy.thinking must be null .* got false"):
        load_policy(tiny)


def test_a_date_in_the_template_is_the_same_every_day() -> None:
    name = "llama_3_2_11b_vision"
    prompt = encode_first(narrow(name), seen("Sum?"))
    assert text_of(name, prompt.ids) == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024"
        "\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nSum?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    messages = [{"role": "user", "content": "Sum?"}]
    plain = narrow(name).tokenizer.apply_chat_template(messages, tokenize=False)
    assert f"Today Date: {datetime.now():%d %b %Y}" in plain  # what transformers would say


def test_a_picture_in_a_later_turn_leaves_the_beginning_as_it_was() -> None:
    """Rendered afresh, Llama's conversation would lose its date: not what the policy has read."""
    policy = narrow("llama_3_2_11b_vision")
    turn = answered(policy, seen("Sum?"), "12")
    prompt = encode_next(policy, [turn], seen("Wrong.", 1))
    text = text_of("llama_3_2_11b_vision", prompt.ids)
    assert text.startswith("<|begin_of_text|><|start_header_id|>system<|end_header_id|>")
    assert text.endswith(CONVERSATIONS["llama_3_2_11b_vision"].partition("Sum?")[2])
    assert len(prompt.images) == 1


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_texts_are_given_in_the_form_that_the_template_reads(name: str) -> None:
    policy = narrow(name)
    assert policy.text_as_parts == (name in ("smolvlm_256m", "llava_onevision_0_5b"))
    assert "Sum?" in text_of(name, encode_first(policy, seen("Sum?")).ids)
    content = text_content("Sum?", not policy.text_as_parts)
    if policy.text_as_parts:
        lost = [{"role": "user", "content": content}]
        assert "Sum?" not in policy.tokenizer.apply_chat_template(lost, tokenize=False)
