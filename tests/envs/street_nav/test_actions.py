import pytest
from cardinal_gym.envs.street_nav.actions import (
    TURN_RULES,
    Action,
    NotAllowed,
    NotAnAction,
    Rule,
    read_action,
    signed_turn,
    turn,
)
from hypothesis import given
from hypothesis import strategies as st

DEGREES = st.integers(0, 359)


def test_the_four_rules_name_the_same_turn_in_their_own_words() -> None:
    words = {rule.value: turns.word(350, 80) for rule, turns in TURN_RULES.items()}
    assert words == {"absolute": "east", "relative": "right", "clock": "3", "degrees": "75"}


@pytest.mark.parametrize(
    ("facing", "heading", "word"),
    [
        (350, 10, "slightly right"),  # the study's code: 10 - 350 = -340, left
        (10, 350, "slightly left"),
        (300, 30, "right"),
        (30, 300, "left"),
        (0, 0, "slightly left"),
        (0, 45, "slightly right"),
        (0, 46, "right"),
        (0, 315, "slightly left"),
        (0, 314, "left"),
        (0, 180, "right"),
        (1, 180, "right"),
        (0, 181, "left"),
    ],
)
def test_relative_words_wrap_at_360_degrees(facing: int, heading: int, word: str) -> None:
    assert TURN_RULES[Rule.relative].word(facing, heading) == word


@given(DEGREES, DEGREES)
def test_relative_words_are_those_of_the_wrapped_angle(facing: int, heading: int) -> None:
    angle = heading - facing
    angle += 360 * (angle <= -180) - 360 * (angle > 180)
    assert angle == signed_turn(facing, heading)
    expected = (
        "left"
        if angle < -45
        else "right"
        if angle > 45
        else "slightly left"
        if angle <= 0
        else "slightly right"
    )
    assert TURN_RULES[Rule.relative].word(facing, heading) == expected


@given(st.sampled_from(Rule), DEGREES, DEGREES, DEGREES)
def test_words_turn_with_the_agent_or_not_at_all(
    rule: Rule, facing: int, heading: int, by: int
) -> None:
    turns = TURN_RULES[rule]
    said = turns.word(facing, heading)
    if rule in (Rule.relative, Rule.clock):
        assert turns.word((facing + by) % 360, (heading + by) % 360) == said
    else:
        assert turns.word((facing + by) % 360, heading) == said


@given(st.sampled_from(Rule), DEGREES)
def test_a_word_points_into_its_own_sector(rule: Rule, facing: int) -> None:
    turns = TURN_RULES[rule]
    for word in turns.words:
        assert turns.word(facing, turns.aim(word, facing)) == word


@pytest.mark.parametrize("rule", Rule)
def test_every_action_of_a_rule_is_read_as_written(rule: Rule) -> None:
    turns = TURN_RULES[rule]
    for word in turns.words:
        assert read_action(turn(word), turns) == Action(turn(word), word)
    assert read_action("forward()", turns) == Action("forward()")
    assert read_action("stop()", turns) == Action("stop()")


@pytest.mark.parametrize(
    ("rule", "text", "canonical"),
    [
        ("absolute", ' Turn_Direction("North-East") ', "turn_direction(northeast)"),
        ("absolute", "turn_direction(x=north west);", "turn_direction(northwest)"),
        ("relative", "turn_direction('slightly_left')", "turn_direction(slightly left)"),
        ("relative", "turn_direction(SlightlyRight)", "turn_direction(slightly right)"),
        ("relative", "forward", "forward()"),
        ("relative", "STOP( ).", "stop()"),
        ("clock", "turn_direction(9 o'clock)", "turn_direction(9)"),
        ("clock", "turn_direction(09)", "turn_direction(9)"),
        ("degrees", "turn_direction(270°)", "turn_direction(270)"),
        ("degrees", "turn_direction(272 degrees)", "turn_direction(270)"),
        ("degrees", "turn_direction(360)", "turn_direction(0)"),
        ("degrees", "turn_direction(353)", "turn_direction(0)"),
        ("degrees", "turn_direction(-90)", "turn_direction(270)"),
    ],
)
def test_actions_are_read_with_goodwill(rule: str, text: str, canonical: str) -> None:
    assert read_action(text, TURN_RULES[Rule(rule)]).canonical == canonical


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("absolute", "turn_direction(left)"),
        ("relative", "turn_direction(north)"),
        ("clock", "turn_direction(0)"),
        ("clock", "turn_direction(13)"),
        ("degrees", "turn_direction(361)"),
        ("degrees", "turn_direction(east)"),
        ("relative", "turn_direction(-90)"),
        ("degrees", "turn_direction(3 o'clock)"),
        ("clock", "turn_direction(10 degrees)"),
    ],
)
def test_actions_of_another_rule_are_not_allowed(rule: str, text: str) -> None:
    with pytest.raises(NotAllowed):
        read_action(text, TURN_RULES[Rule(rule)])


@pytest.mark.parametrize(
    "text",
    ["", "()", "jump()", "forward(3)", "turn_direction()", "turn_direction", "stop() stop()"],
)
def test_what_is_no_action_is_refused(text: str) -> None:
    with pytest.raises(NotAnAction):
        read_action(text, TURN_RULES[Rule.absolute])


@given(st.sampled_from(Rule), st.text(max_size=300))
def test_any_text_is_an_action_or_refused(rule: Rule, text: str) -> None:
    try:
        action = read_action(text, TURN_RULES[rule])
    except (NotAllowed, NotAnAction):
        return
    assert read_action(action.canonical, TURN_RULES[rule]) == action
