"""The calculator is exact; its calls are turns with a budget of their own, never an exception."""

import json
import operator
from fractions import Fraction
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from cardinal_gym.agents.config import Vocabulary
from cardinal_gym.agents.tokenizer import UNK, build_tokenizer
from cardinal_gym.envs.general_points.calculator import MAX_VALUE_CHARS, calculate
from cardinal_gym.envs.general_points.env import GeneralPointsEnv
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

CALL, BAD = '{"calculator": "10+5"}', '{"calculator": "__import__(1)"}'


def env_with(budget: int = 2, **settings: Any) -> GeneralPointsEnv:
    tool = {name: settings.pop(name) for name in ("cost", "oracle_share", "oracle_calls")
            if name in settings}  # fmt: skip
    return GeneralPointsEnv(tools={"calculator": {"budget": budget, **tool}}, **settings)


Worth = tuple[str, Fraction | None]  # an expression and its value; None: it divides by zero


def joined(parts: tuple[Worth, str, Worth]) -> Worth:
    (left, a), op, (right, b) = parts
    value = None if a is None or b is None or (op == "/" and not b) else APPLIED[op](a, b)
    return f"({left}{op}{right})", value


APPLIED = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
NUMBERS = st.integers(0, 99).map(lambda n: (str(n), Fraction(n)))
EXPRESSIONS = st.recursive(
    NUMBERS, lambda x: st.tuples(x, st.sampled_from("+-*/"), x).map(joined), max_leaves=8
)


@given(EXPRESSIONS)
def test_values_are_exact(expression: Worth) -> None:
    text, value = expression
    found = calculate(text)
    if value is None:
        assert found.error == "division by zero"
    elif len(str(value)) <= MAX_VALUE_CHARS:
        assert found.value is not None
        assert Fraction(found.value) == value


@given(st.text(max_size=120))
def test_any_argument_has_a_value_or_an_error(argument: str) -> None:
    found = calculate(argument)
    assert (found.value is None) == bool(found.error)


@pytest.mark.parametrize("prompt", ["study", "compact"])
def test_a_call_tells_a_value_and_takes_no_turn(prompt: str) -> None:
    env = env_with(prompt=prompt, max_turns=1)
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(CALL)
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert "15" in observation["update"]
    assert "10 + 5" in observation["text"]
    assert {key: info[key] for key in ("outcome", "tool", "tool_calls", "turn", "success")} == {
        "outcome": "called", "tool": "calculator", "tool_calls": 1, "turn": 0, "success": False,
    }  # fmt: skip
    right = oracle_answer(env)
    *_, terminated, _, info = env.step(right)
    assert terminated
    assert info["success"]
    assert (info["tool"], info["tool_calls"], info["turn"]) == (None, 1, 1)


def oracle_answer(env: GeneralPointsEnv) -> str:
    """The oracle's answer, after what it asks before is told."""
    while "calculator" in (said := env.oracle_action()):
        env.step(said)
    return said


def test_a_bad_call_is_spent_and_told() -> None:
    env = env_with(budget=1)
    env.reset(seed=0)
    observation, *_, info = env.step(BAD)
    assert info["outcome"] == "tool_error"
    assert (info["tool_calls"], info["tool_errors"]) == (1, 1)
    assert "could not read" in observation["update"]


def test_a_call_beyond_the_budget_is_an_answer_without_a_formula() -> None:
    env = env_with(budget=1, max_turns=2)
    plain = GeneralPointsEnv(max_turns=2)
    for each in (env, plain):
        each.reset(seed=0)
    env.step(CALL)
    *_, reward, terminated, truncated, info = env.step(CALL)
    assert reward == plain.step("no formula")[1]
    assert (terminated, truncated, info["outcome"]) == (False, False, "over_budget")
    assert (info["turn"], info["tool_calls"], info["tool_errors"]) == (1, 1, 1)
    assert env.step(CALL)[3]  # the second answer truncates


SAID = st.lists(st.sampled_from([CALL, BAD, "", '{"formula": "1"}', CALL + '{"cards": []}']),
                min_size=8, max_size=8)  # fmt: skip


@given(SAID, st.integers(1, 3), st.integers(1, 3))
@settings(max_examples=30)
def test_every_episode_ends_within_its_turns_and_its_calls(
    said: list[str], budget: int, max_turns: int
) -> None:
    env = env_with(budget=budget, max_turns=max_turns, reward="study", episode_return="sum")
    env.reset(seed=0)
    paid, calls, over = 0.0, 0, False
    for steps, text in enumerate(said, start=1):
        if over:
            break
        _, reward, terminated, truncated, info = env.step(text)
        paid += reward
        calls += info["tool"] is not None
        assert info["turn"] + info["tool_calls"] == steps
        assert calls == info["tool_calls"] <= budget
        assert info["episode_return"] == pytest.approx(paid)
        assert not (terminated or truncated) or info["tool"] is None
        over = terminated or truncated
        assert over == (info["turn"] == max_turns)


