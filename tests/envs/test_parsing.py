import time

import pytest
from cardinal_gym.envs.parsing import MAX_READ_CHARS, between_tags, find_object
from hypothesis import given
from hypothesis import strategies as st

KEYS = {"cards", "number", "formula"}
ANSWER = {"cards": ["5", "J"], "number": [5, 10], "formula": "10+5"}


@pytest.mark.parametrize(
    "text",
    [
        '{"cards": ["5", "J"], "number": [5, 10], "formula": "10+5"}',
        "{'cards': ['5', 'J'], 'number': [5, 10], 'formula': '10+5'}",
        '{"cards": ["5", "J",], "number": [5, 10,], "formula": "10+5",}',
        '```json\n{\n  "cards": ["5", "J"],\n  "number": [5, 10],\n  "formula": "10+5"\n}\n```',
        'So {this} is it: {"cards": ["5", "J"], "number": [5, 10], "formula": "10+5"}. Done {:}!',
        '{"cards": ["5", J], number: [5, 10], "formula": "10\\u002b5"}',
        '{"answer": {"cards": ["5", "J"], "number": [5, 10], "formula": "10+5"}}',
        '{ {{ {"cards": ["5", "J"], "number": [5, 10], "formula": "10+5"}',
    ],
)
def test_the_object_is_found_however_it_is_wrapped(text: str) -> None:
    assert find_object(text, KEYS) == ANSWER


def test_the_last_object_counts() -> None:
    text = '{"formula": "1+1"} no, rather {"formula": "2+2"} (see {"note": 1})'
    assert find_object(text, KEYS) == {"formula": "2+2"}


def test_values_keep_their_types() -> None:
    text = "x {'formula': null, 'cards': true, 'number': -3, 'a': 1.5, 'b': {'c': []}}"
    expected = {"formula": None, "cards": True, "number": -3, "a": "1.5", "b": {"c": []}}
    assert find_object(text, KEYS) == expected


@pytest.mark.parametrize("text", ["", "24", "{}", '{"cards": [', '{"other": 1}', "[1, 2]", "{'"])
def test_no_object_with_the_keys_is_none(text: str) -> None:
    assert find_object(text, KEYS) is None


def test_only_the_end_of_a_very_long_text_is_read() -> None:
    late = "x" * (2 * MAX_READ_CHARS) + '{"formula": "1"}'
    early = '{"formula": "1"}' + "x" * (2 * MAX_READ_CHARS)
    assert find_object(late, KEYS) == {"formula": "1"}
    assert find_object(early, KEYS) is None


_HOSTILE = {
    "braces": "{" * 100_000,
    "brackets": '{"cards": ' + "[" * 100_000,
    "nested objects": '{"a":' * 20_000,
    "nested lists of objects": '{"a":[' * 16_000,
    "long list": '{"a":[' + "1," * 49_000,
    "repeated long lists": ('{"a":[{"a":[{"a":[' + "1," * 3_000) * 16,
    "open strings": "{\"{'" * 25_000,
    "backslashes": '{"' + "\\" * 99_999,
    "escaped quotes": '{"\\"' * 25_000,
    "digits": '{"number":' + "9" * 99_000 + "}",
    "short number of many digits": '{"number":' + "9" * 900 + "}",
    "exponent": '{"number": 1e999999999, "formula": 9e9999}',
    "spaces": "{ " * 50_000,
    "wide spaces": "{" + " " * 99_000 + "{",
    "colons": '{"a":' + ":" * 90_000,
    "unicode": "{“cards”: [５, 🂡]}" * 5_000,
    "nul": "{\x00" * 50_000,
    "surrogates": '{"formula": "\\ud800"}',
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_hostile_text_is_read_in_bounded_time(name: str) -> None:
    started = time.process_time()
    find_object(_HOSTILE[name], KEYS)
    assert time.process_time() - started < 2.0


@given(st.text(max_size=300) | st.text(alphabet="{}[]:,\"'\\ an1-", max_size=300))
def test_no_text_raises(text: str) -> None:
    found = find_object(text, {"a", "n"})
    assert found is None or isinstance(found, dict)


@given(st.dictionaries(st.sampled_from(["a", "n", "cards"]), st.integers(-999, 999), min_size=1))
def test_plain_json_and_the_tolerant_reader_agree(value: dict[str, int]) -> None:
    text = str(value).replace("'", '"')
    assert find_object(text, {"a", "n", "cards"}) == value
    assert find_object(f"so: {text}", {"a", "n", "cards"}) == value


def test_between_tags_takes_the_last_pair() -> None:
    text = "<answer>1</answer> wait <answer>2</answer>"
    assert between_tags(text, "answer") == "2"
    assert between_tags("<answer>1", "answer") is None
    assert between_tags("1</answer>", "answer") is None
