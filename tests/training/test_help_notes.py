"""Notes beside settings: the dataclasses' own words, at the right settings, and nothing lost."""

import re
from dataclasses import dataclass, field
from enum import Enum

import pytest
from cardinal_gym.training.help_notes import BEGIN, END, notes_of, with_notes
from cardinal_gym.training.schema import ROOTS


class Colour(str, Enum):
    red = "red"
    blue = "blue"


@dataclass
class Inner:
    """A section.

    rate: in updates per step. limit: the most there may be, e.g. 3. Never more.
    first, second: of two, as told
        over two lines; a name: in a sentence is none.
    """

    rate: float = 1.0
    limit: int = 3
    first: int = 1
    second: int = 2
    name: str = ""
    size: int = 4  # in pixels


@dataclass
class Outer:
    """colour: of the whole."""

    colour: Colour = Colour.red
    inner: Inner | None = None
    sizes: list[int] = field(default_factory=list)


def test_notes_are_the_docstrings_words() -> None:
    assert notes_of(Inner) == {
        "rate": "in updates per step",
        "limit": "the most there may be, e.g. 3",
        "first": "of two, as told over two lines; a name: in a sentence is none",
        "second": "of two, as told over two lines; a name: in a sentence is none",
        "name": "",
        "size": "in pixels",
    }
    assert notes_of(Outer)["colour"] == "red | blue; of the whole"


def test_notes_stand_beside_their_settings_and_lists_take_one_line() -> None:
    settings = [
        "colour: red", "inner:", "  rate: 1.0", "  size: 4", "sizes:", "- 1", "- 2",
        "further:", "- name: a", "  rate: 2",
    ]  # fmt: skip
    text = "\n".join(["before", BEGIN, *settings, "", END, "after"])
    told = with_notes(text, [Inner, Outer]).splitlines()
    assert [line.split("#")[0].rstrip() for line in told] == [
        "before", BEGIN, *settings[:4], "sizes: [1, 2]", *settings[7:], "", END, "after",
    ]  # fmt: skip
    notes = {line.split(":")[0].strip(): line.split("# ")[1] for line in told if "# " in line}
    assert notes == {
        "colour": "red | blue; of the whole",
        "rate": "in updates per step",
        "size": "in pixels",
    }


def test_text_without_settings_stays_as_it_is() -> None:
    assert with_notes("usage: something\n", ROOTS) == "usage: something\n"


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.__name__)
def test_what_is_said_of_every_configuration_names_only_its_fields(root: type) -> None:
    notes = notes_of(root)
    assert sum(map(bool, notes.values())) >= len(notes) / 2
    assert not any(re.search(r"\x00|\b(\w+): \w+: ", note) for note in notes.values())
