"""The restricted pickle reader and the milestones' text, under friendly and hostile input."""

import os
import pickle
import pickletools

import pytest
from cardinal_gym.envs.street_nav.virl.milestones import Milestone, read_milestones
from cardinal_gym.envs.street_nav.virl.pickles import read_pickle
from hypothesis import given
from hypothesis import strategies as st
from virl_files import MILESTONES

NUMBERS = st.integers() | st.floats(allow_nan=False)
KEYS = NUMBERS | st.text() | st.tuples(NUMBERS, NUMBERS)
PLAIN = st.recursive(
    NUMBERS | st.text(),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner, max_size=5)
    ),
    max_leaves=20,
)


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_are_read_as_pickle_reads_them(value: object, protocol: int) -> None:
    assert read_pickle(pickle.dumps(value, protocol)) == value


def test_what_occurs_twice_is_one_value() -> None:
    twice = ["shared"]
    found = read_pickle(pickle.dumps([twice, twice, ("a", 1.5)]))
    assert found[0] is found[1]


class Hostile:
    def __reduce__(self) -> tuple:
        return os.system, ("echo hacked > /tmp/never",)


@pytest.mark.parametrize(
    "value", [Hostile(), None, True, b"bytes", {1, 2}, 1j, bytearray(3), pytest, object()]
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_everything_else_is_refused(value: object, protocol: int) -> None:
    try:
        data = pickle.dumps({(1.0, 2.0): value}, protocol)
    except TypeError:
        pytest.skip("cannot be pickled")
    with pytest.raises(ValueError, match=r"^byte \d+: a pickle must hold"):
        read_pickle(data)


@pytest.mark.parametrize("name", sorted(code.name for code in pickletools.opcodes))
def test_no_opcode_that_names_or_calls_anything_is_known(name: str) -> None:
    from cardinal_gym.envs.street_nav.virl.pickles import _STEPS

    calling = {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"}
    calling |= {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER"}
    assert not (name in calling and name in _STEPS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x04",
        b"\x80\x04]",
        b"\x80\x04a.",
        b"\x80\x04u.",
        b"\x80\x04e.",
        b"\x80\x04](e.",
        b"\x80\x04}(K\x01u.",
        b"\x80\x04}]K\x01s.",
        b"\x80\x04K\x01]a.",
        b"\x80\x04h\x05.",
        b"\x80\x04\x94.",
        b"\x80\x04K\x01K\x02.",
        b"\x80\x04]r\xff\xff\xff\x7f.x",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x8b\xff\xff\xff\x7f1.",
        b"cos\nsystem\n(S'echo hacked'\ntR.",
        b"I01\n.",
        b"S'a'\n.",
        b"L" + b"9" * 10_000 + b"L\n.",
        b"\x80\x02})" + b"\x85" * 100_000 + b"K\x01s.",  # a key as deep as the stack is not
        b"\x80\x02})" + b"q\x00h\x00\x86" * 100 + b"K\x01s.",  # 2^100 steps to hash
    ],
)
def test_broken_pickles_are_refused_or_harmless(data: bytes) -> None:
    if data.startswith((b"\x80\x04](e", b"\x80\x04]r")):
        assert read_pickle(data) == []
        return
    with pytest.raises(ValueError):
        read_pickle(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    told: list[str] = []
    for body in (data, b"\x80\x04" + data + b"."):
        try:
            read_pickle(body)
        except ValueError as error:
            told.append(str(error))
    assert all(told)


@given(PLAIN, st.data())
def test_a_damaged_pickle_is_read_or_refused(value: object, data: st.DataObject) -> None:
    whole = bytearray(pickle.dumps(value))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_pickle(bytes(whole))
    except ValueError:
        return


def test_milestones_are_read_line_by_line_where_names_hold_quotes() -> None:
    assert read_milestones(MILESTONES) == [
        Milestone(heading=0.0, landmark='Otter "Fine" Bank', side=315.0),
        Milestone(heading=90.0),
        Milestone(heading=0.0, landmark="Lotus Cafe", side=90.0),
    ]


@pytest.mark.parametrize(
    ("phrase", "side"),
    [
        ("on your left front", 315.0),
        ("on your front left", 315.0),
        ("on your right behind", 135.0),
        ("in front of you", 0.0),
        ("behind you", 180.0),
        ("on your left", 270.0),
    ],
)
def test_sides_of_landmarks(phrase: str, side: float) -> None:
    block = {"landmarks": f"Salt is it {phrase}", "to_next_intersection_heading": "10 (north)"}
    with pytest.raises(ValueError, match=r"block 0: landmarks must be like"):
        read_milestones([block | {"landmarks": "Salt, above"}])
    (found,) = read_milestones([block | {"landmarks": f"This is it is {phrase}"}])
    assert (found.landmark, found.side) == ("This is it", side)


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ("", "must hold one"),
        (None, "must be text"),
        (7, "must be text"),
        ("{}", "block 0: to_next_intersection_heading must be like"),
        ("Turn left", "blocks alone"),
        ('{"a": "b",} and more', "blocks alone"),
        ('{"a"}', "block 0 must hold"),
        ([3], "block 0 must be an object"),
        ('{"to_next_intersection_heading": "north"}', "must be like '298"),
        ('{"to_next_intersection_heading": "500 (north)"}', "must be like '298"),
        ('{"to_next_intersection_heading": "5", "landmarks": 3}', "landmarks must be text"),
        ("{" * 50_000, "blocks alone"),
    ],
)
def test_unreadable_milestones_are_told(info: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_milestones(info)


@given(st.text() | st.text(alphabet='{}":,\n abc019').map(lambda text: "{" + text + "}"))
def test_any_text_is_milestones_or_refused(text: str) -> None:
    try:
        assert read_milestones(text)
    except ValueError:
        return
