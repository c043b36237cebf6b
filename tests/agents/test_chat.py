"""Prompts grow by appending: what was sampled is never decoded and encoded again."""

import numpy as np
import pytest
from cardinal_gym.agents.chat import decode_answer, encode_answer, encode_first, encode_next
from cardinal_gym.agents.config import Family
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.types import Completion, ContextMode, Turn
from cardinal_gym.envs.core import Observation
from tinies import tiny
from toy import observation, picture

# Templates of other families, reduced to what matters here: where turns begin and end.
CHATML = (
    "{% for m in messages %}<bos>{{ m['role'] }}\n{{ m['content'] | trim }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<bos>assistant\n{% endif %}"
)


def turn(policy: Policy, seen: Observation, ids: tuple[int, ...], history: list[Turn]) -> Turn:
    return Turn(
        observation=seen,
        prompt_ids=encode_next(policy, history, seen).new_ids,
        completion=Completion(text="", token_ids=ids),
        reward=0.0,
        reward_terms={},
        outcome="wrong_value",
        success=False,
        feedback="wrong",
    )


def pieces(policy: Policy, ids: tuple[int, ...]) -> list[str]:
    return policy.tokenizer.convert_ids_to_tokens(list(ids))


def test_the_first_prompt_is_the_rendered_template(text_policy: Policy) -> None:
    prompt = encode_first(text_policy, observation("rule J = 10"))
    assert pieces(text_policy, prompt.ids) == [
        *("<bos>", "<user>", "rule", "J", "=", "10", "<assistant>")
    ]  # fmt: skip


@pytest.mark.parametrize("ended", [True, False])
def test_a_later_prompt_starts_with_the_earlier_one_and_the_sampled_ids(
    text_policy: Policy, ended: bool
) -> None:
    end = text_policy.end_ids[0]
    sampled = (25, 9, end) if ended else (25, 9)
    history: list[Turn] = []
    before: tuple[int, ...] = ()
    for _ in range(3):
        seen = Observation(text="target 24", update="target 24" if not history else "wrong")
        prompt = encode_next(text_policy, history, seen)
        assert prompt.ids == before + prompt.new_ids
        history.append(turn(text_policy, seen, sampled, history))
        before = prompt.ids + sampled
    glue = [] if ended else ["<end>"]
    assert pieces(text_policy, prompt.new_ids) == [*glue, "<user>", "wrong", "<assistant>"]


def test_sampled_ids_that_no_encoder_would_give_are_kept(text_policy: Policy) -> None:
    odd = tuple(text_policy.tokenizer.convert_tokens_to_ids(["1", "0", "<end>"]))
    first = observation("target 24")
    history = [turn(text_policy, first, odd, [])]
    prompt = encode_next(text_policy, history, observation("again"))
    assert prompt.ids[len(history[0].prompt_ids) :][: len(odd)] == odd


def test_single_turn_mode_shows_the_present_observation_alone() -> None:
    policy = tiny(Family.text, ContextMode.single_turn)
    history = [turn(policy, observation("target 24"), (25, 9), [])]
    later = Observation(text="target 24 last 5 wrong", update="wrong")
    assert encode_next(policy, history, later) == encode_first(policy, later)


def test_another_template_is_appended_to_in_the_same_way() -> None:
    policy = tiny(Family.text)
    policy.tokenizer.chat_template = CHATML
    end = policy.end_ids[0]
    history = [turn(policy, observation("target 24"), (25, 9, end), [])]
    prompt = encode_next(policy, history, observation("wrong"))
    fresh = policy.tokenizer.apply_chat_template(
        [
            {"role": "user", "content": "target 24"},
            {"role": "assistant", "content": "MARK"},
            {"role": "user", "content": "wrong"},
        ],
        add_generation_prompt=True,
        tokenize=False,
    )
    head, tail = (policy.tokenizer.encode(part) for part in fresh.split("MARK"))
    assert list(prompt.ids) == [*head, 25, 9, *tail]


def test_an_answer_to_imitate_ends_with_the_end_token(text_policy: Policy) -> None:
    ids = encode_answer(text_policy, '{"cards": ["5"]')
    assert ids[-1] == text_policy.end_ids[0]
    assert decode_answer(text_policy, ids) == '{"cards": ["5"]'.replace(" ", " ")


def test_a_picture_takes_one_placeholder_before_the_text(vision_policy: Policy) -> None:
    prompt = encode_first(vision_policy, observation("target 24", picture(0)))
    assert pieces(vision_policy, prompt.ids)[:3] == ["<bos>", "<user>", "<image>"]
    assert len(prompt.images) == 1


def test_a_conversation_shows_a_picture_again_only_when_it_changes(vision_policy: Policy) -> None:
    history = [turn(vision_policy, observation("target 24", picture(0)), (25, 9), [])]
    same = encode_next(vision_policy, history, observation("wrong", picture(0)))
    other = encode_next(vision_policy, history, observation("wrong", picture(1)))
    assert len(same.images) == 1
    assert "<image>" not in pieces(vision_policy, same.new_ids)
    assert np.array_equal(other.images[1], picture(1))
    assert pieces(vision_policy, other.new_ids).count("<image>") == 1


def test_a_text_policy_refuses_a_picture(text_policy: Policy) -> None:
    with pytest.raises(ValueError, match="family text cannot see"):
        encode_first(text_policy, observation("target 24", picture(0)))
