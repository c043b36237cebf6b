"""A call is read out of any text with the care of an answer; bad settings are refused in a line."""

import pytest
from cardinal_gym.envs.tools import Call, ToolConfig, as_section, read_call, write_call
from hypothesis import given
from hypothesis import strategies as st

TOOLS = ("calculator", "map")
KEYS = frozenset(("cards", "formula"))
ANSWER = '{"cards": ["5"], "formula": "5=5"}'
CALL = '{"calculator": "10+5"}'
# texts as models write them: free characters, and pieces of calls and answers in any order
PIECES = st.sampled_from([*'{}[]:,"\'<>\\', CALL, ANSWER, '{"map"', "calculator", "<answer>",
                          "</answer>", "null", "1e9", "10+5", " "])  # fmt: skip
TEXTS = st.text(max_size=80) | st.lists(PIECES, max_size=30).map("".join)


@given(TEXTS, st.booleans())
def test_any_text_gives_a_call_of_a_tool_or_none(text: str, is_tagged: bool) -> None:
    call = read_call(text, TOOLS, KEYS, is_tagged=is_tagged)
    assert call is None or (call.tool in TOOLS and isinstance(call.argument, (str, type(None))))


@given(st.text(alphabet="0123456789+-*/() ", max_size=40), st.booleans())
def test_what_is_written_as_a_call_is_read_as_it_was(argument: str, is_tagged: bool) -> None:
    text = f"Let me see: {write_call('calculator', argument)}"
    assert read_call(text, TOOLS, KEYS, is_tagged=is_tagged) == Call("calculator", argument)


@pytest.mark.parametrize(
    ("text", "is_tagged", "argument"),
    [
        (CALL + ANSWER, False, None),  # the last object counts
        (ANSWER + CALL, False, "10+5"),
        ('{"calculator": "1", "formula": "2"}', False, None),  # an answer's field makes an answer
        (f"<think>{CALL}</think><answer>{ANSWER}</answer>", True, None),
        (f"<think>{ANSWER}</think>{CALL}", True, "10+5"),
        ("{'calculator': 15}", False, "15"),
        ('{"calculator": "10+5"', False, None),
        ('{"abacus": "10+5"}', False, None),
        ("", False, None),
    ],
)
def test_an_answer_goes_before_a_call(text: str, is_tagged: bool, argument: str | None) -> None:
    call = read_call(text, TOOLS, KEYS, is_tagged=is_tagged)
    assert call == (None if argument is None else Call("calculator", argument))


@pytest.mark.parametrize("value", ["null", "true", "[1]", '{"a": 1}'])
def test_a_call_that_asks_nothing_readable_is_one_all_the_same(value: str) -> None:
    call = read_call(f'{{"calculator": {value}}}', TOOLS, KEYS, is_tagged=False)
    assert call == Call("calculator", None)


def test_a_very_long_text_is_read_from_its_end() -> None:
    found = read_call("a" * 200_000 + CALL, TOOLS, KEYS, is_tagged=False)
    assert found == Call("calculator", "10+5")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"budget": -1}, "calculator.budget must be 0 to 1000, whole; got -1"),
        ({"budget": True}, "calculator.budget must be"),
        ({"budget": 2.5}, "calculator.budget must be"),
        ({"cost": -0.1}, "calculator.cost must be a number, at least 0; got -0.1"),
        ({"oracle_share": 2}, r"calculator.oracle_share must be in \[0, 1\]; got 2"),
        ({"price": 1}, "calculator must have fields among budget, cost, oracle_share; got price"),
        (3, "calculator must be a section with budget, cost, oracle_share; got 3"),
    ],
)
def test_bad_settings_are_refused_with_their_key(fields: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        as_section(ToolConfig, "calculator", fields)
