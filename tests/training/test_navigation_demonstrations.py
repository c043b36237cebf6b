"""Demonstrations of walks: an oracle's episode takes many answers, and errors on the way."""

from itertools import pairwise

import pytest
from cardinal_gym.agents.chat import decode_answer
from cardinal_gym.agents.config import Family
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.rows import Row
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.training.demonstrations import (
    Conversation,
    bare_env,
    encode_rows,
    oracle_conversation,
)
from toys import experiment
from walks import PAIRS, open_walk, shown, streets_policy, told

SEEDS = range(8)


def right_answers(conversation: Conversation) -> list[str]:
    turns = zip(conversation.answers, conversation.imitated, strict=True)
    return [answer for answer, imitated in turns if imitated]


@pytest.mark.parametrize(("rule", "wording"), PAIRS)
def test_the_oracle_walks_to_the_end_and_errs_without_ending_the_walk(
    rule: str, wording: str
) -> None:
    """Played again, answer by answer, in another environment."""
    config = told().env.shifted(rule=rule, wording=wording)
    env, judge = open_walk(config), open_walk(config)
    num_wrong = 0
    for seed in SEEDS:
        conversation = oracle_conversation(env, seed, seed % 4)
        observed, info = judge.reset(seed=seed)
        assert conversation.task_id == info["task_id"]
        terminated = truncated = False
        turns = zip(
            conversation.observations, conversation.answers, conversation.imitated, strict=True
        )
        for seen, answer, imitated in turns:
            assert not terminated
            assert (seen.text, seen.update) == (observed["text"], observed["update"])
            observed, _, terminated, truncated, info = judge.step(answer)
            assert info["correct"] is imitated
            assert info["recognized"]
            assert not truncated
        assert terminated
        assert info["success"]
        assert sum(conversation.imitated) == info["num_places"]
        num_wrong += conversation.imitated.count(False)
    assert num_wrong > len(SEEDS) // 2


def wrong_places(conversation: Conversation) -> list[int]:
    """At which of the right answers the wrong ones came first."""
    imitated = conversation.imitated
    return [sum(imitated[:k]) for k, is_right in enumerate(imitated) if not is_right]


def test_errors_come_at_seeded_places_all_along_the_walk() -> None:
    config = told().env.shifted(attempts=4)
    env, other = open_walk(config), open_walk(config)
    shares = []
    for seed in range(40):
        conversation = oracle_conversation(env, seed, 3)
        assert conversation == oracle_conversation(other, seed, 3)
        assert conversation.imitated.count(False) == 3  # four attempts: never the last
        straight = oracle_conversation(env, seed, 0)
        assert all(straight.imitated)
        assert right_answers(conversation) == list(straight.answers)
        shares += [place / len(straight.answers) for place in wrong_places(conversation)]
    assert min(shares) == 0.0
    assert max(shares) > 0.8
    assert 0.3 < sum(shares) / len(shares) < 0.6


@pytest.mark.parametrize(("attempts", "most"), [(1, 0), (2, 1), (3, 2)])
def test_no_error_is_made_that_would_end_the_walk(attempts: int, most: int) -> None:
    env = open_walk(told().env.shifted(attempts=attempts))
    crowds = []
    for seed in range(40):
        places = wrong_places(oracle_conversation(env, seed, 3))
        crowds += [places.count(place) for place in range(20)]
    assert max(crowds) == most


def test_a_walk_that_takes_too_many_answers_is_refused_in_one_line() -> None:
    env = open_walk(told().env.shifted(max_turns=3))
    with pytest.raises(ValueError, match=r"^max_turns must allow city-.* to be solved; got 3$"):
        oracle_conversation(env, 0, 0)


def test_at_cards_all_wrong_attempts_still_come_first() -> None:
    env = bare_env(experiment("env=gp_text", "env.max_turns=5").env)
    for seed in SEEDS:
        wrong = seed % 4
        conversation = oracle_conversation(env, seed, wrong)
        assert conversation.imitated == (False,) * wrong + (True,)


