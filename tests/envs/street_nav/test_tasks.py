"""Descriptions, answers and rewards on a chessboard of streets."""

import json
import re
from typing import Any

import pytest
from cardinal_gym.envs.street_nav.actions import TURN_RULES, Rule
from cardinal_gym.envs.street_nav.answer import AnswerFormat, read_answer, write_answer
from cardinal_gym.envs.street_nav.env import StreetNavEnv
from cardinal_gym.envs.street_nav.judge import claims_intersection, names_sentence
from cardinal_gym.envs.street_nav.reward import maximum_return
from cardinal_gym.envs.street_nav.types import Sight
from grid_world import GridWorld
from hypothesis import given
from hypothesis import strategies as st

WORLDS = GridWorld(), GridWorld(slant=31.0)
MAX_COMPACT_WORDS = 120


def make(world: GridWorld = WORLDS[0], **fields: Any) -> StreetNavEnv:
    return StreetNavEnv(streets=world, split=fields.pop("split", "all"), **fields)


WALK = make(mode="free")


def said(action: str, observation: str = "", instruction: str = "") -> str:
    return write_answer(observation, instruction, action, AnswerFormat.json)


def sentences(env: StreetNavEnv) -> list[str]:
    env.reset(seed=1)
    return env.walk.sentences


def test_the_three_wordings_of_one_route() -> None:
    def first_and_third(rule: str, wording: str) -> list[str]:
        return sentences(make(rule=rule, wording=wording))[:3:2]

    assert first_and_third("absolute", "both") == [
        "First, turn left to face south.",
        "Turn right to face west.",
    ]
    assert first_and_third("absolute", "both") == first_and_third("relative", "both")
    assert first_and_third("absolute", "matching") == [
        "First, turn to face south.",
        "Turn to face west.",
    ]
    assert first_and_third("relative", "matching") == ["First, turn left.", "Turn right."]
    assert first_and_third("absolute", "other") == [
        "First, turn left by 161 degrees.",
        "Turn right by 90 degrees.",
    ]
    assert first_and_third("relative", "other") == [
        "First, turn to face south (180 degrees).",
        "Turn to face west (270 degrees).",
    ]
    assert first_and_third("clock", "both")[1] == "Turn to 3 o'clock to face west."
    assert first_and_third("degrees", "matching")[1] == "Turn to face 270 degrees."


def test_landmarks_are_placed_in_the_words_of_the_description() -> None:
    def second(rule: str, wording: str) -> str:
        return sentences(make(rule=rule, wording=wording))[1].partition(" where ")[2]

    assert second("absolute", "both") == "Iris Hotel is on your left behind."
    assert second("absolute", "matching") == "Iris Hotel is to the northeast."
    assert second("absolute", "other") == "Iris Hotel is on your left behind."
    assert second("clock", "matching") == "Iris Hotel is at 8 o'clock."
    assert second("degrees", "matching") == "Iris Hotel is at 45 degrees."


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("rule", Rule)
def test_the_other_wording_never_holds_the_word_that_is_asked_for(
    rule: Rule, world: GridWorld
) -> None:
    env = make(world, rule=rule.value, wording="other")
    asked = {word for word in TURN_RULES[rule].words if not word.isdigit()}
    for seed in range(30):
        env.reset(seed=seed)
        words = set(re.findall(r"[a-z]+", " ".join(env.walk.sentences).lower()))
        assert not asked & words
        if rule in (Rule.absolute, Rule.relative):
            assert not {word for word in asked if " " in word and word in " ".join(words)}


@pytest.mark.parametrize("world", WORLDS)
def test_what_the_other_wording_says_suffices_to_convert(world: GridWorld) -> None:
    """An agent that reads heading and angle, and knows nothing else, turns rightly."""
    for rule in (Rule.absolute, Rule.degrees):
        env = make(world, rule=rule.value, wording="other")
        for seed in range(20):
            observation, _ = env.reset(seed=seed)
            done = False
            while not done:
                right = env.walk.right_action()
                if right.startswith("turn"):
                    heading = int(observation["text"].rpartition("heading is ")[2].split()[0])
                    quoted = json.loads(env.oracle_action())["current instruction"]
                    side, amount = re.search(r"(left|right) by (\d+)", quoted).groups()
                    target = heading + int(amount) * (1 if side == "right" else -1)
                    assert right == f"turn_direction({TURN_RULES[rule].table[target % 360]})"
                observation, _, done, _, _ = env.step(env.oracle_action())


