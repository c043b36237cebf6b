"""`milestone_info`: the text in which V-IRL keeps what is said about the legs of a route.

One `{...}` block for each leg, with trailing commas and every value a string:

    {"intersection_idx": "1", "landmarks": "Otter Bank is on your left front",
     "distance": "16 meters", "human_heading": "22",
     "to_next_intersection_heading": "298 (northwest)",}

A block's heading is that of its leg; its landmark stands at the end of the leg.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..wording import SIDES
from .problems import told

HEADING, LANDMARK = "to_next_intersection_heading", "landmarks"
_MAX_CHARS = 1_000_000
_NOBODY = ("", "no landmark nearby", "no landmarks nearby", "none")
_DESTINATION = "the destination "
_PAIRS = '"key": "value" pairs'


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestone:
    """One leg. heading: compass degrees. side: degrees clockwise from the direction of arrival."""

    heading: float
    landmark: str | None = None
    side: float = 0.0


def read_milestones(info: Any) -> list[Milestone]:
    """The legs in order. Raises ValueError, naming the block, for what cannot be read."""
    blocks = info if isinstance(info, list) else _blocks(info)
    if not blocks:
        raise ValueError("must hold one {...} block for each leg; got none")
    milestones = []
    for number, block in enumerate(blocks):
        if not isinstance(block, Mapping):
            raise ValueError(f"block {number} must be an object; got {type(block).__name__}")
        try:
            milestones.append(_milestone(block))
        except ValueError as error:
            raise ValueError(f"block {number}: {error}") from error
    return milestones


def _blocks(info: Any) -> list[dict[str, str]]:
    if not isinstance(info, str):
        raise ValueError(f"must be text; got {type(info).__name__}")
    if len(info) > _MAX_CHARS:
        raise ValueError(f"must have at most {_MAX_CHARS} characters; got {len(info)}")
    blocks = []
    rest = _BLOCK.sub("", info)
    if rest.strip(" \t\r\n,[]"):
        raise ValueError(f"must hold {{...}} blocks alone; got {rest.strip()[:40]!r} beside them")
    for number, found in enumerate(_BLOCK.finditer(info)):
        block = _block(found[0])
        if block is None:
            raise ValueError(f"block {number} must hold {_PAIRS}; got {found[0][:60]!r}")
        blocks.append(block)
    return blocks


def _block(text: str) -> dict[str, str] | None:
    """The pairs of a block as JSON, or line by line (names may hold quotes); None if neither."""
    try:
        return dict(json.loads(_TRAILING_COMMA.sub("}", text)))
    except (ValueError, RecursionError):
        pass  # not JSON: the template puts values between quotes as they are
    lines = [line for line in text.strip("{} \r\n\t").splitlines() if line.strip()]
    pairs = [_PAIR.fullmatch(line) for line in lines]
    if not pairs or not all(pairs):
        return None
    return {pair[1]: pair[2] for pair in pairs if pair is not None}


def _milestone(block: Mapping[str, Any]) -> Milestone:
    heading = _heading(block.get(HEADING))
    said = block.get(LANDMARK)
    if said is None or (isinstance(said, str) and said.strip().casefold() in _NOBODY):
        return Milestone(heading=heading)
    if not isinstance(said, str):
        raise ValueError(f"{LANDMARK} must be text; got {type(said).__name__}")
    name, found, side = said.strip().rstrip(".").rpartition(" is ")
    degrees = _side(side)
    if not found or not name.strip() or degrees is None:
        raise ValueError(f"{LANDMARK} must be like 'X is on your left front'; got {said[:60]!r}")
    if name.casefold().startswith(_DESTINATION):
        name = name[len(_DESTINATION) :]
    return Milestone(heading=heading, landmark=" ".join(name.split()), side=degrees)


def _heading(value: Any) -> float:
    found = _HEADING.match(value) if isinstance(value, str) else None
    if found is None or not float(found[1]) <= 360.0:
        raise ValueError(f"{HEADING} must be like '298 (northwest)'; got {told(value, 40)}")
    return float(found[1]) % 360.0


def _side(phrase: str) -> float | None:
    """ "on your left front" and its like in degrees clockwise from ahead; None if it is none."""
    words = set(re.findall(r"[a-z]+", phrase.casefold()))
    parts = {part for part, names in _PARTS.items() if words & names}
    for index, side in enumerate(SIDES):
        if parts == set(side.split()):
            return 45.0 * index
    return None


_BLOCK = re.compile(r"\{[^{}]*\}")
_TRAILING_COMMA = re.compile(r",\s*\}$")
_PAIR = re.compile(r'\s*"([^"]+)"\s*:\s*"(.*)"\s*,?\s*')
_HEADING = re.compile(r"\s*([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*(?:\(|$)")
_PARTS = {
    "left": {"left"},
    "right": {"right"},
    "front": {"front", "ahead"},
    "behind": {"behind", "back", "rear"},
}