def without_spaces(texts: list[str]) -> list[str]:
    """Between words the tiny tokenizers drop them, see `agents/tokenizer.py`."""
    return ["".join(text.split()) for text in texts]


def imitated_texts(policy: Policy, row: Row) -> list[str]:
    """What the mask covers, a text without spaces for each stretch of it."""
    assert len(row.ids) == len(row.mask) == len(row.logprobs)
    edges = [k for k, (a, b) in enumerate(pairwise([0, *row.mask, 0])) if a != b]
    spans = zip(edges[::2], edges[1::2], strict=True)
    return without_spaces([decode_answer(policy, row.ids[a:b]) for a, b in spans])


def plain_chat(policy: Policy, conversation: Conversation) -> list[int]:
    """The whole conversation through the chat template at once."""
    messages = []
    for turn, (seen, answer) in enumerate(
        zip(conversation.observations, conversation.answers, strict=True)
    ):
        messages.append({"role": "user", "content": seen.update if turn else seen.text})
        messages.append({"role": "assistant", "content": answer})
    rendered = policy.tokenizer.apply_chat_template(messages, tokenize=False)
    return policy.tokenizer.encode(rendered, add_special_tokens=False)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return streets_policy()


@pytest.mark.parametrize(("rule", "wording"), [("absolute", "both"), ("relative", "other")])
def test_in_concat_a_walk_is_one_row_with_every_right_answer_in_the_mask(
    policy: Policy, rule: str, wording: str
) -> None:
    env = open_walk(told().env.shifted(rule=rule, wording=wording))
    for seed in SEEDS:
        conversation = oracle_conversation(env, seed, seed % 3)
        (row,) = encode_rows(policy, conversation)
        assert imitated_texts(policy, row) == without_spaces(right_answers(conversation))
        assert row.ids == plain_chat(policy, conversation)[: len(row.ids)]
        assert row.mask[-1] == 1
        assert len(row.ids) < policy.max_context


def test_in_single_turn_every_right_answer_is_a_row_of_its_own() -> None:
    policy = streets_policy(context=ContextMode.single_turn)
    wrong = policy.tokenizer.convert_tokens_to_ids("wrong")
    env = open_walk(told().env)
    for seed in SEEDS:
        conversation = oracle_conversation(env, seed, 2)
        rows = encode_rows(policy, conversation)
        texts = [text for row in rows for text in imitated_texts(policy, row)]
        assert texts == without_spaces(right_answers(conversation))
        assert len(rows) == len(texts)
        turns = list(zip(conversation.observations, (True, *conversation.imitated), strict=False))
        learnt = [turn for turn, right in zip(turns, conversation.imitated, strict=True) if right]
        for row, (seen, is_first_try) in zip(rows, learnt, strict=True):
            prompt = row.ids[: row.mask.index(1)]
            alone = [{"role": "user", "content": seen.text}]
            rendered = policy.tokenizer.apply_chat_template(
                alone, tokenize=False, add_generation_prompt=True
            )
            assert prompt == policy.tokenizer.encode(rendered, add_special_tokens=False)
            assert (wrong in prompt) is not is_first_try  # told so before it tries again


@pytest.mark.parametrize(
    ("family", "context"),
    [(Family.qwen_vl, ContextMode.concat), (Family.mllama, ContextMode.single_turn)],
)
def test_a_row_shows_the_picture_of_every_place_it_passes(
    family: Family, context: ContextMode
) -> None:
    policy = streets_policy(family, context)
    assert policy.vision is not None
    env = open_walk(shown().env)
    for seed in range(4):
        conversation = oracle_conversation(env, seed, 1)
        rows = encode_rows(policy, conversation)
        assert conversation.imitated.count(False) == 1
        texts = [text for row in rows for text in imitated_texts(policy, row)]
        assert texts == without_spaces(right_answers(conversation))
        assert sum(len(row.images) for row in rows) == conversation.imitated.count(True)
        for row in rows:
            found = row.ids.count(policy.vision.image_token_id)
            assert found == policy.vision.num_placeholders(row.images) > 0
