"""Every invariant holds, and the check of each fails when a bug that breaks it is planted."""

import pytest
from invariants import INVARIANTS, Check
from planted_bugs import BUGS, Bug


@pytest.mark.parametrize("check", INVARIANTS, ids=lambda check: check.__name__)
def test_an_invariant_holds(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    check(monkeypatch)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "_"))
def test_a_planted_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bug.module, bug.attribute, bug.planted)
    with pytest.raises(AssertionError):
        bug.breaks(monkeypatch)


def test_every_invariant_has_a_bug_that_breaks_it() -> None:
    assert {bug.breaks for bug in BUGS} == set(INVARIANTS)
