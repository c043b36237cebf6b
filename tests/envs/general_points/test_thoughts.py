"""The oracle thinks aloud, and every thing that it says is true."""

import re
from typing import Any

import numpy as np
import pytest
from cardinal_gym.agents.config import Vocabulary
from cardinal_gym.agents.tokenizer import UNK, build_tokenizer
from cardinal_gym.envs.general_points.answer import read_answer
from cardinal_gym.envs.general_points.config import AnswerFormat, GeneralPointsConfig
from cardinal_gym.envs.general_points.env import GeneralPointsEnv
from cardinal_gym.envs.general_points.expression import trace
from cardinal_gym.envs.general_points.rules import RULES, Rule
from cardinal_gym.envs.general_points.task import Task, make_task
from cardinal_gym.envs.general_points.thinking import think
from cardinal_gym.envs.general_points.thought import MARKS, ThoughtConfig, ThoughtWords
from cardinal_gym.envs.general_points.trace import read_trace, thought_of, thought_terms
from hypothesis import given
from hypothesis import strategies as st

TASK = make_task(("J", "5", "3"), RULES["faces_as_ten"], 15)
SEARCH = "J=10; 10+5=15, 15+3=18 no, 15-3=12 no back, 10-5=5, 5*3=15 yes"
TOKENIZER = build_tokenizer(vocabulary=Vocabulary.thoughts)
RANKS = st.sampled_from(["A", *map(str, range(2, 11)), "J", "Q", "K"])
THOUGHTS = st.builds(
    ThoughtConfig,
    dead_ends=st.tuples(st.integers(0, 2), st.integers(2, 6)).map(list),
    words=st.sampled_from(ThoughtWords),
    check=st.sampled_from([0.0, 0.5, 1.0]),
    check_times=st.tuples(st.integers(1, 2), st.integers(2, 4)).map(list),
)


def three_cards(**thought: Any) -> GeneralPointsEnv:
    """As the recipes play it: three cards, no division, a drawn target."""
    operators = ["+", "-", "*"]
    rules = [
        Rule(name=name, face_values=RULES[name].face_values, operators=operators)
        for name in ("faces_as_ten", "faces_as_ranks")
    ]
    return GeneralPointsEnv(
        answer="tagged", prompt="compact", num_cards=3, targets=list(range(1, 31)), rule=rules[0],
        solvable_under=rules, thought=thought,
    )  # fmt: skip


@given(
    st.lists(RANKS, min_size=2, max_size=5),
    st.integers(-5, 60),
    st.sets(st.sampled_from("+-*/"), min_size=1),
    THOUGHTS,
    st.integers(0, 2**32 - 1),
)
def test_every_thing_that_a_thought_says_is_true_and_leads_to_its_formula(
    ranks: list[str], target: int, operators: set[str], config: ThoughtConfig, seed: int
) -> None:
    rule = Rule(name="any", face_values={"J": 11, "A": 14}, operators=sorted(operators))
    task = make_task(ranks, rule, target)
    told = think(task, config, np.random.default_rng(seed))
    assert (told is not None) == task.is_solvable
    if told is None:
        return
    thought, formula = told
    found = read_trace(thought, task)
    assert found.is_sound
    assert found.path == trace(formula)
    assert found.dead_ends <= config.dead_ends[1]
    assert found.hits == 1 + found.checks
    assert found.rechecks == found.checks * len(found.path)
    assert found.checks == 0 or config.check_times[0] <= found.checks <= config.check_times[1]
    assert think(task, config, np.random.default_rng(seed)) == told


@given(st.text("0123456789+-*/=(), nobackyeschek;AJQK<>", max_size=120))
def test_any_text_can_be_read(text: str) -> None:
    found = read_trace(text, TASK)
    assert 0 <= found.true_steps <= found.steps
    assert 0 <= found.right_marks <= found.marks
    assert set(thought_terms(f"<think>{text}</think>").values()) <= {0.0, 1.0} or text