def test_crossed_intersections_are_counted() -> None:
    from dataclasses import replace

    env = make()
    env.reset(seed=1)
    route = env.route
    crossing = replace(route.waypoints[1], intersection=True)
    waypoints = (route.waypoints[0], crossing, *route.waypoints[2:])
    env.reset(options={"route": replace(route, waypoints=waypoints)})
    assert env.walk.sentences[1].startswith("Move forward until you reach the second intersection")


@pytest.mark.parametrize("mode", ["rail", "free"])
@pytest.mark.parametrize("wording", ["both", "matching", "other"])
@pytest.mark.parametrize("rule", [rule.value for rule in Rule])
@pytest.mark.parametrize("reward", ["study", "binary", "weighted"])
def test_the_oracle_earns_the_maximum(rule: str, wording: str, mode: str, reward: str) -> None:
    world = WORLDS[1]
    for prompt, answer in (("study", "json"), ("compact", "tagged")):
        env = make(
            world,
            rule=rule,
            wording=wording,
            mode=mode,
            reward=reward,
            prompt=prompt,
            answer=answer,
            episode_return="sum",
        )
        for seed in range(25):
            _, info = env.reset(seed=seed)
            done, total = False, 0.0
            while not done:
                observation, earned, done, truncated, info = env.step(env.oracle_action())
                total += earned
                assert not truncated
                if prompt == "compact" and mode == "rail" and env.route.num_turns <= 3:
                    assert len(observation["text"].split()) <= MAX_COMPACT_WORDS
            places = info["num_places"] if mode == "rail" else None
            assert info["success"]
            assert total == pytest.approx(maximum_return(env.config.reward, places))
            assert info["episode_return"] == pytest.approx(total)
            assert info["accuracy"] == 1.0
            if mode == "free":
                assert (info["ndtw"], info["distance_m"]) == (1.0, 0.0)


def at_place(env: StreetNavEnv, kind: str) -> None:
    """Walk on to the first place where this action is due."""
    env.reset(seed=1)
    while not env.walk.right_action().startswith(kind) or (kind == "turn" and not env._past):
        env.step(env.oracle_action())


@pytest.mark.parametrize(
    ("due", "action", "outcome"),
    [
        ("turn", "turn_direction(northeast)", "wrong_turn"),
        ("turn", "forward()", "missed_intersection"),
        ("turn", "stop()", "premature_stop"),
        ("forward", "turn_direction(north)", "needless_turn"),
        ("forward", "stop()", "premature_stop"),
        ("stop", "forward()", "overshoot"),
        ("stop", "turn_direction(north)", "needless_turn"),
        ("forward", "turn_direction(left)", "illegal_action"),
        ("forward", "fly()", "unparsable"),
    ],
)
def test_what_can_go_wrong_on_the_rail(due: str, action: str, outcome: str) -> None:
    env = make()
    at_place(env, due)
    before = env.walk.scene
    observation, _, terminated, truncated, info = env.step(said(action))
    assert (info["outcome"], info["correct"], info["success"]) == (outcome, False, False)
    assert env.walk.scene == before
    assert not terminated
    assert not truncated
    assert observation["text"].endswith(observation["update"])
    assert "Answer again." in observation["update"]
    assert env.step("nothing at all")[3]  # the second wrong answer at one place


def test_the_studys_rewards_are_scored_against_the_right_field() -> None:
    env = make(reward="study", attempts=9)
    at_place(env, "turn")
    seen, other = "You observe an intersection", "No landmarks nearby"
    wrong, right = "turn_direction(northeast)", env.walk.right_action()
    assert env.step(said(wrong, seen))[1] == -1.0
    assert env.step(said(wrong, other))[1] == -1.5
    assert env.step(said(wrong, "There is no intersection here"))[1] == -1.5
    assert env.step("no answer")[1] == -1.5
    assert env.step(said(right, other))[1] == 1.0


def test_the_papers_punishment_of_a_wrong_instruction_is_opt_in() -> None:
    reward = {"kind": "study", "punish_instruction": True}
    env = make(reward=reward, attempts=9)
    at_place(env, "turn")
    seen, other = "You observe an intersection", "No landmarks nearby"
    wrong, right = "turn_direction(northeast)", env.walk.right_action()
    (due,) = json.loads(env.oracle_action())["current instruction"][:1]
    for answer, expected in {
        said(wrong, seen, due): -1.0,
        said(wrong, other, due): -1.5,
        said(wrong, seen, "9"): -1.75,
        said(wrong, other, "9"): -1.75,
        "no answer": -1.75,
        said(right, other, "9"): 1.0,
    }.items():
        _, paid, _, _, info = env.step(answer)
        assert paid == expected == sum(info["reward_terms"].values())
    with pytest.raises(ValueError, match=r"reward.punish_instruction must be false unless"):
        make(reward={"kind": "binary", "punish_instruction": True})


