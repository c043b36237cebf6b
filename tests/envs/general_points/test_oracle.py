import json
from itertools import product

import cardinal_gym.envs  # noqa: F401  (registers the environments)
import gymnasium as gym
import numpy as np
import pytest
from cardinal_gym.envs.general_points.answer import read_answer
from cardinal_gym.envs.general_points.config import AnswerFormat, OracleStyle
from cardinal_gym.envs.general_points.oracle import flawed_answer, oracle_answer, oracle_formula
from cardinal_gym.envs.general_points.reward import GeneralPointsOutcome, assess
from cardinal_gym.envs.general_points.rules import RULES, Rule
from cardinal_gym.envs.general_points.task import make_task

TASK = make_task(("5", "J", "3", "A"), RULES["faces_as_ten"], 24)
MAXIMUM = {"study": 5.0, "binary": 1.0, "weighted": 1.2}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("reward", MAXIMUM)
@pytest.mark.parametrize("answer", AnswerFormat)
def test_the_oracle_earns_the_maximum_return(rule: str, reward: str, answer: AnswerFormat) -> None:
    for prompt, style, split in product(
        ("study", "compact"), ("first", "shortest", "random"), ("train", "eval")
    ):
        env = gym.make(
            "cardinal/GeneralPoints-v0",
            rule=rule,
            reward=reward,
            answer=answer,
            prompt=prompt,
            oracle_style=style,
            split=split,
        )
        for seed in range(4):
            env.reset(seed=seed)
            _, paid, terminated, truncated, info = env.step(env.unwrapped.oracle_action())
            assert info["outcome"] == "correct"
            assert (terminated, truncated) == (True, False)
            assert paid == info["episode_return"] == pytest.approx(MAXIMUM[reward])


@pytest.mark.parametrize("num_cards", [2, 3, 5, 6])
def test_the_oracle_solves_other_numbers_of_cards(num_cards: int) -> None:
    env = gym.make("cardinal/GeneralPoints-v0", num_cards=num_cards, split="all")
    for seed in range(3):
        env.reset(seed=seed)
        assert env.step(env.unwrapped.oracle_action())[4]["success"]


def test_the_oracle_keeps_to_the_allowed_operators() -> None:
    for operators in (["-", "*"], ["+", "/"], ["+", "-"]):
        rule = Rule(name="few", face_values={"J": 10, "Q": 10, "K": 10}, operators=operators)
        env = gym.make("cardinal/GeneralPoints-v0", rule=rule, solvable_under=[], split="all")
        for seed in range(5):
            env.reset(seed=seed)
            assert env.step(env.unwrapped.oracle_action())[4]["success"]


def test_the_answer_is_stable() -> None:
    assert oracle_answer(TASK) == (
        '{"cards": ["5", "J", "3", "A"], "number": [5, 10, 3, 1], "formula": "10*3-5-1=24"}'
    )
    assert oracle_answer(TASK, answer=AnswerFormat.steps) == (
        '{"cards": ["5", "J", "3", "A"], "number": [5, 10, 3, 1], '
        '"steps": "10*3=30, 30-5=25, 25-1=24", "formula": "10*3-5-1=24"}'
    )
    assert oracle_answer(TASK, answer=AnswerFormat.tagged) == (
        "<think>5=5, J=10, 3=3, A=1; 10*3=30, 30-5=25, 25-1=24</think>\n"
        f"<answer>{oracle_answer(TASK)}</answer>"
    )


def test_the_working_ends_in_the_target_and_uses_fractions_where_the_formula_does() -> None:
    task = make_task(("3", "3", "8", "8"), RULES["faces_as_ten"], 24)
    answer = json.loads(oracle_answer(task, answer=AnswerFormat.steps))
    assert list(answer) == ["cards", "number", "steps", "formula"]
    assert answer["steps"] == "8/3=8/3, 3-(8/3)=1/3, 8/(1/3)=24"
    assert answer["formula"] == "8/(3-8/3)=24"


@pytest.mark.parametrize("working", ['"steps": "1+1=3", ', '"steps": [["?"]], ', ""])
def test_the_formula_alone_decides_whatever_the_working_says(working: str) -> None:
    said = f'{{"cards": ["5", "J", "3", "A"], "number": [5, 10, 3, 1], {working}"formula": '
    right = assess(read_answer(said + '"10*3-5-1=24"}', AnswerFormat.steps), TASK)
    assert right.outcome is GeneralPointsOutcome.correct
    assert right.recognized
    wrong = assess(read_answer(said + '"10*3-5+1=24"}', AnswerFormat.steps), TASK)
    assert wrong.outcome is GeneralPointsOutcome.wrong_value
    only = assess(read_answer('{"steps": "10*3=30, 30-5=25, 25-1=24"}', AnswerFormat.steps), TASK)
    assert only.outcome is GeneralPointsOutcome.no_answer


def test_the_styles() -> None:
    task = make_task(("A", "2", "3", "4"), RULES["faces_as_ten"], 24)
    assert oracle_formula(task, OracleStyle.shortest) == "4*3*2*1"
    rng = np.random.default_rng(0)
    drawn = {oracle_formula(task, OracleStyle.random, rng) for _ in range(100)}
    assert len(drawn) == 4
    with pytest.raises(ValueError, match="rng must be given"):
        oracle_formula(task, OracleStyle.random)


def test_a_hand_out_of_reach_gets_a_legal_formula_over_its_numbers() -> None:
    task = make_task(("A", "A", "A", "A"), RULES["faces_as_ten"], 24)
    for style in OracleStyle:
        found = assess(
            read_answer(oracle_answer(task, style, np.random.default_rng(0)), AnswerFormat.json),
            task,
        )
        assert found.outcome is GeneralPointsOutcome.wrong_value


@pytest.mark.parametrize("answer", AnswerFormat)
def test_a_flawed_answer_is_well_formed_and_wrong(answer: AnswerFormat) -> None:
    rng = np.random.default_rng(0)
    drawn = set()
    for _ in range(20):
        text = flawed_answer(TASK, rng, answer)
        assert text is not None
        found = assess(read_answer(text, answer), TASK)
        assert found.outcome is GeneralPointsOutcome.wrong_value
        assert found.recognized
        assert found.numbers_right
        drawn.add(text)
    assert len(drawn) > 5
