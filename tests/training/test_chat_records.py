"""Whatever is wrong with a file of conversations is a ValueError that says where and what."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cardinal_gym.agents.policy import Policy
from cardinal_gym.training.chat_records import read_records
from cardinal_gym.training.sft_files import FileDemonstrations, read_picture
from chat_files import (
    ANSWERED,
    ASKED,
    CONCAT,
    TEXT,
    VISION,
    picture,
    rows_of,
    save_picture,
    tiny_policy,
    write_lines,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

MISTAKES = {
    "a conversation must be a JSON object; got 3": 3,
    "must have either messages or conversations; got the keys text": {"text": "hello"},
    "got messages and conversations": {"messages": [], "conversations": []},
    "messages must be a list; got a string": {"messages": "hello"},
    "must have a user message and an answer; got none": {"messages": []},
    "message 2: a message must be a JSON object; got a string": {"messages": [ASKED, "5 * 5"]},
    "message 1: a message must have the key role; got content": {"messages": [{"content": "a"}]},
    "message 1: a message must have the key from": {"conversations": [ASKED]},
    "role must be one of system, user, assistant, human, gpt; got 'tool'": {
        "messages": [{"role": "tool", "content": "a"}]
    },
    "message 2: content must be a string or a list of parts; got null": {
        "messages": [ASKED, {"role": "assistant", "content": None}]
    },
    "message 2: a message must be text; got tool_calls": {
        "messages": [ASKED, {**ANSWERED, "tool_calls": [{}]}]
    },
    "message 1: must be from user (user and assistant take turns, a system": {
        "messages": [ANSWERED, ASKED]
    },
    "message 3: must be from assistant": {
        "messages": [{"role": "system", "content": "a"}, ASKED, ASKED, ANSWERED]
    },
    "must end with an answer": {"messages": [ASKED, ANSWERED, ASKED]},
    "weight must be 0 or 1; got 0.5": {"messages": [ASKED, {**ANSWERED, "weight": 0.5}]},
    "must have an answer to imitate": {"messages": [ASKED, {**ANSWERED, "weight": 0}]},
    "an answer to imitate must not be empty": {"messages": [ASKED, {**ANSWERED, "content": ""}]},
    'must be text or image; got {"type": "audio"}': {
        "messages": [{"role": "user", "content": [{"type": "audio"}]}, ANSWERED]
    },
    "a part of a assistant message must be text": {
        "messages": [ASKED, {"role": "assistant", "content": [{"type": "image"}]}]
    },
    "one path per placeholder; got 0 for 1 placeholders": {
        "messages": [{"role": "user", "content": [{"type": "image"}]}, ANSWERED]
    },
    "one path per placeholder; got 2 for 1 placeholders": {
        "conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a"}],
        "image": ["a.png", "a.png"],
    },
    "images must be paths; got [3]": {"messages": [ASKED, ANSWERED], "images": [3]},
    "at most one picture; got several": {
        "messages": [{"role": "user", "content": "<image><image>"}, ANSWERED],
        "images": ["a.png", "a.png"],
    },
    "got missing.png, which does not exist": {
        "messages": [ASKED, ANSWERED], "image": "missing.png"
    },
    "a picture must be an image; got data.jsonl": {
        "messages": [ASKED, ANSWERED], "image": "data.jsonl"
    },
    "pictures are not downloaded": {
        "messages": [ASKED, ANSWERED], "image": "https://example.org/a.png"
    },
    "its base64 is damaged": {"messages": [ASKED, ANSWERED], "image": "data:image/png;base64,???"},
    "must not hold the policy's own image token; got 1 of them for 0 pictures": {
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "see <image>"}]}, ANSWERED],
    },
    "standalone must have one text per user message; got 2 for 1": {
        "messages": [ASKED, ANSWERED], "standalone": ["a", "b"]
    },
    "standalone must be a list of strings": {"messages": [ASKED, ANSWERED], "standalone": "a"},
    "must fit into the policy's 1024 tokens; got ": {
        "messages": [{"role": "user", "content": "1 " * 1024}, ANSWERED]
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def text_policy() -> Policy:
    return tiny_policy(TEXT, CONCAT)


@pytest.fixture(scope="module")
def vision_policy() -> Policy:
    return tiny_policy(VISION, CONCAT)


@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_is_named_with_its_line(
    vision_policy: Policy, message: str, tmp_path: Path
) -> None:
    save_picture(tmp_path / "a.png", 0)
    path = tmp_path / "data.jsonl"
    write_lines(path, {"messages": [ASKED, ANSWERED]}, MISTAKES[message])
    with pytest.raises(ValueError) as caught:
        FileDemonstrations(vision_policy, path, seed=0)
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_text_policy_refuses_pictures(text_policy: Policy, tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 0)
    with pytest.raises(ValueError, match=r"line 1: .*cannot see"):
        rows_of(text_policy, tmp_path, {"messages": [ASKED, ANSWERED], "image": "a.png"})


def test_in_an_array_the_record_is_named(text_policy: Policy, tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"messages": [ASKED, ANSWERED]}, {"messages": []}], indent=2))
    with pytest.raises(ValueError, match=re.escape(f"{path}, record 2: ")):
        FileDemonstrations(text_policy, path, seed=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must hold at least one conversation"),
        (b"[]", "must hold at least one conversation"),
        (b"{'messages': []}\n", "line 1: must be one JSON object; got Expecting property name"),
        (b'{"messages": \xff}\n', "line 1: must be one JSON object; got bytes that are not UTF-8"),
        (b'\n[{"messages": ', "must be a JSON array of conversations; got Expecting value at"),
        (b"{" + b'"a":[' * 100_000 + b"\n", "line 1: must be one JSON object; got "),
    ],
)
def test_a_file_that_is_not_json_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_records(path)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kept=st.floats(0.0, 1.0, exclude_max=True))
def test_a_torn_last_line_is_reported(kept: float, tmp_path: Path) -> None:
    line = json.dumps({"messages": [ASKED, ANSWERED]})
    torn = line[: 1 + int(kept * (len(line) - 1))]
    (tmp_path / "data.jsonl").write_text(f"{line}\n{torn}")
    with pytest.raises(ValueError, match=r"line 2: must be one JSON object, whole .*cut short"):
        read_records(tmp_path / "data.jsonl")


def test_a_file_that_is_not_there_is_named(text_policy: Policy, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got .*nowhere\.jsonl: No such file"):
        FileDemonstrations(text_policy, tmp_path / "nowhere.jsonl", seed=0)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    file_format=st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"]),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
)
def test_a_damaged_picture_is_read_or_refused(
    file_format: str, cut: float, flips: list[tuple[float, int]], tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture(1)).save(buffer, format=file_format)
    data = bytearray(buffer.getvalue())
    for place, value in flips:
        data[int(place * len(data))] = value
    (tmp_path / "damaged").write_bytes(data[: int(cut * len(data))])
    try:
        pixels = read_picture("damaged", folder=tmp_path)
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert (pixels.dtype, pixels.shape[2:]) == (np.uint8, (3,))
    assert refusal == "" or refusal.startswith("a picture must be an image; got damaged")


any_json = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "user", "image", "a"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["messages", "conversations", "role", "from", "content", "value", "weight", "images",
             "image", "type", "text", "standalone", "image_url", "url", "task_id", "tool_calls"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    record=any_json
    | st.fixed_dictionaries(
        {"messages": st.tuples(st.just(ASKED) | any_json, st.just(ANSWERED) | any_json)},
        optional=dict.fromkeys(("images", "image", "standalone", "task_id"), any_json),
    )
)
def test_any_json_is_read_or_refused(record: Any, tmp_path: Path) -> None:
    path = tmp_path / "any.jsonl"
    write_lines(path, record)
    try:
        outcome = read_records(path)[0].place
    except ValueError as error:
        outcome = str(error)
    assert outcome.startswith(str(path))
