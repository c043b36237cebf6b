"""Random answers and a person's shorthand: what every environment offers besides its oracle."""

from collections import Counter
from typing import Any

import cardinal_gym.envs  # noqa: F401  (registers the environments)
import gymnasium as gym
import numpy as np
import pytest
from cardinal_gym.envs.core import LanguageEnv
from cardinal_gym.envs.street_nav.actions import TURN_RULES, Rule, spelt_action

CITY = {"num_blocks": 4, "num_landmarks": 60}


def cards(**fields: Any) -> LanguageEnv:
    env = gym.make("cardinal/GeneralPoints-v0", **fields).unwrapped
    env.reset(seed=3)
    return env


def walk(**fields: Any) -> LanguageEnv:
    env = gym.make("cardinal/StreetNav-v0", city=CITY, **fields).unwrapped
    env.reset(seed=3)
    return env


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"answer": "steps", "rule": "aces_high"},
        {"answer": "tagged", "num_cards": 6, "prompt": "compact"},
        {"num_cards": 2, "target": 10},
        {"rule": {"name": "few", "operators": ["/"]}, "solvable_under": [], "solvable_only": False},
        {
            "rule": {"name": "zeros", "face_values": {"J": 0, "Q": -3, "K": 0}},
            "solvable_only": False,
            "require_face_card": True,
        },
    ],
)
def test_a_random_answer_is_legal_and_uses_the_hand(fields: dict[str, Any]) -> None:
    env, rng = cards(split="all", **fields), np.random.default_rng(0)
    for _ in range(60):
        env.reset()
        *_, info = env.step(env.random_action(rng))
        assert info["outcome"] in ("correct", "wrong_value")
        assert info["recognized"]


def test_where_every_draw_divides_by_zero_the_rule_says_so() -> None:
    rule = {"name": "nothing", "face_values": {"J": 0, "Q": 0, "K": 0}, "operators": ["/"]}
    env = cards(rule=rule, split="all", solvable_only=False)
    env.reset(options={"ranks": ["J", "Q", "K", "K"]})
    with pytest.raises(ValueError, match="values must allow a formula with /"):
        env.random_action(np.random.default_rng(0))


def test_random_answers_solve_a_few_hands_and_follow_the_seed() -> None:
    env = cards(num_cards=2, target=5, split="all", solvable_under=[])
    drawn = [env.random_action(np.random.default_rng(seed)) for seed in range(200)]
    assert drawn == [env.random_action(np.random.default_rng(seed)) for seed in range(200)]
    assert len(set(drawn)) > 4
    solved = 0
    for answer in drawn:
        env.reset(seed=3)
        solved += env.step(answer)[4]["success"]
    assert 0 < solved < 100


def test_a_random_answer_leaves_the_episode_as_it_was() -> None:
    one, two = cards(), cards()
    two.random_action(np.random.default_rng(1))
    assert one.reset()[0] == two.reset()[0]


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("mode", ["rail", "free"])
def test_a_random_action_is_one_of_the_rules(rule: Rule, mode: str) -> None:
    env, rng, actions = walk(rule=rule, mode=mode), np.random.default_rng(0), Counter()
    for _ in range(8 * len(TURN_RULES[rule].actions)):
        answer = env.random_action(rng)
        actions[next(a for a in TURN_RULES[rule].actions if f'"{a}"' in answer)] += 1
        *_, terminated, truncated, info = env.step(answer)
        assert info["outcome"] not in ("illegal_action", "unparsable")
        if terminated or truncated:
            env.reset()
    assert set(actions) == set(TURN_RULES[rule].actions)


def test_a_bare_formula_is_judged_and_reads_no_card() -> None:
    """Recognition is paid for what the answer says about the cards, and this one says nothing."""
    env = cards()
    answer = env.oracle_action()
    formula = answer.partition('"formula": "')[2].partition('"')[0]
    _, reward, _, _, info = env.step(env.spelt_out(formula))
    assert info["success"]
    assert not info["recognized"]
    assert info["reward_terms"] == {"accuracy": 1.0, "format": 1.0, "recognition": 0.0}
    assert reward == pytest.approx(1.1)
    assert env.spelt_out(answer) == answer


@pytest.mark.parametrize(
    ("rule", "typed", "action"),
    [
        ("absolute", "forward()", "forward()"),
        ("absolute", "Stop", "stop()"),
        ("absolute", "north east", "turn_direction(northeast)"),
        ("absolute", "turn_direction(west)", "turn_direction(west)"),
        ("relative", "slightly left", "turn_direction(slightly left)"),
        ("clock", "3", "turn_direction(3)"),
        ("degrees", "90", "turn_direction(90)"),
        ("relative", "north", "turn_direction(north)"),  # of another rule: judged as such
        ("absolute", "fly(", "fly("),
    ],
)
def test_a_bare_action_may_be_typed_in_short(rule: str, typed: str, action: str) -> None:
    assert spelt_action(typed, TURN_RULES[Rule(rule)]) == action


@pytest.mark.parametrize("answer", ["json", "tagged"])
def test_a_bare_action_is_an_answer(answer: str) -> None:
    env = walk(answer=answer, prompt="compact")
    *_, info = env.step(env.spelt_out("forward"))
    assert info["outcome"] not in ("illegal_action", "unparsable")
    *_, info = env.step(env.spelt_out("left"))
    assert info["outcome"] == "illegal_action"


def test_the_legend_tells_the_rule_and_an_example_of_other_cards() -> None:
    env = cards(rule="aces_high", prompt="compact", modality="image", num_cards=3, target=20)
    said = env.legend()
    assert said.startswith("Rule aces_high: J = 11, Q = 12, K = 13, A = 14. ")
    assert "Make 20 from every card exactly once, with + - * / and parentheses." in said
    assert "as in 2+3-4 for the cards 2 3 4," in said
    env.reset(seed=4)
    assert env.legend() == said  # of the rule, not of the hand
    *_, info = env.step(env.spelt_out("2+3-4"))
    assert info["outcome"] in ("wrong_numbers", "wrong_value")


@pytest.mark.parametrize("rule", Rule)
def test_the_legend_lists_the_actions_of_the_rule(rule: Rule) -> None:
    said = walk(rule=rule, prompt="compact", modality="image").legend()
    assert said.startswith(f"Rule {rule.value}: ")
    assert "forward(), stop() or turn_direction(x)" in said
    assert ", ".join(TURN_RULES[rule].words) in said