def test_weighted_terms_pay_for_each_field_and_punish_what_is_wrong() -> None:
    env = make(attempts=9)
    at_place(env, "turn")
    exact = json.loads(env.oracle_action())
    seen, quoted, right = exact.values()
    cases = {
        said(right, seen, quoted): (1.0, 0.0, 1.0, 1.0, 1.0),
        said("stop()", seen, "3"): (0.0, -1.0, 1.0, 1.0, 1.0),
        said("stop()", "I see Iris Hotel, at an intersection", "3. x"): (0, -1, 1, 1, 1),
        said("stop()", "Coral Hotel and Iris Hotel; intersection", "2"): (0, -1, 1, 0, 0),
        said("stop()", "an intersection", "Turn right to face west"): (0, -1, 1, 0, 0),
        said("stop()", "IRIS HOTEL at an intersection!", quoted[3:]): (0, -1, 1, 1, 0),
        '{"action": "stop()"}': (0.0, -1.0, 0.0, 0.0, 0.0),
    }
    for text, expected in list(cases.items())[::-1]:
        _, reward, _, _, info = env.step(text)
        assert tuple(info["reward_terms"].values()) == expected, text
        assert reward == pytest.approx(expected[0] + 0.3 * expected[1] + 0.1 * sum(expected[2:]))


@pytest.mark.parametrize(
    ("remark", "claim"),
    [
        ("You observe an intersection", True),
        ("INTERSECTION!", True),
        ("No landmarks nearby; You observe an intersection", True),
        ("no intersection", False),
        ("I do not see an intersection", False),
        ("I don't see any intersection", False),
        ("nothing", False),
        ("", False),
    ],
)
def test_remarks_about_intersections_are_understood(remark: str, claim: bool) -> None:
    assert claims_intersection(remark) is claim


@pytest.mark.parametrize(
    ("text", "means"),
    [("3", True), ("3. Turn left.", True), ("turn left", True), ("2", False), ("13", False)],
)
def test_sentences_are_named_by_number_or_words(text: str, means: bool) -> None:
    assert names_sentence(text, 3, "Turn left.") is means


class FarSighted(GridWorld):
    """From everywhere along a street, the landmark of one corner can be seen."""

    def __init__(self, corner: str) -> None:
        super().__init__()
        self._corner = Sight(name=corner, bearing=10.0)

    def sights(self, node: int) -> tuple[Sight, ...]:
        return super().sights(node) or (self._corner,)


def test_a_landmark_that_is_seen_may_be_named_where_the_description_names_none() -> None:
    plain = make()
    plain.reset(seed=1)
    first, *rest = [w.sight.name for w in plain.route.waypoints if w.sight is not None]
    for world, is_seen in ((FarSighted(first), True), (GridWorld(), False)):
        env = make(world)
        at_place(env, "forward")
        told = said("stop()", f"{first} is on your left")
        assert env.step(told)[4]["recognized"] is is_seen
        hidden = said(env.walk.right_action(), f"{first} is on your left, {rest[0]} too")
        assert env.step(hidden)[4]["recognized"] is False


def test_where_the_description_names_a_landmark_it_must_be_named() -> None:
    plain = make()
    plain.reset(seed=1)
    *_, other, last = [w.sight.name for w in plain.route.waypoints if w.sight is not None]
    for remark, recognized in ((last, True), (f"{last}, {other}", True), (other, False)):
        env = make(FarSighted(other))
        at_place(env, "stop")
        assert env.step(said("stop()", remark))[4]["recognized"] is recognized


@given(st.text(max_size=400))
def test_any_text_is_an_answer_and_is_judged(text: str) -> None:
    for answer_format in AnswerFormat:
        read_answer(text, answer_format)
    WALK.reset(seed=0)
    info = WALK.step(said(text, text, text))[4]
    assert info["outcome"] in ("unparsable", "illegal_action", "turned", "moved", "premature_stop")


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_what_is_written_is_read(observation: str, instruction: str, action: str) -> None:
    for answer_format in AnswerFormat:
        text = write_answer(observation, instruction, action, answer_format)
        if "answer>" in observation + instruction + action:
            continue
        found = read_answer(text, answer_format)
        assert (found.observation, found.instruction, found.action) == (
            observation,
            instruction,
            action,
        )
