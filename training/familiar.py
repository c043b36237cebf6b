"""What a suite calls out of distribution although the base was pretrained on it.

A base from scratch stands in for a foundation model, which has seen many rules and looks. Cells
that shift to one of these are new to the training that is compared, and not to the base: a reader
must know which. Read from plain data, so that the report of any run folder can say it.
"""

import logging
from collections.abc import Mapping
from enum import Enum
from typing import Any

from ..envs.general_points.rules import RULES, Rule, as_rule

UNSEEN_FACES = RULES["faces_as_ranks"].face_values  # that `broad_cards` keeps from the base
CARDS, STREETS = "cardinal/GeneralPoints-v0", "cardinal/StreetNav-v0"
_logger = logging.getLogger(__name__)


def warn_of_familiar_cells(config: Mapping[str, Any]) -> None:
    """One line in the log where there is something to say; config: as `familiar_cells` takes it."""
    said = familiar_note(config)
    if said is not None:
        _logger.warning(said)


def familiar_note(config: Mapping[str, Any]) -> str | None:
    """`Not new to the base: ood_desert (look desert); training after it leaves them out.`"""
    cells = familiar_cells(config)
    if not cells:
        return None
    told = ", ".join(f"{cell} ({what})" for cell, what in cells.items())
    return f"Not new to the pretrained base: {told}. Only the training after it leaves this out."


def familiar_cells(config: Mapping[str, Any]) -> dict[str, str]:
    """By cell what its shift brings that the base of this configuration is pretrained on.

    config: an experiment as plain data, as `config.yaml` in a run folder. Empty where there is
    no such base: a policy that is not built from scratch has seen what nobody here knows.
    """
    env, pretrain = _section(config, "env"), _section(config, "pretrain")
    if not env or not pretrain or not _section(_section(config, "policy"), "build"):
        return {}
    read = {CARDS: _of_cards, STREETS: _of_streets}.get(str(env.get("id")))
    suite, found = _section(config, "suite"), {}
    for name, cell in _section(suite, "cells").items():
        if read is None or cell.get("env") is not None:  # a cell of another game
            continue
        what = read(env, {**_section(suite, "common"), **_section(cell, "shift")}, pretrain)
        if what:
            found[str(name)] = ", ".join(what)
    return found


def _of_streets(
    env: Mapping[str, Any], shift: Mapping[str, Any], pretrain: Mapping[str, Any]
) -> list[str]:
    streets = _section(pretrain, "streets")
    shifted = {**env, **shift}
    found = []
    words, trained = (
        (_text(each.get("rule")), _text(each.get("wording"))) for each in (shifted, env)
    )
    rule, wording = words
    is_walked = rule in _texts(streets, "rules") and wording in _texts(streets, "wordings")
    if words != trained and is_walked and f"{rule}/{wording}" not in _texts(streets, "withheld"):
        found += [f"rule {rule}"] * (rule != trained[0])
        found += [f"wording {wording}"] * (wording != trained[1])
    look = _text(shifted.get("look"))
    is_seen = _text(shifted.get("modality")) == "image" and look in _texts(streets, "looks")
    if is_seen and look != _text(env.get("look")) and _text(shifted.get("world")) != "virl":
        found.append(f"look {look}")
    return found


def _of_cards(
    env: Mapping[str, Any], shift: Mapping[str, Any], pretrain: Mapping[str, Any]
) -> list[str]:
    """The base's rules are drawn anew for every example: this one is among those."""
    try:
        rule, trained = as_rule(shift["rule"]), as_rule(env["rule"])
    except (KeyError, ValueError):  # it shifts no rule, or a file of another version
        return []
    low, high = pretrain["face_range"]
    values, known = rule.value_table, Rule(name="pips").value_table
    pips, faces = values[: -len(UNSEEN_FACES)], values[-len(UNSEEN_FACES) :]
    unseen = [value == kept for value, kept in zip(faces, UNSEEN_FACES.values(), strict=True)]
    withheld = all(unseen) if pretrain.get("allow_ood_faces") else any(unseen)
    is_drawn = (
        pips == known[: len(pips)]
        and all(low <= value <= high for value in faces)
        and (rule.allowed == trained.allowed or not _names_operators(shift["rule"]))
        and not withheld
    )
    return [f"rule {rule.name}"] if is_drawn and values != trained.value_table else []


def _names_operators(rule: Any) -> bool:
    """A preset's name and a mapping of values leave the environment's operators as they are."""
    return isinstance(rule, Mapping) and "operators" in rule


def _section(data: Any, name: str) -> Mapping[str, Any]:
    """A part that is a mapping, else nothing."""
    found = data.get(name) if isinstance(data, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _texts(data: Mapping[str, Any], name: str) -> list[str | None]:
    return [_text(each) for each in data.get(name) or ()]


def _text(value: Any) -> str | None:
    """A name; None for what is given in full."""
    if not isinstance(value, str):
        return None
    return str(value.value) if isinstance(value, Enum) else value