@pytest.mark.parametrize("kind", ["last", "sum", "discounted"])
def test_calls_pay_their_cost_and_nothing_else(kind: str) -> None:
    env = env_with(cost=0.25, max_turns=2, episode_return=kind, reward="binary")
    env.reset(seed=1)
    *_, info = env.step(CALL)
    assert info["reward_terms"] == {"calculator": -0.25}
    assert info["episode_return"] == -0.25  # an episode may end here, where a context is full
    env.step(str(env.flawed_action()))
    env.step(BAD)
    *_, info = env.step(oracle_answer(env))
    assert info["episode_return"] == pytest.approx((0.9 if kind == "discounted" else 1.0) - 0.5)


@pytest.mark.parametrize("calls", ["steps", "formula", "search"])
@pytest.mark.parametrize("answer", ["json", "steps", "tagged"])
def test_the_oracle_asks_and_then_solves(calls: str, answer: str) -> None:
    env = env_with(budget=3, answer=answer, oracle_calls=calls, oracle_share=1.0, max_turns=1)
    asked = 0
    for seed in range(12):
        env.reset(seed=seed)
        told: list[str] = []
        while "calculator" in (said := env.oracle_action()):
            *_, info = env.step(said)
            assert info["outcome"] == "called"
            told.append(env._asked.told[-1].value or "")
        assert env.step(said)[4]["success"]
        assert 1 <= len(told) <= 3
        if calls == "formula" or (calls == "search" and len(told) < 3):
            assert told[-1] == "24"
        asked += len(told)
    assert asked > 12 or calls == "formula"


def test_how_often_the_oracle_asks_is_a_setting() -> None:
    env = env_with(oracle_share=0.25)
    asked = 0
    for seed in range(80):
        env.reset(seed=seed)
        asked += "calculator" in env.oracle_action()
    assert 10 <= asked <= 32


def test_tools_change_neither_hands_nor_answers() -> None:
    plain, tooled = GeneralPointsEnv(modality="image"), env_with(oracle_share=0.0, modality="image")
    for seed in range(3):
        without, with_tools = plain.reset(seed=seed)[0], tooled.reset(seed=seed)[0]
        assert np.array_equal(without["image"], with_tools["image"])
        assert plain.oracle_action() == tooled.oracle_action()
        assert "calculator" not in without["text"]
    assert "tool_calls" not in plain.step(CALL)[4]  # without a tool a call is no answer


def test_an_environment_with_tools_is_clean() -> None:
    check_env(gym.make("cardinal/GeneralPoints-v0", tools={"calculator": {"budget": 2}}).unwrapped)


def test_random_calls_are_legal_and_within_the_budget() -> None:
    env, rng = env_with(budget=2, max_turns=3), np.random.default_rng(0)
    outcomes: list[str] = []
    for seed in range(10):
        env.reset(seed=seed)
        over = False
        while not over:
            *_, terminated, truncated, info = env.step(env.random_action(rng))
            outcomes.append(info["outcome"])
            over = terminated or truncated
        assert info["tool_calls"] <= 2
    assert outcomes.count("called") > 10
    assert not {"tool_error", "over_budget"} & set(outcomes)


@pytest.mark.parametrize("calls", ["steps", "search"])
def test_the_tiny_vocabulary_has_every_word(calls: str) -> None:
    tokenizer = build_tokenizer(vocabulary=Vocabulary.tools)
    env = env_with(budget=3, prompt="compact", oracle_calls=calls, oracle_share=1.0)
    for seed in range(6):
        texts = [env.reset(seed=seed)[0]["text"]]
        texts += [env.step(said)[0]["text"] for said in (BAD, '{"calculator": "3-9/2"}')]
        said = env.oracle_action()
        ids = tokenizer.encode(said, add_special_tokens=False)
        assert tokenizer.decode(ids) == said
        for text in (*texts, said, env.step(CALL)[0]["update"], env.step(CALL)[0]["update"]):
            assert UNK not in tokenizer.tokenize(text)


def test_a_person_asks_with_an_equals_sign() -> None:
    env = env_with()
    env.reset(seed=0)
    assert "asks the calculator" in env.legend()
    assert json.loads(env.spelt_out('= 10+"5')) == {"calculator": "10+5"}
    assert env.step(env.spelt_out("= 10+5"))[4]["outcome"] == "called"