@pytest.mark.parametrize("text", ["5+5=0/0, (0/0)+3=4, (7/0)/5=(0/0)", "1" * 50_000, "no back yes"])
def test_odd_thoughts_are_read_and_are_not_sound(text: str) -> None:
    assert not read_trace(text, TASK).is_sound


def test_a_search_is_followed_step_by_step() -> None:
    found = read_trace(SEARCH, TASK)
    assert found.is_sound
    assert (found.steps, found.dead_ends, found.backs, found.hits) == (5, 2, 1, 1)
    assert found.path == ["10-5=5", "5*3=15"]
    assert (found.worths, found.rechecks, found.checks) == (1, 0, 0)


@pytest.mark.parametrize(
    ("said", "instead", "broken"),
    [
        ("15+3=18", "15+3=19", "true_steps"),
        ("15+3=18", "10+3=13", "usable_steps"),  # the ten is in the fifteen already
        ("15+3=18 no", "15+3=18 yes", "right_marks"),
        ("5*3=15 yes", "5*3=15 no", "right_marks"),
        ("15-3=12 no back", "15-3=12 no back back", "right_marks"),
        ("J=10", "J=11", "right_worths"),
    ],
)
def test_one_false_word_is_noticed(said: str, instead: str, broken: str) -> None:
    assert SEARCH.count(said) == 1
    found = read_trace(SEARCH.replace(said, instead), TASK)
    assert not found.is_sound
    assert getattr(found, broken) < getattr(read_trace(SEARCH, TASK), broken) or found.marks > 4


def test_words_of_no_vocabulary_are_counted() -> None:
    found = read_trace(f"{SEARCH} surely", TASK)
    assert (found.other_words, found.is_sound) == (1, False)


def test_a_step_made_again_on_the_present_path_is_a_recheck() -> None:
    checked = read_trace(f"{SEARCH} check, 10-5=5, 5*3=15 yes", TASK)
    assert (checked.rechecks, checked.checks, checked.is_sound) == (2, 1, True)
    again_elsewhere = read_trace("10-5=5, 5+3=8 no back, 10-5=5, 5*3=15 yes", TASK)
    assert again_elsewhere.rechecks == 0


def test_the_same_equation_over_other_cards_is_no_recheck() -> None:
    task = make_task(("5", "5", "5", "5"), RULES["faces_as_ten"], 20)
    assert read_trace("5+5=10, 5+5=10, 10+10=20 yes", task).rechecks == 0


def test_the_environment_takes_a_thought_for_an_answer() -> None:
    env = three_cards(dead_ends=[0, 4], words="mixed", check=0.5)
    for seed in range(60):
        env.reset(seed=seed)
        said = env.oracle_action()
        thought = thought_of(said)
        assert thought is not None
        assert read_trace(thought, env._task).is_sound
        formula = read_answer(said, AnswerFormat.tagged).formula
        assert formula is not None
        assert read_trace(thought, env._task).path == trace(formula)
        assert env.oracle_action() == said
        assert env.step(said)[4]["success"]


def test_more_dead_ends_are_asked_for_and_told() -> None:
    told = {}
    for asked in (0, 1, 3):
        env = three_cards(dead_ends=[asked, asked])
        counts, tokens = [], []
        for seed in range(40):
            env.reset(seed=seed)
            said = env.oracle_action()
            counts.append(read_trace(thought_of(said) or "", env._task).dead_ends)
            tokens.append(len(TOKENIZER.tokenize(said)))
        told[asked] = float(np.mean(counts)), float(np.mean(tokens))
        assert max(counts) == asked
        assert np.mean(counts) > 0.8 * asked or asked == 0
    assert told[0][1] < told[1][1] < told[3][1]
    assert told[0][1] < 50
    assert told[3][1] < 100


def test_steps_are_worked_out_as_often_as_is_asked_for() -> None:
    counts = set()
    env = three_cards(dead_ends=[0, 0], check=0.8, check_times=[2, 4])
    once = three_cards(dead_ends=[0, 0], check=0.8)
    for seed in range(40):
        for each in (env, once):
            each.reset(seed=seed)
        said, shorter = (thought_of(each.oracle_action()) or "" for each in (env, once))
        assert read_trace(said, env._task).is_sound
        assert said.startswith(shorter)  # nothing else is drawn differently
        counts.add(read_trace(said, env._task).checks)
    assert counts == {0, 2, 3, 4}


