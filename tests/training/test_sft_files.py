"""Rows from files: ids of a rollout, masks of what is imitated, an order of their own per pass."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from cardinal_gym.agents.chat import encode_answer, encode_first
from cardinal_gym.agents.config import Family
from cardinal_gym.agents.policy import Policy
from cardinal_gym.agents.types import ContextMode
from cardinal_gym.envs.core import Observation
from cardinal_gym.training.sft_files import FileDemonstrations
from chat_files import (
    ANSWERED,
    ASKED,
    CONCAT,
    SINGLE,
    TEXT,
    VISION,
    rows_of,
    same,
    save_picture,
    tiny_policy,
    with_parts,
    write_lines,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def policies() -> dict[tuple[Family, ContextMode], Policy]:
    return {(family, mode): tiny_policy(family, mode) for family in Family for mode in ContextMode}


@pytest.fixture(scope="module")
def policy(policies: dict[tuple[Family, ContextMode], Policy]) -> Policy:
    return policies[TEXT, CONCAT]


def test_the_mask_covers_the_answers_of_weight_1_and_their_end_tokens(
    policy: Policy, tmp_path: Path
) -> None:
    messages = [
        ASKED, {**ANSWERED, "weight": 1},
        ASKED, {**ANSWERED, "content": "9 - 9", "weight": 0},
        ASKED, {**ANSWERED, "content": "8 * 3"},
        ASKED, {**ANSWERED, "content": "7", "weight": 0},
    ]  # fmt: skip
    (row,) = rows_of(policy, tmp_path, {"messages": messages})
    imitated = [i for i, learnt in zip(row.ids, row.mask, strict=True) if learnt]
    assert imitated == [*encode_answer(policy, "5 * 5"), *encode_answer(policy, "8 * 3")]
    assert row.mask[-1] == 1  # nothing is read for no purpose after the last imitated answer
    assert contains(row.ids, encode_answer(policy, "9 - 9"))


def test_single_turn_gives_each_imitated_answer_its_own_user_message(
    policies: dict[tuple[Family, ContextMode], Policy], tmp_path: Path
) -> None:
    policy = policies[TEXT, SINGLE]
    again = {"role": "user", "content": "wrong"}
    record = {"messages": [ASKED, {**ANSWERED, "weight": 0}, again, ANSWERED, again, ANSWERED]}
    rows = rows_of(policy, tmp_path, record)
    assert [row.ids for row in rows] == 2 * [[*prompt_ids(policy, "wrong"), *answer(policy)]]
    record["standalone"] = ["target 24", "target 24 wrong", "target 24 last 5 * 5 wrong"]
    rows = rows_of(policy, tmp_path, record)
    assert [row.ids for row in rows] == [
        [*prompt_ids(policy, text), *answer(policy)] for text in record["standalone"][1:]
    ]


def test_ids_are_those_of_a_rollout(policy: Policy, tmp_path: Path) -> None:
    (row,) = rows_of(policy, tmp_path, {"messages": [ASKED, ANSWERED]})
    prompt = encode_first(policy, Observation(text="target 24", update="target 24"))
    assert row.ids == [*prompt.ids, *answer(policy)]
    assert row.mask == [0] * len(prompt.ids) + [1] * len(answer(policy))


def test_the_studys_conversations_mean_the_same_as_messages(
    policies: dict[tuple[Family, ContextMode], Policy], tmp_path: Path
) -> None:
    policy = policies[VISION, CONCAT]
    save_picture(tmp_path / "a.png", 1)
    study = {
        "conversations": [
            {"from": "human", "value": "<image>\ntarget 24"},
            {"from": "gpt", "value": "5 * 5"},
        ],
        "image": "a.png",
    }
    without_placeholder = {**study, "conversations": [{**study["conversations"][0]}, ANSWERED]}
    without_placeholder["conversations"] = [
        {"from": "human", "value": "target 24"}, {"from": "gpt", "value": "5 * 5"}
    ]  # fmt: skip
    chat = {"messages": [with_parts({"type": "image"}), ANSWERED], "images": ["a.png"]}
    (tmp_path / "data.json").write_text(json.dumps([study, without_placeholder, chat], indent=1))
    rows = list(FileDemonstrations(policy, tmp_path / "data.json", seed=0))
    assert len(rows) == 3
    assert same(rows[0], rows[2])
    assert same(rows[1], rows[2])
    assert len(rows[0].images) == 1


def test_pictures_may_be_named_in_every_common_way(
    policies: dict[tuple[Family, ContextMode], Policy], tmp_path: Path
) -> None:
    policy = policies[VISION, CONCAT]
    pixels = save_picture(tmp_path / "a.png", 2)
    data = base64.b64encode((tmp_path / "a.png").read_bytes()).decode()
    parts = [
        {"type": "image", "image": "a.png"},
        {"type": "image", "path": str(tmp_path / "a.png"), "text": None},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image_url", "image_url": (tmp_path / "a.png").as_uri()},
    ]
    for part in parts:
        (row,) = rows_of(policy, tmp_path, {"messages": [with_parts(part), ANSWERED]})
        assert np.array_equal(row.images[0], pixels)


def test_a_picture_stays_in_view_until_the_next(
    policies: dict[tuple[Family, ContextMode], Policy], tmp_path: Path
) -> None:
    first, second = save_picture(tmp_path / "a.png", 1), save_picture(tmp_path / "b.png", 2)
    shown = with_parts({"type": "image"})
    messages = [shown, ANSWERED, ASKED, ANSWERED, shown, ANSWERED]
    record = {"messages": messages, "images": ["a.png", "b.png"]}
    (row,) = rows_of(policies[VISION, CONCAT], tmp_path, record)
    assert [pixels.tolist() for pixels in row.images] == [first.tolist(), second.tolist()]
    rows = rows_of(policies[VISION, SINGLE], tmp_path, record)
    seen = [row.images[0].tolist() for row in rows]
    assert seen == [first.tolist(), first.tolist(), second.tolist()]
    assert all(len(row.images) == 1 for row in rows)


def test_a_system_message_goes_before_the_first_user_message(
    policy: Policy, tmp_path: Path
) -> None:
    system = {"role": "system", "content": "use cards"}
    joined = {"role": "user", "content": "use cards\n\ntarget 24"}
    told, plain = (
        rows_of(policy, tmp_path, {"messages": [*start, ANSWERED, ASKED, ANSWERED]})[0]
        for start in ([system, ASKED], [joined])
    )
    assert same(told, plain)


def test_keys_that_are_null_count_as_absent(policy: Policy, tmp_path: Path) -> None:
    record = {
        "messages": [{**ASKED, "weight": None}, {**ANSWERED, "weight": None, "tool_calls": None}],
        "conversations": None, "images": None, "standalone": None, "task_id": None,
    }  # fmt: skip
    (row,) = rows_of(policy, tmp_path, record)
    assert same(row, rows_of(policy, tmp_path, {"messages": [ASKED, ANSWERED]})[0])


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_do_no_harm(
    policy: Policy, tmp_path: Path
) -> None:
    line = json.dumps({"messages": [ASKED, ANSWERED]})
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + f"{line}\r\n\r\n{line}".encode())
    assert len(FileDemonstrations(policy, path, seed=0)) == 2


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    count=st.integers(1, 7),
    seed=st.integers(0, 2**31),
    start=st.integers(0, 40),
    batch=st.integers(1, 9),
)
def test_every_pass_is_another_order_of_all_rows_whatever_the_batches(
    policy: Policy, tmp_path: Path, count: int, seed: int, start: int, batch: int
) -> None:
    path = tmp_path / "numbers.jsonl"
    write_lines(
        path, *({"messages": [ASKED, {**ANSWERED, "content": str(k)}]} for k in range(count))
    )
    demonstrations = FileDemonstrations(policy, path, seed=seed)
    start -= start % count  # a whole pass
    at_once = [row.ids for row in demonstrations.rows(range(start, start + count))]
    assert sorted(at_once) == sorted(row.ids for row in demonstrations)
    others = FileDemonstrations(policy, path, seed=seed)
    indices = range(start, start + count)
    in_batches = [
        row.ids
        for k in reversed(range(0, count, batch))  # another order of asking, too
        for row in reversed(others.rows(indices[k : k + batch]))
    ]
    assert in_batches[::-1] == [
        ids for k in range(0, count, batch) for ids in at_once[k : k + batch]
    ]


def test_seeds_and_passes_differ_in_order(policy: Policy, tmp_path: Path) -> None:
    path = tmp_path / "numbers.jsonl"
    write_lines(path, *({"messages": [ASKED, {**ANSWERED, "content": str(k)}]} for k in range(30)))
    one, other = (FileDemonstrations(policy, path, seed=seed) for seed in (1, 2))
    orders = [
        [row.ids[-2] for row in part]
        for part in (one.rows(range(30)), one.rows(range(30, 60)), other.rows(range(30)))
    ]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def answer(policy: Policy) -> tuple[int, ...]:
    return encode_answer(policy, "5 * 5")


def prompt_ids(policy: Policy, text: str) -> tuple[int, ...]:
    return encode_first(policy, Observation(text=text, update=text)).ids


def contains(ids: list[int], part: tuple[int, ...]) -> bool:
    return any(tuple(ids[k : k + len(part)]) == part for k in range(len(ids)))
