"""The word-level tokenizer speaks exactly the language of the compact prompts and answers."""

from pathlib import Path

import cardinal_gym.envs  # noqa: F401  (registers the environments)
import gymnasium as gym
import pytest
from cardinal_gym.agents.config import Vocabulary
from cardinal_gym.agents.tokenizer import UNK, build_tokenizer
from transformers import AutoTokenizer

TOKENIZER = build_tokenizer()
STREETS = build_tokenizer(vocabulary=Vocabulary.streets)
ANSWER = '{"cards": ["5", "J", "3", "A"], "number": [5, 10, 3, 1], "formula": "(5-3)*10+4=24"}'


def pieces(text: str) -> list[str]:
    return TOKENIZER.tokenize(text)


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        '{"cards": ["10", "K"], "number": [10, 99], "formula": "10*(99-99)/1=104"}',
        '{"cards": [], "number": [], "formula": ""}',
        f"<think>J=10, A=1; 5-3=2</think>\n<answer>{ANSWER}</answer>",
    ],
)
def test_answers_survive_encoding_and_decoding(answer: str) -> None:
    ids = TOKENIZER.encode(answer, add_special_tokens=False)
    assert TOKENIZER.decode(ids) == answer or "[]" in answer  # an empty list has a space to lose


@pytest.mark.parametrize("answer", ["json", "steps", "tagged"])
@pytest.mark.parametrize("rule", ["faces_as_ten", "faces_as_ranks", "aces_high"])
def test_episodes_of_many_targets_hold_no_unknown_word(rule: str, answer: str) -> None:
    env = gym.make(
        "cardinal/GeneralPoints-v0",
        rule=rule,
        answer=answer,
        targets=[1, 24, 60, 100],
        prompt="compact",
        feedback="detail",
        oracle_style="random",
    )
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        said = [env.unwrapped.flawed_action(), env.unwrapped.oracle_action()]
        asked = [observation["text"], env.step(said[0])[0]["text"]]
        for text in asked + said:
            assert UNK not in pieces(text)
        for text in said:
            ids = TOKENIZER.encode(text, add_special_tokens=False)
            assert TOKENIZER.decode(ids) == text


def test_an_answer_takes_about_thirty_tokens() -> None:
    assert len(pieces(ANSWER)) == 29


def test_a_compact_prompt_fits_forty_tokens_with_its_template() -> None:
    said = "rule J = 11 Q = 12 K = 13 A = 14 use + - * target 24 cards 5 J 3 A"
    ids = TOKENIZER.apply_chat_template(
        [{"role": "user", "content": said}], add_generation_prompt=True, return_dict=False
    )
    assert len(ids) <= 40
    assert TOKENIZER.unk_token_id not in ids


def test_numbers_up_to_99_are_one_token_and_larger_ones_are_spelt() -> None:
    assert pieces("0 7 10 99 100 1024 05") == [
        *("0", "7", "10", "99", "1", "0", "0", "1", "0", "2", "4", "0", "5")
    ]  # fmt: skip


def test_unknown_words_become_one_unknown_token() -> None:
    assert pieces("rule bananas é 24") == ["rule", UNK, UNK, "24"]


@pytest.mark.parametrize("mode", ["rail", "free"])
@pytest.mark.parametrize("wording", ["both", "matching", "other"])
@pytest.mark.parametrize("rule", ["absolute", "relative", "clock", "degrees"])
def test_walks_hold_no_unknown_word_and_fit_120(rule: str, wording: str, mode: str) -> None:
    env = gym.make(
        "cardinal/StreetNav-v0",
        city={"num_blocks": 4, "num_landmarks": 60},
        routes={"min_turns": 2, "max_turns": 3},
        rule=rule,
        wording=wording,
        mode=mode,
        prompt="compact",
        history=4,
    ).unwrapped
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        done = False
        while not done:
            flaw, answer = env.flawed_action(), env.oracle_action()
            said = [observation["text"], observation["update"], answer]
            if flaw is not None and mode == "rail":
                said += [flaw, *env.step(flaw)[0].values()]
            for text in said:
                assert UNK not in STREETS.tokenize(text), text
                assert len(STREETS.tokenize(text)) <= 120
            ids = STREETS.encode(answer, add_special_tokens=False)
            assert len(ids) <= (20 if mode == "rail" else 40)
            observation, _, done, _, info = env.step(STREETS.decode(ids))
            assert info["correct"]
            assert info["recognized"]
        assert info["success"]


def test_the_words_of_streets() -> None:
    assert STREETS.tokenize("turn slightly left 359 360 07 Otter Bank") == [
        *("turn", "slightly left", "359", "3", "6", "0", "0", "7", "Otter", "Bank")
    ]  # fmt: skip
    answer = '{"current observation": "nothing", "current instruction": "2", "action": "forward()"}'
    ids = STREETS.encode(answer, add_special_tokens=False)
    assert len(ids) == 7
    assert STREETS.decode(ids) == answer


def test_the_auto_class_reloads_the_same_tokenizer(tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.get_vocab() == TOKENIZER.get_vocab()
    assert again.encode(ANSWER) == TOKENIZER.encode(ANSWER)
    assert again.chat_template == TOKENIZER.chat_template
    assert again.eos_token_id == TOKENIZER.eos_token_id