def test_the_tiny_tokenizer_knows_every_word_and_writes_it_back() -> None:
    env = three_cards(dead_ends=[0, 3], words="mixed", check=0.5)
    words: set[str] = set()
    for seed in range(80):
        observed, _ = env.reset(seed=seed)
        said = env.oracle_action()
        assert UNK not in TOKENIZER.tokenize(observed["text"]) + TOKENIZER.tokenize(said)
        assert TOKENIZER.decode(TOKENIZER.encode(said, add_special_tokens=False)) == said
        words |= set(re.findall("[a-z]+", thought_of(said) or ""))
    assert words == set(MARKS)


@pytest.mark.parametrize(("words", "share"), [("english", 1.0), ("french", 0.0)])
def test_thoughts_in_the_language_of_the_prompt_are_consistent(words: str, share: float) -> None:
    env = three_cards(dead_ends=[1, 3], words=words)
    for seed in range(5):
        env.reset(seed=seed)
        assert thought_terms(env.oracle_action())["consistency"] == share


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("<think>no</think>\n<answer>{}</answer>", 1.0),
        (" <think></think><answer></answer> ", 1.0),
        ("<answer>{}</answer>", 0.0),
        ("so <think>no</think>\n<answer>{}</answer>", 0.0),
        ("<think>no</think>\n<answer>{}</answer> so", 0.0),
        ("<think><think>no</think></think>\n<answer>{}</answer>", 0.0),
        ("<answer>{}</answer>\n<think>no</think>", 0.0),
    ],
)
def test_tags_are_paid_for_one_thought_and_then_one_answer(text: str, tags: float) -> None:
    assert thought_terms(text)["tags"] == tags


def test_mixed_words_are_paid_by_their_share_of_english() -> None:
    assert thought_terms("<think>1+1=2 no, 1+2=3 oui</think>")["consistency"] == 0.5
    assert thought_terms("<think>1+2=3</think>")["consistency"] == 0.0
    assert thought_terms("no yes")["consistency"] == 0.0


def test_terms_of_the_thought_are_paid_where_they_have_weights() -> None:
    env = GeneralPointsEnv(
        answer="tagged", thought={"words": "french"},
        reward={"kind": "weighted", "weights": {"accuracy": 1, "tags": 0.5, "consistency": 0.25}},
    )  # fmt: skip
    env.reset(seed=0)
    _, paid, _, _, info = env.step(env.oracle_action())
    assert paid == pytest.approx(1.5)
    assert (info["reward_terms"]["tags"], info["reward_terms"]["consistency"]) == (1.0, 0.0)
    plain = GeneralPointsEnv(answer="tagged")
    plain.reset(seed=0)
    assert "tags" not in plain.step(plain.oracle_action())[4]["reward_terms"]


@pytest.mark.parametrize(
    ("thought", "told"),
    [
        ({"dead_ends": [3, 1]}, r"thought.dead_ends must be \[fewest, most\].*got \[3, 1\]"),
        ({"dead_ends": 2}, "thought.dead_ends must be"),
        ({"words": "latin"}, "thought.words must be one of english, french, mixed; got 'latin'"),
        ({"check": 2}, r"thought.check must be in \[0, 1\]; got 2"),
        ({"check_times": [0, 2]}, r"thought.check_times must be .* from 1 on; got \[0, 2\]"),
        ({"length": 2}, "thought must have fields among dead_ends, words, check, check_times; got"),
        ("long", "thought must be null or a mapping of its fields; got 'long'"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(thought: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        GeneralPointsConfig(thought=thought)


def test_a_hand_without_a_solution_is_answered_without_a_search() -> None:
    task = Task(ranks=("2", "2"), values=(2, 2), rule=RULES["faces_as_ten"], target=23)
    assert think(task, ThoughtConfig(), np.random.default_rng(0)) is None
